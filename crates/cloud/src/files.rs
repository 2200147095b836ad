//! Files that nobody else may read, and that are never seen half written.

use std::io;
use std::path::Path;

use ionet_private::FileError;

/// A key, a chain, a session: a few kilobytes.
const LONGEST: u64 = 1 << 20;

/// Replaces `path` whole, readable by its owner only. After a crash the old or the new content is there.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    Ok(ionet_private::replace(path, content)?)
}

/// Creates the folder, readable by its owner only, with everything above it.
pub(crate) fn folder(path: &Path) -> io::Result<()> {
    Ok(ionet_private::folder(path)?)
}

/// The content, or nothing where there is no such file.
pub(crate) fn read(path: &Path) -> io::Result<Option<String>> {
    let content = ionet_private::read(path, LONGEST)?;
    content.map(String::from_utf8).transpose().map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Whether what lies there cannot be a file of ours, as opposed to one that cannot be read now.
pub(crate) fn is_damage(error: &io::Error) -> bool {
    let of_file = error.get_ref().and_then(|inner| inner.downcast_ref::<FileError>());
    of_file.is_some_and(|error| error.trouble.is_foreign()) || error.kind() == io::ErrorKind::InvalidData
}

pub(crate) fn remove(path: &Path) -> io::Result<()> {
    Ok(ionet_private::remove(path)?)
}
