//! Whether jobs may run: frozen is a state that is kept, not a moment.

use super::Action;

/// Between two looks for what has started since: close together at first, when the end of an image's pull or a task's
/// restart is likely.
const LOOK_MS: u64 = 100;
const LOOK_LATER_MS: u64 = 1_000;
const LIKELY_FOR_MS: u64 = 20_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hold {
    wanted: Wanted,
    /// A look or a thaw is under way.
    busy: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Free,
    /// Since when, and when the next look is due; none is while one is under way.
    Frozen {
        since_ms: u64,
        due_ms: Option<u64>,
    },
    Thaw,
}

impl Hold {
    pub(super) fn free() -> Self {
        Self { wanted: Wanted::Free, busy: false }
    }

    pub(super) fn freeze(&mut self, now_ms: u64) {
        let since_ms = match self.wanted {
            Wanted::Frozen { since_ms, .. } => since_ms,
            Wanted::Free | Wanted::Thaw => now_ms,
        };
        self.wanted = Wanted::Frozen { since_ms, due_ms: Some(now_ms) };
    }

    pub(super) fn thaw(&mut self) {
        self.wanted = Wanted::Thaw;
    }

    /// A new agent takes over: it shall not find its work frozen for ever.
    pub(super) fn thaw_if_frozen(&mut self) {
        if matches!(self.wanted, Wanted::Frozen { .. }) {
            self.thaw();
        }
    }

    /// Whoever ends the work lets it go by himself.
    pub(super) fn release(&mut self) {
        self.wanted = Wanted::Free;
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.busy && self.wanted == Wanted::Free
    }

    /// What was found and stopped may have been starting something: then the next look follows at once.
    pub(super) fn done(&mut self, now_ms: u64, found: bool) {
        self.busy = false;
        if let Wanted::Frozen { since_ms, due_ms: due_ms @ None } = &mut self.wanted {
            let likely = now_ms.saturating_sub(*since_ms) < LIKELY_FOR_MS;
            let pause_ms = if likely { LOOK_MS } else { LOOK_LATER_MS };
            *due_ms = Some(if found { now_ms } else { now_ms.saturating_add(pause_ms) });
        }
    }

    pub(super) fn next(&mut self, now_ms: u64) -> Option<Action> {
        if self.busy {
            return None;
        }
        match &mut self.wanted {
            Wanted::Frozen { due_ms, .. } if due_ms.is_some_and(|due_ms| now_ms >= due_ms) => {
                *due_ms = None;
                self.busy = true;
                Some(Action::Freeze)
            }
            Wanted::Thaw => {
                self.wanted = Wanted::Free;
                self.busy = true;
                Some(Action::Thaw)
            }
            Wanted::Free | Wanted::Frozen { .. } => None,
        }
    }

    /// When it has something to do by itself.
    pub(super) fn due_ms(&self) -> Option<u64> {
        match self.wanted {
            Wanted::Frozen { due_ms, .. } if !self.busy => due_ms,
            Wanted::Free | Wanted::Frozen { .. } | Wanted::Thaw => None,
        }
    }
}
