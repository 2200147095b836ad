//! Where the refresh token lies: in the desktop's keyring, or, without one, in a file of mode 0600.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use ionet_core::event::SessionStore;
use ionet_private::LockError;
use serde::{Deserialize, Serialize};

use crate::files;
use crate::keyring::{Entry, KeyringFault, Lock};
use crate::secret::Secret;

/// A refresh takes a second or two.
const TURN_WITHIN: Duration = Duration::from_secs(15);

/// How long a locked keyring is looked at again in vain, where it does not say that it was unlocked.
const LOOKED_AGAIN: [Duration; 5] = [
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(30),
    Duration::from_secs(60),
];

/// One refresh token of one issuer.
#[derive(Debug, Clone)]
pub(crate) struct Vault {
    issuer: String,
    file: PathBuf,
    /// None where it is not to be used.
    keyring: Option<Entry>,
}

/// What is there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    /// In a keyring that is locked now, or that does not answer.
    Locked,
    Token(Secret<String>, SessionStore),
    /// Signed out while the keyring was locked. What lay there has just been taken out, and is still to be revoked.
    Forgotten(Secret<String>),
}

/// The content of `session.json`. Without a token it says where the token is.
#[derive(Serialize, Deserialize)]
struct Kept {
    issuer: String,
    /// None: it lies in the keyring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    /// What lies in the keyring counts no more; it could not be removed.
    #[serde(default)]
    forgotten: bool,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum VaultFault {
    #[error("{0}")]
    File(#[from] std::io::Error),
    #[error("{0}")]
    Damaged(#[from] serde_json::Error),
    #[error(transparent)]
    Locked(KeyringFault),
}

impl Vault {
    pub(crate) fn new(issuer: String, file: PathBuf, keyring: Option<Entry>) -> Self {
        Self { issuer, file, keyring }
    }

    /// The token that was kept last. Asks nobody for a password.
    pub(crate) async fn load(&self) -> Found {
        let kept = self.kept().await;
        if let Some(token) = kept.as_ref().and_then(|kept| kept.refresh_token.clone()) {
            return Found::Token(Secret::new(token), SessionStore::File);
        }
        if kept.as_ref().is_some_and(|kept| kept.forgotten) {
            return self.forget().await.map_or(Found::Nothing, Found::Forgotten);
        }
        let Some(keyring) = &self.keyring else { return Found::Nothing };
        // Known from an earlier sign-in, or by the keyring itself.
        let otherwise = if kept.is_some() { Found::Locked } else { Found::Nothing };
        match keyring.lock().await {
            Some(Lock::Open) => {}
            Some(Lock::Locked { entry: true }) => return Found::Locked,
            Some(Lock::Locked { entry: false } | Lock::Bare | Lock::Absent) | None => return otherwise,
        }
        match keyring.get().await {
            Ok(Some(token)) => Found::Token(Secret::new(token), SessionStore::Keyring),
            Ok(None) => Found::Nothing,
            Err(KeyringFault::Locked | KeyringFault::Absent | KeyringFault::Silent) => otherwise,
        }
    }

    /// Returns what [`Self::load`] says when it need not say [`Found::Locked`] any more: at the keyring's own word where it gives one.
    pub(crate) async fn unlocked(&self) -> Found {
        let Some(keyring) = &self.keyring else { return self.load().await };
        let mut waits = LOOKED_AGAIN.into_iter();
        let mut wait = LOOKED_AGAIN[0];
        let mut changes = keyring.changes().await;
        loop {
            let found = self.load().await;
            if found != Found::Locked {
                return found;
            }
            wait = waits.next().unwrap_or(wait);
            let heard = tokio::time::timeout(wait, changes.next()).await;
            if heard == Ok(None) {
                // Whoever spoke there is gone.
                tokio::time::sleep(wait).await;
                changes = keyring.changes().await;
            }
        }
    }

    /// Whoever holds it may refresh, over all processes of this user. None where another has it for longer than
    /// [`TURN_WITHIN`], or the disk keeps no locks: it goes on without.
    pub(crate) async fn turn(&self) -> Option<ionet_private::Lock> {
        let path = self.file.with_extension("lock");
        blocking(move || {
            path.parent().map(files::folder).transpose()?;
            let deadline = Instant::now() + TURN_WITHIN;
            loop {
                match ionet_private::Lock::take(&path) {
                    // A process that was suspended while it held the lock must not suspend this one.
                    Err(LockError::Held) if Instant::now() < deadline => {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    taken => return Ok(taken.ok()),
                }
            }
        })
        .await
        .ok()
        .flatten()
    }

    /// The one function that writes a refresh token anywhere. A keyring that is only locked is no reason for a file:
    /// its owner has `patience` to unlock it, where they are asked.
    pub(crate) async fn keep(
        &self,
        token: &Secret<String>,
        patience: Option<Duration>,
    ) -> Result<SessionStore, VaultFault> {
        let in_keyring = match &self.keyring {
            Some(keyring) => set(keyring, token, patience).await,
            None => Err(KeyringFault::Absent),
        };
        match in_keyring {
            Ok(()) => {
                self.write(None, false).await?;
                Ok(SessionStore::Keyring)
            }
            Err(fault @ KeyringFault::Locked) => Err(VaultFault::Locked(fault)),
            Err(KeyringFault::Absent | KeyringFault::Silent) => {
                self.write(Some(token.reveal().clone()), false).await?;
                Ok(SessionStore::File)
            }
        }
    }

    /// Returns what the keyring still held and does no more.
    pub(crate) async fn forget(&self) -> Option<Secret<String>> {
        let Some(keyring) = &self.keyring else {
            self.remove().await;
            return None;
        };
        // First what is certain to work: a keyring that cannot be opened now is emptied when it can.
        if let Err(error) = self.write(None, true).await {
            tracing::warn!(%error, "the session's file cannot be written");
        }
        let taken_out = match keyring.lock().await {
            Some(Lock::Open) => {
                let held = keyring.get().await.ok().flatten();
                keyring.delete().await.ok().map(|()| held)
            }
            Some(Lock::Absent) => Some(None),
            Some(Lock::Locked { .. } | Lock::Bare) | None => None,
        };
        if taken_out.is_some() {
            self.remove().await;
        }
        taken_out.flatten().map(Secret::new)
    }

    async fn kept(&self) -> Option<Kept> {
        let file = self.file.clone();
        let text = blocking(move || files::read(&file)).await.ok().flatten()?;
        let kept: Kept = serde_json::from_str(&text).ok()?;
        (kept.issuer == self.issuer).then_some(kept)
    }

    async fn write(&self, refresh_token: Option<String>, forgotten: bool) -> Result<(), VaultFault> {
        let kept = serde_json::to_vec(&Kept { issuer: self.issuer.clone(), refresh_token, forgotten })?;
        let file = self.file.clone();
        blocking(move || {
            file.parent().map(files::folder).transpose()?;
            files::replace(&file, &kept)
        })
        .await?;
        Ok(())
    }

    async fn remove(&self) {
        let file = self.file.clone();
        if let Err(error) = blocking(move || files::remove(Path::new(&file))).await {
            tracing::warn!(%error, "the session's file cannot be removed");
        }
    }
}

/// Asks the owner only where there is patience for that.
async fn set(
    keyring: &Entry,
    token: &Secret<String>,
    patience: Option<Duration>,
) -> Result<(), KeyringFault> {
    let lock = keyring.lock().await.ok_or(KeyringFault::Silent)?;
    match (lock, patience) {
        (Lock::Open | Lock::Bare, _) => keyring.set(token.reveal().clone(), None).await,
        (Lock::Absent, _) => Err(KeyringFault::Absent),
        (Lock::Locked { .. }, None) => Err(KeyringFault::Locked),
        (Lock::Locked { .. }, Some(patience)) => {
            let asked = keyring.set(token.reveal().clone(), Some(patience)).await;
            asked.map_err(|_| KeyringFault::Locked)
        }
    }
}

async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(act).await.map_err(std::io::Error::other)?
}

#[cfg(test)]
#[path = "session/tests.rs"]
pub(crate) mod tests;
