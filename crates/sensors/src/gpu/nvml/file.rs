//! The library's file. A package that is updated puts another in its place, and this program goes on with the one that it
//! has in memory: it is the only one on the PC for which the driver still works.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::platform;

pub(super) struct LibraryFile {
    /// None where the loader does not say.
    path: Option<PathBuf>,
    stamp: Option<Stamp>,
}

#[derive(PartialEq, Eq)]
struct Stamp {
    /// With all links followed: packages write a file by its version, and a link to it.
    file: PathBuf,
    modified: SystemTime,
    length: u64,
}

impl LibraryFile {
    /// Of a library that was just loaded by this name.
    pub(super) fn of(name: &Path) -> Self {
        let bare = name.parent().is_none_or(|folder| folder.as_os_str().is_empty());
        let path = if bare { platform::loaded(name) } else { Some(name.to_owned()) };
        let stamp = path.as_deref().and_then(Stamp::of);
        Self { path, stamp }
    }

    pub(super) fn is_current(&self) -> bool {
        self.path.as_deref().and_then(Stamp::of) == self.stamp
    }

    /// The driver's version as its file is called by it, `libnvidia-ml.so.550.54.14`.
    pub(super) fn version(&self) -> Option<&str> {
        let (_, version) = self.stamp.as_ref()?.file.file_name()?.to_str()?.split_once(".so.")?;
        version.contains('.').then_some(version)
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let file = path.canonicalize().ok()?;
        let about = file.metadata().ok()?;
        Some(Self { file, modified: about.modified().ok()?, length: about.len() })
    }
}
