//! The tasks beside the requests: none of them ends before the gateway does. One that panics is started again, and for a
//! while the gateway says that it is not well.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;

/// Between a panic and the next start.
const PAUSE: Duration = Duration::from_secs(1);
/// For so long after a panic the gateway is not well.
const UNWELL: Duration = Duration::from_secs(60);

/// The last panic of any of them.
#[derive(Debug, Default)]
pub(crate) struct Panics(Mutex<Option<Instant>>);

impl Panics {
    pub(crate) fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether all of them have run for a while.
    pub(crate) fn are_over(&self, now: Instant) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_none_or(|at| now.duration_since(at) >= UNWELL)
    }
}

/// Runs a task until it ends of its own accord, which it does at shutdown, and starts it again whenever it panics.
/// `broken` is called at each panic.
pub(crate) async fn keep_running<F: Future<Output = ()>>(
    name: &str,
    shutdown: CancellationToken,
    run: impl Fn() -> F,
    broken: impl Fn(),
) {
    while let Err(panic) = AssertUnwindSafe(async { run().await }).catch_unwind().await {
        tracing::error!(
            task = name,
            panic = words(&*panic),
            "a task of the gateway broke; it is started again"
        );
        broken();
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let told = panic.downcast_ref::<String>().map(String::as_str);
    told.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no words")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_is_started_again_and_the_gateway_is_not_well_meanwhile() {
        let (begun, panics) = (AtomicUsize::new(0), Panics::default());
        let well_before = panics.are_over(Instant::now());

        let run = async || assert!(begun.fetch_add(1, Ordering::Relaxed) > 0, "at the first start");
        keep_running("test", CancellationToken::new(), run, || panics.note()).await;

        assert_eq!(begun.load(Ordering::Relaxed), 2);
        assert!(well_before && !panics.are_over(Instant::now()));
    }

    #[tokio::test]
    async fn a_broken_task_keeps_no_gateway_from_ending() {
        let shutdown = CancellationToken::new();

        keep_running("test", shutdown.clone(), async || panic!("always"), || shutdown.cancel()).await;
    }

    #[test]
    fn a_gateway_is_well_again_once_no_task_has_broken_for_a_minute() {
        let now = Instant::now();
        let panics = Panics(Mutex::new(Some(now)));

        assert!(!panics.are_over(now + UNWELL - Duration::from_millis(1)) && panics.are_over(now + UNWELL));
    }
}
