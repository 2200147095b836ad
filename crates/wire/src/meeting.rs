//! Where the resident program and those who watch it find each other.
//!
//! One lock in the data folder decides who is the resident program. Where that listens is written beside the lock, so that
//! whoever knows the data folder finds it: a session's own folder for sockets is known to that session alone, and goes
//! when the user logs out.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ionet_private::socket::{Listener, Stream};
use ionet_private::{FileError, Lock, LockError, SocketError, SocketId, Trouble};

mod note;

/// A line in a small file.
const NOTE_WITHIN: Duration = Duration::from_secs(2);

/// The place to meet. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meeting {
    folder: PathBuf,
    /// Where a resident program listens, the best first.
    sockets: Vec<SocketId>,
}

#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("the app is already running")]
    AlreadyRunning,
    /// Two PCs with one home folder.
    #[error("the app runs on {0} already, with the same home folder: quit it there first")]
    OnAnotherPc(String),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("cannot listen anywhere: {0}")]
    NoSocket(SocketError),
}

impl Meeting {
    pub fn new(folder: &Path, sockets: Vec<SocketId>) -> Self {
        Self { folder: folder.to_owned(), sockets }
    }

    /// Lock, note and socket all in one folder.
    pub fn within(folder: &Path) -> Self {
        Self::new(folder, vec![SocketId::new(folder, "supplier.sock")])
    }

    /// Connects to where the note says, else to where it would listen. [`SocketError::NobodyThere`] when nobody is.
    pub(crate) async fn connect(&self) -> Result<Stream, SocketError> {
        let noted = self.noted().await;
        let usual = self.sockets.iter().filter(|socket| Some(*socket) != noted.as_ref()).cloned();
        let mut nobody = None;
        for socket in noted.iter().cloned().chain(usual) {
            match socket.connect().await {
                Err(SocketError::NobodyThere(at)) => nobody = nobody.or(Some(at)),
                // One that is too long is nobody's.
                Err(SocketError::TooLong(_)) => {}
                answered => return answered,
            }
        }
        Err(SocketError::NobodyThere(nobody.unwrap_or_else(|| SocketId::new(&self.folder, "supplier.sock"))))
    }

    /// Where the note says. A disk that hangs keeps nobody from an app that listens elsewhere.
    async fn noted(&self) -> Option<SocketId> {
        let note = self.note();
        let reading = tokio::task::spawn_blocking(move || note::read(&note));
        Some(tokio::time::timeout(NOTE_WITHIN, reading).await.ok()?.ok()??.socket)
    }

    /// Becomes the one resident program, or says that there is one.
    pub(crate) fn take(&self) -> Result<Lock, BindError> {
        let lock = match Lock::take(&self.folder.join("resident.lock")) {
            Ok(lock) => lock,
            Err(LockError::Held) => return Err(self.held()),
            Err(LockError::NoLocks(error)) => {
                tracing::warn!(%error, "the data folder keeps no locks");
                self.take_beside_socket(error)?
            }
            Err(LockError::File(error)) => return Err(error.into()),
        };
        // An older version has another lock, and somebody may have removed this one's file.
        let noted = note::read(&self.note()).map(|note| note.socket);
        let answered = self.sockets.iter().chain(&noted).any(SocketId::is_answered);
        if answered { Err(BindError::AlreadyRunning) } else { Ok(lock) }
    }

    /// Listens at the first place where that can be done, and writes down where.
    pub(crate) fn listen(&self, alone: &Lock) -> Result<Listener, BindError> {
        let mut refused = None;
        for socket in &self.sockets {
            match open(socket).map_err(into_socket_error).and_then(|()| socket.listen(alone)) {
                Ok(listener) => {
                    self.write_note(socket);
                    return Ok(listener);
                }
                Err(error) => {
                    tracing::debug!(%socket, %error, "cannot listen here");
                    refused.get_or_insert(error);
                }
            }
        }
        Err(BindError::NoSocket(
            refused.unwrap_or_else(|| SocketError::Io(std::io::ErrorKind::NotFound.into())),
        ))
    }

    /// The last deed of a resident program.
    pub(crate) fn leave(&self) {
        if let Err(error) = ionet_private::remove(&self.note()) {
            tracing::debug!(%error, "the note stays");
        }
    }

    /// Only a help for other sessions: the app works without it, on a full disk too.
    fn write_note(&self, socket: &SocketId) {
        let note = note::Note { pid: std::process::id(), host: host(), socket: socket.clone() };
        if let Err(error) = note::write(&self.note(), &note) {
            tracing::warn!(%error, "other sessions of this user may not find the app");
        }
    }

    fn note(&self) -> PathBuf {
        self.folder.join("resident.json")
    }

    fn held(&self) -> BindError {
        match note::read(&self.note()) {
            // A PC may get another name while the app runs.
            Some(note) if note.host != host() && !note.socket.is_answered() => {
                BindError::OnAnotherPc(note.host)
            }
            Some(_) | None => BindError::AlreadyRunning,
        }
    }

    fn take_beside_socket(&self, unlocked: FileError) -> Result<Lock, BindError> {
        for folder in self
            .sockets
            .iter()
            .filter_map(SocketId::folder)
            .filter(|folder| !folder.starts_with(&self.folder))
        {
            if ionet_private::folder(folder).is_err() {
                continue;
            }
            match Lock::take(&folder.join("resident.lock")) {
                Ok(lock) => return Ok(lock),
                Err(LockError::Held) => return Err(BindError::AlreadyRunning),
                Err(LockError::NoLocks(_) | LockError::File(_)) => {}
            }
        }
        Err(unlocked.into())
    }
}

/// Makes the socket's folder, but none above it: where a session's folder is gone, it is gone.
fn open(socket: &SocketId) -> Result<(), FileError> {
    let Some(folder) = socket.folder() else { return Ok(()) };
    if !socket.fits() {
        return Ok(());
    }
    if !folder.parent().is_some_and(Path::is_dir) {
        let error = std::io::ErrorKind::NotFound.into();
        return Err(FileError { path: folder.to_owned(), trouble: Trouble::Vanished, error });
    }
    closed(folder)
}

/// In a folder that everybody may write to, a stranger can have made this one, or put a link there.
#[cfg(unix)]
fn closed(folder: &Path) -> Result<(), FileError> {
    use std::os::unix::fs::MetadataExt as _;
    let ours = || match std::fs::symlink_metadata(folder) {
        Ok(found) => found.is_dir() && found.uid() == rustix::process::geteuid().as_raw(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    if ours() {
        ionet_private::folder(folder)?;
    }
    if ours() {
        return Ok(());
    }
    let error = std::io::ErrorKind::PermissionDenied.into();
    Err(FileError { path: folder.to_owned(), trouble: Trouble::Permission, error })
}

#[cfg(not(unix))]
fn closed(folder: &Path) -> Result<(), FileError> {
    ionet_private::folder(folder)
}

fn into_socket_error(error: FileError) -> SocketError {
    SocketError::Io(error.into())
}

/// Tells the PCs apart that share a home folder.
fn host() -> String {
    host_name().to_string_lossy().into_owned()
}

#[cfg(unix)]
fn host_name() -> OsString {
    use std::os::unix::ffi::OsStringExt as _;
    OsString::from_vec(rustix::system::uname().nodename().to_bytes().to_vec())
}

#[cfg(not(unix))]
fn host_name() -> OsString {
    std::env::var_os("COMPUTERNAME").unwrap_or_default()
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
