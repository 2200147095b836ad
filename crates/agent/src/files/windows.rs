//! Files that only their owner may read, and what may be run. On Windows the folders lie in the user's profile,
//! whose access list keeps other users out.

use std::fs;
use std::io;
use std::path::Path;

pub(crate) fn private_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

/// Writes a file whole or not at all.
pub(crate) fn write_private(file: &Path, content: &[u8]) -> io::Result<()> {
    let draft = file.with_extension("new");
    fs::write(&draft, content)?;
    fs::rename(&draft, file)
}

pub(crate) fn is_executable(file: &Path) -> bool {
    file.is_file()
}
