//! Judging a device's certificate by what lies on the PC and by the region's root, and by nobody's word.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use rcgen::{KeyPair, PublicKeyData as _};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::Pem;

/// What a certificate that held says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    pub device: String,
    pub names: Vec<String>,
    /// From its beginning to its end.
    pub days: i64,
    pub issuer: String,
}

/// Judges `identity` (chain.pem, device-key.pem) of a device in `region` by the root at `root`.
///
/// # Errors
/// The first thing that is not as it has to be.
pub fn judge(identity: &Path, root: &Path, device: &str, region: &str) -> Result<Judged> {
    let chain = pems(&identity.join("chain.pem"))?;
    let root = pems(root)?;
    ensure!(chain.len() == 2, "the chain has {} certificates", chain.len());
    let (leaf, intermediate) = (chain[0].parse_x509()?, chain[1].parse_x509()?);
    let root = root.first().context("the root's file is empty")?.parse_x509()?;
    signed(&leaf, &intermediate, "the device's certificate")?;
    signed(&intermediate, &root, "the intermediate")?;
    constrained(&intermediate, region)?;

    let name =
        leaf.subject().iter_common_name().next().and_then(|name| name.as_str().ok()).unwrap_or_default();
    ensure!(name == device, "it is made out to {name:?}");
    let names = names(&leaf)?;
    let wanted = [format!("client.{region}.nomad"), format!("{device}.client.{region}.nomad")];
    ensure!(wanted.iter().all(|name| names.contains(name)) && names.len() == 2, "its names are {names:?}");
    let uses = leaf.extended_key_usage()?.context("no extended key usage")?.value;
    ensure!(uses.client_auth && !uses.server_auth, "it is not for clients alone");
    let life = leaf.validity();
    ensure!(life.is_valid(), "it is not valid now");
    let seconds = life.not_after.timestamp() - life.not_before.timestamp();

    let key_file = identity.join("device-key.pem");
    let mode = std::fs::metadata(&key_file).context("the device's key")?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "the key's mode is {mode:o}");
    let key = KeyPair::from_pem(&std::fs::read_to_string(&key_file)?)?;
    ensure!(key.subject_public_key_info() == leaf.public_key().raw, "the key is not the certificate's");
    Ok(Judged {
        device: name.to_owned(),
        names,
        days: (seconds + 43_200) / 86_400,
        issuer: intermediate.subject().to_string(),
    })
}

fn pems(file: &Path) -> Result<Vec<Pem>> {
    let bytes = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    Ok(Pem::iter_from_buffer(&bytes).collect::<Result<_, _>>()?)
}

fn signed(certificate: &X509Certificate<'_>, by: &X509Certificate<'_>, what: &str) -> Result<()> {
    ensure!(certificate.issuer() == by.subject(), "{what} names another issuer");
    certificate
        .verify_signature(Some(by.public_key()))
        .with_context(|| format!("{what} is not signed by its issuer"))
}

/// It can make clients of this region and nothing else.
fn constrained(intermediate: &X509Certificate<'_>, region: &str) -> Result<()> {
    let constraints = intermediate.name_constraints()?.context("the intermediate has no name constraints")?;
    ensure!(constraints.critical, "the intermediate's name constraints are not critical");
    let permitted = constraints.value.permitted_subtrees.as_deref().unwrap_or_default();
    let wanted = format!("client.{region}.nomad");
    let only_ours =
        matches!(permitted, [one] if matches!(one.base, GeneralName::DNSName(name) if name == wanted));
    ensure!(only_ours, "the intermediate permits something else than {wanted}");
    Ok(())
}

fn names(leaf: &X509Certificate<'_>) -> Result<Vec<String>> {
    let extension = leaf.subject_alternative_name()?.context("no alternative names")?;
    let names = extension.value.general_names.iter().map(|name| {
        if let GeneralName::DNSName(name) = name { (*name).to_owned() } else { name.to_string() }
    });
    let names = names.collect();
    let known = |found: &ParsedExtension<'_>| !found.unsupported();
    ensure!(
        leaf.extensions().iter().all(|one| known(one.parsed_extension())),
        "it holds an unknown extension"
    );
    Ok(names)
}
