//! What is asked of the desktop, and the one way to do without one.

pub mod tray;
pub mod window;

use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ionet_core::{Intent, Snapshot};
use tokio::sync::{mpsc, watch};

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

/// A desktop that hangs must not hold up the program's end.
const NOTIFIED_WITHIN: Duration = Duration::from_secs(2);

/// A desktop session: a browser, a window, and a tray item that lives as long as the runtime.
pub struct Session {
    windows: ionet_wire::server::Windows,
    /// When a window was last started: until it watches, a second wish is the same wish.
    started: Mutex<Option<Instant>>,
}

impl Session {
    pub fn start(
        windows: ionet_wire::server::Windows,
        snapshots: watch::Receiver<Snapshot>,
        intents: mpsc::Sender<Intent>,
    ) -> Self {
        tokio::spawn(tray::run(snapshots, intents));
        Self { windows, started: Mutex::new(None) }
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
        if let Err(error) = window::spawn() {
            tracing::warn!(%error, "the window could not be started");
        }
    }

    fn notify(&self, title: &str, body: &str) {
        let mut said = notify_rust::Notification::new();
        said.appname("io.net Supplier").summary(title).body(body);
        let (done, shown) = std::sync::mpsc::channel();
        // Asked by a thread of its own: the call blocks, and must not do so inside the runtime.
        std::thread::spawn(move || done.send(said.show().map(drop)));
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
        // Whoever read our output may have left.
        let _ = writeln!(std::io::stdout(), "{title}. {body}");
    }
}
