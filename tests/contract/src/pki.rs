//! The certificates of a test region: a root, the servers' certificate, and an intermediate with name
//! constraints that issues the clients' certificates.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints,
};
use time::{Duration, OffsetDateTime};

pub struct Pki {
    dir: PathBuf,
    root: Issuer<'static, KeyPair>,
    clients: Issuer<'static, KeyPair>,
    clients_pem: String,
}

/// A certificate file (leaf first, then the intermediate where there is one) and its key file.
#[derive(Debug, Clone)]
pub struct Pair {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// When a certificate is valid.
#[derive(Debug, Clone, Copy)]
pub enum Valid {
    Now,
    NoLonger,
    NotYet,
}

impl Pki {
    pub fn new(dir: &Path, region: &str) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let root_key = KeyPair::generate()?;
        let root_params = authority("Rehearsal root", None)?;
        let root_cert = root_params.self_signed(&root_key)?;
        fs::write(dir.join("ca.pem"), root_cert.pem())?;
        let root = Issuer::new(root_params, root_key);
        let key = KeyPair::generate()?;
        let params = authority("Rehearsal clients", Some(format!("client.{region}.nomad")))?;
        let clients_pem = params.signed_by(&key, &root)?.pem();
        Ok(Self { dir: dir.into(), root, clients: Issuer::new(params, key), clients_pem })
    }

    pub fn ca_file(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// Signed by the root itself, for both directions.
    pub fn server(&self, region: &str) -> Result<Pair> {
        let names = vec![format!("server.{region}.nomad"), "localhost".into(), "127.0.0.1".into()];
        let params = leaf(
            names,
            Valid::Now,
            &[ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        )?;
        let key = KeyPair::generate()?;
        let pem = params.signed_by(&key, &self.root)?.pem();
        self.write("server", &pem, &key)
    }

    /// Signed by the constrained intermediate, for clients only.
    pub fn client(&self, file: &str, names: &[&str], valid: Valid) -> Result<Pair> {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let params = leaf(names, valid, &[ExtendedKeyUsagePurpose::ClientAuth])?;
        let key = KeyPair::generate()?;
        let pem = params.signed_by(&key, &self.clients)?.pem() + &self.clients_pem;
        self.write(file, &pem, &key)
    }

    fn write(&self, file: &str, pem: &str, key: &KeyPair) -> Result<Pair> {
        let pair = Pair {
            cert: self.dir.join(format!("{file}.pem")),
            key: self.dir.join(format!("{file}-key.pem")),
        };
        fs::write(&pair.cert, pem)?;
        fs::write(&pair.key, key.serialize_pem())?;
        Ok(pair)
    }
}

fn authority(name: &str, only: Option<String>) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = only.map(|name| NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName(name)],
        excluded_subtrees: Vec::new(),
    });
    Ok(params)
}

fn leaf(names: Vec<String>, valid: Valid, usages: &[ExtendedKeyUsagePurpose]) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(names)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = usages.to_vec();
    let (from, to) = match valid {
        Valid::Now => (-1, 7),
        Valid::NoLonger => (-9, -1),
        Valid::NotYet => (1, 8),
    };
    let now = OffsetDateTime::now_utc();
    params.not_before = now + Duration::days(from);
    params.not_after = now + Duration::days(to);
    Ok(params)
}
