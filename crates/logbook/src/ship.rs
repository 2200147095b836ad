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
use crate::disk::fault_of;
use crate::names::time_of;
use crate::outbox::Parcel;
use crate::tail::Stop;

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// So many refusals in a row mean that the store refuses this PC and not a file.
const REFUSALS: u32 = 3;
/// A store that goes on to answer no is asked again after so many times the longest wait: an hour.
const REFUSED_WAITS: u32 = 12;
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

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

    /// What a person knows the store by: the host that the grant leads to.
    fn host(&self, grant: &Self::Grant) -> String;
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
    turn: Mutex<Turn>,
}

/// What is remembered from one round to the next.
#[derive(Debug, Default)]
struct Turn {
    /// Refusals since the last success.
    refused: u32,
    /// Which file is tried next while the store refuses all of them.
    probe: usize,
    silence: Option<Silence>,
}

/// The store has not answered, while the gateway did.
#[derive(Debug)]
struct Silence {
    since: Duration,
    last: Duration,
}

impl<S: Store> Shipper<S> {
    pub(crate) fn new(book: Arc<Book>, store: S) -> Self {
        Self { book, store, turn: Mutex::default() }
    }

    /// Ships whatever comes into the outbox, for ever. Dropping the future stops it; nothing is lost by that.
    pub async fn run(&self) {
        loop {
            let mut waits = backoff();
            while let Err(fault) = self.ship_waiting().await {
                let wait = waits.next().unwrap_or(LONGEST_WAIT);
                let for_good = matches!(fault, LogFault::Refused(_)) && wait > LONGEST_WAIT / 2;
                tokio::time::sleep(if for_good { wait * REFUSED_WAITS } else { wait }).await;
            }
            while tokio::time::timeout(MINUTE, self.book.packed.notified()).await.is_err() {
                // Nobody may have written a line meanwhile, and so noticed.
                self.book.board.look_for_hanging();
            }
        }
    }

    /// Closes every open file and ships what can be shipped until `deadline` has passed; the rest stays for the next
    /// start.
    ///
    /// # Errors
    /// What kept a file back.
    pub async fn flush(&self, deadline: Duration) -> Result<(), LogFault> {
        let asked = AskedAtTheEnd::default();
        let all = async {
            let (book, stop) = (self.book.clone(), asked.0.clone());
            let _ = tokio::task::spawn_blocking(move || book.close_unless(&stop)).await;
            self.ship_waiting().await
        };
        match tokio::time::timeout(deadline, all).await {
            Ok(Ok(())) => self.book.board.disk_fault().map_or(Ok(()), Err),
            Ok(result) => result,
            Err(_) => Err(self.book.board.fault().unwrap_or(LogFault::Unreachable)),
        }
    }

    /// A file that is refused, or cannot be read, is left for later and does not keep the others back; a store that refuses several in a row
    /// is asked for one at a time from then on, until it takes one.
    async fn ship_waiting(&self) -> Result<(), LogFault> {
        let mut turn = self.turn.lock().await;
        let mut result = Ok(());
        let mut parcels = self.book.outbox.waiting();
        let probing = turn.refused >= REFUSALS;
        if probing && !parcels.is_empty() {
            let first = turn.probe % parcels.len();
            parcels.rotate_left(first);
            turn.probe += 1;
        }
        for parcel in parcels {
            match self.ship(&parcel, &mut turn).await {
                Ok(()) => turn.refused = 0,
                Err(fault) => {
                    let silent = matches!(fault, LogFault::Unreachable | LogFault::StoreSilent(_));
                    turn.refused += u32::from(matches!(fault, LogFault::Refused(_)));
                    result = Err(fault.clone());
                    self.book.board.not_shipped(fault);
                    if silent || turn.refused >= REFUSALS {
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
    async fn ship(&self, parcel: &Parcel, turn: &mut Turn) -> Result<(), LogFault> {
        let Some(object) = self.describe(parcel).await? else {
            self.book.outbox.forget(parcel);
            return Ok(());
        };
        let stored = match self.attempt(&object, parcel, turn).await {
            Err(Attempt::NotStored(_)) if !self.book.outbox.has(parcel) => return Ok(()),
            Err(Attempt::NotStored(fault)) if turn.refused < REFUSALS => {
                tracing::debug!(object = object.name, %fault, "an upload failed; asking for a fresh grant");
                self.attempt(&object, parcel, turn).await
            }
            attempt => attempt,
        };
        stored.map_err(|attempt| match attempt {
            Attempt::NoGrant(fault) | Attempt::NotStored(fault) => fault,
        })?;
        if let Err(error) = self.book.outbox.shipped(parcel) {
            tracing::warn!(object = object.name, %error, "no copy of a shipped log can be kept");
        }
        self.book.board.shipped(self.book.now_ms());
        self.book.board.waiting(self.book.outbox.count());
        Ok(())
    }

    async fn attempt(&self, object: &Object, parcel: &Parcel, turn: &mut Turn) -> Result<(), Attempt> {
        let grants = self.store.grants(std::slice::from_ref(object)).await.map_err(Attempt::NoGrant)?;
        let grant = grants.into_iter().next().ok_or(Attempt::NoGrant(LogFault::Unreachable))?;
        let host = self.store.host(&grant);
        let begun = self.book.clock.elapsed();
        let stored = self.store.put(grant, &parcel.path).await;
        if stored != Err(LogFault::Unreachable) {
            turn.silence = None;
            return stored.map_err(Attempt::NotStored);
        }
        let silent = turn.silent(begun, self.book.clock.elapsed());
        let old = self.oldest_is_old() && silent >= HOUR;
        let fault = if silent >= DAY || old { LogFault::StoreSilent(host) } else { LogFault::Unreachable };
        Err(Attempt::NotStored(fault))
    }

    /// Whether something has waited for a day: a PC that is switched off every night never sees a whole one.
    fn oldest_is_old(&self) -> bool {
        let closed_at = self.book.outbox.oldest().and_then(|name| time_of(&name));
        closed_at
            .is_some_and(|closed| self.book.clock.now().duration_since(closed).is_ok_and(|age| age >= DAY))
    }

    /// `None` when the file is there no longer: the limit on their total size took it. One that only cannot be read now stays.
    async fn describe(&self, parcel: &Parcel) -> Result<Option<Object>, LogFault> {
        let path = parcel.path.clone();
        let hashed = tokio::task::spawn_blocking(move || hash(&path)).await;
        match hashed.unwrap_or_else(|broken_off| Err(io::Error::other(broken_off))) {
            Ok((length, sha256)) => Ok(Some(Object { name: parcel.name.clone(), length, sha256 })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fault_of(&error)),
        }
    }
}

impl Turn {
    /// For how long the store has been silent now, after a try that began then. Times without a gateway do not count.
    fn silent(&mut self, begun: Duration, now: Duration) -> Duration {
        let silence = self.silence.take().filter(|silence| begun.saturating_sub(silence.last) <= HOUR);
        let since = silence.map_or(begun, |silence| silence.since);
        self.silence = Some(Silence { since, last: now });
        now.saturating_sub(since)
    }
}

/// Dropped, it asks whoever closes the book to leave off: no thread goes on with what nobody waits for any more.
#[derive(Default)]
struct AskedAtTheEnd(Arc<Stop>);

impl Drop for AskedAtTheEnd {
    fn drop(&mut self) {
        self.0.ask();
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
