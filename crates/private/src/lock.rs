//! A lock that a program holds while it lives; the kernel lets go of it however the program ends.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use crate::aside::set_aside;
use crate::error::FileError;
use crate::platform;

/// Held until it is dropped.
#[derive(Debug)]
#[must_use = "dropping it lets go of the lock"]
pub struct Lock {
    _held: File,
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("another program holds it")]
    Held,
    /// Some network mounts keep no locks.
    #[error("this file system keeps no locks: {0}")]
    NoLocks(FileError),
    #[error(transparent)]
    File(FileError),
}

impl Lock {
    /// Takes the lock or says who has it, without waiting. The file stays: removing it would let two hold "it". What no lock
    /// can be held on is set aside.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        loop {
            if is_foreign(path) {
                set_aside(path).map_err(LockError::File)?;
            }
            let file =
                platform::open_lock(path).map_err(|error| LockError::File(FileError::of(path)(error)))?;
            match file.try_lock() {
                // Somebody may have put another file there meanwhile, and hold that.
                Ok(()) if platform::is_at(&file, path) => return Ok(Self { _held: file }),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(LockError::Held),
                Err(TryLockError::Error(error)) if platform::has_no_locks(&error) => {
                    return Err(LockError::NoLocks(FileError::of(path)(error)));
                }
                Err(TryLockError::Error(error)) => return Err(LockError::File(FileError::of(path)(error))),
            }
        }
    }
}

/// A folder, a pipe, a socket. A link is told by whoever opens it, and stays.
fn is_foreign(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| !found.is_file() && !found.is_symlink())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_it_at_a_time_and_letting_go_is_enough() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resident.lock");

        let first = Lock::take(&path).unwrap();
        let second = Lock::take(&path);
        drop(first);
        let third = Lock::take(&path);

        assert!(matches!(second, Err(LockError::Held)));
        assert!(third.is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_or_a_pipe_in_its_place_is_set_aside_and_not_waited_for() {
        use rustix::fs::{CWD, Mode, mkfifoat};
        let folder = tempfile::tempdir().unwrap();
        let (kept, pipe) = (folder.path().join("guard.lock"), folder.path().join("resident.lock"));
        fs::create_dir(&kept).unwrap();
        mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
        let (say, heard) = std::sync::mpsc::channel();
        std::thread::spawn(move || say.send([kept, pipe].map(|path| Lock::take(&path).is_ok())));

        let taken = heard.recv_timeout(std::time::Duration::from_secs(20));

        assert_eq!(taken, Ok([true, true]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4, "nothing is lost");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_planted_for_it_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, theirs) = (folder.path().join("resident.lock"), folder.path().join("theirs"));
        std::os::unix::fs::symlink(&theirs, &path).unwrap();

        assert!(matches!(Lock::take(&path), Err(LockError::File(_))));
        assert!(!theirs.exists());
    }
}
