//! Modes 0600 and 0700, and what `errno` means.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::error::Trouble;

pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Only where it is open to others: a folder on a read-only disk can be closed already.
pub(crate) fn close_folder(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.mode() & 0o777;
    if mode == 0o700 { Ok(()) } else { fs::set_permissions(path, Permissions::from_mode(0o700)) }
}

/// Makes a file that was not there.
pub(crate) fn create_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// A rename lasts only once its folder is on the disk. Some network mounts cannot be asked for that.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    match rustix::fs::fsync(File::open(folder)?) {
        Err(Errno::INVAL | Errno::NOTSUP | Errno::BADF) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Opens for reading what lies at this very path: no link is followed, and a pipe without a writer is not waited for.
pub(crate) fn open_plain(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK)).open(path)
}

/// Opens or makes the file that a lock is held on. On a read-only disk one that is there will do. A pipe that came there
/// meanwhile is not waited for.
pub(crate) fn open_lock(path: &Path) -> io::Result<File> {
    let plain = flags(OFlags::NOFOLLOW | OFlags::NONBLOCK);
    match OpenOptions::new().write(true).create(true).mode(0o600).custom_flags(plain).open(path) {
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => open_plain(path),
        opened => opened,
    }
}

/// Whether the path still leads to this file.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    let place = |found: &fs::Metadata| (found.dev(), found.ino());
    matches!((file.metadata(), fs::symlink_metadata(path)), (Ok(held), Ok(there)) if place(&held) == place(&there))
}

/// The file system keeps no locks.
pub(crate) fn has_no_locks(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::NOLCK | Errno::NOTSUP | Errno::NOSYS | Errno::INVAL))
}

pub(crate) fn trouble(code: i32) -> Option<Trouble> {
    let errno = Errno::from_raw_os_error(code);
    let failing = [Errno::IO, Errno::BADMSG];
    let vanished = [Errno::NODEV, Errno::STALE, Errno::NOTCONN, Errno::HOSTDOWN, Errno::CONNABORTED];
    if failing.contains(&errno) || is_damaged(errno) {
        Some(Trouble::Failing)
    } else if vanished.contains(&errno) || has_no_medium(errno) {
        Some(Trouble::Vanished)
    } else if [Errno::LOOP, Errno::NXIO].contains(&errno) {
        Some(Trouble::NotAFile)
    } else {
        None
    }
}

#[cfg(target_os = "linux")]
fn is_damaged(errno: Errno) -> bool {
    [Errno::UCLEAN, Errno::REMOTEIO].contains(&errno)
}

#[cfg(not(target_os = "linux"))]
fn is_damaged(_: Errno) -> bool {
    false
}

#[cfg(target_os = "linux")]
fn has_no_medium(errno: Errno) -> bool {
    errno == Errno::NOMEDIUM
}

#[cfg(not(target_os = "linux"))]
fn has_no_medium(_: Errno) -> bool {
    false
}

fn flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}
