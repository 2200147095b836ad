//! The session: one refresh token, kept; one access token at a time, in memory only.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ionet_core::event::SessionStore;
use ionet_core::fault::SignInFault;
use tokio::sync::Mutex;

use crate::secret::Secret;
use crate::session::Vault;
use crate::sign_in::{Provider, RefreshFault, TokenPair};

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

    pub(crate) async fn session(&self) -> Option<SessionStore> {
        let mut held = self.shared.held.lock().await;
        self.shared.recall(&mut held).await;
        held.store
    }

    /// Takes in a sign-in.
    pub(crate) async fn begin(&self, pair: TokenPair) -> Result<SessionStore, SignInFault> {
        let mut held = self.shared.held.lock().await;
        let _turn = self.shared.vault.turn().await;
        self.shared.take(&mut held, pair).await.map(|(_, store)| store)
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

    /// Revokes both tokens and forgets them. A provider that does not answer cannot keep anybody signed in.
    pub(crate) async fn end(&self) {
        let mut held = self.shared.held.lock().await;
        let _turn = self.shared.vault.turn().await;
        self.shared.recall(&mut held).await;
        let Held { refresh, access, .. } = std::mem::take(&mut *held);
        // First forgotten, then revoked: a program that ends half-way has kept nothing.
        self.shared.vault.forget().await;
        if let Some(token) = refresh {
            self.shared.provider.revoke(&token, "refresh_token").await;
        }
        if let Some(access) = access {
            self.shared.provider.revoke(&access.token, "access_token").await;
        }
    }
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
        self.recall(&mut held).await;
        let refresh = held.refresh.clone().ok_or(SignInFault::SessionEnded)?;
        match self.provider.refresh(&refresh).await {
            Ok(pair) => self.take(&mut held, pair).await.map(|(token, _)| token),
            Err(RefreshFault::Down) => Err(SignInFault::ProviderDown),
            Err(RefreshFault::Ended) => {
                *held = Held::default();
                self.vault.forget().await;
                Err(SignInFault::SessionEnded)
            }
        }
    }

    /// The refresh token is written down before anything is done with the pair. Where that fails it is still held,
    /// so that the session lasts as long as the program.
    async fn take(
        &self,
        held: &mut Held,
        pair: TokenPair,
    ) -> Result<(Secret<String>, SessionStore), SignInFault> {
        let kept = self.vault.keep(&pair.refresh).await;
        let store = kept.as_ref().ok().copied();
        let access =
            Access { token: pair.access.clone(), good_until: Instant::now() + useful(pair.expires_in) };
        *held = Held { refresh: Some(pair.refresh), store, access: Some(access) };
        let store = kept.map_err(|fault| SignInFault::CannotStore(fault.to_string()))?;
        Ok((pair.access, store))
    }

    /// What is written down is the newest, whoever wrote it; only what could not be written down is newer in memory.
    async fn recall(&self, held: &mut Held) {
        if held.refresh.is_some() && held.store.is_none() {
            return;
        }
        if let Some((token, store)) = self.vault.load().await {
            held.refresh = Some(token);
            held.store = Some(store);
        }
    }
}

/// A request takes time, and clocks differ: the last half minute, or half of a short life, is not used.
fn useful(life: Duration) -> Duration {
    life.saturating_sub(Duration::from_secs(30)).max(life / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_tokens_life_is_not_used() {
        assert_eq!(useful(Duration::from_secs(300)), Duration::from_secs(270));
        assert_eq!(useful(Duration::from_secs(4)), Duration::from_secs(2));
    }
}
