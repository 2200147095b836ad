//! The connection to the resident program, kept up for as long as the window lives.

use std::time::Duration;

use ionet_core::snapshot::SCHEMA;
use ionet_core::{Intent, Phase, ProblemCode, Snapshot};
use ionet_wire::client::{Client, Update};
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

/// Nobody is there to ask.
#[derive(Debug, Serialize, specta::Type)]
pub(crate) struct NotConnected;

/// The page's end of the connection.
pub(crate) struct Link {
    view: watch::Receiver<View>,
    ask: mpsc::Sender<Ask>,
}

/// The connection itself; [`Connection::keep`] runs it.
pub(crate) struct Connection {
    meeting: Meeting,
    show: watch::Sender<View>,
    asked: mpsc::Receiver<Ask>,
}

enum Ask {
    Intent(Intent),
    Start,
}

pub(crate) fn link(meeting: Meeting) -> (Link, Connection) {
    let (show, view) = watch::channel(View::Connecting);
    let (ask, asked) = mpsc::channel(16);
    (Link { view, ask }, Connection { meeting, show, asked })
}

impl Link {
    pub(crate) fn view(&self) -> View {
        self.view.borrow().clone()
    }

    pub(crate) fn views(&self) -> watch::Receiver<View> {
        self.view.clone()
    }

    pub(crate) async fn send(&self, intent: Intent) -> Result<(), NotConnected> {
        if !matches!(*self.view.borrow(), View::Connected { .. }) {
            return Err(NotConnected);
        }
        self.ask.send(Ask::Intent(intent)).await.map_err(|_| NotConnected)
    }

    pub(crate) async fn start(&self) -> Result<(), NotConnected> {
        self.ask.send(Ask::Start).await.map_err(|_| NotConnected)
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
                ask = self.asked.recv() => match ask {
                    Some(Ask::Start) => {
                        may_start = true;
                        self.set(View::Connecting);
                    }
                    Some(Ask::Intent(_)) => {}
                    None => return,
                },
            }
        }
    }

    /// Shows what comes and passes on what is asked, until the connection is lost.
    async fn serve(&mut self, client: Client, raise: &impl Fn()) -> WireError {
        let (mut updates, asks) = client.split();
        loop {
            tokio::select! {
                update = updates.update() => match update {
                    Ok(Update::Snapshot(snapshot)) if snapshot.schema != SCHEMA => self.set(View::OtherVersion),
                    Ok(Update::Snapshot(snapshot)) => self.set(View::Connected { snapshot }),
                    Ok(Update::Raise) => raise(),
                    // Sent to a window that asks for them.
                    Ok(Update::Figures(_)) => {}
                    Err(lost) => return lost,
                },
                ask = self.asked.recv() => match ask {
                    Some(Ask::Intent(intent)) => if let Err(lost) = asks.send(intent).await {
                        return lost;
                    },
                    Some(Ask::Start) => {}
                    None => return WireError::Closed,
                },
            }
        }
    }

    fn after(&self, lost: &WireError) {
        let next = match (&*self.show.borrow(), lost) {
            (View::Connected { snapshot }, _) if snapshot.phase == Phase::Quitting => {
                View::Ended { clean: !left_something(snapshot) }
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

fn left_something(last: &Snapshot) -> bool {
    last.problems.iter().any(|problem| problem.code == ProblemCode::WorkStillThere)
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
        fn start(meeting: &Meeting) -> Self {
            let server = Server::bind(meeting).unwrap();
            let (snapshots, watcher) = watch::channel(view(&State::default()));
            let (asked, intents) = mpsc::channel(8);
            let windows = server.windows();
            let (figures, questions) = (watch::channel(None).1, mpsc::channel(1).0);
            tokio::spawn(server.serve(Served { snapshots: watcher, figures, intents: asked, questions }));
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

        fn meeting(&self) -> Meeting {
            Meeting::within(self.folder.path())
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
        let mut resident = Resident::start(&Meeting::within(folder.path()));
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

        let _resident = Resident::start(&window.meeting());

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
        let resident = Resident::start(&Meeting::within(folder.path()));
        let window = Window::open(folder, || Ok(()));
        window.shows(connected).await;

        drop(resident);
        window.shows(|view| matches!(view, View::Connecting)).await;
        let refused = window.link.send(Intent::Resume).await;
        let _successor = Resident::start(&window.meeting());

        window.shows(connected).await;
        assert!(refused.is_err());
        assert_eq!(*window.starts.borrow(), 0);
    }

    #[tokio::test]
    async fn after_a_quit_the_window_says_so_and_whether_something_was_left() {
        let folder = tempfile::tempdir().unwrap();
        let resident = Resident::start(&Meeting::within(folder.path()));
        let window = Window::open(folder, || Ok(()));
        resident.snapshots.send_modify(|snapshot| snapshot.phase = Phase::Quitting);
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
        let resident = Resident::start(&Meeting::within(folder.path()));
        let mut window = Window::open(folder, || Ok(()));
        window.shows(connected).await;

        resident.windows.raise();

        soon(window.raises.wait_for(|count| *count == 1)).await.unwrap();
    }
}
