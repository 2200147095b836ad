//! Whether the region answers, and since when it does not.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::now_ms;

/// A region that misses so many tries in a row is said to be silent; an election is over before.
const MISSES: u32 = 3;
/// How often the last hearing is written down.
const WRITE: Duration = Duration::from_secs(1);

/// Whether the region answers.
#[derive(Debug, Default)]
pub(crate) struct Hearing(Mutex<Heard>);

#[derive(Debug, Default)]
struct Heard {
    misses: u32,
    /// By this process or one before it; 0: never.
    last_ms: i64,
    /// This process has heard it.
    heard: bool,
    written: Option<Instant>,
}

impl Hearing {
    /// When the region was last heard, if it has gone silent since.
    pub(crate) fn silent_since_ms(&self) -> Option<i64> {
        let heard = self.lock();
        (heard.misses >= MISSES).then_some(heard.last_ms)
    }

    /// Until when what the ledger holds is confirmed; none: until now. Before the region is heard for the first time
    /// after a start, that is when it was heard before.
    pub(crate) fn confirmed_until_ms(&self) -> Option<i64> {
        let heard = self.lock();
        let unheard = !heard.heard && heard.last_ms > 0;
        (unheard || heard.misses >= MISSES).then_some(heard.last_ms)
    }

    /// What a process before this one heard.
    pub(super) fn remember(&self, last_ms: i64) {
        self.lock().last_ms = last_ms;
    }

    /// True when it had been silent.
    pub(super) fn heard(&self) -> bool {
        let mut heard = self.lock();
        heard.last_ms = now_ms();
        heard.heard = true;
        std::mem::take(&mut heard.misses) >= MISSES
    }

    /// True when it has gone silent with this.
    pub(super) fn missed(&self) -> bool {
        let mut heard = self.lock();
        if heard.last_ms == 0 {
            heard.last_ms = now_ms();
        }
        heard.misses = heard.misses.saturating_add(1);
        heard.misses == MISSES
    }

    /// When it was last heard, if that is worth writing down now.
    pub(super) fn to_write(&self) -> Option<i64> {
        let mut heard = self.lock();
        let due = heard.written.is_none_or(|at| at.elapsed() >= WRITE);
        due.then(|| {
            heard.written = Some(Instant::now());
            heard.last_ms
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_after_a_restart_is_dated_from_the_last_real_hearing() {
        let hearing = Hearing::default();
        hearing.remember(1_000);

        let before_the_first_try = (hearing.silent_since_ms(), hearing.confirmed_until_ms());
        let said = [hearing.missed(), hearing.missed(), hearing.missed()];

        assert_eq!(before_the_first_try, (None, Some(1_000)));
        assert_eq!(said, [false, false, true]);
        assert_eq!(hearing.silent_since_ms(), Some(1_000));
    }

    #[test]
    fn a_region_that_is_heard_is_confirmed_until_now() {
        let hearing = Hearing::default();
        hearing.remember(1_000);

        hearing.heard();

        assert_eq!(hearing.confirmed_until_ms(), None);
    }
}
