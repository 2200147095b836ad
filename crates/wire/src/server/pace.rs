//! How fast a watcher may ask. Whoever is faster is not read for a while, and so waits with what it has to say.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// So many at once are a person's, or a script's first steps.
const AT_ONCE: u32 = 64;
const ONE_EVERY: Duration = Duration::from_millis(50);

/// Kept as the moment at which everything heard so far would have been due at an even pace.
pub(super) struct Pace {
    due: Instant,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { due: Instant::now() }
    }

    /// Returns when the next message may be heard.
    pub(super) async fn next(&mut self) {
        let ahead = ONE_EVERY * AT_ONCE;
        self.due = self.due.max(Instant::now()) + ONE_EVERY;
        if let Some(until) = self.due.checked_sub(ahead)
            && until > Instant::now()
        {
            sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_what_follows_comes_evenly() {
        let (mut pace, begun) = (Pace::new(), Instant::now());

        for _ in 0..AT_ONCE {
            pace.next().await;
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        for _ in 0..20 {
            pace.next().await;
        }

        assert!(begun.elapsed() >= ONE_EVERY * 20, "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_is_not_saved_up_beyond_one_burst() {
        let mut pace = Pace::new();
        tokio::time::sleep(ONE_EVERY * 10_000).await;
        let begun = Instant::now();

        for _ in 0..AT_ONCE * 2 {
            pace.next().await;
        }

        assert!(begun.elapsed() >= ONE_EVERY * AT_ONCE);
    }
}
