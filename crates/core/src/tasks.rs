//! Which effects are under way, and when one may be begun again.

use std::collections::{BTreeMap, BTreeSet};

use crate::time::Now;

/// An effect that the core keeps wanting until it succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Task {
    Load,
    Save,
    Enrol,
    Renew,
    Leave,
    /// Look at the cards; again and again while it matters.
    Look,
    StartAgent,
    Wanted,
    /// To start an agent anew that was denied: with an introduction that is fresh.
    Readmit,
    /// To sweep again what could not be swept.
    Sweep,
    /// To take work again after the engine refused a job's container.
    Containers,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Tasks {
    under_way: BTreeSet<Task>,
    rests: BTreeMap<Task, Rest>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Rest {
    /// Failures in a row.
    attempts: u32,
    /// None once the wait is over.
    again_at_ms: Option<u64>,
}

/// Waits between tries, the last one for ever after. Each is stretched or cut by up to a fifth, so that after an outage not all
/// PCs come at once.
const WAITS_MS: [u64; 6] = [1_000, 2_000, 5_000, 10_000, 30_000, 60_000];

impl Tasks {
    /// Takes the task if it is neither under way nor resting; the caller then emits its effect.
    pub(crate) fn take(&mut self, task: Task, now: Now) -> bool {
        self.is_due(task, now) && self.under_way.insert(task)
    }

    /// Neither under way nor resting.
    pub(crate) fn is_due(&self, task: Task, now: Now) -> bool {
        let rest = self.rests.get(&task).and_then(|rest| rest.again_at_ms);
        !self.is_under_way(task) && rest.is_none_or(|at| at <= now.mono_ms)
    }

    pub(crate) fn is_under_way(&self, task: Task) -> bool {
        self.under_way.contains(&task)
    }

    pub(crate) fn succeeded(&mut self, task: Task) {
        self.under_way.remove(&task);
        self.rests.remove(&task);
    }

    /// It succeeded, and is wanted again after a while.
    pub(crate) fn succeeded_for(&mut self, task: Task, ms: u64, now: Now) {
        self.under_way.remove(&task);
        self.rests.insert(task, Rest { attempts: 0, again_at_ms: Some(now.mono_ms + now.spread(ms)) });
    }

    pub(crate) fn failed(&mut self, task: Task, now: Now) {
        self.under_way.remove(&task);
        let attempts = self.rests.get(&task).map_or(0, |rest| rest.attempts);
        let wait = now.spread(WAITS_MS[(attempts as usize).min(WAITS_MS.len() - 1)]);
        self.rests.insert(task, Rest { attempts: attempts + 1, again_at_ms: Some(now.mono_ms + wait) });
    }

    /// It was refused with a time: not before then.
    pub(crate) fn not_before(&mut self, task: Task, ms: u64, now: Now) {
        self.failed(task, now);
        if let Some(rest) = self.rests.get_mut(&task) {
            rest.again_at_ms = rest.again_at_ms.max(Some(now.mono_ms.saturating_add(ms)));
        }
    }

    /// The owner said "try again": no wait holds any longer.
    pub(crate) fn retry_now(&mut self) {
        self.rests.clear();
    }

    pub(crate) fn forget(&mut self, task: Task) {
        self.rests.remove(&task);
    }

    /// Ends the waits that are over, so that nobody is woken for them again.
    pub(crate) fn let_pass(&mut self, now: Now) {
        for rest in self.rests.values_mut() {
            rest.again_at_ms = rest.again_at_ms.filter(|at| *at > now.mono_ms);
        }
    }

    pub(crate) fn next_try_ms(&self) -> Option<u64> {
        self.rests.values().filter_map(|rest| rest.again_at_ms).min()
    }
}
