//! What the tests of this crate stand on. Each test file uses a part of it.

pub(crate) mod gateway;
pub(crate) mod issuer;
pub(crate) mod provider;

use std::path::Path;
use std::time::Duration;

use ionet_cloud::{Cloud, Endpoints, Facts, IdentityFolder, Options};
use url::Url;

/// Longer than anything takes here.
const LONGEST: Duration = Duration::from_secs(120);

/// What would wait for ever fails instead.
pub(crate) async fn within<T>(act: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONGEST, act).await.unwrap()
}

/// A PC whose folders lie in `home`, with no keyring and little patience.
pub(crate) fn cloud(home: &Path, issuer: &str, gateway: &str, ca_pem: Option<String>) -> Cloud {
    cloud_with(home, issuer, gateway, ca_pem, Options::default())
}

pub(crate) fn cloud_with(
    home: &Path,
    issuer: &str,
    gateway: &str,
    ca_pem: Option<String>,
    options: Options,
) -> Cloud {
    let endpoints = Endpoints { issuer: issuer.to_owned(), ..endpoints(gateway, ca_pem) };
    cloud_of(home, endpoints, options)
}

/// With the gateway's root as the region's, and stores at the gateway's own address.
pub(crate) fn endpoints(gateway: &str, ca_pem: Option<String>) -> Endpoints {
    let gateway: Url = gateway.parse().unwrap();
    Endpoints {
        issuer: "http://127.0.0.1:1".into(),
        client_id: "ionet-supplier".into(),
        region_roots_pem: ca_pem.iter().cloned().collect(),
        gateway_ca_pem: ca_pem,
        region_servers: vec![],
        upload_hosts: vec![gateway.authority().to_owned(), "127.0.0.1:1".into()],
        gateway,
    }
}

/// The same PC with other endpoints.
pub(crate) fn cloud_of(home: &Path, endpoints: Endpoints, options: Options) -> Cloud {
    let facts = Facts::of_parts(["board-1".to_owned()], [], []);
    let identity = IdentityFolder::with_facts(home.join("identity"), facts);
    let answer_timeout = Duration::from_secs(10);
    let options = Options { keyring: false, rehearsal: true, answer_timeout, ..options };
    Cloud::new(endpoints, identity, home.join("session.json"), options).unwrap()
}
