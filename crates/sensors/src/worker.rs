//! One thread that owns what may hang: however often it is asked, no more than this one thread hangs with it.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Why there was no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// A question is not back, this one or an earlier one.
    Hangs,
    /// It broke off: a panic in what was asked.
    BrokeOff,
}

/// Questions to one `T`, asked one after the other on a thread of its own.
pub(crate) struct Worker<T> {
    questions: Mutex<Questions<T>>,
    progress: Arc<Progress>,
    patience: Duration,
    /// Closed when the thread has ended.
    ended: Mutex<Receiver<Infallible>>,
}

impl<T: 'static> Worker<T> {
    /// `make` makes the `T`, on the thread that owns it; once more after a panic.
    pub(crate) fn start(name: &str, patience: Duration, make: impl Fn() -> T + Send + 'static) -> Self {
        let (sender, queue) = mpsc::channel();
        let (alive, ended) = mpsc::channel();
        let progress = Arc::<Progress>::default();
        let told = progress.clone();
        let work = move || {
            work_off(&queue, &told, make);
            drop(alive);
        };
        if let Err(error) = std::thread::Builder::new().name(name.to_owned()).spawn(work) {
            tracing::error!(%error, name, "a thread cannot be started");
        }
        let questions = Mutex::new(Questions { sender, asked: 0 });
        Self { questions, progress, patience, ended: Mutex::new(ended) }
    }

    /// Blocks until the answer is there, for as long as the patience lasts. While an earlier question hangs the answer
    /// is [`Silence::Hangs`] at once; when that one comes back after all, the next is asked again.
    pub(crate) fn ask<A: Send + 'static>(
        &self,
        question: impl FnOnce(&mut T) -> A + Send + 'static,
    ) -> Result<A, Silence> {
        if self.progress.hangs() {
            return Err(Silence::Hangs);
        }
        let (answer, heard) = mpsc::sync_channel(1);
        let number = self.send(Box::new(move |owned| {
            // Whoever asked may have gone.
            let _ = answer.send(question(owned));
        }));
        match heard.recv_timeout(self.patience) {
            Ok(answer) => Ok(answer),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                self.progress.overdue.fetch_max(number, Ordering::SeqCst);
                Err(Silence::Hangs)
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(Silence::BrokeOff),
        }
    }

    fn send(&self, question: Question<T>) -> u64 {
        let mut questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        questions.asked += 1;
        // Without a thread the question is dropped, and that is its answer.
        let _ = questions.sender.send((questions.asked, question));
        questions.asked
    }
}

impl<T> Drop for Worker<T> {
    /// Waits until what it owned is gone, unless it hangs.
    fn drop(&mut self) {
        let questions = self.questions.get_mut().unwrap_or_else(PoisonError::into_inner);
        questions.sender = mpsc::channel().0;
        if !self.progress.hangs() {
            let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
            let _ = ended.recv_timeout(self.patience);
        }
    }
}

type Question<T> = Box<dyn FnOnce(&mut T) + Send>;

struct Questions<T> {
    sender: Sender<(u64, Question<T>)>,
    /// How many there were; each has its number.
    asked: u64,
}

#[derive(Default)]
struct Progress {
    /// The last question that is done with.
    done: AtomicU64,
    /// The last question for which somebody's patience ended.
    overdue: AtomicU64,
}

impl Progress {
    fn hangs(&self) -> bool {
        self.overdue.load(Ordering::SeqCst) > self.done.load(Ordering::SeqCst)
    }
}

fn work_off<T>(queue: &Receiver<(u64, Question<T>)>, progress: &Progress, make: impl Fn() -> T) {
    let mut owned = make();
    for (number, question) in queue {
        if catch_unwind(AssertUnwindSafe(|| question(&mut owned))).is_err() {
            // What is left of it may be in any state, and may panic again while it is let go.
            let left = std::mem::replace(&mut owned, make());
            let _ = catch_unwind(AssertUnwindSafe(|| drop(left)));
        }
        progress.done.store(number, Ordering::SeqCst);
    }
    let _ = catch_unwind(AssertUnwindSafe(|| drop(owned)));
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(60);

    fn counter(patience: Duration) -> Worker<u32> {
        Worker::start("counter", patience, || 0)
    }

    fn count(worker: &Worker<u32>) -> Result<u32, Silence> {
        worker.ask(|count| {
            *count += 1;
            *count
        })
    }

    #[test]
    fn while_one_question_hangs_no_other_is_asked_and_its_return_is_noticed() {
        let worker = counter(SOON);
        let (let_go, held) = mpsc::channel::<()>();
        assert_eq!(worker.ask(move |_| held.recv().is_ok()), Err(Silence::Hangs));

        let silent: Vec<_> = (0..1000).map(|_| count(&worker)).collect();

        assert!(silent.iter().all(|answer| *answer == Err(Silence::Hangs)));
        let_go.send(()).unwrap();
        while worker.progress.hangs() {
            std::thread::yield_now();
        }
        assert_eq!(worker.ask(|count| *count), Ok(0), "not one of the thousand waited in the queue");
    }

    #[test]
    fn a_panic_ends_one_question_and_starts_anew() {
        let worker = counter(LONG);
        assert_eq!(count(&worker), Ok(1));

        let broken = worker.ask(|_| {
            if true {
                panic!("as planned")
            }
        });

        assert_eq!(broken, Err(Silence::BrokeOff));
        assert_eq!(count(&worker), Ok(1));
    }

    #[test]
    fn letting_go_waits_for_what_it_owned_and_not_for_what_hangs() {
        struct Owned(mpsc::Sender<&'static str>);
        impl Drop for Owned {
            fn drop(&mut self) {
                let _ = self.0.send("gone");
            }
        }
        let (told, heard) = mpsc::channel();
        drop(Worker::start("owner", LONG, move || Owned(told.clone())));
        assert_eq!(heard.try_recv(), Ok("gone"));

        let worker = counter(SOON);
        let (let_go, held) = mpsc::channel::<()>();
        assert_eq!(worker.ask(move |_| held.recv().is_ok()), Err(Silence::Hangs));
        drop(worker);
        let_go.send(()).unwrap();
    }
}
