//! What the logbook's parts share, and what keeping house means: following foreign logs, closing old files, packing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use ionet_core::event::LogReport;
use ionet_core::time::UnixMs;
use tokio::sync::{Notify, watch};

use crate::Limits;
use crate::app::{Lines, Printed, into_file};
use crate::board::{Board, Writer};
use crate::looks::Looks;
use crate::names::{Clock, Names};
use crate::outbox::{Lost, Outbox};
use crate::pace::Went;
use crate::queue::{Queue, Writing};
use crate::roll::Roll;
use crate::tail::{Follow, Followed, Kit, Sources, Stop};

/// How long closing waits for lines that are still queued.
const QUEUE: Duration = Duration::from_secs(2);
/// Closing takes over no more than so many turns, and no longer than this; the rest is there at the next start.
const CLOSING_TURNS: u32 = 16;
const CLOSING: Duration = Duration::from_secs(5);
/// Between two tries to get at what another thread holds.
const AGAIN: Duration = Duration::from_millis(10);

pub(crate) struct Book {
    logs: PathBuf,
    limits: Limits,
    pub(crate) clock: Clock,
    names: Arc<Names>,
    lines: Arc<Mutex<Lines>>,
    queue: Queue,
    /// One at a time keeps house.
    house: Mutex<House>,
    pub(crate) outbox: Outbox,
    pub(crate) board: Arc<Board>,
    /// Something was packed.
    pub(crate) packed: Notify,
    pub(crate) looks: Looks,
}

#[derive(Default)]
struct House {
    follow: Option<Follow>,
    /// So many names had been given when everything was packed; `None` at the start, when files may have been left.
    packed_upto: Option<u64>,
    /// A try to pack has failed for want of room.
    had_no_room: bool,
}

impl Book {
    pub(crate) fn open(logs: &Path, limits: Limits, clock: Clock) -> io::Result<(Self, Writing)> {
        ionet_private::folder(logs)?;
        let looks = Looks::default();
        let outbox = Outbox::new(logs, limits.max_total_bytes, looks.clone());
        let names = Arc::new(Names::new(clock.clone(), outbox.last_number()));
        let board = Arc::new(Board::new(&clock));
        board.waiting(outbox.count());
        let roll = Roll::new(logs.join("app"), names.clone(), clock.clone(), limits);
        let lines = Arc::new(Mutex::new(Lines::new(roll, clock.clone(), board.clone())));
        let (queue, writing) = into_file(&lines, &board)?;
        let house = Mutex::default();
        let packed = Notify::new();
        let logs = logs.to_owned();
        Ok((Self { logs, limits, clock, names, lines, queue, house, outbox, board, packed, looks }, writing))
    }

    pub(crate) fn printed(&self) -> Printed {
        Printed { queue: self.queue.clone(), board: self.board.clone() }
    }

    pub(crate) fn report(&self) -> watch::Receiver<LogReport> {
        self.board.report()
    }

    pub(crate) fn now_ms(&self) -> UnixMs {
        let since = self.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    pub(crate) fn follow(&self, sources: Sources) {
        let kit = Kit::new(
            self.logs.clone(),
            self.names.clone(),
            self.limits,
            self.clock.clone(),
            self.board.clone(),
        );
        self.house().follow = Some(Follow::new(sources, kit, self.looks.clone()));
    }

    /// Takes over what others wrote, closes what is old, packs what is closed: as far as one turn goes.
    pub(crate) fn turn(&self, stop: &Stop) -> Went {
        let mut house = self.house();
        let went = self.board.house.over(|| self.keep(&mut house, stop));
        self.board.look_for_hanging();
        went
    }

    /// Closes and packs everything, so that it can be shipped now. Bounded in bytes and time; leaves off when asked.
    pub(crate) fn close_unless(&self, stop: &Stop) {
        self.drain();
        let Some(mut house) = unless(stop, CLOSING, || self.house.try_lock()) else { return };
        let begun = self.clock.elapsed();
        self.board.house.over(|| {
            for _ in 0..CLOSING_TURNS {
                let late = self.clock.elapsed().saturating_sub(begun) >= CLOSING;
                if self.keep(&mut house, stop) != Went::More || late || stop.is_asked() {
                    break;
                }
            }
            let followed = house.follow.as_mut().map_or(Ok(()), Follow::close);
            let closed =
                unless(stop, QUEUE, || self.lines.try_lock()).map_or(Ok(()), |mut lines| lines.close());
            let packed = self.pack(&mut house, stop).map(|_| ());
            self.tell(&followed.and(closed).and(packed));
        });
        self.board.look_for_hanging();
    }

    /// Waits until the lines that are queued now have been written, but not for a disk that hangs.
    pub(crate) fn drain(&self) {
        self.queue.wait(QUEUE);
    }

    fn keep(&self, house: &mut House, stop: &Stop) -> Went {
        let followed = house.follow.as_mut().map_or(Ok(Followed::default()), |follow| follow.poll(stop));
        // Whoever writes lines may hang; their turn comes again.
        let closed = match self.lines.try_lock() {
            Ok(mut lines) => lines.close_if_old(),
            Err(TryLockError::Poisoned(lines)) => lines.into_inner().close_if_old(),
            Err(TryLockError::WouldBlock) => Ok(()),
        };
        let packed = self.pack(house, stop);
        let more = followed.as_ref().is_ok_and(|followed| followed.more);
        let news = followed.as_ref().is_ok_and(|followed| followed.news)
            || packed.as_ref().is_ok_and(|packed| *packed > 0);
        let failed = self.tell(&followed.map(|_| ()).and(closed).and(packed.map(|_| ())));
        match (failed, more, news) {
            (true, ..) => Went::Failed,
            (false, true, _) => Went::More,
            (false, false, true) => Went::News,
            (false, false, false) => Went::Nothing,
        }
    }

    /// Only when something was closed since the last time; on a full disk nothing can be, and copies go all the same.
    fn pack(&self, house: &mut House, stop: &Stop) -> io::Result<u32> {
        if self.board.has_no_room() {
            self.outbox.forget_shipped();
        }
        let upto = self.names.given();
        if house.packed_upto == Some(upto) {
            return Ok(0);
        }
        let packed = self.outbox.pack(stop);
        let mut lost = self.make_room(house, packed.as_ref().err());
        let trimmed = self.outbox.trim();
        lost = Lost { files: lost.files + trimmed.files, bytes: lost.bytes + trimmed.bytes };
        if lost.files > 0 {
            self.board.left_out(lost.bytes);
            tracing::warn!(
                files = lost.files,
                bytes = lost.bytes,
                "logs were deleted unshipped to stay within the limit"
            );
        }
        self.board.waiting(self.outbox.count());
        if packed.is_ok() {
            house.packed_upto = Some(upto);
        }
        if packed.as_ref().is_ok_and(|packed| *packed > 0) {
            self.packed.notify_one();
        }
        packed
    }

    /// First the copies go; where that was not enough, jobs' raw files.
    fn make_room(&self, house: &mut House, error: Option<&io::Error>) -> Lost {
        let no_room = error.is_some_and(|error| {
            matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        });
        let again = std::mem::replace(&mut house.had_no_room, no_room);
        if no_room {
            self.outbox.forget_shipped();
        }
        if no_room && again { self.outbox.forget_raw() } else { Lost::default() }
    }

    /// A disk that fails goes on the board; it is worth a line too, which may well find its way. True when it failed.
    fn tell(&self, result: &io::Result<()>) -> bool {
        let failure = result.as_ref().err().filter(|error| {
            // Asked to leave off, or files that were renamed meanwhile: the next turn sees to it.
            !matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
        });
        if let Some(error) = failure {
            tracing::debug!(%error, "housekeeping of the logs failed");
        }
        self.board.disk(Writer::House, failure.map_or(Ok(()), Err));
        failure.is_some()
    }

    fn house(&self) -> MutexGuard<'_, House> {
        self.house.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gets at what another thread holds, unless asked to leave off first or it takes too long.
fn unless<'a, T>(
    stop: &Stop,
    limit: Duration,
    get: impl Fn() -> Result<MutexGuard<'a, T>, TryLockError<MutexGuard<'a, T>>>,
) -> Option<MutexGuard<'a, T>> {
    let begun = Instant::now();
    loop {
        match get() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(guard)) => return Some(guard.into_inner()),
            Err(TryLockError::WouldBlock) if stop.is_asked() || begun.elapsed() >= limit => return None,
            Err(TryLockError::WouldBlock) => std::thread::sleep(AGAIN),
        }
    }
}
