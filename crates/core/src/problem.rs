//! What stands in the way, in terms that have a sentence and a next step in `locales/`.

mod account;
mod agent;
mod card;
mod code;
mod gateway;
mod logs;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use code::ProblemCode;
pub use gateway::of_cloud;

use crate::event::Link;
use crate::fault::CloudFault;
use crate::state::{GatewayWord, State};

/// One problem. Its sentences are `problem-<code>-title` and `problem-<code>-body` with `args` filled in, and its
/// button is `action-<action>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Problem {
    pub code: ProblemCode,
    pub args: BTreeMap<String, String>,
    pub action: Action,
    pub stops: Stops,
}

/// What a problem stops. Stopping goes beside what runs already: only `Everything` ends that too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "snake_case")]
pub enum Stops {
    Nothing,
    /// No new work comes until it is gone.
    NewWork,
    /// Nothing runs here until it is gone.
    Everything,
}

/// The deed that the problem's button does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    None,
    SignIn,
    Retry,
    Detect,
    Resume,
    TakeOver,
    Open { link: Link },
}

/// Everything that stands in the way now, the most fundamental first: what would be wrong whatever came after it.
pub fn problems(state: &State) -> Vec<Problem> {
    let mut found = Vec::new();
    let faults = &state.faults;
    let enrolled = state.enrolment.device.is_some();
    found.extend(faults.settings.as_ref().map(account::of_settings));
    found.extend(state.is_lost().then(|| plain(ProblemCode::DeviceLost, Action::None, Stops::Everything)));
    found.extend(account::of_others(state));
    found.extend(faults.sign_in.as_ref().and_then(|fault| account::of_sign_in(fault, enrolled)));
    let enrolment = if enrolled { Stops::Nothing } else { Stops::Everything };
    found.extend(faults.enrolment.as_ref().map(|fault| of_cloud(fault, enrolment)));
    match &faults.gpu {
        Some(fault) => found.push(card::of_gpu(fault)),
        None => found.extend(state.work.hardware.iter().flat_map(card::of_cards)),
    }
    found.extend(faults.wall.as_ref().map(agent::of_wall));
    found.extend(faults.engine.iter().chain(&faults.containers).map(agent::of_engine));
    // Without an agent nobody looks whether that still holds.
    let loses_cards = state.work.loses_cards && state.agent.running().is_some();
    found.extend(loses_cards.then(|| plain(ProblemCode::EngineLosesCards, Action::None, Stops::Nothing)));
    found.extend(faults.disk.iter().chain(&faults.agent).map(agent::of_agent));
    if let GatewayWord::Unreachable { fault, .. } = &state.gateway {
        found.push(of_cloud(fault, Stops::NewWork));
    }
    if state.last_answer().is_some_and(|answer| answer.silent_since.is_some()) {
        found.push(of_cloud(&CloudFault::RegionUnreachable, Stops::NewWork));
    }
    found.extend(state.registration_fault().map(gateway::of_registration));
    found.extend(faults.work.as_ref().map(agent::of_work));
    found.extend(state.logs.fault.as_ref().and_then(logs::of_logs));
    found.extend(faults.window.then(|| plain(ProblemCode::WindowFailed, Action::None, Stops::Nothing)));
    found.extend(faults.runner.map(|name| {
        with(ProblemCode::PartBroke, Action::None, Stops::Nothing, &[("name", name.to_owned())])
    }));
    found.extend(account::of_session(state));
    let mut seen = BTreeSet::new();
    found.retain(|problem| seen.insert(problem.code));
    found
}

fn plain(code: ProblemCode, action: Action, stops: Stops) -> Problem {
    Problem { code, args: BTreeMap::new(), action, stops }
}

fn with(code: ProblemCode, action: Action, stops: Stops, args: &[(&str, String)]) -> Problem {
    let args = args.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Problem { code, args, action, stops }
}
