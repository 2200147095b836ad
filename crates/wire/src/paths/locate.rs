//! Which folders are this user's.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{Folders, FoldersError, HOME_VARIABLE};

#[cfg(target_os = "linux")]
#[path = "locate/linux.rs"]
mod platform;
#[cfg(target_os = "macos")]
#[path = "locate/macos.rs"]
mod platform;
#[cfg(windows)]
#[path = "locate/windows.rs"]
mod platform;

const APP: &str = "ionet-supplier";

/// What a process can know of its user. A trait for the tests: they have other homes and no user list.
pub(super) trait Surroundings {
    fn variable(&self, name: &str) -> Option<OsString>;
    /// The home folder by the system's list of users.
    fn listed_home(&self) -> Option<PathBuf>;
    /// Whether this user can make something in the folder.
    fn is_usable(&self, folder: &Path) -> bool;
    /// Who the folder belongs to, where that is somebody else who would be locked out by what we make in it.
    #[cfg_attr(windows, expect(dead_code, reason = "nobody runs as another there with this user's folders"))]
    fn other_owner(&self, folder: &Path) -> Option<u32>;

    /// The variable as an absolute path.
    fn path(&self, name: &str) -> Option<PathBuf> {
        self.variable(name).map(PathBuf::from).filter(|path| path.is_absolute())
    }
}

pub(super) fn of_this_process() -> Result<Folders, FoldersError> {
    of(&platform::Process)
}

pub(super) fn of(surroundings: &impl Surroundings) -> Result<Folders, FoldersError> {
    if let Some(home) = surroundings.variable(HOME_VARIABLE).map(PathBuf::from) {
        return if home.is_absolute() {
            Ok(Folders::below(&home))
        } else {
            Err(FoldersError::Relative(home))
        };
    }
    platform::folders(surroundings)
}

/// The path without links; as it is where that cannot be told. Windows would spell it in a way that few programs read.
pub(super) fn spelled_out(folder: &Path) -> PathBuf {
    if cfg!(windows) {
        folder.to_owned()
    } else {
        folder.canonicalize().unwrap_or_else(|_| folder.to_owned())
    }
}

/// `HOME`, else the list of users: services, `env -i` and some containers come without the variable.
#[cfg(unix)]
fn home(surroundings: &impl Surroundings) -> Result<Option<PathBuf>, FoldersError> {
    let home = surroundings.path("HOME").or_else(|| surroundings.listed_home());
    match home.as_ref().and_then(|home| Some((home, surroundings.other_owner(home)?))) {
        Some((home, owner)) => Err(FoldersError::AnotherUsers { folder: home.clone(), owner }),
        None => Ok(home),
    }
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::MetadataExt as _;

    use nix::unistd::{Uid, User};

    use super::{OsString, Path, PathBuf, Surroundings};

    pub(super) struct Process;

    impl Surroundings for Process {
        fn variable(&self, name: &str) -> Option<OsString> {
            std::env::var_os(name)
        }

        fn listed_home(&self) -> Option<PathBuf> {
            let user = User::from_uid(Uid::effective()).ok()??;
            Some(user.dir).filter(|home| home.is_absolute())
        }

        fn is_usable(&self, folder: &Path) -> bool {
            use rustix::fs::{Access, access};
            folder.is_dir() && access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok()
        }

        /// `sudo` with the caller's `HOME`: what root makes there, its owner cannot use.
        fn other_owner(&self, folder: &Path) -> Option<u32> {
            const NOBODY: u32 = 65534;
            let owner = std::fs::metadata(folder).ok()?.uid();
            (Uid::effective().is_root() && ![0, NOBODY].contains(&owner)).then_some(owner)
        }
    }
}
