//! What of the host a container is to have mounted, from its description until its start: the engine goes by paths, and a path
//! may lead elsewhere by then.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Folders as they were when they were looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Looked(Vec<(PathBuf, (u64, u64))>);

impl Looked {
    pub(super) fn at(folders: Vec<PathBuf>) -> io::Result<Self> {
        folders
            .into_iter()
            .map(|path| Ok((path.clone(), number(&path)?)))
            .collect::<io::Result<_>>()
            .map(Self)
    }

    pub(super) fn are_the_same(&self) -> bool {
        self.0.iter().all(|(path, known)| number(path).is_ok_and(|now| now == *known))
    }
}

/// Of the folder itself, and of none that a link leads to.
fn number(path: &Path) -> io::Result<(u64, u64)> {
    let there = fs::symlink_metadata(path)?;
    if there.is_dir() { Ok((there.dev(), there.ino())) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

/// Of containers that the gate has had made.
#[derive(Debug, Default)]
pub(super) struct Sources(Mutex<BTreeMap<String, Looked>>);

impl Sources {
    pub(super) fn made(&self, container: &str, looked: Looked) {
        self.all().insert(container.to_owned(), looked);
    }

    /// None where nobody has had it made since the gate opened.
    pub(super) fn of(&self, container: &str) -> Option<Looked> {
        self.all().get(container).cloned()
    }

    pub(super) fn removed(&self, container: &str) {
        self.all().remove(container);
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Looked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_was_replaced_by_a_link_or_by_another_folder_is_no_longer_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, other) = (dir.path().join("logs"), dir.path().join("other"));
        fs::create_dir(&folder).unwrap();
        fs::create_dir(&other).unwrap();
        let looked = Looked::at(vec![folder.clone()]).unwrap();
        assert!(looked.are_the_same());

        fs::rename(&folder, dir.path().join("old")).unwrap();
        assert!(!looked.are_the_same());
        std::os::unix::fs::symlink(dir.path().join("old"), &folder).unwrap();
        assert!(!looked.are_the_same(), "a link to the same one");
        fs::remove_file(&folder).unwrap();
        fs::rename(&other, &folder).unwrap();
        assert!(!looked.are_the_same());
        std::os::unix::fs::symlink("/", &other).unwrap();
        assert!(Looked::at(vec![other]).is_err());
    }
}
