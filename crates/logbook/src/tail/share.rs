//! How much may be taken over: in one turn, and in an hour.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
/// Read in one turn altogether. What was read is packed before the next turn, so raw bytes never pile up.
const TURN: u64 = 8 << 20;
/// Read of one log in one turn, so that a loud one leaves the others their time.
const TURN_OF_ONE: u64 = 2 << 20;
/// Each read counts as at least so much: a million crumbs cost as much as a large file.
const LEAST: u64 = 4 << 10;

/// So much an hour, by the clock that only goes on.
#[derive(Debug)]
pub(crate) struct Hourly {
    most: u64,
    left: u64,
    since: Duration,
}

impl Hourly {
    pub(crate) fn new(most: u64, now: Duration) -> Self {
        Self { most, left: most, since: now }
    }

    pub(crate) fn left(&mut self, now: Duration) -> u64 {
        if now.saturating_sub(self.since) >= HOUR {
            (self.left, self.since) = (self.most, now);
        }
        self.left
    }

    pub(crate) fn take(&mut self, amount: u64) {
        self.left = self.left.saturating_sub(amount);
    }
}

/// One turn of reading.
pub(crate) struct Turn<'a> {
    left: u64,
    stop: &'a Stop,
    /// Something was read.
    pub(crate) news: bool,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(stop: &'a Stop) -> Self {
        Self { left: TURN, stop, news: false }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.left == 0 || self.stop.is_asked()
    }

    /// What one log may read of it.
    pub(crate) fn part(&self) -> u64 {
        self.left.min(TURN_OF_ONE)
    }

    /// Says what was read; returns what that counts as.
    pub(crate) fn read(&mut self, bytes: u64) -> u64 {
        let counts = bytes.max(LEAST);
        self.left = self.left.saturating_sub(counts);
        self.news = true;
        counts
    }
}

/// Asks whoever works through many bytes to leave off at the next piece.
#[derive(Debug, Default)]
pub(crate) struct Stop(AtomicBool);

impl Stop {
    pub(crate) fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
