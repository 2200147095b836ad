//! The one report on the logs, put together from those who know a part of it.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use ionet_core::event::LogReport;
use ionet_core::fault::LogFault;
use ionet_core::time::{Bytes, UnixMs};
use tokio::sync::watch;

use crate::disk::{Watch, fault_of};
use crate::names::Clock;

pub(crate) struct Board {
    known: Mutex<Known>,
    report: watch::Sender<LogReport>,
    /// Over whoever writes the app's lines, and over whoever keeps house. Each notices when the other hangs.
    pub(crate) lines: Watch,
    pub(crate) house: Watch,
    hanging: AtomicBool,
}

/// Who writes. Each tells how its own last write went, and heals by its own next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer {
    Lines,
    House,
}

#[derive(Default)]
struct Known {
    lines: Option<LogFault>,
    house: Option<LogFault>,
    hangs: bool,
    shipping: Option<LogFault>,
    last_shipped_at: Option<UnixMs>,
    waiting: u32,
    left_out: u64,
    lost_lines: u64,
}

impl Board {
    pub(crate) fn new(clock: &Clock) -> Self {
        Self {
            known: Mutex::default(),
            report: watch::Sender::new(LogReport::default()),
            lines: Watch::new(clock.clone()),
            house: Watch::new(clock.clone()),
            hanging: AtomicBool::new(false),
        }
    }

    pub(crate) fn report(&self) -> watch::Receiver<LogReport> {
        self.report.subscribe()
    }

    pub(crate) fn fault(&self) -> Option<LogFault> {
        self.report.borrow().fault.clone()
    }

    /// Why nothing can be written, if so.
    pub(crate) fn disk_fault(&self) -> Option<LogFault> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.disk()
    }

    pub(crate) fn has_no_room(&self) -> bool {
        matches!(self.disk_fault(), Some(LogFault::DiskFull | LogFault::QuotaUsedUp))
    }

    pub(crate) fn disk(&self, writer: Writer, result: Result<(), &io::Error>) {
        let fault = result.err().map(fault_of);
        self.change(|known| match writer {
            Writer::Lines => known.lines = fault,
            Writer::House => known.house = fault,
        });
    }

    /// Asks whether one of the two threads waits for the disk in vain. Costs next to nothing: done with every line.
    pub(crate) fn look_for_hanging(&self) {
        let hangs = self.lines.hangs() || self.house.hangs();
        if self.hanging.swap(hangs, Ordering::Relaxed) != hangs {
            self.change(|known| known.hangs = hangs);
        }
    }

    pub(crate) fn waiting(&self, files: usize) {
        self.change(|known| known.waiting = u32::try_from(files).unwrap_or(u32::MAX));
    }

    pub(crate) fn left_out(&self, bytes: u64) {
        self.change(|known| known.left_out = known.left_out.saturating_add(bytes));
    }

    pub(crate) fn lost_lines(&self, lines: u64) {
        self.change(|known| known.lost_lines += lines);
    }

    pub(crate) fn shipped(&self, at: UnixMs) {
        self.change(|known| (known.last_shipped_at, known.shipping) = (Some(at), None));
    }

    pub(crate) fn not_shipped(&self, fault: LogFault) {
        self.change(|known| known.shipping = Some(fault));
    }

    fn change(&self, with: impl FnOnce(&mut Known)) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        with(&mut known);
        let report = LogReport {
            last_shipped_at: known.last_shipped_at,
            waiting: known.waiting,
            left_out: Bytes(known.left_out),
            lost_lines: u32::try_from(known.lost_lines).unwrap_or(u32::MAX),
            fault: known.disk().or_else(|| known.shipping.clone()),
        };
        self.report.send_if_modified(|shown| {
            let news = *shown != report;
            *shown = report;
            news
        });
    }
}

impl Known {
    fn disk(&self) -> Option<LogFault> {
        let hangs = self.hangs.then_some(LogFault::DiskHangs);
        hangs.or_else(|| self.lines.clone()).or_else(|| self.house.clone())
    }
}
