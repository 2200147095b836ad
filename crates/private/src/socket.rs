//! A local socket of one user: a path on unix, a pipe's name on Windows. Both ends know that the other is the same user,
//! as far as the system says so.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;

use interprocess::local_socket::traits::tokio::{Listener as _, Stream as _};
use interprocess::local_socket::{GenericFilePath, ListenerOptions, ToFsName as _, tokio as local};

use crate::lock::Lock;

#[cfg(unix)]
#[path = "socket/unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "socket/windows.rs"]
mod platform;

pub use local::Stream;

/// Where a socket of this user's is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketId(std::path::PathBuf);

#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("nothing answers at {0}")]
    NobodyThere(SocketId),
    #[error("the other end belongs to another user of this PC")]
    WrongUser,
    #[error("{0} is too long for a socket")]
    TooLong(SocketId),
    #[error("something else lies at {0}")]
    Taken(SocketId),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl std::fmt::Display for SocketId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.display().fmt(f)
    }
}

impl SocketId {
    /// The socket of this name in this folder; on Windows a pipe whose name is made of both.
    pub fn new(folder: &Path, name: &str) -> Self {
        Self(platform::place(folder, name))
    }

    /// The folder that has to be there to listen; none for a pipe.
    pub fn folder(&self) -> Option<&Path> {
        platform::folder(&self.0)
    }

    /// Whether the system takes an address of this length.
    pub fn fits(&self) -> bool {
        platform::fits(&self.0)
    }

    /// The address as the system spells it, which need not be text.
    pub fn as_os_str(&self) -> &OsStr {
        self.0.as_os_str()
    }

    pub fn from_os_str(address: &OsStr) -> Self {
        Self(address.into())
    }

    /// Whether somebody listens there now, without waiting for a word of theirs.
    pub fn is_answered(&self) -> bool {
        platform::is_answered(&self.0)
    }

    /// Connects to whoever listens, if that is this user.
    pub async fn connect(&self) -> Result<Stream, SocketError> {
        if !self.fits() {
            return Err(SocketError::TooLong(self.clone()));
        }
        let name = self.0.as_path().to_fs_name::<GenericFilePath>()?;
        let stream = Stream::connect(name).await.map_err(|error| self.unreached(error))?;
        platform::check_listener(&stream)?;
        Ok(stream)
    }

    /// Listens as the only one. Whoever holds the lock of this place may: what lies there was left behind by a program
    /// that ended. Needs the folder to be there and closed, and a tokio runtime.
    pub fn listen(&self, _alone: &Lock) -> Result<Listener, SocketError> {
        if !self.fits() {
            return Err(SocketError::TooLong(self.clone()));
        }
        if !platform::clear(&self.0)? {
            return Err(SocketError::Taken(self.clone()));
        }
        let name = self.0.as_path().to_fs_name::<GenericFilePath>()?;
        let options = ListenerOptions::new().name(name).reclaim_name(false);
        let ears = platform::for_owner(options)?.create_tokio()?;
        Ok(Listener { ears, mark: Mark(platform::Mark::of(&self.0)?) })
    }

    fn unreached(&self, error: std::io::Error) -> SocketError {
        if error.kind() == ErrorKind::PermissionDenied {
            SocketError::WrongUser
        } else if matches!(
            error.kind(),
            ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotADirectory
        ) {
            SocketError::NobodyThere(self.clone())
        } else {
            error.into()
        }
    }
}

/// The listening end.
#[derive(Debug)]
pub struct Listener {
    ears: local::Listener,
    mark: Mark,
}

impl Listener {
    /// The next one of this user. [`SocketError::WrongUser`] for anybody else, who is let go. Safe to drop half-way.
    pub async fn accept(&self) -> Result<Stream, SocketError> {
        let stream = self.ears.accept().await?;
        platform::check_guest(&stream)?;
        Ok(stream)
    }

    /// What tells whether the socket can still be found.
    pub fn mark(&self) -> Mark {
        self.mark.clone()
    }
}

impl Drop for Listener {
    /// Leaves nothing behind, and another's socket alone that lies there by now.
    fn drop(&mut self) {
        self.mark.0.remove();
    }
}

/// A socket lives on when its file is gone, and nobody finds it any more: a runtime folder goes at the user's log-out.
#[derive(Debug, Clone)]
pub struct Mark(platform::Mark);

impl Mark {
    /// Blocks, as everything about files does.
    pub fn is_there(&self) -> bool {
        self.0.is_there()
    }
}

#[cfg(test)]
mod tests;
