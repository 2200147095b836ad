//! The one word for what is going on, derived in one ordered function.

use serde::{Deserialize, Serialize};

use crate::problem::{Problem, ProblemCode};
use crate::region::{JobStatus, NodeStatus};
use crate::state::{Account, Agent, Region, State};
use crate::target::{PauseEnd, Target};
use crate::wind_down::Why;

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

/// The first arm that holds wins; the reason stands beside it.
pub fn phase(state: &State, problems: &[Problem]) -> Phase {
    // Before the settings are read nothing else is known.
    if !state.loaded {
        return Phase::Loading;
    }
    // Going away outranks everything: the owner asked and watches it happen.
    match state.wind_down.map(|wind_down| wind_down.why).or(state.wind_down_asked) {
        Some(Why::Quit) => return Phase::Quitting,
        Some(Why::SignOut) => return Phase::SigningOut,
        Some(Why::Pause | Why::Lost) => return Phase::Pausing,
        // The agent alone starts anew.
        Some(Why::Readmission) | None => {}
    }
    // Waiting for a person at another page.
    match state.account {
        Account::SigningIn { .. } => return Phase::SigningIn,
        Account::SigningOut => return Phase::SigningOut,
        Account::SignedOut | Account::SignedIn { .. } => {}
    }
    // An enrolled PC earns without a session; one that is not enrolled needs an account first.
    let known =
        state.device.is_some() || state.enrolment_token || matches!(state.account, Account::SignedIn { .. });
    let blocking = problems.iter().find(|problem| problem.blocking).map(|problem| problem.code);
    if !known {
        return match blocking {
            Some(code) => Phase::Blocked { code },
            None => Phase::Welcome,
        };
    }
    // Nothing is enrolled or run that was not agreed to.
    if state.agreed.is_none() {
        return Phase::Agreement;
    }
    // A problem is shown even while paused when it is about this PC's safety; else the pause is the owner's word.
    if state.is_lost() {
        return Phase::Blocked { code: ProblemCode::DeviceLost };
    }
    if let Target::Paused { until } = state.target
        && state.agent == Agent::Stopped
        && !state.unswept
    {
        return Phase::Paused { until };
    }
    if let Some(code) = blocking {
        return Phase::Blocked { code };
    }
    if state.device.is_none() {
        return Phase::Enrolling;
    }
    if state.hardware.is_none() {
        return Phase::Detecting;
    }
    match state.agent {
        Agent::Stopped | Agent::Starting => return Phase::Starting,
        Agent::Running => {}
    }
    // The agent's own health says nothing: only the region's word makes it online.
    let Region::Seen(view) = &state.region else { return Phase::Connecting };
    let online = view.node.as_ref().is_some_and(|node| node.status == NodeStatus::Ready && node.eligible);
    if !online {
        return Phase::Connecting;
    }
    if view.jobs.iter().any(|job| job.status == JobStatus::Running) {
        return Phase::Earning;
    }
    Phase::Waiting
}
