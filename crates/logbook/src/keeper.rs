//! The thread that keeps house.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::book::Book;
use crate::pace::{Pace, SHORTEST, Went};
use crate::tail::Stop;

/// How long ending waits for a disk that may hang.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// The running thread. Dropping it ends it.
pub(crate) struct Keeper {
    stop: Arc<Stop>,
    /// Closing it wakes the thread.
    wake: Option<mpsc::Sender<()>>,
    ended: Mutex<mpsc::Receiver<()>>,
}

impl Keeper {
    pub(crate) fn start(book: &Arc<Book>) -> std::io::Result<Self> {
        let (book, stop) = (book.clone(), Arc::<Stop>::default());
        let (wake, woken) = mpsc::channel::<()>();
        let (end, ended) = mpsc::channel();
        let asked = stop.clone();
        std::thread::Builder::new().name("logbook-keeper".to_owned()).stack_size(512 << 10).spawn(
            move || {
                let mut pace = Pace::new();
                let mut rest = SHORTEST;
                while woken.recv_timeout(rest) == Err(RecvTimeoutError::Timeout) {
                    let begun = Instant::now();
                    let went = catch_unwind(AssertUnwindSafe(|| book.turn(&asked))).unwrap_or_else(|_| {
                        tracing::error!("a turn of the logs' housekeeping broke off");
                        Went::Failed
                    });
                    rest = pace.after(went, begun.elapsed());
                }
                drop(end);
            },
        )?;
        Ok(Self { stop, wake: Some(wake), ended: Mutex::new(ended) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.ask();
        self.wake = None;
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = ended.recv_timeout(LAST_WAIT);
    }
}
