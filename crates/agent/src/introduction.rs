//! How the agent is let into its region: the introduction token, handed to it by its file, and the node identity that
//! it gets in return and prefers from then on.
//!
//! Not by the environment: raw processes would inherit the variable, and the agent prints it to whoever may ask.

use std::io;
use std::path::{Path, PathBuf};

use crate::files;

/// Writes the token where an agent of this data folder looks for it at its start: a 0600 file in a 0700 folder.
pub fn place(data_dir: &Path, token: &str) -> io::Result<()> {
    files::private_folder(&folder(data_dir))?;
    files::write_private(&file(data_dir), token.as_bytes())
}

/// Removes that token, which has no further use: it was read, or will not be. Another one is a newer start's, and stays.
pub(crate) fn forget(data_dir: &Path, token: &str) -> io::Result<()> {
    let placed = ionet_private::read(&file(data_dir), LONGEST)?;
    if placed.as_deref() == Some(token.as_bytes()) { remove(data_dir) } else { Ok(()) }
}

/// Removes whatever is there. No file is no error.
pub fn remove(data_dir: &Path) -> io::Result<()> {
    Ok(ionet_private::remove(&file(data_dir))?)
}

/// Several times as long as any token.
const LONGEST: u64 = 64 * 1024;

fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("client")
}

fn file(data_dir: &Path) -> PathBuf {
    folder(data_dir).join("intro_token.jwt")
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_the_owner_can_read_the_token_even_where_the_folder_was_open_before() {
        let data = tempfile::tempdir().unwrap();
        fs::create_dir(folder(data.path())).unwrap();
        fs::set_permissions(folder(data.path()), fs::Permissions::from_mode(0o755)).unwrap();

        place(data.path(), "first").unwrap();
        place(data.path(), "second").unwrap();

        assert_eq!(fs::read_to_string(file(data.path())).unwrap(), "second");
        assert_eq!(mode(&file(data.path())), 0o600);
        assert_eq!(mode(&folder(data.path())), 0o700);
    }

    #[test]
    fn a_token_of_a_newer_start_is_not_forgotten_with_the_last_ones() {
        let data = tempfile::tempdir().unwrap();
        place(data.path(), "newer").unwrap();

        forget(data.path(), "last").unwrap();
        assert!(file(data.path()).exists());
        forget(data.path(), "newer").unwrap();
        forget(data.path(), "newer").unwrap();
        assert!(!file(data.path()).exists());
    }

    #[test]
    fn removing_a_token_that_is_not_there_is_no_error() {
        let data = tempfile::tempdir().unwrap();
        place(data.path(), "token").unwrap();

        remove(data.path()).unwrap();
        remove(data.path()).unwrap();

        assert!(!file(data.path()).exists());
    }
}
