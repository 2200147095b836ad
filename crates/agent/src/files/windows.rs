//! Files that only their owner may read, and what may be run.

use std::io;
use std::path::Path;

pub(crate) fn private_folder(folder: &Path) -> io::Result<()> {
    Ok(ionet_private::folder(folder)?)
}

/// Writes a file whole or not at all.
pub(crate) fn write_private(file: &Path, content: &[u8]) -> io::Result<()> {
    Ok(ionet_private::replace(file, content)?)
}

pub(crate) fn is_executable(file: &Path) -> bool {
    file.is_file()
}

/// The program under another name. Links take an administrator here.
pub(crate) fn link(program: &Path, name: &Path) -> io::Result<()> {
    std::fs::copy(program, name).map(drop)
}
