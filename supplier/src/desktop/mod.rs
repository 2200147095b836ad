//! What is asked of the desktop, and the one way to do without one.

mod notice;
pub mod tray;
pub mod window;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ionet_agent::OwnProgram;
use ionet_core::{Event, Intent, Signal, Snapshot};
use ionet_wire::server::Windows;
use tokio::sync::{mpsc, watch};

use crate::runners::Runners;

use crate::commands::say;

/// What a desktop shows, and what it asks by.
pub struct Shown {
    pub windows: Windows,
    pub snapshots: watch::Receiver<Snapshot>,
    pub intents: mpsc::Sender<Intent>,
}

/// The verbs. Nothing above this line knows a toolkit.
pub trait Desktop: Send + Sync {
    /// Opens a page in the owner's browser. True when some program took it, or does not say within a moment.
    fn open_page(&self, url: &str) -> bool;
    /// Shows the window, or brings the open one to the front.
    fn open_window(&self);
    /// Says something outside the window. Returns when the desktop has taken it, or will not.
    fn notify(&self, title: &str, body: &str);
}

/// A window that does not watch after so long has not come up.
const WINDOW_WITHIN: Duration = Duration::from_secs(2);

/// An opener that finds no browser says so well within this.
const OPENED_WITHIN: Duration = Duration::from_secs(5);

/// As desktops name it beside what it says.
const APP: &str = "io.net Supplier";

/// A desktop that hangs must not hold up the program's end.
const NOTIFIED_WITHIN: Duration = Duration::from_secs(2);

/// A desktop session: a browser, a window, and a tray item that lives as long as the program.
pub struct Session {
    windows: Windows,
    window: PathBuf,
    events: mpsc::Sender<Event>,
    /// When a window was last started: until it watches, a second wish is the same wish.
    started: Mutex<Option<Instant>>,
}

impl Session {
    pub fn start(program: &OwnProgram, shown: Shown, runners: &Runners, events: mpsc::Sender<Event>) -> Self {
        let Shown { windows, snapshots, intents } = shown;
        runners.start("tray", move || tray::run(snapshots.clone(), intents.clone())).for_ever();
        let window = program.beside(&window::file_name());
        Self { windows, window, events, started: Mutex::new(None) }
    }
}

impl Desktop for Session {
    fn open_page(&self, url: &str) -> bool {
        let (done, opened) = std::sync::mpsc::channel();
        let page = url.to_owned();
        // Some openers end only with the browser that they have started.
        std::thread::spawn(move || done.send(open::that(page)));
        match opened.recv_timeout(OPENED_WITHIN) {
            Ok(Ok(())) | Err(_) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, "no browser could be opened");
                false
            }
        }
    }

    fn open_window(&self) {
        if *self.windows.count().borrow() > 0 {
            self.windows.raise();
            return;
        }
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        if started.is_some_and(|at| at.elapsed() < WINDOW_WITHIN) {
            return;
        }
        *started = Some(Instant::now());
        let (failed, also_failed) = (self.events.clone(), self.events.clone());
        let tell = |events: mpsc::Sender<Event>| {
            let _ = events.blocking_send(Event::Signal(Signal::WindowFailed));
        };
        if let Err(error) = window::spawn(&self.window, move || tell(failed)) {
            tracing::warn!(%error, "the window could not be started");
            std::thread::spawn(move || tell(also_failed));
        }
    }

    fn notify(&self, title: &str, body: &str) {
        let (title, body) = (title.to_owned(), body.to_owned());
        let (done, shown) = std::sync::mpsc::channel();
        let runtime = tokio::runtime::Handle::current();
        // Asked by a thread of its own: waiting for it must not happen inside the runtime.
        std::thread::spawn(move || done.send(runtime.block_on(notice::show(APP, &title, &body))));
        match shown.recv_timeout(NOTIFIED_WITHIN) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "this desktop shows no notifications"),
            Err(_) => tracing::debug!("this desktop takes no notification in time"),
        }
    }
}

/// A machine without a desktop: a data centre's.
pub struct Headless;

impl Desktop for Headless {
    fn open_page(&self, _: &str) -> bool {
        false
    }

    fn open_window(&self) {
        tracing::info!("there is no desktop here to show a window on");
    }

    fn notify(&self, title: &str, body: &str) {
        if let Err(error) = say::line(format_args!("{title}. {body}")) {
            tracing::debug!(%error, "a notice could not be printed");
        }
    }
}
