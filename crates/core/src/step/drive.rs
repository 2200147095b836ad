//! What the app does of itself: it brings what is to what is wanted.

use super::giving_back::{ask_wind_down, begin};
use super::{set_target, want};
use crate::effect::Effect;
use crate::fault::RegistrationFault;
use crate::hardware::tags;
use crate::region::NodeStatus;
use crate::state::{Account, Agent, State};
use crate::target::{PauseEnd, Target};
use crate::tasks::Task;
use crate::time::Now;
use crate::wind_down::Why;

/// Compares what is wanted with what is, and emits the next effect that brings them together. Ordered: each line
/// assumes what the lines above it have settled.
pub(super) fn drive(state: &mut State, now: Now, effects: &mut Vec<Effect>) {
    if !state.loaded {
        want(state, Task::Load, now, effects, |_| Effect::Load);
        return;
    }
    if let Target::Paused { until: PauseEnd::At { at } } = state.target
        && at <= now.wall
    {
        set_target(state, Target::Earning);
    }
    if state.unsaved && state.tasks.take(Task::Save, now.mono_ms) {
        state.unsaved = false;
        effects.push(Effect::Save(state.saved()));
    }
    let settled = !is_given_back(state, now, effects) && !state.is_lost() && state.may_enrol();
    if settled && is_certified(state, now, effects) && state.target == Target::Earning {
        run_agent(state, now, effects);
    }
}

/// Whether the PC is being given back, or is to be; begins it where it can begin.
fn is_given_back(state: &mut State, now: Now, effects: &mut Vec<Effect>) -> bool {
    if state.wind_down.is_some() {
        return true;
    }
    let maybe_running = state.agent != Agent::Stopped || state.unswept;
    if maybe_running && state.is_lost() {
        ask_wind_down(state, Why::Lost);
    }
    if maybe_running && matches!(state.target, Target::Paused { .. }) {
        ask_wind_down(state, Why::Pause);
    }
    // An introduction is read at the start alone, so a denied agent needs another start.
    let denied = state.registration_fault() == Some(&RegistrationFault::Denied);
    if denied && !state.has_live_job() && state.tasks.take(Task::Readmit, now.mono_ms) {
        // Whether it was taken in, the agent will say. Until then, no asking in a circle.
        state.tasks.failed(Task::Readmit, now.mono_ms);
        ask_wind_down(state, Why::Readmission);
    }
    let Some(why) = state.wind_down_asked else { return false };
    if state.agent != Agent::Starting {
        begin(state, why, effects);
    }
    true
}

/// Whether this PC has a certificate that lasts; sees to one, and to what an enrolled PC does with or without an agent.
fn is_certified(state: &mut State, now: Now, effects: &mut Vec<Effect>) -> bool {
    if state.hardware.is_none() && state.faults.gpu.is_none() {
        want(state, Task::Detect, now, effects, |_| Effect::Detect);
    }
    let Some(device) = &state.device else {
        want(state, Task::Enrol, now, effects, |_| Effect::Enrol);
        return false;
    };
    let (renew_at, expires_at) = (device.renew_at, device.expires_at);
    if !state.watching {
        state.watching = true;
        effects.push(Effect::Watch);
    }
    if renew_at <= now.wall || state.certificate_refused() {
        want(state, Task::Renew, now, effects, |_| Effect::Renew);
    } else {
        // It may have been due by a clock that was wrong.
        state.faults.enrolment = None;
    }
    expires_at > now.wall
}

fn run_agent(state: &mut State, now: Now, effects: &mut Vec<Effect>) {
    if state.agent == Agent::Stopped
        && let Some(tags) = state.hardware.as_ref().map(tags)
        && state.tasks.take(Task::StartAgent, now.mono_ms)
    {
        state.agent = Agent::Starting;
        state.ended_early = None;
        state.faults.registration = None;
        state.taken_in = false;
        effects.push(Effect::StartAgent { tags });
    }
    let held_back = state.node().is_some_and(|node| node.status == NodeStatus::Ready && !node.eligible);
    if state.agent == Agent::Running && held_back {
        want(state, Task::Eligible, now, effects, |_| Effect::SetEligible(true));
    }
}

impl State {
    /// Signed in (or holding an enrolment token, or enrolled before) and agreed: this PC may speak to the gateway.
    pub(crate) fn may_enrol(&self) -> bool {
        let known =
            self.device.is_some() || self.enrolment_token || matches!(self.account, Account::SignedIn { .. });
        known && self.agreed.is_some() && !matches!(self.account, Account::SigningOut)
    }
}
