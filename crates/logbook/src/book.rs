//! What the logbook's parts share, and the thread that keeps house: follows foreign logs, closes old files, packs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, UNIX_EPOCH};

use ionet_core::event::LogReport;
use ionet_core::time::UnixMs;
use tokio::sync::{Notify, watch};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

use crate::Limits;
use crate::app::{Lines, Marks, Printed, Sink};
use crate::board::Board;
use crate::names::{Clock, Names};
use crate::outbox::Outbox;
use crate::roll::Roll;
use crate::tail::{Follow, Sources};

const TICK: Duration = Duration::from_secs(1);
/// How long closing waits for lines that are still queued.
const QUEUE: Duration = Duration::from_secs(2);

pub(crate) struct Book {
    logs: PathBuf,
    limits: Limits,
    clock: Clock,
    names: Arc<Names>,
    lines: Arc<Mutex<Lines>>,
    queue: NonBlocking,
    marks: Arc<Marks>,
    next_mark: AtomicU64,
    /// One at a time keeps house.
    house: Mutex<House>,
    pub(crate) outbox: Outbox,
    pub(crate) board: Arc<Board>,
    /// Something was packed.
    pub(crate) packed: Notify,
}

struct House {
    follow: Option<Follow>,
    queue_losses: ErrorCounter,
    queue_losses_seen: usize,
}

impl Book {
    pub(crate) fn open(logs: &Path, limits: Limits, clock: Clock) -> io::Result<(Self, WorkerGuard)> {
        let outbox = Outbox::new(logs, limits.max_total_bytes)?;
        let names = Arc::new(Names::new(clock.clone()));
        let board = Arc::new(Board::new());
        let roll = Roll::new(logs.join("app"), names.clone(), limits);
        let lines = Arc::new(Mutex::new(Lines::new(roll, clock.clone(), board.clone())?));
        let marks = Arc::<Marks>::default();
        let sink = Sink { lines: lines.clone(), marks: marks.clone() };
        let (queue, guard) = NonBlockingBuilder::default().thread_name("logbook-lines").finish(sink);
        let house = House { follow: None, queue_losses: queue.error_counter(), queue_losses_seen: 0 };
        let book = Self {
            logs: logs.to_owned(),
            limits,
            clock,
            names,
            lines,
            queue,
            marks,
            next_mark: AtomicU64::new(1),
            house: Mutex::new(house),
            outbox,
            board,
            packed: Notify::new(),
        };
        Ok((book, guard))
    }

    pub(crate) fn printed(&self) -> Printed {
        self.queue.clone()
    }

    pub(crate) fn report(&self) -> watch::Receiver<LogReport> {
        self.board.report()
    }

    pub(crate) fn now_ms(&self) -> UnixMs {
        let since = self.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    pub(crate) fn follow(&self, sources: Sources) {
        let follow =
            Follow::new(sources, self.logs.clone(), self.names.clone(), self.limits, self.clock.clone());
        self.house().follow = Some(follow);
    }

    /// Once a second: takes over what others wrote, closes what is old, packs what is closed. True when there is more to
    /// take over at once.
    pub(crate) fn tick(&self) -> bool {
        let mut house = self.house();
        let more = house.follow.as_mut().is_some_and(|follow| {
            let polled = follow.poll();
            self.note("follow", polled.as_ref().map(|_| ()));
            polled.unwrap_or_default()
        });
        let lost = house.queue_losses.dropped_lines();
        let mut lines = self.lines();
        lines.add_lost((lost - house.queue_losses_seen) as u64);
        house.queue_losses_seen = lost;
        let closed = lines.close_if_old();
        drop(lines);
        self.note("close", closed.as_ref().copied());
        self.pack();
        more
    }

    /// Closes and packs everything, so that it can be shipped now.
    pub(crate) fn close(&self) {
        self.drain();
        let mut house = self.house();
        if let Some(follow) = house.follow.as_mut() {
            while follow.poll().unwrap_or_default() {}
            let closed = follow.close();
            self.note("close", closed.as_ref().copied());
        }
        let closed = self.lines().close();
        self.note("close", closed.as_ref().copied());
        self.pack();
    }

    /// Waits until the lines that are queued now have been written.
    pub(crate) fn drain(&self) {
        self.marks.wait(self.queue.clone(), self.next_mark.fetch_add(1, Ordering::Relaxed), QUEUE);
    }

    fn pack(&self) {
        if self.board.is_disk_full() {
            self.outbox.forget_shipped();
        }
        let packed = self.outbox.pack();
        let done = packed.as_ref().copied().unwrap_or_default();
        self.note("pack", packed.as_ref().map(|_| ()));
        let lost = self.outbox.trim();
        if lost.files > 0 {
            tracing::warn!(
                files = lost.files,
                bytes = lost.bytes,
                "logs were deleted unshipped to stay within the limit"
            );
        }
        self.board.waiting(self.outbox.waiting().len());
        if done > 0 {
            self.board.disk(Ok(()));
            self.packed.notify_one();
        }
    }

    /// A full disk goes on the board; anything else is worth a line, which may well find its way.
    fn note(&self, what: &'static str, result: Result<(), &io::Error>) {
        if let Err(error) = result {
            self.board.disk(Err(error));
            tracing::debug!(what, %error, "housekeeping of the logs failed");
        }
    }

    fn house(&self) -> MutexGuard<'_, House> {
        self.house.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that keeps house. Dropping it ends the thread.
pub(crate) struct Keeper {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    pub(crate) fn start(book: &Arc<Book>) -> Self {
        let book = book.clone();
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = std::thread::Builder::new().name("logbook-keeper".to_owned()).spawn(move || {
            let mut wait = TICK;
            while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                wait = if book.tick() { Duration::ZERO } else { TICK };
            }
        });
        Self { stop: Some(stop), thread: thread.ok() }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
