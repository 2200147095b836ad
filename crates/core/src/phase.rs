//! The one word for what is going on, derived in one ordered function.

use serde::{Deserialize, Serialize};

use crate::agent::Agent;
use crate::giving_back::Why;
use crate::problem::{Problem, ProblemCode, Stops};
use crate::region::{JobStatus, NodeStatus};
use crate::state::{Account, GatewayWord, State};
use crate::target::{PauseEnd, Target};

/// What the window and the tray say first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Phase {
    Loading,
    Welcome,
    SigningIn,
    /// The page to agree to.
    Agreement,
    Enrolling,
    /// Looking for GPUs.
    Detecting,
    /// Something stands in the way and needs the owner.
    Blocked {
        code: ProblemCode,
    },
    /// The agent is starting.
    Starting,
    /// The agent runs; the region does not yet say that the node is ready and eligible.
    Connecting,
    /// Online, no job yet.
    Waiting,
    Earning,
    Pausing,
    Paused {
        until: PauseEnd,
    },
    SigningOut,
    Quitting,
}

/// The first arm that holds wins; the reason stands beside it. What is outranks what stands in the way of it: a job that runs is
/// earning, whatever else is wrong, and the problem is said beside it.
pub fn phase(state: &State, problems: &[Problem]) -> Phase {
    // Before the settings are read nothing else is known.
    if !state.loaded {
        return Phase::Loading;
    }
    // Going away outranks everything: the owner asked and watches it happen.
    match state.agent.giving_back().map(|giving| giving.why) {
        Some(Why::Quit) => return Phase::Quitting,
        Some(Why::SignOut) => return Phase::SigningOut,
        Some(Why::Pause | Why::Lost | Why::Wall | Why::OtherAccount | Why::Agreement) => {
            return Phase::Pausing;
        }
        // The agent alone starts anew.
        Some(Why::Anew) | None => {}
    }
    // A job of the agent that runs, by the region's last word.
    if state.agent.running().is_some() && runs_a_job(state) {
        return Phase::Earning;
    }
    let blocking =
        problems.iter().find(|problem| problem.stops != Stops::Nothing).map(|problem| problem.code);
    if let Some(phase) = before_enrolment(state, blocking) {
        return phase;
    }
    // A problem is shown even while paused when it is about this PC's safety; else the pause is the owner's word.
    if state.is_lost() {
        return Phase::Blocked { code: ProblemCode::DeviceLost };
    }
    if let Target::Paused { until } = state.owner.target {
        return Phase::Paused { until };
    }
    if let Some(code) = blocking {
        return Phase::Blocked { code };
    }
    if state.enrolment.device.is_none() {
        return Phase::Enrolling;
    }
    if state.work.hardware.is_none() {
        return Phase::Detecting;
    }
    match state.agent {
        Agent::Away | Agent::Unswept | Agent::Starting { .. } | Agent::GivingBack(_) => Phase::Starting,
        Agent::Running(_) => by_the_region(state),
    }
}

/// Nobody is known here, or nothing was agreed to: nothing is enrolled or run.
fn before_enrolment(state: &State, blocking: Option<ProblemCode>) -> Option<Phase> {
    match state.owner.account {
        // Waiting for a person at another page. An enrolled PC goes on meanwhile, and says so.
        Account::SigningIn { .. } if state.enrolment.device.is_none() => return Some(Phase::SigningIn),
        Account::SigningOut => return Some(Phase::SigningOut),
        Account::SigningIn { .. }
        | Account::SignedOut
        | Account::Locked { .. }
        | Account::SignedIn { .. } => {}
    }
    if !state.is_known() {
        return Some(blocking.map_or(Phase::Welcome, |code| Phase::Blocked { code }));
    }
    state.owner.agreed.is_none().then_some(Phase::Agreement)
}

/// The agent's own health says nothing: only the region's word makes it online.
fn by_the_region(state: &State) -> Phase {
    let GatewayWord::Seen(answer) = &state.gateway else { return Phase::Connecting };
    let node = answer.node.as_ref();
    if node.is_some_and(|node| node.status == NodeStatus::Ready && node.eligible) {
        Phase::Waiting
    } else {
        Phase::Connecting
    }
}

fn runs_a_job(state: &State) -> bool {
    state.last_answer().is_some_and(|answer| answer.jobs.iter().any(|job| job.status == JobStatus::Running))
}
