//! The issuer's signing keys. They are fetched beside the requests: whoever comes with a known key never waits for the
//! issuer, and those who come with an unknown one wait for one fetch together, for a few seconds at most.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::Jwk;
use serde::Deserialize;
use tokio::sync::watch;

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
}

/// What is to be done for a token.
enum Verdict {
    Known(Arc<Jwk>),
    /// The key is not known, and the issuer has not been asked lately.
    Ask,
    Refused(Refusal),
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

    /// The signing key with this id; without an id, the only key there is.
    pub(crate) async fn key(&self, id: Option<&str>) -> Result<Arc<Jwk>, Refusal> {
        // Before the look: a fetch that ends in between is not missed.
        let mut fetched = self.0.fetched.subscribe();
        match self.look(id) {
            Verdict::Known(key) => return Ok(key),
            Verdict::Refused(refusal) => return Err(refusal),
            Verdict::Ask => {}
        }
        // The sender lives in `self`.
        let _ = fetched.changed().await;
        match self.with(|known| (known.find(id), known.is_usable())) {
            (Some(key), true) => Ok(key),
            (None, true) => Err(Refusal::NotSignedIn),
            (_, false) => Err(Refusal::IssuerSilent),
        }
    }

    /// Decides by what is known, and starts a fetch where one is due.
    fn look(&self, id: Option<&str>) -> Verdict {
        let (verdict, fetch) = self.with(|known| {
            let asked_lately = known.asked.is_some_and(|at| at.elapsed() < BETWEEN_FETCHES);
            let key = known.find(id).filter(|_| known.is_usable());
            let verdict = match key {
                Some(key) => Verdict::Known(key),
                None if known.fetching || !asked_lately => Verdict::Ask,
                None if known.is_usable() => Verdict::Refused(Refusal::NotSignedIn),
                None => Verdict::Refused(Refusal::IssuerSilent),
            };
            let due = matches!(verdict, Verdict::Ask) || !known.is_fresh();
            let fetch = due && !known.fetching && !asked_lately;
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
    fn find(&self, id: Option<&str>) -> Option<Arc<Jwk>> {
        match id {
            Some(id) => self.keys.iter().find(|key| key.common.key_id.as_deref() == Some(id)).cloned(),
            None => (self.keys.len() == 1).then(|| self.keys.first().cloned()).flatten(),
        }
    }

    fn is_fresh(&self) -> bool {
        self.confirmed.is_some_and(|at| at.elapsed() < FRESH)
    }

    fn is_usable(&self) -> bool {
        self.confirmed.is_some_and(|at| at.elapsed() < USABLE)
    }
}

async fn fetch_into(inner: Arc<Inner>) {
    let found = tokio::time::timeout(PATIENCE, inner.fetch()).await.unwrap_or(Err(FetchError::Slow));
    {
        let mut known = inner.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.fetching = false;
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
        if discovery.issuer != self.issuer {
            return Err(FetchError::OtherIssuer);
        }
        let set: KeySet = self.get(&discovery.jwks_uri).await?;
        // Keys of kinds that we do not know are no reason to lose the others.
        Ok(set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect())
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
            assert!(known_for(age).key(Some("known")).await.is_ok(), "{age:?}");
        }

        let refused = known_for(USABLE + Duration::from_secs(1)).key(Some("known")).await;

        assert!(matches!(refused, Err(Refusal::IssuerSilent)));
    }

    #[tokio::test]
    async fn a_key_that_the_issuer_cannot_confirm_is_not_known() {
        let keys = known_for(Duration::ZERO);

        let refused = keys.key(Some("unknown")).await;
        let known = keys.key(Some("known")).await;

        assert!(matches!(refused, Err(Refusal::NotSignedIn)));
        assert!(known.is_ok());
    }
}
