//! The connection to the resident program, kept up for as long as the window lives.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ionet_core::hardware::Figures;
use ionet_core::{Answer, Intent, Phase, Question, Refused, Snapshot};
use ionet_wire::client::{Asks, Client, Update};
use ionet_wire::message::Kind;
use ionet_wire::{Meeting, WireError};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

/// How often a missing resident program is looked for. A socket cannot be waited for before it exists.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What the page shows.
#[derive(Debug, Clone, Serialize, Deserialize, specta::Type, tauri_specta::Event)]
#[serde(tag = "link", rename_all = "snake_case")]
pub(crate) enum View {
    /// No resident program answers yet, or no longer.
    Connecting,
    /// The resident program could not be started.
    NotStarted {
        why: String,
    },
    /// Another version of the app runs: after an update, until it is started again.
    OtherVersion,
    Connected {
        snapshot: Box<Snapshot>,
    },
    /// The resident program ended because it was asked to.
    Ended {
        /// It left nothing running.
        clean: bool,
    },
}

/// Live figures as an update of their own: none while there are no live ones.
#[derive(Debug, Clone, Serialize, Deserialize, specta::Type, tauri_specta::Event)]
pub(crate) struct Live(pub(crate) Option<Figures>);

/// Nobody is there to ask.
#[derive(Debug, Serialize, specta::Type)]
pub(crate) struct NotConnected;

/// The page's end of the connection.
pub(crate) struct Link {
    view: watch::Receiver<View>,
    live: watch::Receiver<Option<Figures>>,
    /// While connected.
    asks: Arc<Mutex<Option<Asks>>>,
    start: mpsc::Sender<()>,
}

/// The connection itself; [`Connection::keep`] runs it.
pub(crate) struct Connection {
    meeting: Meeting,
    show: watch::Sender<View>,
    live: watch::Sender<Option<Figures>>,
    asks: Arc<Mutex<Option<Asks>>>,
    start: mpsc::Receiver<()>,
}

pub(crate) fn link(meeting: Meeting) -> (Link, Connection) {
    let (show, view) = watch::channel(View::Connecting);
    let (figures, live) = watch::channel(None);
    let (ask_start, start) = mpsc::channel(4);
    let asks = Arc::new(Mutex::new(None));
    let connection = Connection { meeting, show, live: figures, asks: asks.clone(), start };
    (Link { view, live, asks, start: ask_start }, connection)
}

impl Link {
    pub(crate) fn view(&self) -> View {
        self.view.borrow().clone()
    }

    pub(crate) fn views(&self) -> watch::Receiver<View> {
        self.view.clone()
    }

    pub(crate) fn live(&self) -> watch::Receiver<Option<Figures>> {
        self.live.clone()
    }

    pub(crate) async fn send(&self, intent: Intent) -> Result<(), NotConnected> {
        let asks = self.asks().ok_or(NotConnected)?;
        asks.send(intent).await.map_err(|_| NotConnected)
    }

    pub(crate) async fn ask(&self, question: Question) -> Result<Answer, Refused> {
        let asks = self.asks().ok_or(Refused::NoAnswer)?;
        asks.ask(question).await.map_err(|error| {
            if let WireError::Refused(refused) = error { refused } else { Refused::NoAnswer }
        })
    }

    pub(crate) async fn start(&self) -> Result<(), NotConnected> {
        self.start.send(()).await.map_err(|_| NotConnected)
    }

    fn asks(&self) -> Option<Asks> {
        self.asks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Connection {
    /// Connects, and again whenever the connection is lost, until the resident program has quit. Starts it once by
    /// itself, if none runs when the window opens; after that only when asked: it may have been ended on
    /// purpose. `raise` brings the window to the front.
    pub(crate) async fn keep(mut self, start: impl Fn() -> std::io::Result<()>, raise: impl Fn()) {
        let mut may_start = true;
        loop {
            match Client::connect(&self.meeting, Kind::Window).await {
                Ok(client) => {
                    may_start = false;
                    let lost = self.serve(client, &raise).await;
                    tracing::info!(%lost, "connection lost");
                    self.after(&lost);
                }
                Err(WireError::OtherProtocol { .. }) => self.set(View::OtherVersion),
                Err(WireError::NobodyThere(_)) if may_start => {
                    may_start = false;
                    if let Err(error) = start() {
                        self.set(View::NotStarted { why: error.to_string() });
                    }
                }
                Err(error) => tracing::debug!(%error, "not connected"),
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                asked = self.start.recv() => match asked {
                    Some(()) => {
                        may_start = true;
                        self.set(View::Connecting);
                    }
                    None => return,
                },
            }
        }
    }

    /// Shows what comes, until the connection is lost.
    async fn serve(&self, client: Client, raise: &impl Fn()) -> WireError {
        let (mut updates, asks) = client.split();
        if let Err(lost) = asks.want_figures(true).await {
            return lost;
        }
        self.may_ask(Some(asks));
        let lost = loop {
            match updates.update().await {
                Ok(Update::Snapshot(snapshot)) => self.set(View::Connected { snapshot }),
                Ok(Update::Figures(figures)) => drop(self.live.send_replace(figures)),
                Ok(Update::Raise) => raise(),
                Err(lost) => break lost,
            }
        };
        self.may_ask(None);
        self.live.send_replace(None);
        lost
    }

    fn may_ask(&self, asks: Option<Asks>) {
        *self.asks.lock().unwrap_or_else(PoisonError::into_inner) = asks;
    }

    fn after(&self, lost: &WireError) {
        let next = match (&*self.show.borrow(), lost) {
            (View::Connected { snapshot }, _) if snapshot.phase == Phase::Quitting => {
                View::Ended { clean: !snapshot.may_run }
            }
            (_, WireError::OtherProtocol { .. }) => View::OtherVersion,
            _ => View::Connecting,
        };
        self.set(next);
    }

    fn set(&self, view: View) {
        self.show.send_replace(view);
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use ionet_core::{State, view};
    use ionet_wire::server::{Served, Server, Windows};
    use tokio::time::timeout;

    use super::*;

    struct Resident {
        snapshots: watch::Sender<Snapshot>,
        intents: mpsc::Receiver<Intent>,
        windows: Windows,
    }

    impl Resident {
        fn start(folder: &tempfile::TempDir) -> Self {
            Self::serve(Server::bind(&Meeting::within(folder.path())).unwrap())
        }

        /// Where another one has just gone: its lock is free when its last task has ended.
        async fn succeed(folder: &tempfile::TempDir) -> Self {
            soon(async {
                loop {
                    match Server::bind(&Meeting::within(folder.path())) {
                        Ok(server) => return Self::serve(server),
                        Err(_) => tokio::task::yield_now().await,
                    }
                }
            })
            .await
        }

        fn serve(mut server: Server) -> Self {
            let (snapshots, watcher) = watch::channel(view(&State::default()));
            let (asked, intents) = mpsc::channel(8);
            let windows = server.windows();
            let (questions, _) = mpsc::channel(1);
            let figures = watch::channel(None).1;
            let served = Served { snapshots: watcher, figures, intents: asked, questions };
            tokio::spawn(async move { server.serve(served).await });
            Self { snapshots, intents, windows }
        }
    }

    /// A window's link over a folder of its own, with counts of how often a resident program was started and the
    /// window raised.
    struct Window {
        folder: tempfile::TempDir,
        link: Link,
        starts: watch::Receiver<usize>,
        raises: watch::Receiver<usize>,
    }

    impl Window {
        fn open(folder: tempfile::TempDir, started: fn() -> io::Result<()>) -> Self {
            let (link, connection) = link(Meeting::within(folder.path()));
            let (counted, starts) = watch::channel(0);
            let (raised, raises) = watch::channel(0);
            let start = move || {
                counted.send_modify(|count| *count += 1);
                started()
            };
            tokio::spawn(connection.keep(start, move || raised.send_modify(|count| *count += 1)));
            Self { folder, link, starts, raises }
        }

        async fn shows(&self, wanted: impl FnMut(&View) -> bool) -> View {
            soon(self.link.views().wait_for(wanted)).await.unwrap().clone()
        }
    }

    async fn soon<T>(future: impl Future<Output = T>) -> T {
        timeout(Duration::from_secs(10), future).await.expect("nothing came within 10 s")
    }

    fn connected(view: &View) -> bool {
        matches!(view, View::Connected { .. })
    }

    #[tokio::test]
    async fn the_page_is_shown_each_snapshot_and_its_intents_arrive() {
        let folder = tempfile::tempdir().unwrap();
        let mut resident = Resident::start(&folder);
        let window = Window::open(folder, || Ok(()));
        window.shows(connected).await;

        resident.snapshots.send_modify(|snapshot| snapshot.rehearsal = true);
        window.link.send(Intent::Resume).await.unwrap();

        window.shows(|view| matches!(view, View::Connected { snapshot } if snapshot.rehearsal)).await;
        assert_eq!(soon(resident.intents.recv()).await, Some(Intent::Resume));
        assert_eq!(*window.starts.borrow(), 0);
    }

    #[tokio::test]
    async fn a_missing_resident_program_is_started_once_and_then_waited_for() {
        let window = Window::open(tempfile::tempdir().unwrap(), || Ok(()));
        tokio::time::timeout(LOOK_AGAIN * 4, window.link.views().wait_for(connected)).await.unwrap_err();

        let _resident = Resident::start(&window.folder);

        window.shows(connected).await;
        assert_eq!(*window.starts.borrow(), 1);
    }

    #[tokio::test]
    async fn one_that_cannot_be_started_is_said_and_can_be_tried_again() {
        let mut window =
            Window::open(tempfile::tempdir().unwrap(), || Err(io::Error::other("no such program")));
        window.shows(|view| matches!(view, View::NotStarted { why } if why == "no such program")).await;

        window.link.start().await.unwrap();

        soon(window.starts.wait_for(|count| *count == 2)).await.unwrap();
        window.shows(|view| matches!(view, View::NotStarted { .. })).await;
    }

    #[tokio::test]
    async fn a_lost_connection_is_made_again_but_nothing_is_started() {
        let folder = tempfile::tempdir().unwrap();
        let resident = Resident::start(&folder);
        let window = Window::open(folder, || Ok(()));
        window.shows(connected).await;

        drop(resident);
        window.shows(|view| matches!(view, View::Connecting)).await;
        let refused = window.link.send(Intent::Resume).await;
        let _successor = Resident::succeed(&window.folder).await;

        window.shows(connected).await;
        assert!(refused.is_err());
        assert_eq!(*window.starts.borrow(), 0);
    }

    #[tokio::test]
    async fn after_a_quit_the_window_says_so_and_whether_something_was_left() {
        let folder = tempfile::tempdir().unwrap();
        let resident = Resident::start(&folder);
        let window = Window::open(folder, || Ok(()));
        resident.snapshots.send_modify(|snapshot| {
            snapshot.phase = Phase::Quitting;
            snapshot.may_run = false;
        });
        let quitting =
            |view: &View| matches!(view, View::Connected { snapshot } if snapshot.phase == Phase::Quitting);
        window.shows(quitting).await;

        drop(resident);

        window.shows(|view| matches!(view, View::Ended { clean: true })).await;
        assert_eq!(*window.starts.borrow(), 0);
    }

    #[tokio::test]
    async fn a_second_start_brings_the_window_to_the_front() {
        let folder = tempfile::tempdir().unwrap();
        let resident = Resident::start(&folder);
        let mut window = Window::open(folder, || Ok(()));
        window.shows(connected).await;

        resident.windows.raise();

        soon(window.raises.wait_for(|count| *count == 1)).await.unwrap();
    }
}
