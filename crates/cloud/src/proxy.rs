//! The way out that the system names: a proxy, and what goes past it. The environment's word counts where it names one, else
//! that of the desktop's own settings.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use ionet_core::fault::{NamedBy, ProxyFault, ProxyTrouble};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use self::desktop::Desktop;
use crate::address::is_loopback;

mod desktop;
#[cfg_attr(target_os = "linux", path = "proxy/portal.rs")]
#[cfg_attr(not(target_os = "linux"), path = "proxy/settings.rs")]
mod platform;

/// A proxy that works answers at once.
const ASKED_WITHIN: Duration = Duration::from_secs(5);

/// Which proxy the system wants for which address. What is on this PC never goes through one.
#[derive(Clone, Default)]
pub struct SystemProxy {
    http: String,
    https: String,
    /// Comma-separated: domains, addresses and networks that are reached without it.
    except: String,
    /// Asked instead, where the environment names no proxy.
    desktop: Option<Arc<Desktop>>,
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

    /// From `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, or the same in small letters; where they name no proxy, from
    /// the desktop's settings.
    pub fn of_this_pc() -> Self {
        let environment = Self::of_environment(|name| std::env::var(name).ok());
        environment.or_of_desktop(|url| Box::pin(platform::lookup(url)))
    }

    /// By variables of these names.
    pub fn of_environment(value: impl Fn(&str) -> Option<String>) -> Self {
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
            desktop: None,
        }
    }

    /// The same; where it names no proxy, whoever is asked like this knows of each address which ones lead there.
    pub fn or_of_desktop(
        self,
        ask: impl Fn(Url) -> BoxFuture<'static, Vec<String>> + Send + Sync + 'static,
    ) -> Self {
        let desktop = (!self.is_set()).then(|| Arc::new(Desktop::new(Box::new(ask))));
        Self { desktop, ..self }
    }

    /// For an HTTP client. Of each address it has to be learnt first.
    pub(crate) fn of_client(&self) -> Option<reqwest::Proxy> {
        let own = self.clone();
        self.is_set().then(|| reqwest::Proxy::custom(move |url| own.url_for(url)))
    }

    /// Finds out about the way there, in a moment.
    pub(crate) async fn learn(&self, url: &Url) {
        if let Some(desktop) = self.desktop.as_ref().filter(|_| !is_loopback(url)) {
            desktop.learn(url).await;
        }
    }

    /// The way did not lead there: before the next time it is found out about anew.
    pub(crate) fn doubt(&self, url: &Url) {
        if let Some(desktop) = &self.desktop {
            desktop.doubt(url);
        }
    }

    /// Why `target` cannot be reached, where that is its proxy's doing. Asks the proxy.
    pub(crate) async fn blamed(&self, target: &Url) -> Option<ProxyFault> {
        let proxy = self.intercept(target)?;
        let host = named(&proxy)?;
        let asked = tokio::time::timeout(ASKED_WITHIN, ask(&proxy, &host, target)).await;
        let why = match asked {
            Ok(Ok(Some(200..=299) | None)) => return None,
            Ok(Ok(Some(407))) => ProxyTrouble::WantsPassword,
            Ok(Ok(Some(status))) => ProxyTrouble::Refuses { status },
            Ok(Err(_)) | Err(_) => ProxyTrouble::Unreachable,
        };
        let named_by = if self.desktop.is_some() { NamedBy::Settings } else { NamedBy::Environment };
        Some(ProxyFault { host, named_by, why })
    }

    /// Whether anything may go through a proxy.
    fn is_set(&self) -> bool {
        !self.http.is_empty() || !self.https.is_empty() || self.desktop.is_some()
    }

    fn url_for(&self, url: &Url) -> Option<String> {
        self.intercept(url)?;
        let value = self.told_for(url)?;
        Some(if value.contains("://") { value } else { format!("http://{value}") })
    }

    fn intercept(&self, url: &Url) -> Option<Intercept> {
        if is_loopback(url) {
            return None;
        }
        let matcher = Matcher::builder().all(self.told_for(url)?).no(self.except.as_str()).build();
        matcher.intercept(&url.as_str().parse().ok()?)
    }

    fn told_for(&self, url: &Url) -> Option<String> {
        match (&self.desktop, url.scheme()) {
            (Some(desktop), _) => desktop.known(url),
            (None, "https") => Some(self.https.clone()),
            (None, _) => Some(self.http.clone()),
        }
    }
}

/// `host:port`, without credentials.
fn named(proxy: &Intercept) -> Option<String> {
    let uri = proxy.uri();
    let usual = match uri.scheme_str() {
        Some(scheme) if scheme.starts_with("socks") => 1080,
        Some("https") => 443,
        Some(_) | None => 80,
    };
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
        SystemProxy::of_environment(|asked| {
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

    fn desktop(system: SystemProxy) -> SystemProxy {
        system.or_of_desktop(|url| {
            let inside = url.host_str() == Some("inside.test");
            let told = if inside { "direct://" } else { "http://desktop:3128" };
            Box::pin(std::future::ready(vec![told.to_owned()]))
        })
    }

    #[tokio::test]
    async fn the_desktop_is_asked_where_the_environment_names_no_proxy() {
        let own = desktop(system(&[("NO_PROXY", "10.0.0.0/8")]));
        let urls =
            ["https://outside.test/a", "https://inside.test/", "https://10.1.2.3/", "https://127.0.0.1/"];

        let unasked = way(&own, urls[0]);
        let mut ways = Vec::new();
        for url in urls {
            own.learn(&url.parse().unwrap()).await;
            ways.push(way(&own, url));
        }

        assert_eq!(unasked, None);
        assert_eq!(ways, [Some("http://desktop:3128".to_owned()), None, None, None]);
    }

    #[tokio::test]
    async fn a_proxy_of_the_environment_wins_over_the_desktops() {
        let own = desktop(system(&[("https_proxy", "http://one:1")]));

        for (url, expected) in
            [("https://outside.test/", Some("http://one:1")), ("http://outside.test/", None)]
        {
            own.learn(&url.parse().unwrap()).await;
            assert_eq!(way(&own, url).as_deref(), expected);
        }
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

    #[test]
    fn a_proxy_without_a_port_is_named_and_asked_at_its_kinds_usual_one() {
        for (proxy, host) in [
            ("http://proxy", "proxy:80"),
            ("https://proxy", "proxy:443"),
            ("socks5://proxy", "proxy:1080"),
            ("proxy", "proxy:80"),
        ] {
            let own = SystemProxy::of_environment(|name| (name == "HTTPS_PROXY").then(|| proxy.to_owned()));
            let found = own.intercept(&"https://outside.test/".parse().unwrap()).unwrap();
            assert_eq!(named(&found).as_deref(), Some(host), "{proxy}");
        }
    }
}
