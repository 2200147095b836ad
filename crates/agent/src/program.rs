//! Our own program, as it was when it started.

use std::io;
use std::path::{Path, PathBuf};

/// What runs this program again, also after an upgrade has put another file in its place: the guard of a running app is
/// of that app's version, and its folder is where our other programs lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnProgram {
    path: PathBuf,
}

/// Our own program. To be asked once, at the start: after an upgrade the kernel knows the file by a name that no
/// longer is one.
///
/// # Errors
/// When the system does not tell.
pub fn own_program() -> io::Result<OwnProgram> {
    Ok(OwnProgram { path: std::env::current_exe()? })
}

impl OwnProgram {
    /// Another one, for tests.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it was when it started.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file of another version lies where this program was started from.
    pub(crate) fn was_upgraded(&self) -> bool {
        is_another(&self.path)
    }

    /// A file of ours beside it.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.path.with_file_name(name)
    }

    /// What to start it by: the very file that runs now, where the system still has it by another name than its path.
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "there is no guard to start elsewhere yet")
    )]
    pub(crate) fn to_run(&self) -> PathBuf {
        match own_program() {
            // The file has been replaced or removed since: the kernel keeps it for as long as it runs.
            Ok(now) if now != *self && is_replaced(&now.path) => PathBuf::from("/proc/self/exe"),
            Ok(_) | Err(_) => self.path.clone(),
        }
    }
}

/// The kernel's name for a running file that its folder no longer has.
fn is_replaced(path: &Path) -> bool {
    path.to_string_lossy().ends_with(" (deleted)") && !path.exists()
}

/// The kernel has the file that runs by a name of its own, whatever lies at its path by now.
#[cfg(target_os = "linux")]
fn is_another(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let file = |path: &Path| std::fs::metadata(path).map(|file| (file.dev(), file.ino()));
    match (file(Path::new("/proc/self/exe")), file(path)) {
        (Ok(runs), Ok(lies)) => runs != lies,
        (Err(_), _) | (_, Err(_)) => false,
    }
}

/// A program that runs cannot be replaced on Windows, and no agent starts on macOS yet.
#[cfg(not(target_os = "linux"))]
fn is_another(_path: &Path) -> bool {
    false
}
