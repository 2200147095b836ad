//! The desktop's keyring: one entry for each issuer. It may be locked, absent, or silent; nobody waits for it for long.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio::sync::oneshot;

#[cfg(target_os = "linux")]
#[path = "keyring/secret_service.rs"]
mod platform;
#[cfg(not(target_os = "linux"))]
#[path = "keyring/other.rs"]
mod platform;

/// The name under which keyrings show the entry.
const SERVICE: &str = "net.io.supplier";

/// Whether the entry can be read and written now, without asking the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    Open,
    /// `entry`: it is certainly there.
    Locked {
        entry: bool,
    },
    /// It has no wallet: none was made yet, or none was opened. One can be made.
    Bare,
    /// There is no keyring.
    Absent,
}

/// An operation did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyringFault {
    #[error("the keyring is locked")]
    Locked,
    #[error("there is no keyring")]
    Absent,
    #[error("the keyring does not answer")]
    Silent,
}

/// What a keyring is to this crate. Its operations block, for ever where it hangs.
pub(crate) trait Ring: fmt::Debug + Send + Sync + 'static {
    /// Never asks the owner for anything.
    fn lock(&self, issuer: &str) -> BoxFuture<'static, Lock>;
    /// Something has changed there.
    fn changes(&self) -> BoxFuture<'static, BoxStream<'static, ()>>;
    fn get(&self, issuer: &str) -> Result<Option<String>, KeyringFault>;
    /// A locked one asks its owner.
    fn set(&self, issuer: &str, secret: &str) -> Result<(), KeyringFault>;
    fn delete(&self, issuer: &str) -> Result<(), KeyringFault>;
}

/// One issuer's entry, with an end to every wait.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    ring: Arc<dyn Ring>,
    issuer: String,
    patience: Duration,
    /// A call still waits there: one that comes later must not overtake it.
    busy: Arc<AtomicBool>,
}

impl Entry {
    pub(crate) fn new(ring: Arc<dyn Ring>, issuer: String, patience: Duration) -> Self {
        Self { ring, issuer, patience, busy: Arc::default() }
    }

    /// None where it does not say in time.
    pub(crate) async fn lock(&self) -> Option<Lock> {
        tokio::time::timeout(self.patience, self.ring.lock(&self.issuer)).await.ok()
    }

    /// A stream that never says anything where the keyring cannot be listened to.
    pub(crate) async fn changes(&self) -> BoxStream<'static, ()> {
        match tokio::time::timeout(self.patience, self.ring.changes()).await {
            Ok(changes) => changes,
            Err(_) => Box::pin(futures_util::stream::pending()),
        }
    }

    pub(crate) async fn get(&self) -> Result<Option<String>, KeyringFault> {
        self.within(self.patience, |ring, issuer| ring.get(issuer), |_, _| {}).await
    }

    /// `patience` is the owner's, where they are asked to unlock it.
    pub(crate) async fn set(&self, secret: String, patience: Option<Duration>) -> Result<(), KeyringFault> {
        let patience = patience.unwrap_or(self.patience);
        // Whoever gave up on it has written the secret elsewhere, or it is worthless by now.
        let undo = |ring: &dyn Ring, issuer: &str| {
            let _ = ring.delete(issuer);
        };
        self.within(patience, move |ring, issuer| ring.set(issuer, &secret), undo).await
    }

    pub(crate) async fn delete(&self) -> Result<(), KeyringFault> {
        self.within(self.patience, |ring, issuer| ring.delete(issuer), |_, _| {}).await
    }

    /// In a thread of its own, not the runtime's: one that never comes back must not hold up the end of the program.
    async fn within<T: Send + 'static>(
        &self,
        patience: Duration,
        act: impl FnOnce(&dyn Ring, &str) -> Result<T, KeyringFault> + Send + 'static,
        too_late: impl FnOnce(&dyn Ring, &str) + Send + 'static,
    ) -> Result<T, KeyringFault> {
        if self.busy.swap(true, Ordering::AcqRel) {
            return Err(KeyringFault::Silent);
        }
        let turn = Turn(self.busy.clone());
        let (send, receive) = oneshot::channel();
        let Self { ring, issuer, .. } = self.clone();
        let spawned = std::thread::Builder::new().name("keyring".into()).spawn(move || {
            let done = act(&*ring, &issuer);
            // The turn goes with the result: whoever hears of it may call again at once.
            if let Err(_unheard) = send.send((done, turn)) {
                too_late(&*ring, &issuer);
            }
        });
        if spawned.is_err() {
            return Err(KeyringFault::Silent);
        }
        match tokio::time::timeout(patience, receive).await {
            Ok(Ok((done, _turn))) => done,
            Ok(Err(_)) | Err(_) => Err(KeyringFault::Silent),
        }
    }
}

/// Held by the one call that waits there.
struct Turn(Arc<AtomicBool>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// The desktop's own.
#[derive(Debug)]
pub(crate) struct DesktopRing;

impl Ring for DesktopRing {
    fn lock(&self, issuer: &str) -> BoxFuture<'static, Lock> {
        Box::pin(platform::lock(SERVICE, issuer.to_owned()))
    }

    fn changes(&self) -> BoxFuture<'static, BoxStream<'static, ()>> {
        Box::pin(platform::changes())
    }

    fn get(&self, issuer: &str) -> Result<Option<String>, KeyringFault> {
        match entry(issuer).and_then(|entry| entry.get_password()) {
            Ok(secret) => Ok(Some(secret)),
            Err(keyring::Error::NoEntry) => Ok(None),
            Err(error) => Err(fault(&error)),
        }
    }

    fn set(&self, issuer: &str, secret: &str) -> Result<(), KeyringFault> {
        entry(issuer).and_then(|entry| entry.set_password(secret)).map_err(|error| fault(&error))
    }

    fn delete(&self, issuer: &str) -> Result<(), KeyringFault> {
        match entry(issuer).and_then(|entry| entry.delete_credential()) {
            Ok(()) | Err(keyring::Error::NoEntry) => Ok(()),
            Err(error) => Err(fault(&error)),
        }
    }
}

fn entry(issuer: &str) -> keyring::Result<keyring::Entry> {
    keyring::Entry::new(SERVICE, issuer)
}

fn fault(error: &keyring::Error) -> KeyringFault {
    tracing::debug!(%error, "the keyring does not do it");
    if matches!(error, keyring::Error::NoStorageAccess(_)) {
        KeyringFault::Locked
    } else {
        KeyringFault::Absent
    }
}
