//! The one report on the logs, put together from those who know a part of it.

use std::io;

use ionet_core::event::LogReport;
use ionet_core::fault::LogFault;
use ionet_core::time::UnixMs;
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

use crate::roll::is_full;

pub(crate) struct Board {
    known: Mutex<Known>,
    report: watch::Sender<LogReport>,
}

#[derive(Default)]
struct Known {
    disk_full: bool,
    shipping: Option<LogFault>,
    last_shipped_at: Option<UnixMs>,
    waiting: u32,
}

impl Board {
    pub(crate) fn new() -> Self {
        Self { known: Mutex::default(), report: watch::Sender::new(LogReport::default()) }
    }

    pub(crate) fn report(&self) -> watch::Receiver<LogReport> {
        self.report.subscribe()
    }

    pub(crate) fn fault(&self) -> Option<LogFault> {
        self.report.borrow().fault.clone()
    }

    pub(crate) fn is_disk_full(&self) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).disk_full
    }

    /// How the last write went. Only a full disk is a fault that the owner can do something about.
    pub(crate) fn disk(&self, result: Result<(), &io::Error>) {
        match result {
            Ok(()) => self.change(|known| known.disk_full = false),
            Err(error) if is_full(error) => self.change(|known| known.disk_full = true),
            Err(_) => {}
        }
    }

    pub(crate) fn waiting(&self, files: usize) {
        self.change(|known| known.waiting = u32::try_from(files).unwrap_or(u32::MAX));
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
        let fault = if known.disk_full { Some(LogFault::DiskFull) } else { known.shipping.clone() };
        let report = LogReport { last_shipped_at: known.last_shipped_at, waiting: known.waiting, fault };
        self.report.send_if_modified(|shown| {
            let news = *shown != report;
            *shown = report;
            news
        });
    }
}
