//! Giving the PC back: the one way from "something may be running" to "nothing of ours is left".
//!
//! Order, and why: work stops at once (freeze); no new work comes (ineligible); a frozen process cannot obey its
//! stop signal, so it is thawed at the lowest priority; its allocations are stopped by the region, so that they
//! move elsewhere; then the agent goes, and whatever is still there with it. Every step has one effect and one
//! outcome, and a failed one never holds up the next: with gateway and region gone, the PC is still given back.

use serde::{Deserialize, Serialize};

use crate::effect::Effect;
use crate::state::Agent;

/// Why the PC is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Only the agent goes, to come back with a new introduction. It has no work.
    Readmission,
    Pause,
    SignOut,
    Lost,
    Quit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Freezing,
    MakingIneligible,
    Thawing,
    StoppingAllocations,
    StoppingAgent,
    FlushingLogs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindDown {
    pub why: Why,
    pub stage: Stage,
}

impl WindDown {
    /// Without an agent there is no work to freeze and no allocation to stop: only the sweep is left.
    pub(crate) fn begin(why: Why, agent: Agent) -> (Self, Effect) {
        let (stage, effect) = match (why, agent) {
            (Why::Readmission, _) => (Stage::StoppingAgent, Effect::Readmit),
            (_, Agent::Stopped) => (Stage::StoppingAgent, Effect::StopAgent),
            (_, Agent::Starting | Agent::Running) => (Stage::Freezing, Effect::Freeze),
        };
        (Self { why, stage }, effect)
    }

    /// A stronger reason takes over; a quit is never talked down to a pause.
    pub(crate) fn strengthen(&mut self, why: Why) {
        self.why = self.why.max(why);
    }

    /// The next stage and its effect; none when nothing is left to do.
    pub(crate) fn advance(self) -> Option<(Self, Effect)> {
        let (stage, effect) = match self.stage {
            Stage::Freezing => (Stage::MakingIneligible, Effect::SetEligible(false)),
            Stage::MakingIneligible => (Stage::Thawing, Effect::Thaw),
            Stage::Thawing => (Stage::StoppingAllocations, Effect::StopAllocations),
            Stage::StoppingAllocations => (Stage::StoppingAgent, Effect::StopAgent),
            Stage::StoppingAgent if self.why == Why::Quit => (Stage::FlushingLogs, Effect::FlushLogs),
            Stage::StoppingAgent | Stage::FlushingLogs => return None,
        };
        Some((Self { stage, ..self }, effect))
    }
}
