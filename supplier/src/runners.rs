//! What runs as long as the program: followers and watchers. Each has a name, and one that breaks off is started again.

use std::time::Duration;

use ionet_core::{Event, Signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The last wait is for ever after.
const WAITS: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(60)];

/// One that ran for so long has not broken off at its start.
const RAN_WELL: Duration = Duration::from_secs(300);

/// Starts runners and hears of their breaks.
#[derive(Clone)]
pub struct Runners {
    events: mpsc::Sender<Event>,
}

/// Ends its runner when it is dropped.
#[must_use = "dropping it ends the runner"]
#[derive(Debug)]
pub struct Runner(Option<JoinHandle<()>>);

impl Drop for Runner {
    fn drop(&mut self) {
        if let Some(running) = &self.0 {
            running.abort();
        }
    }
}

impl Runner {
    /// It runs as long as the runtime.
    pub fn for_ever(mut self) {
        self.0 = None;
    }

    /// Returns when what it runs has ended by itself.
    pub async fn ended(mut self) {
        if let Some(running) = &mut self.0 {
            let _ = running.await;
        }
    }
}

impl Runners {
    pub fn new(events: mpsc::Sender<Event>) -> Self {
        Self { events }
    }

    /// Runs what `make` makes until that ends by itself. Where it breaks off, it is made anew after a wait that no two PCs
    /// have alike, and the core is told.
    pub fn start<F, R>(&self, name: &'static str, mut make: F) -> Runner
    where
        F: FnMut() -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let events = self.events.clone();
        Runner(Some(tokio::spawn(async move {
            let mut breaks = 0;
            loop {
                let began = tokio::time::Instant::now();
                let broke = AbortOnDrop(tokio::spawn(make())).await;
                if broke.is_ok() {
                    return;
                }
                breaks = if began.elapsed() > RAN_WELL { 1 } else { breaks + 1 };
                tracing::error!(name, breaks, "a part of the app broke off: it is started again");
                if events.send(Event::Signal(Signal::RunnerBroke { name })).await.is_err() {
                    return;
                }
                tokio::time::sleep(spread(WAITS[(breaks - 1).min(WAITS.len() - 1)])).await;
            }
        })))
    }
}

/// Four to six fifths of a wait, by chance: after an outage not all PCs come at once.
pub fn spread(wait: Duration) -> Duration {
    wait.mul_f32(0.8 + 0.4 * rand::random::<f32>())
}

/// A task whose end is that of whoever waits for it.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, tokio::task::JoinError>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.0).poll(context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_breaks_off_is_told_and_started_again_and_what_ends_is_not() {
        let (events, mut told) = mpsc::channel(8);
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = runs.clone();

        let runner = Runners::new(events).start("test", move || {
            let run = counted.fetch_add(1, Ordering::SeqCst);
            async move { assert!(run >= 2, "it breaks off") }
        });

        for _ in 0..2 {
            let told = told.recv().await;
            assert_eq!(told, Some(Event::Signal(Signal::RunnerBroke { name: "test" })));
        }
        assert_eq!(told.recv().await, None, "the third run ends, and with it the runner");
        assert_eq!(runs.load(Ordering::SeqCst), 3);
        drop(runner);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_started_again_goes_on_with_the_queue_of_its_last_life() {
        let (events, _told) = mpsc::channel(8);
        let (says, said) = mpsc::channel(8);
        let (hears, mut heard) = mpsc::channel(8);
        let said = Arc::new(tokio::sync::Mutex::new(said));
        let runner = Runners::new(events).start("test", move || {
            let (said, hears) = (said.clone(), hears.clone());
            async move {
                let mut said = said.lock().await;
                while let Some(word) = said.recv().await {
                    assert_ne!(word, "break", "it breaks off");
                    hears.send(word).await.unwrap();
                }
            }
        });

        for word in ["before", "break", "after"] {
            says.send(word).await.unwrap();
        }
        drop(says);

        assert_eq!((heard.recv().await, heard.recv().await), (Some("before"), Some("after")));
        runner.ended().await;
        assert_eq!(heard.recv().await, None);
    }

    #[tokio::test]
    async fn a_dropped_runner_ends_what_it_runs() {
        let (events, _told) = mpsc::channel(8);
        let (alive, mut ended) = mpsc::channel::<()>(1);
        let runner = Runners::new(events).start("test", move || {
            let alive = alive.clone();
            async move {
                let _alive = alive;
                std::future::pending().await
            }
        });

        drop(runner);

        assert_eq!(ended.recv().await, None);
    }

    #[test]
    fn no_wait_is_stretched_or_cut_by_more_than_a_fifth() {
        let wait = Duration::from_secs(10);

        for _ in 0..1_000 {
            let spread = spread(wait);
            assert!((8.0..=12.0).contains(&spread.as_secs_f32()), "{spread:?}");
        }
    }
}
