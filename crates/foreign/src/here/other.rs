//! Systems on which files are told apart by how they begin.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::{Next, Seen};

#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        fs::read_dir(path).map(|_| Self(path.to_owned()))
    }

    pub(crate) fn folder(&self, name: &str) -> io::Result<Self> {
        let path = self.0.join(name);
        if !fs::symlink_metadata(&path)?.is_dir() {
            return Err(io::ErrorKind::InvalidInput.into());
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
            return Err(io::ErrorKind::InvalidInput.into());
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

pub(crate) fn seen(file: &File) -> io::Result<Seen> {
    file.metadata().map(Seen::from)
}

/// Holes are not asked for here; what is read as nothing but zeros is passed over all the same.
pub(crate) fn next(file: &File, from: u64, piece: &mut [u8]) -> io::Result<Next> {
    let length = seen(file)?.length;
    if from >= length {
        return Ok(Next { length, at: None, read: 0 });
    }
    Ok(Next { length, at: Some(from), read: read_at(file, from, piece)? })
}

pub(crate) fn read_at(mut file: &File, from: u64, piece: &mut [u8]) -> io::Result<usize> {
    file.seek(SeekFrom::Start(from))?;
    let mut length = 0;
    while length < piece.len() {
        match file.read(&mut piece[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
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
