//! The logs of this PC: kept small, redacted, compressed and shipped.
//!
//! ```text
//! LOGS/app/current.log               what the app writes now, JSON lines
//! LOGS/agent/current.log             what was taken over from the agent's own client.log
//! LOGS/jobs/<alloc>/<task>.stdout/   what was taken over from one job, byte for byte
//! LOGS/outbox/<stream>/<UTC time>-<seq>.log.gz   closed files that wait for their upload
//! LOGS/shipped/…                     the app's and the agent's uploaded files, as far as there is room
//! LOGS/follow.json                   how far foreign files have been read
//! ```
//!
//! A file is closed when it is full or old, compressed in the background, moved into the outbox by one rename, and
//! leaves it only after the store has said yes. A disk that is full, fails or hangs costs lines, which are counted; it
//! never stops the app, nor makes it wait.

mod app;
mod board;
mod book;
mod disk;
mod keeper;
mod looks;
mod names;
mod outbox;
mod pace;
#[cfg_attr(unix, path = "platform/unix.rs")]
#[cfg_attr(not(unix), path = "platform/other.rs")]
mod platform;
mod queue;
mod roll;
mod ship;
mod tail;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ionet_core::event::LogReport;
use tokio::sync::watch;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, fmt};

use crate::app::{Printed, onto_console};
use crate::book::Book;
use crate::keeper::Keeper;
use crate::names::Clock;
use crate::queue::Writing;
use crate::tail::Stop;

pub use ionet_foreign::Door;
pub use pace::LONGEST_REST;
pub use ship::{Object, Shipper, Store, backoff};
pub use tail::Sources;

/// The environment variable with which a person asks for more lines, in `tracing`'s own words (`debug`, `hyper=trace`).
pub const FILTER: &str = "IONET_LOG";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A file is closed before it grows beyond this. One line, or one piece of a job's output, may exceed it.
    pub max_file_bytes: u64,
    /// A file is closed when its first line is older than this.
    pub max_age: Duration,
    /// All closed files together. Beyond it shipped ones go first. Of what still waits, jobs have a half at the most and
    /// the agent a quarter, so that neither pushes out what the app itself says; in an hour no more is taken over of all
    /// jobs than that half, and of one log an eighth.
    pub max_total_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_file_bytes: 4 << 20, max_age: Duration::from_secs(15 * 60), max_total_bytes: 512 << 20 }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the log folder {} cannot be used", path.display())]
pub struct CannotOpen {
    pub path: PathBuf,
    pub source: std::io::Error,
}

/// The open logbook. Dropping it writes out what is queued and stops its threads; files stay where they are and are
/// taken up by the next one.
#[must_use]
pub struct Logbook {
    book: Arc<Book>,
    _keeper: Keeper,
    _writing: Writing,
    console: Mutex<Option<Writing>>,
}

impl Logbook {
    /// Opens the logs in `dir`, makes what is missing, and closes the file that an earlier life left open.
    ///
    /// # Errors
    /// When the folders can neither be found nor made.
    pub fn open(dir: &Path, limits: Limits) -> Result<Self, CannotOpen> {
        Self::open_by(dir, limits, Clock::system())
    }

    fn open_by(dir: &Path, limits: Limits, clock: Clock) -> Result<Self, CannotOpen> {
        let cannot = |source| CannotOpen { path: dir.to_owned(), source };
        let (book, writing) = Book::open(dir, limits, clock).map_err(cannot)?;
        let book = Arc::new(book);
        let keeper = Keeper::start(&book).map_err(cannot)?;
        Ok(Self { book, _keeper: keeper, _writing: writing, console: Mutex::new(None) })
    }

    /// Makes this logbook the program's one subscriber: JSON lines into `app/`, and with `stdout` also, redacted in the
    /// same way, to standard output. Neither can hold the program up.
    ///
    /// # Errors
    /// When the program has a subscriber already.
    pub fn init(&self, stdout: bool) -> Result<(), TryInitError> {
        let filter = filter(std::env::var(FILTER).ok().as_deref());
        let console = stdout.then(onto_console).and_then(Result::ok).map(|(lines, writing)| {
            *self.console.lock().unwrap_or_else(PoisonError::into_inner) = Some(writing);
            fmt::layer().json().flatten_event(true).with_writer(lines)
        });
        tracing_subscriber::registry().with(filter).with(self.layer()).with(console).try_init()
    }

    /// The layer alone, for a subscriber put together elsewhere.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + 'static + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let lines: Printed = self.book.printed();
        fmt::layer().json().flatten_event(true).with_writer(lines)
    }

    /// From now on takes over what the agent and its jobs write, within seconds, where it was left off.
    pub fn follow(&self, sources: Sources) {
        self.book.follow(sources);
    }

    /// Takes over what is there now, before somebody removes it: as far as one turn goes. Waits for the disk.
    pub fn take_over(&self) {
        self.book.turn(&Stop::default());
    }

    /// What ships the outbox into `store`. One is enough.
    pub fn shipper<S: Store>(&self, store: S) -> Shipper<S> {
        Shipper::new(self.book.clone(), store)
    }

    /// How shipping goes; the newest report is always there.
    pub fn report(&self) -> watch::Receiver<LogReport> {
        self.book.report()
    }
}

/// Which lines are kept; the usual ones where what is asked for cannot be read. Of `EnvFilter`'s words it takes those without
/// spans and fields, and so needs no engine for patterns, which takes half a megabyte.
fn filter(asked: Option<&str>) -> Targets {
    let usual = || Targets::new().with_default(LevelFilter::INFO);
    asked.filter(|words| !words.is_empty()).and_then(|words| words.parse().ok()).unwrap_or_else(usual)
}

#[cfg(test)]
mod tests;
