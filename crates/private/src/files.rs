//! Folders that nobody else may enter, and files that nobody else may read and that are never seen half written.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use crate::aside::make_way;
use crate::error::{FileError, Trouble};
use crate::platform;

/// A draft that is still there after so long was left by a program that was killed.
const ABANDONED: Duration = Duration::from_secs(3600);

const DRAFT: &str = ".new";

/// Makes the folder (and those above it) where it is missing, and closes it to other users. A link to a folder is
/// followed: an owner may keep theirs on another disk.
pub fn folder(path: &Path) -> Result<(), FileError> {
    match platform::make_folder(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_dangling(path) => {
            return Err(FileError::new(path, Trouble::Vanished));
        }
        made => made.map_err(FileError::of(path))?,
    }
    platform::close_folder(path).map_err(FileError::of(path))?;
    sweep(path);
    Ok(())
}

/// Replaces the file whole, readable by its owner only. After a crash, a full disk or a cut line, the old content or the
/// new is there. What lies in its place, a link too, is replaced and never written through; a folder is set aside.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let folder = put(path, content, File::sync_all)?;
    platform::sync_folder(folder).map_err(FileError::of(path))
}

/// As [`replace`], for what is worthless once the PC has been off: the disk is not waited for.
pub fn jot(path: &Path, content: &[u8]) -> Result<(), FileError> {
    put(path, content, |_| Ok(())).map(drop)
}

/// Gives the file's folder.
fn put<'a>(
    path: &'a Path,
    content: &[u8],
    settle: impl FnOnce(&File) -> io::Result<()>,
) -> Result<&'a Path, FileError> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(FileError::new(path, Trouble::NotAFile));
    };
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    let mut said = None;
    let mut draft = tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(DRAFT)
        .make_in(folder, |draft| {
            platform::create_file(draft).inspect_err(|error| said = error.raw_os_error())
        })
        // The number that the system said tells more than what it is wrapped in.
        .map_err(|error| FileError::of(path)(said.map_or(error, io::Error::from_raw_os_error)))?;
    let file = draft.as_file_mut();
    file.write_all(content).and_then(|()| settle(file)).map_err(FileError::of(path))?;
    make_way(path)?;
    draft.persist(path).map_err(|unmoved| FileError::of(path)(unmoved.error))?;
    Ok(folder)
}

/// The content, or nothing where there is no such file. Never follows a link, never waits for a pipe, and never reads
/// more than `limit` bytes.
pub fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FileError> {
    let file = match platform::open_plain(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::of(path)(error)),
    };
    if !file.metadata().map_err(FileError::of(path))?.is_file() {
        return Err(FileError::new(path, Trouble::NotAFile));
    }
    let mut content = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut content).map_err(FileError::of(path))?;
    if content.len() as u64 > limit {
        return Err(FileError::new(path, Trouble::TooLarge));
    }
    Ok(Some(content))
}

/// Removes the file; one that is not there is removed already.
pub fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::of(path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn is_dangling(path: &Path) -> bool {
    path.is_symlink() && !path.exists()
}

/// Removes drafts that nobody will finish.
fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        let draft = name.starts_with(b".") && name.ends_with(DRAFT.as_bytes());
        if draft && entry.metadata().is_ok_and(|found| found.is_file() && is_old(&found)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn is_old(found: &fs::Metadata) -> bool {
    found.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age > ABANDONED))
}

#[cfg(test)]
mod tests;
