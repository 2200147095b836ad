//! From the outbox into the store, oldest first, one file at a time.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ionet_core::fault::LogFault;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use crate::book::Book;
use crate::outbox::Parcel;

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// So many refusals in a row mean that the store refuses this PC and not a file.
const REFUSALS: u32 = 3;

/// What is to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// `<stream>/<file>`, of `[a-z0-9._/-]`.
    pub name: String,
    /// Bytes.
    pub length: u64,
    /// Lower-case hex.
    pub sha256: String,
}

/// Where logs go. A grant is good for one object and a short time, and is a secret.
#[async_trait]
pub trait Store: Send + Sync {
    type Grant: Send;

    /// One grant per object, in their order.
    async fn grants(&self, objects: &[Object]) -> Result<Vec<Self::Grant>, LogFault>;

    /// Stores the whole file. `Refused` with the store's status; a cut connection is `Unreachable`.
    async fn put(&self, grant: Self::Grant, file: &Path) -> Result<(), LogFault>;
}

/// Waits between attempts: 1 s, doubling up to 5 minutes, each shortened by up to a quarter so that many PCs do not come
/// back at once. Never ends.
pub fn backoff() -> impl Iterator<Item = Duration> + Send {
    let longer = |wait: &Duration| Some((*wait * 2).min(LONGEST_WAIT));
    std::iter::successors(Some(FIRST_WAIT), longer).map(|wait| wait.mul_f64(1.0 - 0.25 * chance()))
}

/// Ships the outbox of a logbook.
pub struct Shipper<S> {
    book: Arc<Book>,
    store: S,
    /// One file is under way at a time.
    turn: Mutex<()>,
}

impl<S: Store> Shipper<S> {
    pub(crate) fn new(book: Arc<Book>, store: S) -> Self {
        Self { book, store, turn: Mutex::new(()) }
    }

    /// Ships whatever comes into the outbox, for ever. Dropping the future stops it; nothing is lost by that.
    pub async fn run(&self) {
        loop {
            let mut waits = backoff();
            while self.ship_waiting().await.is_err() {
                tokio::time::sleep(waits.next().unwrap_or(LONGEST_WAIT)).await;
            }
            self.book.packed.notified().await;
        }
    }

    /// Closes every open file and ships what can be shipped until `deadline` has passed; the rest stays for the next
    /// start.
    ///
    /// # Errors
    /// What kept a file back.
    pub async fn flush(&self, deadline: Duration) -> Result<(), LogFault> {
        let all = async {
            let book = self.book.clone();
            let _ = tokio::task::spawn_blocking(move || book.close()).await;
            self.ship_waiting().await
        };
        match tokio::time::timeout(deadline, all).await {
            Ok(Ok(())) if self.book.board.is_disk_full() => Err(LogFault::DiskFull),
            Ok(result) => result,
            Err(_) => Err(self.book.board.fault().unwrap_or(LogFault::Unreachable)),
        }
    }

    /// A file that is refused is left for later and does not keep the others back.
    async fn ship_waiting(&self) -> Result<(), LogFault> {
        let _turn = self.turn.lock().await;
        let mut result = Ok(());
        let mut refused_in_a_row = 0;
        for parcel in self.book.outbox.waiting() {
            match self.ship(&parcel).await {
                Ok(()) => refused_in_a_row = 0,
                Err(fault) => {
                    refused_in_a_row += 1;
                    let stop = fault == LogFault::Unreachable || refused_in_a_row == REFUSALS;
                    result = Err(fault.clone());
                    self.book.board.not_shipped(fault);
                    if stop {
                        break;
                    }
                }
            }
        }
        if let Err(fault) = &result {
            // A later file's success has wiped it off the board.
            self.book.board.not_shipped(fault.clone());
        }
        result
    }

    /// A refused or cut upload gets one more try at once, with a grant of its own: a grant may have run out, and a cut
    /// connection may be a refusal whose answer did not get through.
    async fn ship(&self, parcel: &Parcel) -> Result<(), LogFault> {
        let Some(object) = self.describe(parcel).await else { return Ok(()) };
        let stored = match self.attempt(&object, parcel).await {
            Ok(()) => Ok(()),
            Err(Attempt::NoGrant(fault)) => Err(fault),
            Err(Attempt::NotStored(_)) if !self.book.outbox.has(parcel) => return Ok(()),
            Err(Attempt::NotStored(fault)) => {
                tracing::debug!(object = object.name, %fault, "an upload failed; asking for a fresh grant");
                self.attempt(&object, parcel).await.map_err(|attempt| match attempt {
                    Attempt::NoGrant(fault) | Attempt::NotStored(fault) => fault,
                })
            }
        };
        stored?;
        if let Err(error) = self.book.outbox.shipped(parcel) {
            tracing::warn!(object = object.name, %error, "a shipped log cannot be taken out of the outbox");
        }
        self.book.board.shipped(self.book.now_ms());
        self.book.board.waiting(self.book.outbox.waiting().len());
        Ok(())
    }

    async fn attempt(&self, object: &Object, parcel: &Parcel) -> Result<(), Attempt> {
        let grants = self.store.grants(std::slice::from_ref(object)).await.map_err(Attempt::NoGrant)?;
        let grant = grants.into_iter().next().ok_or(Attempt::NoGrant(LogFault::Unreachable))?;
        self.store.put(grant, &parcel.path).await.map_err(Attempt::NotStored)
    }

    /// `None` when the file is there no longer: the limit on their total size took it.
    async fn describe(&self, parcel: &Parcel) -> Option<Object> {
        let path = parcel.path.clone();
        let hashed = tokio::task::spawn_blocking(move || hash(&path)).await.ok()?;
        let (length, sha256) = hashed.ok()?;
        Some(Object { name: parcel.name.clone(), length, sha256 })
    }
}

enum Attempt {
    NoGrant(LogFault),
    NotStored(LogFault),
}

fn hash(path: &Path) -> io::Result<(u64, String)> {
    let mut hasher = Sha256::new();
    let length = io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok((length, hex::encode(hasher.finalize())))
}

/// Between 0 and 1. The standard library's hash keys are the one source of chance that is always at hand.
fn chance() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    f64::from(RandomState::new().hash_one(0) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_below_five_minutes() {
        let waits: Vec<_> = backoff().take(20).collect();
        assert!(waits[0] <= FIRST_WAIT && waits[0] >= FIRST_WAIT.mul_f64(0.75), "{waits:?}");
        assert!(waits[5] > waits[1], "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= LONGEST_WAIT), "{waits:?}");
        assert!(waits[19] >= LONGEST_WAIT.mul_f64(0.75), "{waits:?}");
    }
}
