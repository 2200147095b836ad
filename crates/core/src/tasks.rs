//! Which effects are under way, and when a failed one may be tried again.

use std::collections::{BTreeMap, BTreeSet};

/// An effect that the core keeps wanting until it succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Task {
    Load,
    Save,
    Enrol,
    Renew,
    Detect,
    StartAgent,
    Eligible,
    /// To start an agent anew that was denied: with an introduction that is fresh.
    Readmit,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Tasks {
    under_way: BTreeSet<Task>,
    failed: BTreeMap<Task, Failed>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Failed {
    attempts: u32,
    /// None once the wait is over.
    again_at_ms: Option<u64>,
}

/// Waits between tries, the last one for ever after.
const WAITS_MS: [u64; 6] = [1_000, 2_000, 5_000, 10_000, 30_000, 60_000];

impl Tasks {
    /// Takes the task if it is neither under way nor waiting; the caller then emits its effect.
    pub(crate) fn take(&mut self, task: Task, mono_ms: u64) -> bool {
        let waiting =
            self.failed.get(&task).and_then(|failed| failed.again_at_ms).is_some_and(|at| at > mono_ms);
        !waiting && self.under_way.insert(task)
    }

    pub(crate) fn succeeded(&mut self, task: Task) {
        self.under_way.remove(&task);
        self.failed.remove(&task);
    }

    pub(crate) fn failed(&mut self, task: Task, mono_ms: u64) {
        self.under_way.remove(&task);
        let attempts = self.failed.get(&task).map_or(0, |failed| failed.attempts);
        let wait = WAITS_MS[(attempts as usize).min(WAITS_MS.len() - 1)];
        self.failed.insert(task, Failed { attempts: attempts + 1, again_at_ms: Some(mono_ms + wait) });
    }

    /// The owner said "try again": no wait holds any longer.
    pub(crate) fn retry_now(&mut self) {
        self.failed.clear();
    }

    pub(crate) fn forget(&mut self, task: Task) {
        self.failed.remove(&task);
    }

    /// Ends the waits that are over, so that nobody is woken for them again.
    pub(crate) fn let_pass(&mut self, mono_ms: u64) {
        for failed in self.failed.values_mut() {
            failed.again_at_ms = failed.again_at_ms.filter(|at| *at > mono_ms);
        }
    }

    pub(crate) fn next_try_ms(&self) -> Option<u64> {
        self.failed.values().filter_map(|failed| failed.again_at_ms).min()
    }
}
