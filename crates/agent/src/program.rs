//! Our own program, as it was when it started.

use std::io;
use std::path::{Path, PathBuf};

/// What runs this program again, also after an upgrade has put another file in its place: the guard of a running app is
/// of that app's version, and its folder is where our other programs lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnProgram {
    path: PathBuf,
    /// It is what runs here, and not a test's.
    runs: bool,
}

/// The kernel's own name for the file that runs, whatever has become of its path.
const RUNNING: &str = "/proc/self/exe";

/// Our own program. To be asked once, at the start: after an upgrade the kernel knows the file by a name that no
/// longer is one.
///
/// # Errors
/// When the system does not tell.
pub fn own_program() -> io::Result<OwnProgram> {
    Ok(OwnProgram { path: std::env::current_exe()?, runs: true })
}

impl OwnProgram {
    /// Another one, for tests.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), runs: false }
    }

    /// Where it was when it started.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file of another version lies where this program was started from.
    pub(crate) fn was_upgraded(&self) -> bool {
        self.path.exists() && !is_in_place(&self.path)
    }

    /// A file of ours beside it.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.path.with_file_name(name)
    }

    /// What to start it by: the very file that runs now, also where that was moved away or another took its place.
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "there is no guard to start elsewhere yet")
    )]
    pub(crate) fn to_run(&self) -> PathBuf {
        if self.runs && !is_in_place(&self.path) { RUNNING.into() } else { self.path.clone() }
    }
}

/// Whether the file that runs lies there.
#[cfg(target_os = "linux")]
fn is_in_place(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let file = |path: &Path| std::fs::metadata(path).map(|file| (file.dev(), file.ino()));
    matches!((file(Path::new(RUNNING)), file(path)), (Ok(runs), Ok(lies)) if runs == lies)
}

/// A program that runs cannot be replaced on Windows, and no agent starts on macOS yet.
#[cfg(not(target_os = "linux"))]
fn is_in_place(_path: &Path) -> bool {
    true
}
