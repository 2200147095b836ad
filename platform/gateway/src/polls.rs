//! Polls that wait. One a device: a newer one ends the older, whose connection is most likely dead. And how often they are
//! answered: what changes all the time is told now and then, and what changes once is told at once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::config::Quota;
use crate::limits::bucket::Buckets;

/// A start, a job's end and the next one's beginning are told as they happen.
const ANSWERS: Quota = Quota { count: 10, per_s: 5 };
const MOST_DEVICES: usize = 100_000;

#[derive(Debug)]
pub(crate) struct Polls {
    waiting: Mutex<Waiting>,
    answered: Mutex<Buckets<String>>,
}

impl Default for Polls {
    fn default() -> Self {
        Self { waiting: Mutex::default(), answered: Mutex::new(Buckets::new(ANSWERS, MOST_DEVICES)) }
    }
}

/// As many entries as there are waiting polls.

#[derive(Debug, Default)]
struct Waiting {
    begun: u64,
    /// By device: which poll it is, and what ends it when it is dropped.
    devices: HashMap<String, (u64, oneshot::Sender<()>)>,
}

/// A poll that waits. Dropping it ends it.
#[must_use]
#[derive(Debug)]
pub(crate) struct Poll<'a> {
    polls: &'a Polls,
    device: String,
    number: u64,
    replaced: oneshot::Receiver<()>,
}

impl Polls {
    /// A poll of this device begins to wait.
    pub(crate) fn begin(&self, device: &str) -> Poll<'_> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.begun += 1;
        let (number, (ends, replaced)) = (waiting.begun, oneshot::channel());
        waiting.devices.insert(device.to_owned(), (number, ends));
        Poll { polls: self, device: device.to_owned(), number, replaced }
    }

    /// One more answer to this device, or after what time there may be one.
    pub(crate) fn answer(&self, device: &str) -> Result<(), Duration> {
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.take(device.to_owned(), 1, Instant::now())
    }
}

impl Poll<'_> {
    /// Comes when a newer poll of the same device has begun.
    pub(crate) async fn replaced(&mut self) {
        // Nothing is ever sent: the other end is dropped.
        let _ = (&mut self.replaced).await;
    }
}

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        let mut waiting = self.polls.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.devices.get(&self.device).is_some_and(|(number, _)| *number == self.number) {
            waiting.devices.remove(&self.device);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_newer_poll_ends_the_older_of_the_same_device_alone() {
        let polls = Polls::default();
        let (mut first, mut other) = (polls.begin("a"), polls.begin("b"));

        let second = polls.begin("a");

        first.replaced().await;
        drop(first);
        assert!(other.replaced.try_recv().is_err_and(|end| end == oneshot::error::TryRecvError::Empty));
        drop((second, other));
        assert!(polls.waiting.lock().unwrap().devices.is_empty());
    }
}
