//! Where the refresh token lies: in the desktop's keyring, or, without one, in a file of mode 0600.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ionet_core::event::SessionStore;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::files;
use crate::secret::Secret;

/// The name under which keyrings show the entry.
const SERVICE: &str = "net.io.supplier";

/// A locked keyring asks its owner for a password and waits for as long as that takes.
const PATIENCE: Duration = Duration::from_secs(5);

/// A refresh takes a second or two.
const TURN_WITHIN: Duration = Duration::from_secs(15);

/// One refresh token of one issuer.
#[derive(Debug, Clone)]
pub(crate) struct Vault {
    issuer: String,
    file: PathBuf,
    /// Off for good once the keyring failed to answer in time: a call that is still waiting there must not be
    /// overtaken by a later one.
    keyring: Arc<AtomicBool>,
}

/// The content of `session.json`.
#[derive(Serialize, Deserialize)]
struct Kept {
    issuer: String,
    refresh_token: String,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum VaultFault {
    #[error("{0}")]
    File(#[from] std::io::Error),
    #[error("{0}")]
    Damaged(#[from] serde_json::Error),
}

impl Vault {
    pub(crate) fn new(issuer: String, file: PathBuf, keyring: bool) -> Self {
        Self { issuer, file, keyring: Arc::new(AtomicBool::new(keyring)) }
    }

    /// The token that was kept last. A file is only ever there when the keyring could not take a later token, so
    /// it goes first.
    pub(crate) async fn load(&self) -> Option<(Secret<String>, SessionStore)> {
        if let Some(token) = self.load_file() {
            return Some((token, SessionStore::File));
        }
        let token = self.in_keyring(|entry| entry.get_password()).await?;
        Some((Secret::new(token), SessionStore::Keyring))
    }

    /// Whoever holds it may refresh, over all processes of this user. After [`TURN_WITHIN`] it goes on without the
    /// lock. None where the folder cannot hold one: then nothing can be kept there either.
    pub(crate) async fn turn(&self) -> Option<File> {
        let lock = self.file.with_extension("lock");
        let locked = tokio::task::spawn_blocking(move || {
            lock.parent().map(files::folder).transpose()?;
            let file = File::create(lock)?;
            let deadline = Instant::now() + TURN_WITHIN;
            // A process that was suspended while it held the lock must not suspend this one.
            while file.try_lock().is_err() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(20));
            }
            std::io::Result::Ok(file)
        });
        locked.await.ok()?.ok()
    }

    /// The one function that writes a refresh token anywhere.
    pub(crate) async fn keep(&self, token: &Secret<String>) -> Result<SessionStore, VaultFault> {
        let password = token.clone();
        if self.in_keyring(move |entry| entry.set_password(password.reveal())).await.is_some() {
            files::remove(&self.file)?;
            return Ok(SessionStore::Keyring);
        }
        let kept = Kept { issuer: self.issuer.clone(), refresh_token: token.reveal().clone() };
        if let Some(folder) = self.file.parent() {
            files::folder(folder)?;
        }
        files::replace(&self.file, &serde_json::to_vec(&kept)?)?;
        Ok(SessionStore::File)
    }

    pub(crate) async fn forget(&self) {
        if let Err(error) = files::remove(&self.file) {
            tracing::warn!(%error, "the session's file cannot be removed");
        }
        self.in_keyring(|entry| entry.delete_credential()).await;
    }

    fn load_file(&self) -> Option<Secret<String>> {
        let text = files::read(&self.file).ok().flatten()?;
        let kept: Kept = serde_json::from_str(&text).ok()?;
        (kept.issuer == self.issuer).then(|| Secret::new(kept.refresh_token))
    }

    /// Nothing where there is no keyring, no entry, or no answer in time.
    async fn in_keyring<T: Send + 'static>(
        &self,
        act: impl FnOnce(keyring::Entry) -> keyring::Result<T> + Send + 'static,
    ) -> Option<T> {
        if !self.keyring.load(Ordering::Relaxed) {
            return None;
        }
        let issuer = self.issuer.clone();
        let done = on_own_thread(move || keyring::Entry::new(SERVICE, &issuer).and_then(act));
        let Ok(result) = tokio::time::timeout(PATIENCE, done).await else {
            tracing::info!("the keyring does not answer; the session goes into a file");
            self.keyring.store(false, Ordering::Relaxed);
            return None;
        };
        match result? {
            Ok(value) => Some(value),
            Err(keyring::Error::NoEntry) => None,
            Err(error) => {
                tracing::debug!(%error, "no keyring");
                None
            }
        }
    }
}

/// Not a thread of the runtime: one that never comes back must not hold up the end of the program.
async fn on_own_thread<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (send, receive) = oneshot::channel();
    let spawned = std::thread::Builder::new().name("keyring".into()).spawn(move || {
        // Nobody waits any longer when this fails.
        let _ = send.send(act());
    });
    spawned.ok()?;
    receive.await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(issuer: &str, file: PathBuf) -> Vault {
        Vault::new(issuer.into(), file, false)
    }

    #[tokio::test]
    async fn without_a_keyring_the_token_lies_in_a_file_and_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let vault = vault("https://id", folder.path().join("data/session.json"));

        let store = vault.keep(&Secret::new("token-1".into())).await.unwrap();

        let loaded = vault.load().await.unwrap();
        assert_eq!(store, SessionStore::File);
        assert_eq!(loaded, (Secret::new("token-1".into()), SessionStore::File));
    }

    #[tokio::test]
    async fn a_forgotten_session_is_gone_and_forgetting_twice_is_fine() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("session.json");
        let vault = vault("https://id", file.clone());
        vault.keep(&Secret::new("token-1".into())).await.unwrap();

        vault.forget().await;
        vault.forget().await;

        assert!(vault.load().await.is_none());
        assert!(!file.exists());
    }

    #[tokio::test]
    async fn another_issuers_or_a_damaged_session_reads_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("session.json");
        vault("https://id", file.clone()).keep(&Secret::new("token-1".into())).await.unwrap();

        let other = vault("https://other", file.clone()).load().await;
        std::fs::write(&file, "{").unwrap();
        let damaged = vault("https://id", file).load().await;

        assert!(other.is_none() && damaged.is_none());
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_is_a_typed_failure() {
        let folder = tempfile::tempdir().unwrap();
        let in_the_way = folder.path().join("data");
        std::fs::write(&in_the_way, "a file").unwrap();

        let kept = vault("https://id", in_the_way.join("session.json")).keep(&Secret::new("t".into())).await;

        assert!(matches!(kept, Err(VaultFault::File(_))));
    }
}
