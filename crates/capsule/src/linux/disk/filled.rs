//! How much an ordinary user's folder holds. Nothing keeps it to its size but that it is looked at, at intervals that grow with it.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::fault::Fault;

/// A look takes no more than this part of the time.
const PART: u32 = 20;
const OFTEN: Duration = Duration::from_secs(5);
const SELDOM: Duration = Duration::from_secs(600);
/// A drive that is slower than this is looked at no longer.
const SEEN_WITHIN: Duration = Duration::from_secs(120);

/// Of one capsule, as long as this is there.
pub(crate) struct Filled {
    size: u64,
    taken: watch::Receiver<Option<u64>>,
    looking: JoinHandle<()>,
}

impl Filled {
    /// `measured` gives the bytes that it holds.
    pub(crate) fn of<M>(size: u64, measured: impl Fn() -> M + Send + 'static) -> Self
    where
        M: Future<Output = Result<u64, Fault>> + Send,
    {
        let (tell, taken) = watch::channel(None);
        let looking = tokio::spawn(async move {
            loop {
                let begun = Instant::now();
                match timeout(SEEN_WITHIN, measured()).await {
                    Ok(Ok(bytes)) => drop(tell.send_replace(Some(bytes))),
                    Ok(Err(fault)) => tracing::warn!(%fault, "the jobs' folder could not be measured"),
                    Err(_) => tracing::warn!("the jobs' folder takes too long to be measured"),
                }
                sleep(pause(begun.elapsed())).await;
            }
        });
        Self { size, taken, looking }
    }

    /// Bytes that it holds, and may hold.
    pub(crate) fn taken(&self) -> Option<(u64, u64)> {
        self.taken.borrow().map(|taken| (taken, self.size))
    }

    /// Until it holds more than it may.
    pub(crate) async fn over(&mut self) {
        let size = self.size;
        if self.taken.wait_for(|taken| taken.is_some_and(|taken| taken > size)).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

fn pause(took: Duration) -> Duration {
    (took * PART).clamp(OFTEN, SELDOM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_takes_long_to_measure_is_measured_more_seldom() {
        let [quick, slow, slowest] = [1, 2_000, 100_000].map(|took| pause(Duration::from_millis(took)));
        assert_eq!((quick, slow, slowest), (OFTEN, Duration::from_secs(40), SELDOM));
    }
}
