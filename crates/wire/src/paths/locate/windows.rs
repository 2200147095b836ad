use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{APP, Folders, FoldersError, Surroundings};

pub(super) struct Process;

impl Surroundings for Process {
    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    /// By the user's token, also where no variable says so.
    fn listed_home(&self) -> Option<PathBuf> {
        std::env::home_dir().filter(|home| home.is_absolute())
    }

    fn is_usable(&self, folder: &Path) -> bool {
        folder.is_dir()
    }

    fn other_owner(&self, _: &Path) -> Option<u32> {
        None
    }
}

pub(super) fn folders(surroundings: &impl Surroundings) -> Result<Folders, FoldersError> {
    let local = surroundings
        .path("LOCALAPPDATA")
        .or_else(|| Some(surroundings.listed_home()?.join(r"AppData\Local")))
        .filter(|local| surroundings.is_usable(local))
        .ok_or(FoldersError::NoHome)?;
    Ok(Folders::below(&local.join(APP)))
}
