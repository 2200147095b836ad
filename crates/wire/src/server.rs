//! The resident program's end.

use std::fs::File;
use std::path::Path;

use interprocess::local_socket::tokio::{Listener, Stream};
use interprocess::local_socket::traits::tokio::Listener as _;
use interprocess::local_socket::{GenericFilePath, ListenerOptions, ToFsName as _};
use ionet_core::{Intent, Snapshot};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::message::{FromResident, FromWatcher, Kind, Reader, Writer, read, same_protocol, split, write};
use crate::{PROTOCOL, WireError, peer};

/// The one listening end. Holding it is what makes a process the resident program.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    /// Locked while this program lives; the kernel lets go of it however the program ends.
    _alone: File,
    windows: Windows,
}

/// The windows that watch now.
#[derive(Debug, Clone)]
pub struct Windows {
    count: watch::Sender<usize>,
    raised: watch::Sender<()>,
}

impl Windows {
    /// How many windows watch; changes as they come and go.
    pub fn count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// Asks every open window to come to the front.
    pub fn raise(&self) {
        self.raised.send_replace(());
    }
}

#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("the app is already running")]
    AlreadyRunning,
    #[error("cannot listen at {0}: {1}")]
    Io(std::path::PathBuf, std::io::Error),
}

/// A watcher is shown the last snapshot well within this.
const LET_GO_WITHIN: std::time::Duration = std::time::Duration::from_secs(1);

impl Server {
    /// Becomes the resident program, or says that there is one. A socket left by a killed one is replaced.
    /// Must be called inside a tokio runtime.
    pub fn bind(socket: &Path) -> Result<Self, BindError> {
        let io = |error| BindError::Io(socket.to_owned(), error);
        let lock = File::create(socket.with_extension("lock")).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(BindError::AlreadyRunning),
            Err(std::fs::TryLockError::Error(error)) => return Err(io(error)),
        }
        // The lock is ours, so whatever lies here was left behind.
        match std::fs::remove_file(socket) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(io(error)),
        }
        let name = socket.to_fs_name::<GenericFilePath>().map_err(io)?;
        let listener = ListenerOptions::new().name(name).create_tokio().map_err(io)?;
        let windows = Windows { count: watch::Sender::new(0), raised: watch::Sender::new(()) };
        Ok(Self { listener, _alone: lock, windows })
    }

    pub fn windows(&self) -> Windows {
        self.windows.clone()
    }

    /// Serves every watcher until the snapshots' sender is gone, and returns when the watchers have been let go.
    /// `intents` gets what they ask for.
    pub async fn serve(self, snapshots: watch::Receiver<Snapshot>, intents: mpsc::Sender<Intent>) {
        let mut ended = snapshots.clone();
        let mut watchers = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok(stream) => {
                        let windows = self.windows.clone();
                        watchers.spawn(watcher(stream, snapshots.clone(), intents.clone(), windows));
                    }
                    Err(error) => tracing::warn!(%error, "a watcher could not be let in"),
                },
                Some(_) = watchers.join_next() => {}
                () = gone(&mut ended) => break,
            }
        }
        let all_gone = async { while watchers.join_next().await.is_some() {} };
        // One that hangs is dropped with the rest.
        let _ = tokio::time::timeout(LET_GO_WITHIN, all_gone).await;
    }
}

/// Returns when no further snapshot can come.
async fn gone(snapshots: &mut watch::Receiver<Snapshot>) {
    while snapshots.changed().await.is_ok() {}
}

async fn watcher(
    stream: Stream,
    snapshots: watch::Receiver<Snapshot>,
    intents: mpsc::Sender<Intent>,
    windows: Windows,
) {
    match converse(stream, snapshots, intents, windows).await {
        Ok(()) | Err(WireError::Closed) => {}
        Err(error) => tracing::warn!(%error, "a watcher was let go"),
    }
}

async fn converse(
    stream: Stream,
    snapshots: watch::Receiver<Snapshot>,
    intents: mpsc::Sender<Intent>,
    windows: Windows,
) -> Result<(), WireError> {
    peer::check(&stream)?;
    let (mut reader, mut writer) = split(stream);
    let version = env!("CARGO_PKG_VERSION").to_owned();
    write(&mut writer, &FromResident::Hello { protocol: PROTOCOL, pid: std::process::id(), version }).await?;
    let (pid, kind) = match read(&mut reader).await? {
        FromWatcher::Hello { protocol, pid, kind } => {
            same_protocol(protocol)?;
            (pid, kind)
        }
        FromWatcher::Intent { .. } => {
            return Err(WireError::NotAMessage("an intent before hello".to_owned()));
        }
    };
    let _open = Open::new(kind, &windows);
    log(kind, pid, "watches");
    let mut listening = std::pin::pin!(listen(&mut reader, intents));
    let outcome = tokio::select! {
        outcome = &mut listening => outcome,
        shown = show(&mut writer, snapshots, windows.raised.subscribe()) => match shown {
            // Whoever asks and leaves at once can be shown nothing, and is heard all the same.
            Err(_) => listening.await,
            Ok(()) => Ok(()),
        },
    };
    log(kind, pid, "is gone");
    outcome
}

fn log(kind: Kind, pid: u32, what: &str) {
    match kind {
        Kind::Window => tracing::info!(pid, "window {what}"),
        Kind::Command => tracing::debug!(pid, "command {what}"),
    }
}

/// Counts a window while it is open.
struct Open<'a>(Option<&'a Windows>);

impl<'a> Open<'a> {
    fn new(kind: Kind, windows: &'a Windows) -> Self {
        let counted = (kind == Kind::Window).then_some(windows);
        if let Some(windows) = counted {
            windows.count.send_modify(|count| *count += 1);
        }
        Self(counted)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if let Some(windows) = self.0 {
            windows.count.send_modify(|count| *count -= 1);
        }
    }
}

/// The snapshot of now, then each later one; those that come faster than they can be sent are skipped.
async fn show(
    writer: &mut Writer,
    mut snapshots: watch::Receiver<Snapshot>,
    mut raised: watch::Receiver<()>,
) -> Result<(), WireError> {
    snapshots.mark_changed();
    loop {
        tokio::select! {
            changed = snapshots.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                let snapshot = Box::new(snapshots.borrow_and_update().clone());
                write(writer, &FromResident::Snapshot(snapshot)).await?;
            }
            Ok(()) = raised.changed() => write(writer, &FromResident::Raise).await?,
        }
    }
}

async fn listen(reader: &mut Reader, intents: mpsc::Sender<Intent>) -> Result<(), WireError> {
    loop {
        if let FromWatcher::Intent { intent } = read(reader).await?
            && intents.send(intent).await.is_err()
        {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ionet_core::{State, view};
    use tokio::time::timeout;

    use super::*;
    use crate::client::{Client, Update};

    struct Resident {
        folder: tempfile::TempDir,
        snapshots: watch::Sender<Snapshot>,
        intents: mpsc::Receiver<Intent>,
        windows: Windows,
    }

    impl Resident {
        fn start() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let server = Server::bind(&folder.path().join("s.sock")).unwrap();
            let (snapshots, watcher) = watch::channel(view(&State::default()));
            let (asked, intents) = mpsc::channel(8);
            let windows = server.windows();
            tokio::spawn(server.serve(watcher, asked));
            Self { folder, snapshots, intents, windows }
        }

        async fn connect(&self, kind: Kind) -> Client {
            Client::connect(&self.folder.path().join("s.sock"), kind).await.unwrap()
        }
    }

    async fn soon<T>(future: impl Future<Output = T>) -> T {
        timeout(Duration::from_secs(10), future).await.expect("nothing came within 10 s")
    }

    #[tokio::test]
    async fn a_watcher_gets_the_snapshot_of_now_first_and_then_each_change() {
        let resident = Resident::start();
        let mut client = resident.connect(Kind::Window).await;

        let first = soon(client.next()).await.unwrap();
        resident.snapshots.send_modify(|snapshot| snapshot.rehearsal = true);
        let second = soon(client.next()).await.unwrap();

        assert!(!first.rehearsal);
        assert!(second.rehearsal);
    }

    #[tokio::test]
    async fn an_intent_arrives_as_it_was_sent() {
        let mut resident = Resident::start();
        let mut client = resident.connect(Kind::Command).await;

        client.send(Intent::Quit { confirmed: true }).await.unwrap();

        assert_eq!(soon(resident.intents.recv()).await, Some(Intent::Quit { confirmed: true }));
    }

    #[tokio::test]
    async fn an_intent_of_a_watcher_that_leaves_at_once_is_heard() {
        let mut resident = Resident::start();

        // Which of the two the resident program does first, showing or hearing, is not always the same.
        for _ in 0..20 {
            let mut client = resident.connect(Kind::Command).await;
            client.send(Intent::Retry).await.unwrap();
            drop(client);
            resident.snapshots.send_modify(|snapshot| snapshot.rehearsal = !snapshot.rehearsal);

            assert_eq!(soon(resident.intents.recv()).await, Some(Intent::Retry));
        }
    }

    #[tokio::test]
    async fn windows_are_counted_while_they_are_open_and_can_be_raised() {
        let resident = Resident::start();
        let mut count = resident.windows.count();
        let window = resident.connect(Kind::Window).await;
        soon(count.wait_for(|count| *count == 1)).await.unwrap();
        let (mut updates, asks) = window.split();
        assert!(matches!(soon(updates.update()).await.unwrap(), Update::Snapshot(_)));

        resident.windows.raise();
        let update = soon(updates.update()).await.unwrap();
        drop((updates, asks));

        assert_eq!(update, Update::Raise);
        soon(count.wait_for(|count| *count == 0)).await.unwrap();
    }

    #[tokio::test]
    async fn there_is_one_resident_program_and_a_killed_ones_socket_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s.sock");
        std::fs::write(&socket, "left behind").unwrap();

        let first = Server::bind(&socket).unwrap();
        let second = Server::bind(&socket);
        drop(first);
        let third = Server::bind(&socket);

        assert!(matches!(second, Err(BindError::AlreadyRunning)));
        assert!(third.is_ok());
    }

    #[tokio::test]
    async fn where_nobody_listens_that_is_said() {
        let folder = tempfile::tempdir().unwrap();

        let refused = Client::connect(&folder.path().join("s.sock"), Kind::Command).await.err();

        assert!(matches!(refused, Some(WireError::NobodyThere(_))));
    }
}
