//! Who signs the devices' certificates. Embedded here; a PKI service can take its place behind the same trait.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use rand::RngCore as _;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose,
    SerialNumber, SubjectPublicKeyInfo,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::config::DeviceCertificates;

/// A PC's clock may be a little behind; its new certificate must not look as if it came from the future.
const BACKDATED: Duration = Duration::from_secs(300);

/// What to sign: a certificate for exactly these names, for client authentication and nothing else.
#[derive(Debug, Clone)]
pub struct Order {
    /// SubjectPublicKeyInfo, DER.
    pub public_key: Vec<u8>,
    /// The request that carried the key, PKCS#10 DER, for authorities that want one. Nothing else in it counts.
    pub request: Vec<u8>,
    pub common_name: String,
    pub dns_names: Vec<String>,
    pub lifetime: Duration,
}

/// A signed certificate.
#[derive(Debug, Clone)]
pub struct Issued {
    /// Lower-case hex.
    pub serial: String,
    /// Leaf, then intermediate.
    pub chain_pem: String,
    pub issued_at_ms: i64,
    pub expires_at_ms: i64,
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error("the issuing certificate has expired")]
    Expired,
    #[error("signing failed")]
    Signing(#[source] anyhow::Error),
}

/// Signs device certificates.
#[async_trait]
pub trait CertificateAuthority: Send + Sync {
    /// Signs one certificate. It never outlives the issuing certificate.
    async fn issue(&self, order: Order) -> Result<Issued, AuthorityError>;
    /// The root that the region's servers know, PEM.
    fn root_pem(&self) -> &str;
    /// The certificates that a device's certificate may come from, DER: what the listener trusts.
    fn trusted(&self) -> &[CertificateDer<'static>];
}

/// An intermediate whose key lies in a file.
pub struct EmbeddedAuthority {
    issuer: Issuer<'static, KeyPair>,
    intermediate_pem: String,
    trusted: Vec<CertificateDer<'static>>,
    root_pem: String,
    expires: OffsetDateTime,
}

impl EmbeddedAuthority {
    /// Reads certificate and key, and checks that they belong together and may sign.
    pub fn load(config: &DeviceCertificates) -> anyhow::Result<Self> {
        let key = KeyPair::from_pem(&read(&config.intermediate_key)?).context("the intermediate's key")?;
        let trusted = CertificateDer::pem_slice_iter(read(&config.intermediate)?.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .context("the intermediate's certificate")?;
        let issuing = trusted.first().context("the intermediate's file holds no certificate")?.clone();
        let expires = {
            let (_, parsed) =
                X509Certificate::from_der(&issuing).context("the intermediate's certificate")?;
            anyhow::ensure!(parsed.is_ca(), "the intermediate is no authority");
            anyhow::ensure!(
                parsed.public_key().subject_public_key.data.as_ref() == key.public_key_raw(),
                "the intermediate's key belongs to another certificate"
            );
            parsed.validity().not_after.to_datetime()
        };
        Ok(Self {
            issuer: Issuer::from_ca_cert_der(&issuing, key).context("the intermediate's certificate")?,
            intermediate_pem: pem("CERTIFICATE", &issuing),
            trusted,
            root_pem: read(&config.root_ca)?,
            expires,
        })
    }
}

#[async_trait]
impl CertificateAuthority for EmbeddedAuthority {
    async fn issue(&self, order: Order) -> Result<Issued, AuthorityError> {
        let now = OffsetDateTime::now_utc();
        let until = (now + order.lifetime).min(self.expires);
        if until <= now {
            return Err(AuthorityError::Expired);
        }
        let serial = random_serial();
        let signing = |error: rcgen::Error| AuthorityError::Signing(error.into());
        let mut params = CertificateParams::new(order.dns_names).map_err(signing)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, order.common_name);
        params.not_before = now - BACKDATED;
        params.not_after = until;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let key = SubjectPublicKeyInfo::from_der(&order.public_key).map_err(signing)?;
        let leaf = params.signed_by(&key, &self.issuer).map_err(signing)?;
        Ok(Issued {
            serial: hex::encode(serial),
            chain_pem: format!("{}{}", pem("CERTIFICATE", leaf.der()), self.intermediate_pem),
            issued_at_ms: now.unix_timestamp() * 1000,
            expires_at_ms: until.unix_timestamp() * 1000,
        })
    }

    fn root_pem(&self) -> &str {
        &self.root_pem
    }

    fn trusted(&self) -> &[CertificateDer<'static>] {
        &self.trusted
    }
}

/// 127 random bits; the first byte is never zero and never negative, so that its hex is that of the certificate.
fn random_serial() -> [u8; 16] {
    let mut serial = [0; 16];
    rand::rng().fill_bytes(&mut serial);
    serial[0] = serial[0] & 0x7f | 0x40;
    serial
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}
