//! Once the person has done their part, a moment's failure is no reason to ask them to do it again.

use std::time::Duration;

use tokio::time::{Instant, sleep};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long somebody who gives no answer is asked on, at growing intervals.
pub(super) struct Patience {
    end: Instant,
    pause: Duration,
}

impl Patience {
    pub(super) fn new(within: Duration) -> Self {
        Self { end: Instant::now() + within, pause: FIRST_PAUSE }
    }

    /// Waits until it is time for another question. False: it is used up.
    pub(super) async fn lasts(&mut self) -> bool {
        let left = self.end.saturating_duration_since(Instant::now());
        sleep(self.pause.min(left)).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        !left.is_zero()
    }
}
