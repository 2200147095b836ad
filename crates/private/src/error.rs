//! What can be wrong with a file, told apart by what a person would do about it.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Something could not be done with a file or folder.
#[derive(Debug, thiserror::Error)]
#[error("{}: {trouble} ({error})", .path.display())]
pub struct FileError {
    pub path: PathBuf,
    pub trouble: Trouble,
    #[source]
    pub error: io::Error,
}

/// The kinds of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    #[error("no room on the disk")]
    Full,
    #[error("the disk is read-only")]
    ReadOnly,
    #[error("the disk is failing")]
    Failing,
    #[error("not permitted")]
    Permission,
    /// Its folder is not there, or the disk or the network mount that it lay on.
    #[error("the disk or folder is gone")]
    Vanished,
    /// A link, a folder, a pipe or a device lies where a file of ours belongs; it is not touched.
    #[error("something else lies in its place")]
    NotAFile,
    #[error("larger than any file of ours")]
    TooLarge,
    #[error("not possible")]
    Other,
}

impl FileError {
    pub(crate) fn of(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |error| Self { path, trouble: Trouble::of(&error), error }
    }

    pub(crate) fn new(path: &Path, trouble: Trouble) -> Self {
        Self { path: path.to_owned(), trouble, error: io::Error::other(trouble.to_string()) }
    }
}

impl From<FileError> for io::Error {
    fn from(error: FileError) -> Self {
        Self::new(error.error.kind(), error)
    }
}

impl Trouble {
    /// What lies there cannot be a file of ours, as opposed to one that cannot be read or written now.
    pub fn is_foreign(self) -> bool {
        matches!(self, Self::NotAFile | Self::TooLarge)
    }

    /// The kind of any error that came from a file.
    pub fn of(error: &io::Error) -> Self {
        error.raw_os_error().and_then(crate::platform::trouble).unwrap_or_else(|| Self::of_kind(error.kind()))
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the standard library's list is open")]
    fn of_kind(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Self::Full,
            ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            ErrorKind::PermissionDenied => Self::Permission,
            ErrorKind::NotFound
            | ErrorKind::StaleNetworkFileHandle
            | ErrorKind::TimedOut
            | ErrorKind::NotConnected
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown => Self::Vanished,
            ErrorKind::IsADirectory | ErrorKind::NotADirectory | ErrorKind::AlreadyExists => Self::NotAFile,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn what_the_system_says_is_told_apart_by_what_to_do_about_it() {
        let said = [
            (Errno::NOSPC, Trouble::Full),
            (Errno::DQUOT, Trouble::Full),
            (Errno::FBIG, Trouble::Full),
            (Errno::ROFS, Trouble::ReadOnly),
            (Errno::IO, Trouble::Failing),
            (Errno::ACCESS, Trouble::Permission),
            (Errno::PERM, Trouble::Permission),
            (Errno::NOENT, Trouble::Vanished),
            (Errno::STALE, Trouble::Vanished),
            (Errno::NODEV, Trouble::Vanished),
            (Errno::NOTCONN, Trouble::Vanished),
            (Errno::TIMEDOUT, Trouble::Vanished),
            (Errno::LOOP, Trouble::NotAFile),
            (Errno::ISDIR, Trouble::NotAFile),
            (Errno::INVAL, Trouble::Other),
        ];
        for (errno, trouble) in said {
            assert_eq!(Trouble::of(&errno.into()), trouble, "{errno:?}");
        }
    }
}
