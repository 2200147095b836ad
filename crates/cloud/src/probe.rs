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
