//! The session: one refresh token, kept; one access token at a time, in memory only.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ionet_core::event::{KeptSession, SessionStore};
use ionet_core::fault::SignInFault;
use tokio::sync::Mutex;

use crate::secret::Secret;
use crate::session::{Found, Vault, VaultFault};
use crate::sign_in::{Provider, RefreshFault, TokenPair};

/// Whoever signs in sits there, and may have to look for the keyring's password.
const UNLOCKED_WITHIN: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub(crate) struct Tokens {
    shared: Arc<Shared>,
}

struct Shared {
    provider: Arc<Provider>,
    vault: Vault,
    /// Whoever holds it may refresh: a second refresh with the same token would end the session.
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    refresh: Option<Secret<String>>,
    /// None while [`Self::refresh`] could not be written down.
    store: Option<SessionStore>,
    access: Option<Access>,
}

struct Access {
    token: Secret<String>,
    good_until: Instant,
}

impl Tokens {
    pub(crate) fn new(provider: Arc<Provider>, vault: Vault) -> Self {
        Self { shared: Arc::new(Shared { provider, vault, held: Mutex::default() }) }
    }

    pub(crate) async fn session(&self) -> KeptSession {
        let mut held = self.shared.held.lock().await;
        match (self.shared.recall(&mut held).await, held.store) {
            (_, Some(store)) => KeptSession::Found(store),
            (Recalled::Locked, None) => KeptSession::Locked,
            (Recalled::Read, None) => KeptSession::None,
        }
    }

    /// Returns when a session that was [`KeptSession::Locked`] may be asked for again.
    pub(crate) async fn unlocked(&self) {
        let found = self.shared.vault.unlocked().await;
        self.shared.revoke_forgotten(found);
    }

    /// Takes in a sign-in. One that is not kept because its keyring stays locked is none.
    pub(crate) async fn begin(&self, pair: TokenPair) -> Result<SessionStore, SignInFault> {
        let mut held = self.shared.held.lock().await;
        let _turn = self.shared.vault.turn().await;
        let kept = self.shared.vault.keep(&pair.refresh, Some(UNLOCKED_WITHIN)).await;
        if let Err(VaultFault::Locked(_)) = kept {
            let (provider, refresh) = (self.shared.provider.clone(), pair.refresh);
            tokio::spawn(async move { provider.revoke(&refresh, "refresh_token").await });
            return Err(SignInFault::KeyringLocked);
        }
        self.shared.hold(&mut held, pair, kept.as_ref().ok().copied());
        kept.map_err(|fault| SignInFault::CannotStore(fault.to_string()))
    }

    /// An access token that is good for a while. `but_not` is one that was just refused.
    ///
    /// A refresh, once begun, runs to its end whatever becomes of the caller: half of one would lose the session.
    pub(crate) async fn access(
        &self,
        but_not: Option<Secret<String>>,
    ) -> Result<Secret<String>, SignInFault> {
        let shared = self.shared.clone();
        let refresh = tokio::spawn(async move { shared.access(but_not).await });
        refresh.await.unwrap_or(Err(SignInFault::ProviderDown))
    }

    /// Forgets the session and revokes both tokens. A provider that does not answer cannot keep anybody signed in.
    pub(crate) async fn end(&self) {
        self.forget().await.revoke(&self.shared.provider).await;
    }

    /// The same, without waiting for the provider.
    pub(crate) async fn end_at_once(&self) {
        let (over, provider) = (self.forget().await, self.shared.provider.clone());
        tokio::spawn(async move { over.revoke(&provider).await });
    }

    /// First forgotten, then revoked: a program that ends half-way has kept nothing.
    async fn forget(&self) -> Held {
        let mut held = self.shared.held.lock().await;
        let _turn = self.shared.vault.turn().await;
        self.shared.recall(&mut held).await;
        let left = self.shared.vault.forget().await;
        let mut over = std::mem::take(&mut *held);
        over.refresh = over.refresh.or(left);
        over
    }
}

impl Held {
    async fn revoke(self, provider: &Provider) {
        if let Some(token) = self.refresh {
            provider.revoke(&token, "refresh_token").await;
        }
        if let Some(access) = self.access {
            provider.revoke(&access.token, "access_token").await;
        }
    }
}

/// Whether what is written down could be read.
#[derive(PartialEq, Eq)]
enum Recalled {
    Read,
    Locked,
}

impl Shared {
    async fn access(&self, but_not: Option<Secret<String>>) -> Result<Secret<String>, SignInFault> {
        let mut held = self.held.lock().await;
        if let Some(access) = &held.access
            && access.good_until > Instant::now()
            && Some(&access.token) != but_not.as_ref()
        {
            return Ok(access.token.clone());
        }
        // The command line is another process with the same session: a token that it has used up ends the session.
        let _turn = self.vault.turn().await;
        let recalled = self.recall(&mut held).await;
        let Some(refresh) = held.refresh.clone() else {
            let locked = recalled == Recalled::Locked;
            return Err(if locked { SignInFault::KeyringLocked } else { SignInFault::SessionEnded });
        };
        match self.provider.refresh(&refresh).await {
            Ok(pair) => self.take(&mut held, pair).await,
            Err(RefreshFault::Ended) => {
                *held = Held::default();
                self.vault.forget().await;
                Err(SignInFault::SessionEnded)
            }
            Err(RefreshFault::Other(fault)) => Err(fault),
        }
    }

    /// The refresh token is written down before anything is done with the pair. Where that fails it is still held,
    /// so that the session lasts as long as the program; where the keyring is only locked, until it is open again.
    async fn take(&self, held: &mut Held, pair: TokenPair) -> Result<Secret<String>, SignInFault> {
        let kept = self.vault.keep(&pair.refresh, None).await;
        let access = pair.access.clone();
        self.hold(held, pair, kept.as_ref().ok().copied());
        match kept {
            Ok(_) | Err(VaultFault::Locked(_)) => Ok(access),
            Err(fault @ (VaultFault::File(_) | VaultFault::Damaged(_))) => {
                Err(SignInFault::CannotStore(fault.to_string()))
            }
        }
    }

    fn hold(&self, held: &mut Held, pair: TokenPair, store: Option<SessionStore>) {
        let access = Access { token: pair.access, good_until: Instant::now() + useful(pair.expires_in) };
        *held = Held { refresh: Some(pair.refresh), store, access: Some(access) };
    }

    /// What is written down is the newest, whoever wrote it; only what could not be written down is newer in memory, and
    /// is written now if it can be.
    async fn recall(&self, held: &mut Held) -> Recalled {
        if let (Some(token), None) = (&held.refresh, held.store) {
            return match self.vault.keep(token, None).await {
                Ok(store) => {
                    held.store = Some(store);
                    Recalled::Read
                }
                Err(VaultFault::Locked(_)) => Recalled::Locked,
                Err(VaultFault::File(_) | VaultFault::Damaged(_)) => Recalled::Read,
            };
        }
        match self.vault.load().await {
            Found::Token(token, store) => {
                held.refresh = Some(token);
                held.store = Some(store);
                Recalled::Read
            }
            // Signed out, here or by another program of this user.
            Found::Nothing => {
                *held = Held::default();
                Recalled::Read
            }
            found @ Found::Forgotten(_) => {
                *held = Held::default();
                self.revoke_forgotten(found);
                Recalled::Read
            }
            Found::Locked => Recalled::Locked,
        }
    }

    /// A sign-out that met a locked keyring could not revoke what lay there.
    fn revoke_forgotten(&self, found: Found) {
        if let Found::Forgotten(token) = found {
            let provider = self.provider.clone();
            tokio::spawn(async move { provider.revoke(&token, "refresh_token").await });
        }
    }
}

/// A request takes time, and clocks differ: the last half minute, or half of a short life, is not used.
fn useful(life: Duration) -> Duration {
    life.saturating_sub(Duration::from_secs(30)).max(life / 2)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use axum::extract::{Form, State};
    use axum::routing::{get, post};
    use axum::{Json, Router};
    use serde_json::json;

    use super::*;
    use crate::clock::Skew;
    use crate::http::OpenClient;
    use crate::options::Options;
    use crate::session::tests::{Place, Played};

    type Revoked = Arc<std::sync::Mutex<Vec<String>>>;

    /// An identity provider that only revokes.
    async fn provider(revoked: &Revoked) -> Provider {
        provider_asked_by(revoked, OpenClient::new(&Options::default(), None)).await
    }

    async fn provider_asked_by(revoked: &Revoked, client: OpenClient) -> Provider {
        crate::http::install_tls();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let at = |path: &str| format!("{issuer}/{path}");
        let found = json!({"issuer": issuer, "authorization_endpoint": at("auth"), "token_endpoint": at("token"),
            "jwks_uri": at("keys"), "revocation_endpoint": at("revoke")});
        type Fields = std::collections::BTreeMap<String, String>;
        let revoke = async |State(revoked): State<Revoked>, Form(mut form): Form<Fields>| {
            revoked.lock().unwrap().extend(form.remove("token"));
        };
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(async move || Json(found)))
            .route("/revoke", post(revoke))
            .with_state(revoked.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Provider::new(issuer, "ionet-supplier".into(), client, Skew::new(), Options::default())
    }

    #[tokio::test]
    async fn a_sign_out_from_a_locked_keyring_revokes_the_token_as_soon_as_it_is_unlocked() {
        let (place, keyring, revoked) = (Place::new(), Played::locked(), Revoked::default());
        let tokens = Tokens::new(Arc::new(provider(&revoked).await), place.with(&keyring));

        tokens.end().await;
        keyring.unlock();
        let session = tokens.session().await;
        let told = async {
            while *revoked.lock().unwrap() != ["token-0"] {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), told).await.unwrap();

        assert_eq!(session, KeptSession::None);
    }

    #[tokio::test]
    async fn a_pc_without_a_trust_store_is_told_so_and_needs_no_new_start_once_it_has_one() {
        let no_store = || reqwest::Client::builder().user_agent("\0").build();
        let there = Arc::new(AtomicBool::new(false));
        let looked_for = there.clone();
        let client = OpenClient::made_by(move || {
            if looked_for.load(Ordering::SeqCst) { Ok(reqwest::Client::new()) } else { no_store() }
        });
        let provider = provider_asked_by(&Revoked::default(), client).await;
        let token = Secret::new("token-0".to_owned());

        let without = provider.refresh(&token).await;
        there.store(true, Ordering::SeqCst);
        let with = provider.refresh(&token).await;

        assert!(matches!(without, Err(RefreshFault::Other(SignInFault::NoTrustStore))));
        assert!(matches!(with, Err(RefreshFault::Other(SignInFault::Unreadable(_)))), "it was asked");
    }

    #[test]
    fn the_end_of_a_tokens_life_is_not_used() {
        assert_eq!(useful(Duration::from_secs(300)), Duration::from_secs(270));
        assert_eq!(useful(Duration::from_secs(4)), Duration::from_secs(2));
    }
}
