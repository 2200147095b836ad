//! What the desktop's own settings say of the way to an address. They may say something else of every address and in every
//! network, so they are asked before a request, and anew where the last answer did not lead there.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;
use url::Url;

/// A desktop answers at once, or not at all: then the way is taken for free.
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);

/// One that did not answer is left alone so long.
const LEFT_ALONE: Duration = Duration::from_secs(60);

/// Settings that change while what they said before still leads there are noticed so late.
const FRESH: Duration = Duration::from_secs(600);

/// Proxies for an address, the best first, as desktops write them: `direct://`, `http://host:port`, `socks://host:port`.
pub(super) type Ask = dyn Fn(Url) -> BoxFuture<'static, Vec<String>> + Send + Sync;

pub(super) struct Desktop {
    ask: Box<Ask>,
    /// By the address without its path.
    known: Mutex<BTreeMap<String, Known>>,
    silent: Mutex<Option<Instant>>,
}

#[derive(Clone)]
struct Known {
    /// None: directly.
    proxy: Option<String>,
    /// None: the way did not lead there.
    since: Option<Instant>,
}

impl Desktop {
    pub(super) fn new(ask: Box<Ask>) -> Self {
        Self { ask, known: Mutex::default(), silent: Mutex::default() }
    }

    /// The proxy for this address, as far as was learnt.
    pub(super) fn known(&self, url: &Url) -> Option<String> {
        self.with(|known| known.get(&origin(url)?.to_string())?.proxy.clone())
    }

    /// Asks, where what is known is not good any more. Only where the address leads is told: paths may be secret.
    pub(super) async fn learn(&self, url: &Url) {
        let Some(origin) = origin(url) else { return };
        let since = self.with(|known| known.get(origin.as_str())?.since);
        if since.is_some_and(|since| since.elapsed() < FRESH) || self.is_silent() {
            return;
        }
        let Ok(told) = tokio::time::timeout(ANSWERED_WITHIN, (self.ask)(origin.clone())).await else {
            tracing::warn!("the desktop does not say whether it has a proxy");
            *self.silent.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            return;
        };
        let learnt = Known { proxy: first_usable(&told), since: Some(Instant::now()) };
        self.with(|known| known.insert(origin.into(), learnt));
    }

    /// The way did not lead there.
    pub(super) fn doubt(&self, url: &Url) {
        let Some(origin) = origin(url) else { return };
        self.with(|known| {
            if let Some(known) = known.get_mut(origin.as_str()) {
                known.since = None;
            }
        });
    }

    /// What it said before holds meanwhile.
    fn is_silent(&self) -> bool {
        let silent = *self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        silent.is_some_and(|since| since.elapsed() < LEFT_ALONE)
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<String, Known>) -> T) -> T {
        act(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn origin(url: &Url) -> Option<Url> {
    Url::parse(&url.origin().ascii_serialization()).ok()
}

/// The first that is understood here; none where that is the direct way.
fn first_usable(told: &[String]) -> Option<String> {
    for proxy in told {
        match proxy.split_once("://")? {
            ("direct", _) => return None,
            ("http" | "https" | "socks4" | "socks4a" | "socks5" | "socks5h", _) => {
                return Some(proxy.clone());
            }
            // The network's names are the proxy's to look up.
            ("socks", host) => return Some(format!("socks5h://{host}")),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn asked(answers: &[&str]) -> (Desktop, Arc<Mutex<Vec<String>>>) {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (seen, answers) =
            (asked.clone(), answers.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>());
        let ask = move |url: Url| -> BoxFuture<'static, Vec<String>> {
            seen.lock().unwrap().push(url.into());
            Box::pin(std::future::ready(answers.clone()))
        };
        (Desktop::new(Box::new(ask)), asked)
    }

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_desktop_is_asked_once_for_an_address_and_anew_where_its_answer_led_nowhere() {
        let (desktop, asked) = asked(&["http://proxy.test:3128"]);
        let grant = url("https://store.test/logs/a?X-Amz-Signature=secret");

        desktop.learn(&grant).await;
        desktop.learn(&url("https://store.test:443/logs/b")).await;
        desktop.doubt(&grant);
        let meanwhile = desktop.known(&grant);
        desktop.learn(&grant).await;

        assert_eq!(*asked.lock().unwrap(), ["https://store.test/", "https://store.test/"]);
        assert_eq!(meanwhile.as_deref(), Some("http://proxy.test:3128"));
        assert_eq!(desktop.known(&url("https://other.test/")), None);
    }

    #[test]
    fn the_first_way_that_is_understood_is_taken() {
        for (told, usable) in [
            (&["http://proxy:3128", "direct://"][..], Some("http://proxy:3128")),
            (&["socks://proxy:1080"], Some("socks5h://proxy:1080")),
            (&["ftp://proxy:21", "socks5://proxy:1080"], Some("socks5://proxy:1080")),
            (&["direct://", "http://proxy:3128"], None),
            (&["what"], None),
            (&[], None),
        ] {
            let told: Vec<String> = told.iter().map(|one| (*one).to_owned()).collect();
            assert_eq!(first_usable(&told).as_deref(), usable, "{told:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_desktop_that_never_answers_holds_nobody_up() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let desktop = Desktop::new(Box::new(move |_| {
            // Once it answers.
            let first = count.fetch_add(1, Ordering::Relaxed) == 0;
            Box::pin(async move {
                if !first {
                    std::future::pending::<()>().await;
                }
                vec!["http://proxy.test:3128".to_owned()]
            })
        }));
        let gateway = url("https://gateway.test/");
        desktop.learn(&gateway).await;

        let began = Instant::now();
        for _ in 0..10 {
            desktop.doubt(&gateway);
            desktop.learn(&gateway).await;
        }

        assert_eq!((began.elapsed(), asked.load(Ordering::Relaxed)), (ANSWERED_WITHIN, 2));
        assert_eq!(desktop.known(&gateway).as_deref(), Some("http://proxy.test:3128"), "as it said before");
        tokio::time::advance(LEFT_ALONE).await;
        desktop.learn(&gateway).await;
        assert_eq!(asked.load(Ordering::Relaxed), 3);
    }
}
