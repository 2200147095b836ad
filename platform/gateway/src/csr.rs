//! Certificate signing requests: the proof that somebody holds a key, and that key. Nothing else in one is looked at.

use rustls::pki_types::CertificateSigningRequestDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_SIG_ECDSA_WITH_SHA256};
use x509_parser::prelude::{FromDer as _, X509CertificationRequest};

use crate::problem::Refusal;

/// A request whose signature holds, by an EC P-256 key.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// SubjectPublicKeyInfo, DER.
    pub(crate) public_key: Vec<u8>,
    /// The whole request, DER.
    pub(crate) der: Vec<u8>,
}

impl Request {
    /// Reads a PEM request and checks that it is signed by the key that it carries.
    pub(crate) fn read(pem: &str) -> Result<Self, Refusal> {
        let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| Refusal::BadCsr("it is no PEM certificate request"))?;
        let (rest, request) = X509CertificationRequest::from_der(&der)
            .map_err(|_| Refusal::BadCsr("it is no certificate request"))?;
        if !rest.is_empty() {
            return Err(Refusal::BadCsr("something follows it"));
        }
        let key = &request.certification_request_info.subject_pki;
        let curve = key.algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
        if key.algorithm.algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY || curve != Some(OID_EC_P256) {
            return Err(Refusal::BadCsr("its key is not EC P-256"));
        }
        if request.signature_algorithm.algorithm != OID_SIG_ECDSA_WITH_SHA256 {
            return Err(Refusal::BadCsr("its signature is not ECDSA with SHA-256"));
        }
        request.verify_signature().map_err(|_| Refusal::BadCsr("its signature does not hold"))?;
        // The uncompressed form alone, so that one key has one spelling.
        let point = &key.subject_public_key.data;
        if point.len() != 65 || point[0] != 4 {
            return Err(Refusal::BadCsr("its key is not an uncompressed point"));
        }
        Ok(Self { public_key: key.raw.to_vec(), der: der.to_vec() })
    }

    /// The key as the store holds it.
    pub(crate) fn key_hex(&self) -> String {
        hex::encode(&self.public_key)
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

    use super::*;

    fn request_by(key: &KeyPair) -> String {
        CertificateParams::default().serialize_request(key).unwrap().pem().unwrap()
    }

    #[test]
    fn a_request_by_a_p256_key_is_read() {
        let key = KeyPair::generate().unwrap();

        let request = Request::read(&request_by(&key)).unwrap();

        assert!(request.public_key.ends_with(key.public_key_raw()));
    }

    #[test]
    fn other_kinds_of_key_are_refused() {
        for kind in [&PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
            let key = KeyPair::generate_for(kind).unwrap();

            assert!(matches!(Request::read(&request_by(&key)), Err(Refusal::BadCsr(_))));
        }
    }

    #[test]
    fn a_request_with_any_bit_changed_is_refused() {
        let key = KeyPair::generate().unwrap();
        let der = CertificateParams::default().serialize_request(&key).unwrap().der().to_vec();

        for position in [20, der.len() / 2, der.len() - 1] {
            let mut broken = der.clone();
            broken[position] ^= 1;
            let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &broken);
            let pem =
                format!("-----BEGIN CERTIFICATE REQUEST-----\n{text}\n-----END CERTIFICATE REQUEST-----\n");

            assert!(matches!(Request::read(&pem), Err(Refusal::BadCsr(_))), "byte {position}");
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for text in
            ["", "hello", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"]
        {
            assert!(matches!(Request::read(text), Err(Refusal::BadCsr(_))), "{text:?}");
        }
    }
}
