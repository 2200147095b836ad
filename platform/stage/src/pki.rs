//! The region's certificates: who may be what is decided by who signs and which name stands inside.
//!
//! The root signs servers, the gateway and API callers; its key is used once and never written. In the region `eu` the devices'
//! intermediate can sign `client.eu.nomad` and names below it, nothing else. See `platform/region/README.md`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints,
};
use time::{Duration, OffsetDateTime};

const LIFE: Duration = Duration::days(365);

/// A certificate (with those above it, but for the root) and its key, as PEM files.
#[derive(Debug, Clone)]
pub struct KeyPairFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Where the region's certificates lie.
#[derive(Debug, Clone)]
pub struct Pki {
    /// The root's certificate: all that servers and PCs need to trust.
    pub ca: PathBuf,
    /// `server.REGION.nomad`: full power over the region.
    pub server: KeyPairFiles,
    /// The intermediate that signs PCs' certificates.
    pub devices: KeyPairFiles,
    /// What the gateway shows to PCs.
    pub gateway: KeyPairFiles,
    /// The gateway as a caller of the servers' HTTPS API; RPC refuses it.
    pub gateway_api: KeyPairFiles,
    /// The demo's customer as a caller of the same API.
    pub customer: KeyPairFiles,
    /// The stage itself.
    pub operator: KeyPairFiles,
}

impl Pki {
    /// Makes everything of `region` new in `dir`, which must exist. Keys are 0600.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn make(dir: &Path, region: &str) -> Result<Self> {
        let root = Authority::root()?;
        let ca = dir.join("ca.pem");
        std::fs::write(&ca, &root.cert_pem).with_context(|| format!("{} cannot be written", ca.display()))?;

        let devices = root.devices_intermediate(region)?;
        let api = |name: &str| root.leaf(dir, name, &[&format!("cli.{region}.nomad")], &[CLIENT_AUTH]);
        Ok(Self {
            server: root.leaf(
                dir,
                "server",
                &[&format!("server.{region}.nomad"), "localhost", "127.0.0.1"],
                &[ExtendedKeyUsagePurpose::ServerAuth, CLIENT_AUTH],
            )?,
            devices: write_pair(dir, "devices", &devices.cert_pem, &devices.key_pem)?,
            gateway: root.leaf(
                dir,
                "gateway",
                &["localhost", "127.0.0.1"],
                &[ExtendedKeyUsagePurpose::ServerAuth],
            )?,
            gateway_api: api("gateway-api")?,
            customer: api("customer")?,
            operator: api("operator")?,
            ca,
        })
    }
}

const CLIENT_AUTH: ExtendedKeyUsagePurpose = ExtendedKeyUsagePurpose::ClientAuth;

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    cert_pem: String,
    key_pem: String,
}

impl Authority {
    fn root() -> Result<Self> {
        let key = KeyPair::generate()?;
        let params = authority_params("io.net region root (demo)", BasicConstraints::Unconstrained);
        let cert_pem = params.self_signed(&key)?.pem();
        Ok(Self { key_pem: key.serialize_pem(), issuer: Issuer::new(params, key), cert_pem })
    }

    fn devices_intermediate(&self, region: &str) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = authority_params("io.net devices (demo)", BasicConstraints::Constrained(0));
        params.use_authority_key_identifier_extension = true;
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName(format!("client.{region}.nomad"))],
            excluded_subtrees: Vec::new(),
        });
        let cert_pem = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Self { key_pem: key.serialize_pem(), issuer: Issuer::new(params, key), cert_pem })
    }

    fn leaf(
        &self,
        dir: &Path,
        name: &str,
        alternative_names: &[&str],
        uses: &[ExtendedKeyUsagePurpose],
    ) -> Result<KeyPairFiles> {
        let key = KeyPair::generate()?;
        let names: Vec<String> = alternative_names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, name);
        (params.not_before, params.not_after) = life();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = uses.to_vec();
        params.use_authority_key_identifier_extension = true;
        let cert = params.signed_by(&key, &self.issuer)?;
        write_pair(dir, name, &cert.pem(), &key.serialize_pem())
    }
}

fn authority_params(name: &str, reach: BasicConstraints) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = life();
    params.is_ca = IsCa::Ca(reach);
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params
}

/// An hour back, so that a clock a little behind still accepts them.
fn life() -> (OffsetDateTime, OffsetDateTime) {
    let now = OffsetDateTime::now_utc();
    (now - Duration::hours(1), now + LIFE)
}

fn write_pair(dir: &Path, name: &str, cert_pem: &str, key_pem: &str) -> Result<KeyPairFiles> {
    let files =
        KeyPairFiles { cert: dir.join(format!("{name}.pem")), key: dir.join(format!("{name}-key.pem")) };
    std::fs::write(&files.cert, cert_pem)
        .with_context(|| format!("{} cannot be written", files.cert.display()))?;
    ionet_private::replace(&files.key, key_pem.as_bytes())
        .with_context(|| format!("{} cannot be written", files.key.display()))?;
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, UnixTime};
    use rustls::server::WebPkiClientVerifier;
    use rustls::server::danger::ClientCertVerifier;

    use super::*;

    fn pem(path: &Path) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(path).unwrap()
    }

    /// As the region's servers judge: they know only the root.
    fn judge(pki: &Pki) -> Arc<dyn ClientCertVerifier> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(pem(&pki.ca)).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap()
    }

    fn device_leaf(pki: &Pki, names: &[&str]) -> CertificateDer<'static> {
        let key = KeyPair::from_pem(&std::fs::read_to_string(&pki.devices.key).unwrap()).unwrap();
        let issuer =
            Issuer::from_ca_cert_pem(&std::fs::read_to_string(&pki.devices.cert).unwrap(), key).unwrap();
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![CLIENT_AUTH];
        params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().clone()
    }

    fn accepted(pki: &Pki, leaf: &CertificateDer<'_>) -> bool {
        judge(pki).verify_client_cert(leaf, &[pem(&pki.devices.cert)], UnixTime::now()).is_ok()
    }

    #[test]
    fn a_device_certificate_leads_to_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::make(dir.path(), "eu").unwrap();

        let leaf = device_leaf(&pki, &["client.eu.nomad", "d-1.client.eu.nomad"]);

        assert!(accepted(&pki, &leaf));
    }

    #[test]
    fn the_devices_intermediate_cannot_make_a_server() {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::make(dir.path(), "eu").unwrap();

        assert!(!accepted(&pki, &device_leaf(&pki, &["server.eu.nomad"])));
        assert!(!accepted(&pki, &device_leaf(&pki, &["client.eu.nomad", "server.eu.nomad"])));
        assert!(!accepted(&pki, &device_leaf(&pki, &["client.us.nomad"])));
    }

    #[test]
    fn every_region_has_names_and_a_root_of_its_own() {
        let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let eu = Pki::make(dirs[0].path(), "eu").unwrap();
        let us = Pki::make(dirs[1].path(), "us").unwrap();

        assert!(accepted(&us, &device_leaf(&us, &["client.us.nomad"])));
        assert!(!accepted(&us, &device_leaf(&us, &["client.eu.nomad"])));
        assert!(!accepted(&us, &device_leaf(&eu, &["client.us.nomad"])));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_a_key_and_the_roots_key_is_not_written() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let _pki = Pki::make(dir.path(), "eu").unwrap();

        let entries = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap());
        let keys: Vec<_> =
            entries.filter(|entry| entry.file_name().to_string_lossy().ends_with("-key.pem")).collect();

        assert_eq!(keys.len(), 6);
        assert!(keys.iter().all(|key| key.metadata().unwrap().permissions().mode() & 0o777 == 0o600));
        assert!(!dir.path().join("ca-key.pem").exists());
    }
}
