//! In which allocations something may have run. What runs in one can spoil its folders, so that the engine cannot reach
//! them: only of others is that this PC's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::disk;

/// A start waits for it, and goes on without.
const READ_WITHIN: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Allocations {
    /// What was there before the gate opened. None where the disk did not say: then it may be any.
    earlier: Option<BTreeSet<String>>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Of which allocation a container is that has been made.
    made: BTreeMap<String, String>,
    /// Containers of whose start the engine has not said that it failed.
    starting: BTreeSet<String>,
    ran: BTreeSet<String>,
}

impl Allocations {
    pub(super) async fn before(data_dir: &Path) -> Self {
        let folder = data_dir.join("alloc");
        let names = move || {
            let there = fs::read_dir(folder).into_iter().flatten().flatten();
            there.filter_map(|entry| entry.file_name().into_string().ok()).collect()
        };
        Self { earlier: disk::read(data_dir, READ_WITHIN, names).await, seen: Mutex::default() }
    }

    pub(super) fn made(&self, container: &str, allocation: String) {
        self.seen().made.insert(container.to_owned(), allocation);
    }

    /// The engine is asked to.
    pub(super) fn starts(&self, container: &str) {
        self.seen().starting.insert(container.to_owned());
    }

    pub(super) fn started(&self, container: &str, is_refused: bool) {
        let mut seen = self.seen();
        seen.starting.remove(container);
        if let Some(allocation) = seen.made.get(container).filter(|_| !is_refused).cloned() {
            seen.ran.insert(allocation);
        }
    }

    pub(super) fn may_have_run(&self, allocation: &str) -> bool {
        let seen = self.seen();
        let starts = |container| seen.made.get(container).is_some_and(|of| of == allocation);
        self.earlier.as_ref().is_none_or(|earlier| earlier.contains(allocation))
            || seen.ran.contains(allocation)
            || seen.starting.iter().any(starts)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
