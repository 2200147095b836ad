//! Giving the PC back: the one way from "something may be running" to "nothing of ours is left".
//!
//! Order, and why: work stops at once, and what starts meanwhile with it (freeze); no new work comes (ineligible); a frozen
//! process cannot obey its stop signal, so it is thawed at the lowest priority; its allocations are stopped by the region, so
//! that they move elsewhere; then the agent goes, and whatever is still there with it.
//!
//! Every step has one effect, one outcome and an end of its own: what does not answer by then is not waited for. Where the
//! region does not answer, or the agent that could tell the work to leave has gone, nothing is thawed: the frozen work is ended
//! where it stands.

use serde::{Deserialize, Serialize};

use crate::start::StartId;

/// Why the PC is given back, the strongest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// The agent alone goes, to come back with a new introduction (the servers deny it) or with other tags (the cards are
    /// others). It has no work.
    Anew,
    /// The page to agree to has changed.
    Agreement,
    /// Somebody else is signed in than the one whose device this is.
    OtherAccount,
    /// The wall around jobs is open, or nobody tried it.
    Wall,
    Pause,
    SignOut,
    Lost,
    Quit,
}

impl Why {
    /// The owner does not get the PC back, and is not told.
    pub(crate) fn is_of_the_agent_alone(self) -> bool {
        self == Self::Anew
    }
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Freezing,
    MakingIneligible,
    Thawing,
    StoppingAllocations,
    StoppingAgent,
    SigningOut,
    Saving,
    FlushingLogs,
}

/// From the click until a step is not waited for any longer. Together they keep the promise that nothing is left after five
/// seconds, whatever hangs.
const FROZEN_BY_MS: u64 = 500;
const INELIGIBLE_BY_MS: u64 = 2_000;
const THAWED_BY_MS: u64 = 2_500;
const ALLOCATIONS_STOPPED_BY_MS: u64 = 3_000;
/// What Nomad's `max_kill_timeout` promises a task here.
const UNASKED_PATIENCE_MS: u64 = 2_000;
/// These come after the work is gone, and have their own time, counted from their begin.
const SIGNED_OUT_WITHIN_MS: u64 = 10_000;
const SAVED_WITHIN_MS: u64 = 5_000;
/// The last step of a quit: what is not shipped by then is kept, and shipped after the next start.
const FLUSHED_BY_MS: u64 = 4_500;
const FLUSHED_AT_LEAST_MS: u64 = 1_000;

/// What there may be to give back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ToEnd {
    Nothing,
    OfAgent,
    /// An agent that is gone has left it: nobody could tell it to leave, so it is ended where it stands.
    Orphaned,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivingBack {
    pub id: StartId,
    pub why: Why,
    pub step: Step,
    /// The click, on the monotonic clock.
    began_ms: u64,
    /// When this step is not waited for any longer; none for the one that nothing may overtake.
    until_ms: Option<u64>,
    /// Where there is any it began with freezing: the work stands where it is, or has been thawed and had its time to leave.
    pub(crate) to_end: ToEnd,
}

impl GivingBack {
    /// Where there may be work it begins with freezing; else only the sweep is left.
    pub(crate) fn begin(id: StartId, why: Why, to_end: ToEnd, mono_ms: u64) -> Self {
        let to_end = if why.is_of_the_agent_alone() { ToEnd::Nothing } else { to_end };
        let step = if to_end == ToEnd::Nothing { Step::StoppingAgent } else { Step::Freezing };
        let mut giving = Self { id, why, step, began_ms: mono_ms, until_ms: None, to_end };
        giving.enter(step, mono_ms);
        giving
    }

    pub(crate) fn enter(&mut self, step: Step, mono_ms: u64) {
        self.step = step;
        self.until_ms = match step {
            Step::Freezing => Some(self.began_ms + FROZEN_BY_MS),
            Step::MakingIneligible => Some(self.began_ms + INELIGIBLE_BY_MS),
            Step::Thawing => Some(self.began_ms + THAWED_BY_MS),
            Step::StoppingAllocations => Some(self.began_ms + ALLOCATIONS_STOPPED_BY_MS),
            // What is not swept may run: there is nothing to go on to.
            Step::StoppingAgent => None,
            Step::SigningOut => Some(mono_ms + SIGNED_OUT_WITHIN_MS),
            Step::Saving => Some(mono_ms + SAVED_WITHIN_MS),
            Step::FlushingLogs => Some((self.began_ms + FLUSHED_BY_MS).max(mono_ms + FLUSHED_AT_LEAST_MS)),
        };
    }

    /// Nothing comes after this step.
    pub(crate) fn rest(&mut self) {
        self.until_ms = None;
    }

    /// A stronger reason takes over; a quit is never talked down to a pause.
    pub(crate) fn strengthen(&mut self, why: Why) {
        self.why = self.why.max(why);
    }

    pub(crate) fn is_overdue(&self, mono_ms: u64) -> bool {
        self.until_ms.is_some_and(|until| until <= mono_ms)
    }

    pub(crate) fn wake_at_ms(&self) -> Option<u64> {
        self.until_ms
    }

    /// How long work may take to leave when the agent is stopped. What stands frozen is ended where it stands, and what was
    /// thawed had its time; only an agent that goes alone has not been asked yet.
    pub(crate) fn patience_ms(&self) -> u64 {
        if self.to_end == ToEnd::Nothing { UNASKED_PATIENCE_MS } else { 0 }
    }

    /// What is left of this step's time.
    pub(crate) fn within_ms(&self, mono_ms: u64) -> u64 {
        self.until_ms.map_or(0, |until| until.saturating_sub(mono_ms))
    }
}
