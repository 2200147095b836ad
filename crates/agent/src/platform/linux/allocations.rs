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
    /// Of which allocation a container is that has been made and has not run yet.
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
        if !is_refused && let Some(allocation) = seen.made.remove(container) {
            seen.ran.insert(allocation);
        }
    }

    /// The engine is asked to remove it: a job that fails again and again leaves nothing here.
    pub(super) fn removed(&self, container: &str) {
        let mut seen = self.seen();
        seen.starting.remove(container);
        seen.made.remove(container);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_that_come_and_go_leave_no_more_behind_than_that_their_allocation_has_run() {
        let allocations = Allocations { earlier: Some(BTreeSet::new()), seen: Mutex::default() };

        for (container, is_refused) in [("c1", true), ("c2", false), ("c3", true)] {
            allocations.made(container, format!("of-{container}"));
            allocations.starts(container);
            assert!(allocations.may_have_run(&format!("of-{container}")), "as it starts");
            allocations.started(container, is_refused);
            assert_eq!(allocations.may_have_run(&format!("of-{container}")), !is_refused);
            allocations.removed(container);
        }

        assert!(allocations.may_have_run("of-c2") && !allocations.may_have_run("of-c1"));
        let seen = allocations.seen();
        assert_eq!((seen.made.len(), seen.starting.len(), seen.ran.len()), (0, 0, 1));
    }
}
