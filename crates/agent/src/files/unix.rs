//! Files that only their owner may read, and what may be run.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

pub(crate) fn private_folder(folder: &Path) -> io::Result<()> {
    Ok(ionet_private::folder(folder)?)
}

/// Writes a file of mode 0600 whole or not at all.
pub(crate) fn write_private(file: &Path, content: &[u8]) -> io::Result<()> {
    Ok(ionet_private::replace(file, content)?)
}

/// Goes on at a file's end; a new one is of mode 0600.
pub(crate) fn append_private(file: &Path) -> io::Result<fs::File> {
    ionet_private::make_way(file)?;
    fs::OpenOptions::new().append(true).create(true).mode(0o600).open(file)
}

/// Whether this user may run it.
pub(crate) fn is_executable(file: &Path) -> bool {
    file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
}

/// A name for a program that lies elsewhere: it stays where nobody but its installer may change it.
pub(crate) fn link(program: &Path, name: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(program, name)
}
