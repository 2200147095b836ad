//! Logs go where the package says, and nowhere else, whatever a grant says.

use std::time::Duration;

use ionet_core::fault::LogFault;
use ionet_gateway_api::UploadGrant;
use reqwest::Body;
use url::Url;

use crate::address::is_loopback;
use crate::http::OpenClient;
use crate::proxy::SystemProxy;

/// A few megabytes on the slowest line. A store that takes the connection and never answers holds the logs up no longer.
const LIMIT: Duration = Duration::from_secs(300);

/// What a store may ask to be sent along: sizes and kinds, and what the stores' own families say (checksums, encryption,
/// owners, classes); no cookies, no credentials of others.
const HEADERS: [&str; 5] = ["content-length", "content-type", "content-encoding", "content-md5", "host"];
const HEADER_FAMILIES: [&str; 3] = ["x-amz-", "x-goog-", "x-ms-"];

pub(crate) struct Store {
    client: OpenClient,
    proxy: SystemProxy,
    /// `host`, or `host:port`.
    hosts: Vec<String>,
    rehearsal: bool,
}

/// The grant leads elsewhere, or asks for what is not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotAllowed(pub(crate) String);

impl Store {
    pub(crate) fn new(client: OpenClient, proxy: SystemProxy, hosts: Vec<String>, rehearsal: bool) -> Self {
        Self { client, proxy, hosts, rehearsal }
    }

    pub(crate) fn check(&self, grant: &UploadGrant) -> Result<Url, NotAllowed> {
        let not = |what: &str| Err(NotAllowed(what.to_owned()));
        let Ok(url) = Url::parse(&grant.url) else { return not("a store without an address") };
        let host = url.host_str().unwrap_or_default();
        let here = is_loopback(&url);
        if !self.is_named(&url) || (here && !self.rehearsal) {
            return not(&format!("store {host}"));
        }
        if url.scheme() != "https" && !(url.scheme() == "http" && here) {
            return not(&format!("store {host} without TLS"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return not(&format!("store {host} with credentials"));
        }
        match grant.headers.iter().find(|(name, _)| !is_allowed(name)) {
            Some((name, _)) => not(&format!("header {}", name.escape_debug())),
            None => Ok(url),
        }
    }

    pub(crate) async fn put(&self, grant: &UploadGrant, body: Body) -> Result<(), LogFault> {
        let url = self.check(grant).map_err(|why| {
            tracing::warn!(%why, "a log is not sent there");
            LogFault::Refused(403)
        })?;
        self.proxy.learn(&url).await;
        let client = self.client.get().await.map_err(|error| {
            tracing::warn!(%error, "no log can be sent");
            LogFault::Unreachable
        })?;
        let mut request = client.put(url.clone()).timeout(LIMIT).body(body);
        for (name, value) in &grant.headers {
            if !name.eq_ignore_ascii_case("host") {
                request = request.header(name, value);
            }
        }
        let answer = request.send().await.map_err(|_| {
            self.proxy.doubt(&url);
            LogFault::Unreachable
        })?;
        if answer.status().is_success() { Ok(()) } else { Err(LogFault::Refused(answer.status().as_u16())) }
    }

    /// Without a port, the scheme's own is meant.
    fn is_named(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        let with_port = format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
        let named = |known: &String| {
            known.eq_ignore_ascii_case(&with_port)
                || (url.port().is_none() && known.eq_ignore_ascii_case(host))
        };
        self.hosts.iter().any(named)
    }
}

fn is_allowed(header: &str) -> bool {
    let header = header.to_ascii_lowercase();
    HEADERS.contains(&header.as_str()) || HEADER_FAMILIES.iter().any(|family| header.starts_with(family))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    fn store(rehearsal: bool) -> Store {
        crate::http::install_tls();
        let hosts =
            ["logs.example.test", "other.example.test:8443", "127.0.0.1:9000", "127.0.0.1", "localhost"];
        Store::new(
            OpenClient::new(&Options::default(), None),
            SystemProxy::none(),
            hosts.map(str::to_owned).into(),
            rehearsal,
        )
    }

    fn grant(url: &str, headers: &[(&str, &str)]) -> UploadGrant {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        UploadGrant { url: url.into(), headers, expires_at_ms: 0 }
    }

    fn goes(rehearsal: bool, url: &str) -> bool {
        store(rehearsal).check(&grant(url, &[])).is_ok()
    }

    #[test]
    fn only_the_named_stores_are_written_to() {
        assert!(goes(false, "https://logs.example.test/bucket/key?X-Amz-Signature=1"));
        assert!(goes(false, "https://LOGS.example.test:443/key"));
        assert!(goes(false, "https://other.example.test:8443/key"));
        for elsewhere in [
            "https://evil.example.test/key",
            "https://logs.example.test.evil.test/key",
            "https://a.logs.example.test/key",
            "https://logs.example.test:8443/key",
            "https://other.example.test/key",
            "https://logs.example.test@evil.example.test/key",
            "https://169.254.169.254/key",
            "file:///etc/passwd",
            "",
        ] {
            assert!(!goes(false, elsewhere) && !goes(true, elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn plain_http_and_this_pc_are_for_rehearsals() {
        assert!(goes(true, "http://127.0.0.1:9000/bucket/key"));
        for url in [
            "http://127.0.0.1:9000/key",
            "https://127.0.0.1/key",
            "https://localhost/key",
            "http://localhost/key",
        ] {
            assert!(!goes(false, url), "{url}");
        }
        assert!(!goes(true, "http://logs.example.test/key") && !goes(true, "http://127.0.0.1:9001/key"));
    }

    #[test]
    fn an_address_with_credentials_is_refused_and_they_are_not_repeated() {
        let why = store(false).check(&grant("https://me:hunter2@logs.example.test/key", &[])).unwrap_err();

        assert!(!why.0.contains("hunter2"), "{why}");
    }

    #[test]
    fn only_what_a_store_needs_is_sent_along() {
        let sends =
            |name: &str| store(false).check(&grant("https://logs.example.test/key", &[(name, "v")])).is_ok();

        assert!(
            sends("Content-Length")
                && sends("x-amz-checksum-sha256")
                && sends("x-amz-server-side-encryption")
                && sends("x-amz-acl")
        );
        for name in ["authorization", "cookie", "x-forwarded-for", "transfer-encoding", "x-amzn-trace-id"] {
            assert!(!sends(name), "{name}");
        }
    }
}
