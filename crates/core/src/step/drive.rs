//! What the app does of itself: it brings what is to what is wanted.

use super::giving_back::{give_back, go_on};
use super::{set_target, want};
use crate::agent::Agent;
use crate::effect::{self, Effect};
use crate::fault::RegistrationFault;
use crate::giving_back::Why;
use crate::hardware::tags;
use crate::state::State;
use crate::target::{PauseEnd, Target};
use crate::tasks::Task;
use crate::time::Now;
use crate::wall::Inside;

/// Whoever mends it is not waited for, and a start costs this PC something.
const WALL_AGAIN_MS: u64 = 10 * 60_000;

/// Compares what is wanted with what is, and emits the next effect that brings them together. Ordered: each line
/// assumes what the lines above it have settled.
pub(super) fn drive(state: &mut State, now: Now, effects: &mut Vec<Effect>) {
    if !state.loaded {
        want(state, Task::Load, now, effects, |_| effect::Settings::Load);
        return;
    }
    if let Target::Paused { until: PauseEnd::At { at } } = state.owner.target
        && at <= now.wall
    {
        set_target(state, Target::Earning);
    }
    if state.tasks.is_due(Task::Containers, now) {
        state.faults.containers = None;
    }
    give_back_where_due(state, now, effects);
    if let Agent::Running(running) = &mut state.agent
        && std::mem::take(&mut running.may_be_frozen)
    {
        effects.push(effect::Agent::Thaw { id: running.id }.into());
    }
    if state.owner.unsaved && state.tasks.take(Task::Save, now) {
        state.owner.unsaved = false;
        effects.push(effect::Settings::Save(state.saved()).into());
    }
    if effects.last() == Some(&Effect::Exit) {
        return;
    }
    let settled =
        state.agent.giving_back().is_none() && (!state.is_barred() || state.is_free()) && state.may_enrol();
    if settled
        && is_certified(state, now, effects)
        && !state.is_others()
        && state.owner.target == Target::Earning
    {
        run_agent(state, now, effects);
    }
    follow_the_gateway(state, now, effects);
}

/// Begins to give the PC back where a reason stands.
fn give_back_where_due(state: &mut State, now: Now, effects: &mut Vec<Effect>) {
    if !state.agent.may_run() || state.agent.giving_back().is_some() {
        return;
    }
    let reasons = [
        (state.is_barred(), Why::Lost),
        (state.enrolment.device.is_none(), Why::Lost),
        (matches!(state.owner.target, Target::Paused { .. }), Why::Pause),
        (state.is_others(), Why::OtherAccount),
        (state.owner.agreed.is_none(), Why::Agreement),
        (wall_fails(state, now), Why::Wall),
    ];
    if let Some((_, why)) = reasons.into_iter().find(|(stands, _)| *stands) {
        // What could not be swept is swept again, at growing intervals.
        if state.agent != Agent::Unswept || state.tasks.is_due(Task::Sweep, now) {
            give_back(state, why, now, effects);
            go_on(state, now, effects);
        }
        return;
    }
    begin_anew_where_due(state, now, effects);
}

/// A wall that fails is said until a later one holds, and is tried again by another start.
fn wall_fails(state: &mut State, now: Now) -> bool {
    let Some(fault) = state.wall_fault(now) else { return false };
    state.faults.wall = Some(fault);
    state.tasks.not_before(Task::StartAgent, WALL_AGAIN_MS, now);
    true
}

/// Only an agent without a job is started anew, or one whose jobs cannot begin for want of it.
fn begin_anew_where_due(state: &mut State, now: Now, effects: &mut Vec<Effect>) {
    let Some(running) = state.agent.running() else { return };
    let stuck = running.other_engine && state.faults.containers.is_some();
    if state.has_live_job() && !stuck {
        return;
    }
    // An introduction is read at the start alone, so a denied agent needs another start.
    let denied = state.registration_fault() == Some(&RegistrationFault::Denied);
    if denied && state.tasks.take(Task::Readmit, now) {
        // Whether it was taken in, the agent will say. Until then, no asking in a circle.
        state.tasks.failed(Task::Readmit, now);
        give_back(state, Why::Anew, now, effects);
    } else if state.agent_is_outdated() && state.node().is_some() && !state.region_is_silent() {
        // While the region is silent, whether there is a job is not known.
        give_back(state, Why::Anew, now, effects);
    }
}

/// What an enrolled PC keeps up with its gateway, with or without an agent.
fn follow_the_gateway(state: &mut State, now: Now, effects: &mut Vec<Effect>) {
    if state.enrolment.device.is_none() || state.is_barred() {
        return;
    }
    if !state.enrolment.watching {
        state.enrolment.watching = true;
        effects.push(effect::Region::Watch.into());
    }
    let wanted = state.wants();
    // Nothing runs and nothing was said yet: then there is nothing to take back.
    let matters = wanted.eligible || state.agent.may_run() || state.wanted.has_spoken();
    if matters
        && state.tasks.is_due(Task::Wanted, now)
        && let Some((seq, wanted)) = state.wanted.call(wanted)
    {
        effects.push(effect::Region::SetWanted { seq, wanted }.into());
    }
}

/// Whether this PC has a certificate that lasts; sees to one.
fn is_certified(state: &mut State, now: Now, effects: &mut Vec<Effect>) -> bool {
    if state.owner.target == Target::Earning || state.work.hardware.is_none() {
        want(state, Task::Look, now, effects, |_| effect::Work::Look);
    }
    let Some(device) = &state.enrolment.device else {
        want(state, Task::Enrol, now, effects, |_| effect::Identity::Enrol);
        return false;
    };
    let (renew_at, expires_at) = (device.renew_at, device.expires_at);
    if state.takes_over() || state.is_free() {
        want(state, Task::Leave, now, effects, |_| effect::Identity::Leave);
        return false;
    }
    if renew_at <= now.wall || state.certificate_refused() {
        want(state, Task::Renew, now, effects, |_| effect::Identity::Renew);
    } else {
        // It may have been due by a clock that was wrong.
        state.faults.enrolment = None;
    }
    expires_at > now.wall
}

fn run_agent(state: &mut State, now: Now, effects: &mut Vec<Effect>) {
    let stopped = matches!(state.agent, Agent::Away | Agent::Unswept);
    // Cards that cannot be read now are not offered, by whatever was read before.
    if !stopped || state.faults.gpu.is_some() {
        return;
    }
    // Whether a start is under way, the agent itself says.
    if let Some(tags) = state.work.hardware.as_ref().map(tags)
        && state.tasks.is_due(Task::StartAgent, now)
    {
        let id = state.next_start();
        state.agent = Agent::Starting { id, tags: tags.clone(), said: None, inside: Inside::default() };
        let share = state.owner.share;
        state.work.given = Some((id, share));
        effects.push(effect::Agent::Start { id, tags, share }.into());
    }
}
