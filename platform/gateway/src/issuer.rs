//! The issuer's signing keys. They are fetched beside the requests: whoever comes with a known key never waits for the
//! issuer, and those who come with an unknown one wait together, for two fetches at most: one that began before they came
//! does not know what the issuer has published since.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::Jwk;
use serde::Deserialize;
use tokio::sync::watch;

use crate::access_token::{is_same, signs};
use crate::problem::Refusal;

/// Keys are fetched again after this time, so that a withdrawn one does not count for ever.
const FRESH: Duration = Duration::from_secs(3600);
/// An issuer that is silent for so long vouches for nobody any more.
const USABLE: Duration = Duration::from_secs(24 * 3600);
/// A token with an unknown key makes the gateway ask the issuer, but no more often than this.
const BETWEEN_FETCHES: Duration = Duration::from_secs(1);
/// For one fetch, both documents together.
const PATIENCE: Duration = Duration::from_secs(5);

/// The keys of one issuer. Clones share them.
#[derive(Clone)]
pub(crate) struct IssuerKeys(Arc<Inner>);

struct Inner {
    issuer: String,
    client: reqwest::Client,
    known: Mutex<Known>,
    /// Told at the end of every fetch.
    fetched: watch::Sender<()>,
}

#[derive(Default)]
struct Known {
    keys: Vec<Arc<Jwk>>,
    confirmed: Option<Instant>,
    asked: Option<Instant>,
    fetching: bool,
    /// The last fetch that is over: when it began, and whether the issuer answered.
    last: Option<(Instant, bool)>,
}

/// What is to be done for a token.
enum Verdict {
    Known(Vec<Arc<Jwk>>),
    Refused(Refusal),
    /// A fetch is under way: look again when it is over.
    Wait,
    /// The issuer was asked a moment ago: look again when it may be asked once more.
    WaitUntil(Instant),
}

#[derive(Debug, Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

#[derive(Debug, Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("the issuer does not answer")]
    Http(#[from] reqwest::Error),
    #[error("the discovery document names another issuer")]
    OtherIssuer,
    #[error("the issuer takes too long")]
    Slow,
}

impl IssuerKeys {
    /// Connects to nothing yet: the issuer is asked when the first token comes.
    pub(crate) fn new(issuer: &str) -> reqwest::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let (known, fetched) = (Mutex::default(), watch::Sender::new(()));
        Ok(Self(Arc::new(Inner { issuer: issuer.to_owned(), client, known, fetched })))
    }

    /// The issuer's name for itself.
    pub(crate) fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// The signing keys of this id; where either side gives none, all that it may be. That there is none is said only once the
    /// issuer has said so since: it may have changed its keys a moment ago.
    pub(crate) async fn keys(&self, id: Option<&str>) -> Result<Vec<Arc<Jwk>>, Refusal> {
        let came = Instant::now();
        loop {
            // Before the look: a fetch that ends in between is not missed.
            let mut fetched = self.0.fetched.subscribe();
            match self.look(id, came) {
                Verdict::Known(keys) => return Ok(keys),
                Verdict::Refused(refusal) => return Err(refusal),
                // The sender lives in `self`.
                Verdict::Wait => drop(fetched.changed().await),
                Verdict::WaitUntil(at) => tokio::time::sleep_until(at.into()).await,
            }
        }
    }

    /// Decides by what is known, and starts a fetch where one is due. `came`: when the token came.
    fn look(&self, id: Option<&str>, came: Instant) -> Verdict {
        let (verdict, fetch) = self.with(|known| {
            let next = known.asked.map(|at| at + BETWEEN_FETCHES).filter(|next| *next > Instant::now());
            let found = known.find(id);
            let verdict = if found.is_empty() || !known.is_usable() {
                known.without(came, next)
            } else {
                Verdict::Known(found)
            };
            let due = matches!(verdict, Verdict::Wait) || !known.is_fresh();
            let fetch = due && !known.fetching && next.is_none();
            if fetch {
                known.fetching = true;
                known.asked = Some(Instant::now());
            }
            (verdict, fetch)
        });
        if fetch {
            // A task of its own: the request that made it necessary may be given up.
            tokio::spawn(fetch_into(Arc::clone(&self.0)));
        }
        verdict
    }

    fn with<T>(&self, act: impl FnOnce(&mut Known) -> T) -> T {
        act(&mut self.0.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Known {
    /// What to do for a token that came then and whose key is not known; `next`: the issuer may not be asked before.
    fn without(&self, came: Instant, next: Option<Instant>) -> Verdict {
        match (self.last, next) {
            (Some((began, true)), _) if began >= came => Verdict::Refused(Refusal::NotSignedIn),
            (Some((began, false)), _) if began >= came => Verdict::Refused(Refusal::IssuerSilent),
            _ if self.fetching => Verdict::Wait,
            (Some((_, false)), Some(_)) => Verdict::Refused(Refusal::IssuerSilent),
            (_, Some(next)) => Verdict::WaitUntil(next),
            (_, None) => Verdict::Wait,
        }
    }

    fn find(&self, id: Option<&str>) -> Vec<Arc<Jwk>> {
        let nameless = id.is_none() || self.keys.iter().all(|key| key.common.key_id.is_none());
        let may_be = |key: &&Arc<Jwk>| nameless || key.common.key_id.as_deref() == id;
        self.keys.iter().filter(may_be).cloned().collect()
    }

    fn is_fresh(&self) -> bool {
        self.confirmed.is_some_and(|at| at.elapsed() < FRESH)
    }

    fn is_usable(&self) -> bool {
        self.confirmed.is_some_and(|at| at.elapsed() < USABLE)
    }
}

async fn fetch_into(inner: Arc<Inner>) {
    let began = Instant::now();
    let found = tokio::time::timeout(PATIENCE, inner.fetch()).await.unwrap_or(Err(FetchError::Slow));
    {
        let mut known = inner.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.fetching = false;
        known.last = Some((began, found.is_ok()));
        match found {
            Ok(keys) => {
                known.keys = keys.into_iter().map(Arc::new).collect();
                known.confirmed = Some(Instant::now());
            }
            Err(error) => tracing::warn!(error = %error, "the issuer's keys could not be fetched"),
        }
    }
    inner.fetched.send_replace(());
}

impl Inner {
    async fn fetch(&self) -> Result<Vec<Jwk>, FetchError> {
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let discovery: Discovery = self.get(&url).await?;
        if !is_same(&discovery.issuer, &self.issuer) {
            return Err(FetchError::OtherIssuer);
        }
        let set: KeySet = self.get(&discovery.jwks_uri).await?;
        // Keys of kinds that we do not know are no reason to lose the others.
        let known = set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
        Ok(known.filter(signs).collect())
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, url: &str) -> Result<T, reqwest::Error> {
        self.client.get(url).send().await?.error_for_status()?.json().await
    }
}

#[cfg(test)]
impl IssuerKeys {
    /// Keys that were confirmed so long ago.
    pub(crate) fn with_keys(issuer: &str, keys: Vec<Jwk>, age: Duration) -> Self {
        let made = Self::new(issuer).unwrap();
        made.with(|known| {
            known.keys = keys.into_iter().map(Arc::new).collect();
            known.confirmed = Instant::now().checked_sub(age);
        });
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody listens there.
    const SILENT: &str = "http://127.0.0.1:9";

    fn known_for(age: Duration) -> IssuerKeys {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let key = r#"{"kty":"RSA","kid":"known","e":"AQAB","n":"AQAB"}"#;
        IssuerKeys::with_keys(SILENT, vec![serde_json::from_str(key).unwrap()], age)
    }

    #[tokio::test]
    async fn while_the_issuer_is_silent_the_old_keys_count_for_a_day() {
        for age in [Duration::ZERO, FRESH * 2, USABLE - Duration::from_secs(60)] {
            assert!(known_for(age).keys(Some("known")).await.is_ok(), "{age:?}");
        }

        let refused = known_for(USABLE + Duration::from_secs(1)).keys(Some("known")).await;

        assert!(matches!(refused, Err(Refusal::IssuerSilent)));
    }

    /// An issuer that publishes what the test says.
    async fn issuer_with(keys: watch::Receiver<serde_json::Value>) -> String {
        use axum::routing::get;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let discovery = serde_json::json!({ "issuer": url, "jwks_uri": format!("{url}/jwks") });
        let router = axum::Router::new()
            .route("/.well-known/openid-configuration", get(async move || axum::Json(discovery.clone())))
            .route("/jwks", get(async move || axum::Json(keys.borrow().clone())));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        url
    }

    #[tokio::test]
    async fn a_silent_issuer_is_said_to_whoever_comes_with_a_key_that_is_not_known_and_signs_nobody_out() {
        let keys = known_for(Duration::ZERO);

        let first = keys.keys(Some("new")).await;
        let second = keys.keys(Some("new")).await;
        let known = keys.keys(Some("known")).await;

        assert!(matches!(first, Err(Refusal::IssuerSilent)));
        assert!(matches!(second, Err(Refusal::IssuerSilent)));
        assert!(known.is_ok());
    }

    #[tokio::test]
    async fn a_key_that_was_published_a_moment_after_the_last_fetch_is_known() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let key = |id: &str| serde_json::json!({ "kty": "RSA", "kid": id, "e": "AQAB", "n": "AQAB" });
        let (publish, published) = watch::channel(serde_json::json!({ "keys": [key("old")] }));
        let keys = IssuerKeys::new(&issuer_with(published).await).unwrap();
        assert!(keys.keys(Some("old")).await.is_ok());

        publish.send_replace(serde_json::json!({ "keys": [key("old"), key("new")] }));

        assert!(keys.keys(Some("new")).await.is_ok());
        assert!(matches!(keys.keys(Some("nobodys")).await, Err(Refusal::NotSignedIn)));
    }
}
