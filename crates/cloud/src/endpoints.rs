//! Where the io.net side is. One file, shipped with the package; the environment cannot change it.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// The content of `endpoints.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// The OpenID Connect issuer, letter by letter as it calls itself. HTTPS, or HTTP on a loopback address.
    pub issuer: String,
    pub client_id: String,
    /// HTTPS.
    pub gateway: Url,
    /// The only root that the gateway's certificate may come from. Absent: the operating system's trust store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_ca_pem: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum EndpointsFault {
    #[error("the endpoints file cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("the endpoints file is damaged: {0}")]
    Damaged(#[from] serde_json::Error),
    #[error("{0} must be an HTTPS address")]
    Insecure(&'static str),
}

impl Endpoints {
    pub fn load(path: &Path) -> Result<Self, EndpointsFault> {
        let endpoints: Self = serde_json::from_str(&fs::read_to_string(path)?)?;
        endpoints.check()?;
        Ok(endpoints)
    }

    pub(crate) fn check(&self) -> Result<(), EndpointsFault> {
        let issuer = Url::parse(&self.issuer).map_err(|_| EndpointsFault::Insecure("issuer"))?;
        if issuer.scheme() != "https" && !is_loopback_http(&issuer) {
            return Err(EndpointsFault::Insecure("issuer"));
        }
        if self.gateway.scheme() != "https" {
            return Err(EndpointsFault::Insecure("gateway"));
        }
        Ok(())
    }
}

fn is_loopback_http(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "http" && loopback
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Endpoints, EndpointsFault> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("endpoints.json");
        fs::write(&path, text).unwrap();
        Endpoints::load(&path)
    }

    #[test]
    fn a_file_without_a_root_trusts_the_operating_system() {
        let text = r#"{"issuer": "https://id.example.test/realm", "client_id": "ionet-supplier",
            "gateway": "https://gateway.example.test/"}"#;

        let endpoints = load(text).unwrap();

        assert_eq!(endpoints.gateway_ca_pem, None);
        assert_eq!(endpoints.issuer, "https://id.example.test/realm");
    }

    #[test]
    fn plain_http_is_for_an_issuer_on_loopback_only() {
        let with = |issuer: &str, gateway: &str| {
            load(&format!(r#"{{"issuer": "{issuer}", "client_id": "c", "gateway": "{gateway}"}}"#)).is_ok()
        };

        let accepted = [
            with("http://127.0.0.1:4000", "https://localhost:1/"),
            with("http://id.example.test", "https://localhost:1/"),
            with("http://127.0.0.1.example.test", "https://localhost:1/"),
            with("https://id.example.test", "http://127.0.0.1:1/"),
        ];

        assert_eq!(accepted, [true, false, false, false]);
    }

    #[test]
    fn a_damaged_file_is_said_to_be_damaged() {
        let fault = load("{").unwrap_err();

        assert!(matches!(fault, EndpointsFault::Damaged(_)));
    }
}
