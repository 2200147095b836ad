//! Files lie below the user's profile, whose access list lets in the user and the system only; it is inherited.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

pub(super) fn owner_only(_options: &mut OpenOptions) {}

pub(super) fn owner_only_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

pub(super) fn sync_folder(_file: &Path) -> io::Result<()> {
    Ok(())
}
