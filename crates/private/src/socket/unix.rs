use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use interprocess::local_socket::traits::StreamCommon as _;
use interprocess::local_socket::{ListenerOptions, tokio::Stream};
use rustix::io::Errno;

use super::SocketError;

/// `sun_path` holds 104 bytes on macOS with its closing zero, 108 on Linux.
const LONGEST: usize = 103;

pub(super) fn place(folder: &Path, name: &str) -> PathBuf {
    folder.join(name)
}

pub(super) fn folder(path: &Path) -> Option<&Path> {
    path.parent()
}

pub(super) fn fits(path: &Path) -> bool {
    path.as_os_str().len() <= LONGEST
}

/// A full queue of those who wait to be let in is an answer too.
pub(super) fn is_answered(path: &Path) -> bool {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, connect, socket};
    let tried = || {
        let ours = socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        connect(&ours, &SocketAddrUnix::new(path)?)
    };
    matches!(tried(), Ok(()) | Err(Errno::AGAIN | Errno::INPROGRESS))
}

/// Removes what was left behind. False where it is nothing that a socket leaves behind.
pub(super) fn clear(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() || found.is_file() || found.is_symlink() => {
            fs::remove_file(path).map(|()| true)
        }
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// The folder is closed to others.
pub(super) fn for_owner(options: ListenerOptions<'_>) -> io::Result<ListenerOptions<'_>> {
    Ok(options)
}

pub(super) fn check_listener(stream: &Stream) -> Result<(), SocketError> {
    check(stream)
}

pub(super) fn check_guest(stream: &Stream) -> Result<(), SocketError> {
    check(stream)
}

fn check(stream: &Stream) -> Result<(), SocketError> {
    same_user(stream.peer_creds()?.euid(), rustix::process::geteuid().as_raw())
}

/// Whoever cannot be told is somebody else.
fn same_user(theirs: Option<u32>, ours: u32) -> Result<(), SocketError> {
    if theirs == Some(ours) { Ok(()) } else { Err(SocketError::WrongUser) }
}

#[derive(Debug, Clone)]
pub(super) struct Mark {
    path: PathBuf,
    place: (u64, u64),
}

impl Mark {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), place: place_of(path)? })
    }

    pub(super) fn is_there(&self) -> bool {
        place_of(&self.path).is_ok_and(|place| place == self.place)
    }

    /// The number of a file is not given anew while its socket is open.
    pub(super) fn remove(&self) {
        if self.is_there() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn place_of(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_another_user_is_not_let_in() {
        assert!(same_user(Some(1000), 1000).is_ok());
        for theirs in [Some(1001), Some(0), None] {
            assert!(matches!(same_user(theirs, 1000), Err(SocketError::WrongUser)), "{theirs:?}");
        }
    }
}
