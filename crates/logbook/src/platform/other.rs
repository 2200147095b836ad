//! Systems whose folders inherit their access from the owner's profile.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

pub(crate) fn make_private(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

pub(crate) fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

pub(crate) fn create(path: &Path) -> io::Result<File> {
    File::create(path)
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
        let path = self.0.join(name);
        if !fs::symlink_metadata(&path)?.is_file() {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        File::open(path)
    }

    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        Ok(fs::read_dir(&self.0)?
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect())
    }
}
