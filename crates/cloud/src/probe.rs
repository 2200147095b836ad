//! Who answers at an address, whatever it can prove. Nothing secret is sent, and what is learnt chooses the sentence that says
//! why a request failed, and nothing else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::header::HeaderMap;
use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use url::Url;
use x509_parser::prelude::{FromDer as _, X509Certificate, X509Name};

use crate::http;
use crate::options::Options;

const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// Names on certificates are anybody's.
const LONGEST_NAME: usize = 80;

/// What showed itself.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Who signed its certificate.
    pub(crate) issuer: String,
    /// The certificate is made for the name that was asked for.
    pub(crate) for_this_name: bool,
    /// It wanted a certificate of this PC's, as the gateway always does.
    pub(crate) asked_for_ours: bool,
    /// Of its answer, where there was one.
    pub(crate) headers: HeaderMap,
}

/// None where nobody speaks TLS.
pub(crate) async fn look(options: &Options, url: Url) -> Option<Seen> {
    let eyes = Arc::new(Eyes::default());
    let config = ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(eyes.clone())
        .with_client_cert_resolver(eyes.clone());
    let client = http::bare(options)
        .http1_only()
        .tls_backend_preconfigured(config)
        .timeout(ANSWERED_WITHIN)
        .build()
        .ok()?;
    options.proxy.learn(&url).await;
    let answer = client.get(url).send().await;
    let (issuer, for_this_name) = eyes.shown.get()?.clone();
    let headers = answer.map(|answer| answer.headers().clone()).unwrap_or_default();
    Some(Seen { issuer, for_this_name, asked_for_ours: eyes.asked.load(Ordering::Relaxed), headers })
}

/// Takes every certificate, and remembers what it saw.
#[derive(Debug, Default)]
struct Eyes {
    shown: OnceLock<(String, bool)>,
    asked: AtomicBool,
}

impl ServerCertVerifier for Eyes {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let for_this_name = ParsedCertificate::try_from(leaf)
            .and_then(|parsed| rustls::client::verify_server_name(&parsed, name))
            .is_ok();
        let _ = self.shown.set((issuer_of(leaf), for_this_name));
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

impl ResolvesClientCert for Eyes {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn issuer_of(leaf: &CertificateDer<'_>) -> String {
    let parsed = X509Certificate::from_der(leaf);
    parsed.map_or_else(|_| "?".to_owned(), |(_, leaf)| name_of(leaf.issuer()))
}

/// What a person may know somebody by.
pub(crate) fn name_of(name: &X509Name<'_>) -> String {
    let organization = name.iter_organization().next().and_then(|value| value.as_str().ok());
    let common = name.iter_common_name().next().and_then(|value| value.as_str().ok());
    let whole = match (organization, common) {
        (Some(organization), Some(common)) => format!("{common}, {organization}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => name.to_string(),
    };
    whole.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};
    use rustls::pki_types::PrivateKeyDer;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::server::WebPkiClientVerifier;
    use rustls::{RootCertStore, ServerConfig};
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// Answers one handshake and nothing after it.
    async fn served(asks: bool, name: &str) -> Url {
        http::install_tls();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "Shield\u{7}");
        let own = params.self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(own.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder(roots.into()).allow_unauthenticated().build().unwrap();
        let builder = ServerConfig::builder();
        let builder =
            if asks { builder.with_client_cert_verifier(verifier) } else { builder.with_no_client_auth() };
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let config = builder.with_single_cert(vec![own.der().clone()], key).unwrap();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let _ = TlsAcceptor::from(Arc::new(config)).accept(stream).await;
        });
        format!("https://localhost:{port}/").parse().unwrap()
    }

    #[tokio::test]
    async fn who_answers_is_seen_and_whether_they_ask_for_this_pcs_certificate() {
        let options = Options::default();

        let gateway = look(&options, served(true, "localhost").await).await.unwrap();
        let between = look(&options, served(false, "localhost").await).await.unwrap();
        let portal = look(&options, served(false, "portal.example.test").await).await.unwrap();

        assert_eq!((gateway.asked_for_ours, gateway.for_this_name), (true, true));
        assert_eq!((between.asked_for_ours, between.for_this_name), (false, true));
        assert!(!portal.for_this_name);
        assert!(between.issuer.contains("Shield") && !between.issuer.contains('\u{7}'));
    }

    #[tokio::test]
    async fn who_speaks_no_tls_is_not_seen() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);

        assert!(
            look(&Options::default(), format!("https://localhost:{port}/").parse().unwrap()).await.is_none()
        );
    }
}
