//! Systems whose folders inherit their access from the owner's profile.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

pub(crate) fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

pub(crate) fn create(path: &Path) -> io::Result<File> {
    File::create(path)
}

pub(crate) fn is_removed(_file: &File) -> bool {
    false
}

/// Holes are not asked for here; what is read as nothing but zeros is passed over all the same.
pub(crate) fn next_data(_file: &File, offset: u64) -> io::Result<Option<Range<u64>>> {
    Ok(Some(offset..u64::MAX))
}

/// What a look at a file or folder tells without opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Not to be had here: files are told apart by how they begin.
    pub(crate) id: Option<(u64, u64)>,
    pub(crate) length: u64,
    /// Seconds and nanoseconds.
    pub(crate) modified: (i64, i64),
    pub(crate) removed: bool,
}

impl Seen {
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        file.metadata().map(Self::from)
    }
}

impl From<Metadata> for Seen {
    fn from(metadata: Metadata) -> Self {
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = modified.unwrap_or_default();
        let seconds = i64::try_from(modified.as_secs()).unwrap_or(i64::MAX);
        Self {
            id: None,
            length: metadata.len(),
            modified: (seconds, modified.subsec_nanos().into()),
            removed: false,
        }
    }
}

/// A folder that a job may write in; links below it are refused.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        fs::read_dir(path).map(|_| Self(path.to_owned()))
    }

    pub(crate) fn folder(&self, name: &str) -> io::Result<Self> {
        let path = self.0.join(name);
        if !fs::symlink_metadata(&path)?.is_dir() {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        Ok(Self(path))
    }

    pub(crate) fn file(&self, name: &str) -> io::Result<File> {
        self.look(name)?;
        File::open(self.0.join(name))
    }

    pub(crate) fn look(&self, name: &str) -> io::Result<Seen> {
        let metadata = fs::symlink_metadata(self.0.join(name))?;
        if !metadata.is_file() {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        Ok(metadata.into())
    }

    pub(crate) fn seen(&self) -> io::Result<Seen> {
        fs::metadata(&self.0).map(Seen::from)
    }

    pub(crate) fn names(&self, most: usize) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(&self.0)?.take(most).flatten();
        Ok(entries.filter_map(|entry| entry.file_name().into_string().ok()).collect())
    }
}
