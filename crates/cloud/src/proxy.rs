//! The way out that the system names: a proxy, and what goes past it.

use std::time::Duration;

use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use ionet_core::fault::ProxyFault;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use crate::address::is_loopback;

/// A proxy that works answers at once.
const ASKED_WITHIN: Duration = Duration::from_secs(5);

/// Which proxy the system wants for which address. What is on this PC never goes through one.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct SystemProxy {
    http: String,
    https: String,
    /// Comma-separated: domains, addresses and networks that are reached without it.
    except: String,
}

/// Names no proxy: its address may hold a password.
impl std::fmt::Debug for SystemProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SystemProxy").field("set", &self.is_set()).finish()
    }
}

impl SystemProxy {
    /// Everything is reached directly.
    pub fn none() -> Self {
        Self::default()
    }

    /// From `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, or the same in small letters.
    pub fn of_environment() -> Self {
        Self::named_by(|name| std::env::var(name).ok())
    }

    /// The same from another source of names and values: the desktop's own settings use these too.
    pub fn named_by(value: impl Fn(&str) -> Option<String>) -> Self {
        let first = |name: &str| {
            let found = [name.to_lowercase(), name.to_owned()].iter().find_map(|name| value(name));
            found.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let all = first("ALL_PROXY");
        let or_all = |name: &str| first(name).or_else(|| all.clone()).unwrap_or_default();
        Self {
            http: or_all("HTTP_PROXY"),
            https: or_all("HTTPS_PROXY"),
            except: first("NO_PROXY").unwrap_or_default(),
        }
    }

    /// For an HTTP client.
    pub(crate) fn of_client(&self) -> Option<reqwest::Proxy> {
        let own = self.clone();
        self.is_set().then(|| reqwest::Proxy::custom(move |url| own.url_for(url)))
    }

    /// Why `target` cannot be reached, where that is its proxy's doing. Asks the proxy.
    pub(crate) async fn blamed(&self, target: &Url) -> Option<ProxyFault> {
        let proxy = self.intercept(target)?;
        let host = named(&proxy)?;
        let asked = tokio::time::timeout(ASKED_WITHIN, ask(&proxy, &host, target)).await;
        match asked {
            Ok(Ok(Some(200..=299) | None)) => None,
            Ok(Ok(Some(407))) => Some(ProxyFault::WantsPassword(host)),
            Ok(Ok(Some(status))) => Some(ProxyFault::Refuses { host, status }),
            Ok(Err(_)) | Err(_) => Some(ProxyFault::Unreachable(host)),
        }
    }

    fn is_set(&self) -> bool {
        !self.http.is_empty() || !self.https.is_empty()
    }

    fn url_for(&self, url: &Url) -> Option<String> {
        self.intercept(url)?;
        let value = if url.scheme() == "https" { &self.https } else { &self.http };
        Some(if value.contains("://") { value.clone() } else { format!("http://{value}") })
    }

    fn intercept(&self, url: &Url) -> Option<Intercept> {
        if is_loopback(url) {
            return None;
        }
        let matcher = Matcher::builder()
            .http(self.http.as_str())
            .https(self.https.as_str())
            .no(self.except.as_str())
            .build();
        matcher.intercept(&url.as_str().parse().ok()?)
    }
}

/// `host:port`, without credentials.
fn named(proxy: &Intercept) -> Option<String> {
    let uri = proxy.uri();
    let usual = if uri.scheme_str().is_some_and(|scheme| scheme.starts_with("socks")) { 1080 } else { 80 };
    Some(format!("{}:{}", uri.host()?, uri.port_u16().unwrap_or(usual)))
}

/// What it answers to the wish for a tunnel. None where it takes connections and cannot be asked in plain HTTP.
async fn ask(proxy: &Intercept, host: &str, target: &Url) -> std::io::Result<Option<u16>> {
    let mut stream = TcpStream::connect(host).await?;
    if proxy.uri().scheme_str() != Some("http") {
        return Ok(None);
    }
    let name = target.host_str().unwrap_or_default();
    let port = target.port_or_known_default().unwrap_or(443);
    let mut wish = format!("CONNECT {name}:{port} HTTP/1.1\r\nHost: {name}:{port}\r\n");
    if let Some(password) = proxy.basic_auth().and_then(|value| value.to_str().ok()) {
        wish += &format!("Proxy-Authorization: {password}\r\n");
    }
    stream.write_all(format!("{wish}\r\n").as_bytes()).await?;
    let mut line = [0; 12];
    stream.read_exact(&mut line).await?;
    let status = line.strip_prefix(b"HTTP/1.").and_then(|rest| std::str::from_utf8(rest.get(2..5)?).ok());
    // Whatever else answers there is no proxy.
    status
        .and_then(|status| status.parse().ok())
        .map(Some)
        .ok_or_else(|| std::io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(pairs: &'static [(&str, &str)]) -> SystemProxy {
        SystemProxy::named_by(|asked| {
            pairs.iter().find(|(name, _)| *name == asked).map(|(_, value)| (*value).to_owned())
        })
    }

    fn way(system: &SystemProxy, url: &str) -> Option<String> {
        system.url_for(&url.parse().unwrap())
    }

    #[test]
    fn each_scheme_has_its_proxy_and_all_others_share_one() {
        let own = system(&[("https_proxy", "http://one:1"), ("ALL_PROXY", "http://two:2")]);

        assert_eq!(way(&own, "https://gateway.example.test/").as_deref(), Some("http://one:1"));
        assert_eq!(way(&own, "http://gateway.example.test/").as_deref(), Some("http://two:2"));
    }

    #[test]
    fn what_is_on_this_pc_or_excepted_goes_past_it() {
        let own = system(&[("HTTPS_PROXY", "proxy:3128"), ("NO_PROXY", "inside.test,10.0.0.0/8")]);

        let past = [
            "https://127.0.0.1:1/",
            "https://[::1]/",
            "https://localhost/",
            "https://a.inside.test/",
            "https://10.1.2.3/",
        ];
        for url in past {
            assert_eq!(way(&own, url), None, "{url}");
        }
        assert_eq!(way(&own, "https://outside.test/").as_deref(), Some("http://proxy:3128"));
    }

    #[test]
    fn an_empty_or_unreadable_value_is_no_proxy() {
        let own = system(&[("HTTPS_PROXY", " "), ("http_proxy", "")]);

        assert!(own.of_client().is_none());
        assert_eq!(way(&system(&[("HTTPS_PROXY", "http://[")]), "https://outside.test/"), None);
    }

    #[test]
    fn its_password_is_not_shown() {
        let own = system(&[("HTTPS_PROXY", "http://me:hunter2@proxy:3128")]);
        let proxy = own.intercept(&"https://outside.test/".parse().unwrap()).unwrap();

        let shown = format!("{own:?} {}", named(&proxy).unwrap());

        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.ends_with("proxy:3128"), "{shown}");
    }
}
