//! Unix: reading where somebody else may plant links.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, SeekFrom, Stat, fstat, openat, statat};
use rustix::io::Errno;

use crate::{Next, Seen};

#[derive(Debug)]
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

    pub(crate) fn file(&self, name: &str) -> io::Result<File> {
        self.look(name)?;
        // It may be another one by now: a pipe must not hold the open up.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(openat(&self.0, name, flags, Mode::empty())?);
        regular(fstat(&file)?)?;
        Ok(file)
    }

    pub(crate) fn look(&self, name: &str) -> io::Result<Seen> {
        regular(statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    pub(crate) fn seen(&self) -> io::Result<Seen> {
        Ok(Seen::from(fstat(self.0.as_fd())?))
    }

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

pub(crate) fn seen(file: &File) -> io::Result<Seen> {
    Ok(Seen::from(fstat(file)?))
}

pub(crate) fn next(file: &File, from: u64, piece: &mut [u8]) -> io::Result<Next> {
    let length = seen(file)?.length;
    let Some(data) = next_data(file, from)?.filter(|data| data.start < length) else {
        return Ok(Next { length, at: None, read: 0 });
    };
    let most = usize::try_from(data.end.saturating_sub(data.start)).unwrap_or(usize::MAX).min(piece.len());
    let read = read_at(file, data.start, &mut piece[..most])?;
    Ok(Next { length, at: Some(data.start), read })
}

pub(crate) fn read_at(file: &File, from: u64, piece: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < piece.len() {
        match file.read_at(&mut piece[length..], from.saturating_add(length as u64)) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
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
        }
    }
}

/// A second name could be a file from elsewhere.
fn regular(stat: Stat) -> io::Result<Seen> {
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_nlink <= 1;
    if regular { Ok(Seen::from(stat)) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// Where there is something to read from `from` on, up to the next hole: a hole that goes to the end is `None`. A file system that
/// knows no holes says that all is data.
fn next_data(file: &File, from: u64) -> io::Result<Option<Range<u64>>> {
    let start = match rustix::fs::seek(file, SeekFrom::Data(from)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(Some(from..u64::MAX)),
        Err(error) => return Err(error.into()),
    };
    let end = rustix::fs::seek(file, SeekFrom::Hole(start)).unwrap_or(u64::MAX);
    Ok(Some(start..end))
}
