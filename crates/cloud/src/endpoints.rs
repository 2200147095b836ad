//! Where the io.net side is. One file, shipped with the package; the environment cannot change it.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::address::is_loopback;
use crate::pins::Pins;

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
    /// The roots of the region's servers, PEM. No answer brings another one without the word of one of these.
    #[serde(default)]
    pub region_roots_pem: Vec<String>,
    /// Where the region's servers may be: domains (with all below them) and addresses.
    #[serde(default)]
    pub region_servers: Vec<String>,
    /// Where logs may be sent: `host`, or `host:port`.
    #[serde(default)]
    pub upload_hosts: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum EndpointsFault {
    #[error("the file cannot be read")]
    Unreadable(#[from] io::Error),
    #[error("the file is damaged")]
    Damaged(#[from] serde_json::Error),
    #[error("{0} must be an HTTPS address")]
    Insecure(&'static str),
    #[error("{0} names nothing that can be trusted")]
    Unpinned(&'static str),
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

    /// What a package must name; a rehearsal's servers and stores are on this PC.
    pub(crate) fn pins(&self, rehearsal: bool) -> Result<Pins, EndpointsFault> {
        let lists = [
            ("region_servers", &self.region_servers),
            ("upload_hosts", &self.upload_hosts),
            ("region_roots_pem", &self.region_roots_pem),
        ];
        if let Some((name, _)) = lists.iter().find(|(_, list)| list.is_empty() && !rehearsal) {
            return Err(EndpointsFault::Unpinned(name));
        }
        let pins = Pins::new(&self.region_roots_pem, self.region_servers.clone(), rehearsal);
        pins.ok_or(EndpointsFault::Unpinned("region_roots_pem"))
    }
}

fn is_loopback_http(url: &Url) -> bool {
    url.scheme() == "http" && is_loopback(url)
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
    fn a_package_names_its_regions_root_and_servers_and_its_stores() {
        let text = r#"{"issuer": "https://id.example.test", "client_id": "c", "gateway": "https://gateway.example.test/",
            "region_roots_pem": ["no certificate"]}"#;
        let endpoints = load(text).unwrap();

        let shipped = endpoints.pins(false).unwrap_err();
        let rehearsed = endpoints.pins(true).unwrap_err();

        assert!(matches!(shipped, EndpointsFault::Unpinned("region_servers")));
        assert!(matches!(rehearsed, EndpointsFault::Unpinned("region_roots_pem")));
    }

    #[test]
    fn a_damaged_file_is_said_to_be_damaged() {
        let fault = load("{").unwrap_err();

        assert!(matches!(fault, EndpointsFault::Damaged(_)));
    }
}
