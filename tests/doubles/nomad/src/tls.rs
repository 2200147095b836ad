//! TLS as Nomad does it: one certificate authority file, role names `client.REGION.nomad` and
//! `server.REGION.nomad` in the certificates, and Go's words for what went wrong.

use std::{fs, path::Path, sync::Arc};

use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error,
    RootCertStore, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer, X509Certificate},
};

use crate::{config::Tls, go};

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// For dialling a server's RPC port.
pub(crate) fn client_config(tls: &Tls) -> Result<ClientConfig, String> {
    let (chain, key) = pair(tls)?;
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(Arc::new(roots(&tls.ca_file)?))
        .with_client_auth_cert(chain, key)
        .map_err(|e| format!("Failed to load cert/key pair: {e}"))
}

/// For a listener. With `role` (the region), a caller must also carry that region's client or server
/// name, which is what `verify_server_hostname` asks of the RPC port.
pub(crate) fn server_config(tls: &Tls, verify: bool, role: Option<&str>) -> Result<ServerConfig, String> {
    let (chain, key) = pair(tls)?;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?;
    let builder = if verify {
        let inner = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(&tls.ca_file)?), provider())
            .build()
            .map_err(|e| e.to_string())?;
        let names =
            role.map(|region| vec![format!("client.{region}.nomad"), format!("server.{region}.nomad")]);
        builder.with_client_cert_verifier(Arc::new(RoleVerifier { inner, names }))
    } else {
        builder.with_no_client_auth()
    };
    builder.with_single_cert(chain, key).map_err(|e| format!("Failed to load cert/key pair: {e}"))
}

/// Seconds until the first certificate in `file` expires; negative once it has.
pub(crate) fn seconds_left(file: &Path) -> Option<i64> {
    let pem = fs::read(file).ok()?;
    let der = CertificateDer::pem_slice_iter(&pem).next()?.ok()?;
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    Some(certificate.validity().not_after.timestamp() - crate::model::unix_seconds())
}

/// Go's sentence for a failed handshake or read, as it stands in Nomad's log.
pub(crate) fn go_words(error: &Error, names: &[String], asked: &str) -> String {
    use CertificateError as Cert;
    const FAILED: &str = "tls: failed to verify certificate: x509";
    if let Error::AlertReceived(alert) = error {
        return format!("remote error: tls: {}", alert_words(*alert));
    }
    let Error::InvalidCertificate(problem) = error else { return format!("tls: {error}") };
    if matches!(problem, Cert::UnknownIssuer | Cert::BadSignature) {
        format!("{FAILED}: certificate signed by unknown authority")
    } else if matches!(problem, Cert::NotValidForName | Cert::NotValidForNameContext { .. }) {
        format!("{FAILED}: certificate is valid for {}, not {asked}", names.join(", "))
    } else if is_about_time(problem) {
        format!("{FAILED}: certificate has expired or is not yet valid")
    } else {
        format!("tls: {error}")
    }
}

/// The DNS names of a certificate, for the sentence about a wrong name.
pub(crate) fn dns_names(der: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Vec::new() };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    names
        .value
        .general_names
        .iter()
        .filter_map(|name| if let GeneralName::DNSName(dns) = name { Some((*dns).to_owned()) } else { None })
        .collect()
}

fn alert_words(alert: AlertDescription) -> String {
    if alert == AlertDescription::CertificateExpired {
        "expired certificate".into()
    } else if alert == AlertDescription::UnknownCA {
        "unknown certificate authority".into()
    } else if alert == AlertDescription::BadCertificate {
        "bad certificate".into()
    } else if alert == AlertDescription::CertificateRequired {
        "certificate required".into()
    } else {
        format!("{alert:?}")
    }
}

fn roots(file: &Path) -> Result<RootCertStore, String> {
    let pem = fs::read(file).map_err(|e| format!("Failed to read CA file: {}", go_open(file, &e)))?;
    let mut store = RootCertStore::empty();
    for der in CertificateDer::pem_slice_iter(&pem) {
        let der = der.map_err(|e| format!("Failed to parse CA file {}: {e}", file.display()))?;
        store.add(der).map_err(|e| format!("Failed to parse CA file {}: {e}", file.display()))?;
    }
    Ok(store)
}

fn pair(tls: &Tls) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let twice =
        |reason: String| format!("Failed to load cert/key pair: Failed to load cert/key pair: {reason}");
    let chain = fs::read(&tls.cert_file).map_err(|e| twice(go_open(&tls.cert_file, &e)))?;
    let key = fs::read(&tls.key_file).map_err(|e| twice(go_open(&tls.key_file, &e)))?;
    let chain = CertificateDer::pem_slice_iter(&chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| twice(format!("tls: failed to find any PEM data in certificate input: {e}")))?;
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|e| twice(format!("tls: failed to find any PEM data in key input: {e}")))?;
    Ok((chain, key))
}

fn go_open(file: &Path, error: &std::io::Error) -> String {
    format!("open {}: {}", file.display(), go::words(error))
}

#[derive(Debug)]
struct RoleVerifier {
    inner: Arc<dyn ClientCertVerifier>,
    names: Option<Vec<String>>,
}

impl ClientCertVerifier for RoleVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // Go sends none that would make a client hold its certificate back.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let refused = Error::InvalidCertificate(CertificateError::NotValidForName);
        let verified = self.inner.verify_client_cert(end_entity, intermediates, now).map_err(|e| {
            let Error::InvalidCertificate(problem) = &e else { return refused.clone() };
            if is_about_time(problem) {
                e
            } else if matches!(problem, CertificateError::UnknownIssuer | CertificateError::BadSignature) {
                // An authority of the same name that did not sign is an unknown one to Go.
                Error::InvalidCertificate(CertificateError::UnknownIssuer)
            } else {
                // What Go has no alert of its own for is a bad certificate; this variant sends that.
                refused.clone()
            }
        })?;
        let Some(wanted) = &self.names else { return Ok(verified) };
        let names = dns_names(end_entity);
        if names.iter().any(|name| wanted.contains(name)) { Ok(verified) } else { Err(refused) }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

fn is_about_time(problem: &CertificateError) -> bool {
    matches!(
        problem,
        CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }
    )
}
