//! What of the host a container is to have, from its description until it is removed: the engine goes by paths, and a path may lead
//! elsewhere by its start; a card that is one job's is no other's.

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

/// What one container has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Has {
    pub(super) allocation: String,
    pub(super) folders: Looked,
    /// By their ids.
    pub(super) cards: Vec<String>,
}

/// Of containers that the gate has had made.
#[derive(Debug, Default)]
pub(super) struct Sources(Mutex<BTreeMap<String, Has>>);

impl Sources {
    pub(super) fn made(&self, container: &str, has: Has) {
        self.all().insert(container.to_owned(), has);
    }

    /// None where nobody has had it made since the gate opened.
    pub(super) fn of(&self, container: &str) -> Option<Has> {
        self.all().get(container).cloned()
    }

    /// Containers of other allocations with one of these cards, which may run or not.
    pub(super) fn rivals(&self, has: &Has) -> Vec<String> {
        let all = self.all();
        let others = all.iter().filter(|(_, other)| other.allocation != has.allocation);
        let same = others.filter(|(_, other)| other.cards.iter().any(|card| has.cards.contains(card)));
        same.map(|(container, _)| container.clone()).collect()
    }

    pub(super) fn removed(&self, container: &str) {
        self.all().remove(container);
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Has>> {
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

    #[test]
    fn only_another_allocations_container_with_one_of_the_same_cards_is_a_rival() {
        let has = |allocation: &str, cards: &[&str]| Has {
            allocation: allocation.to_owned(),
            folders: Looked(Vec::new()),
            cards: cards.iter().map(|card| (*card).to_owned()).collect(),
        };
        let sources = Sources::default();
        sources.made("c1", has("a", &["GPU-1"]));
        sources.made("c2", has("b", &["GPU-2", "GPU-3"]));

        assert_eq!(sources.rivals(&has("a", &["GPU-1"])), [""; 0], "its own, that is being replaced");
        assert_eq!(sources.rivals(&has("d", &["GPU-1", "GPU-3"])), ["c1", "c2"]);
        assert_eq!(sources.rivals(&has("d", &[])), [""; 0]);
        sources.removed("c1");
        assert_eq!(sources.rivals(&has("d", &["GPU-1"])), [""; 0]);
    }
}
