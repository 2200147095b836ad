//! Unix: files that only this user reads, and reading where somebody else may plant links.

use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, SeekFrom, Stat, fstat, openat, statat};
use rustix::io::Errno;

/// For appending, made with mode 0600 when it is missing.
pub(crate) fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Empty, mode 0600 when it is new.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Whether somebody has deleted the open file: what is written into it then is nowhere.
pub(crate) fn is_removed(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
}

/// Where there is something to read from `offset` on, up to the next hole: holes are passed over, a hole that goes to the
/// end is `None`. A file system that knows no holes says that all is data.
pub(crate) fn next_data(file: &File, offset: u64) -> io::Result<Option<Range<u64>>> {
    let start = match rustix::fs::seek(file, SeekFrom::Data(offset)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(Some(offset..u64::MAX)),
        Err(error) => return Err(error.into()),
    };
    let end = rustix::fs::seek(file, SeekFrom::Hole(start)).unwrap_or(u64::MAX);
    Ok(Some(start..end))
}

/// What a look at a file or folder tells without opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Which file it is, as long as somebody holds it open.
    pub(crate) id: Option<(u64, u64)>,
    pub(crate) length: u64,
    /// Seconds and nanoseconds.
    pub(crate) modified: (i64, i64),
    pub(crate) removed: bool,
    regular: bool,
}

impl Seen {
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        Ok(Self::from(fstat(file)?))
    }
}

impl From<Stat> for Seen {
    #[expect(clippy::unnecessary_cast, reason = "the fields' types differ between systems")]
    #[expect(clippy::useless_conversion, reason = "the fields' types differ between systems")]
    fn from(stat: Stat) -> Self {
        Self {
            id: Some((stat.st_dev as u64, stat.st_ino as u64)),
            length: u64::try_from(stat.st_size).unwrap_or_default(),
            modified: (i64::from(stat.st_mtime), stat.st_mtime_nsec as i64),
            removed: stat.st_nlink == 0,
            // A second name could be a file from elsewhere.
            regular: FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_nlink <= 1,
        }
    }
}

/// A folder that a job may write in. Nothing below it is reached through a link: a job could point one at any file that
/// this program may read.
pub(crate) struct Folder(OwnedFd);

impl Folder {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    pub(crate) fn folder(&self, name: &str) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self(openat(&self.0, name, flags, Mode::empty())?))
    }

    /// A regular file with one name; anything else is refused, and a pipe or a device is not even opened.
    pub(crate) fn file(&self, name: &str) -> io::Result<File> {
        self.look(name)?;
        // It may be another one by now: a pipe must not hold the open up.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(openat(&self.0, name, flags, Mode::empty())?);
        regular(Seen::of(&file)?)?;
        Ok(file)
    }

    /// The same without opening it.
    pub(crate) fn look(&self, name: &str) -> io::Result<Seen> {
        regular(Seen::from(statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    /// The folder itself.
    pub(crate) fn seen(&self) -> io::Result<Seen> {
        Ok(Seen::from(fstat(self.0.as_fd())?))
    }

    /// The first `most` names that are text, without `.` and `..`, in no order.
    pub(crate) fn names(&self, most: usize) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)?.take(most) {
            if let Ok(name) = CStr::to_str(entry?.file_name())
                && name != "."
                && name != ".."
            {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }
}

fn regular(seen: Seen) -> io::Result<Seen> {
    if seen.regular { Ok(seen) } else { Err(io::Error::from(io::ErrorKind::InvalidInput)) }
}
