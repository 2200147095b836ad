//! What effects come back with.

use super::giving_back::{agent_stopped, step_ended};
use super::{settle, take_in};
use crate::agent::{Agent, Running, Tags};
use crate::effect::{self, Effect};
use crate::event::{Device, KeptSession, Loaded, Outcome, SignInId, SignInMethod, SignedIn, WantedTold};
use crate::fault::{AgentFault, CloudFault, GpuFault, RegistrationFault, SettingsFault, SignInFault};
use crate::giving_back::Step;
use crate::hardware::{Hardware, tags};
use crate::start::StartId;
use crate::state::{Account, GatewayWord, State};
use crate::target::{AGREEMENT_VERSION, Saved};
use crate::tasks::Task;
use crate::time::Now;
use crate::wall::Inside;

/// How often the cards are looked at while it matters.
const LOOK_EVERY_MS: u64 = 60_000;

pub(super) fn on_outcome(state: &mut State, outcome: Outcome, now: Now, effects: &mut Vec<Effect>) {
    match outcome {
        Outcome::Loaded(loaded) => {
            on_loaded(state, loaded, now);
            for event in std::mem::take(&mut state.early) {
                take_in(state, event, now, effects);
            }
        }
        Outcome::Saved(result) => on_saved(state, result, now),
        Outcome::SignedIn { id, result } => on_signed_in(state, id, result, effects),
        Outcome::SignedOut => on_signed_out(state, now, effects),
        Outcome::Enrolled(result) => on_device(state, Task::Enrol, result, now),
        Outcome::Renewed(result) => on_device(state, Task::Renew, result, now),
        Outcome::Left(result) => on_left(state, result, now),
        Outcome::Looked(result) => on_looked(state, result, now),
        Outcome::WantedSet { seq, result } => on_wanted_set(state, seq, result, now),
        Outcome::AgentStarted { id, result } => on_agent_started(state, id, result, now),
        // Where freezing or thawing did not work, giving back goes on all the same; the effect has logged why.
        Outcome::Frozen { id, .. } => step_ended(state, id, Step::Freezing, now, effects),
        Outcome::Thawed { id, result } => {
            if state.agent.running().is_some_and(|running| running.id == id) {
                state.faults.work = result.err();
            }
            step_ended(state, id, Step::Thawing, now, effects);
        }
        Outcome::AllocationsStopped { id, .. } => {
            step_ended(state, id, Step::StoppingAllocations, now, effects);
        }
        Outcome::AgentStopped { id, result } => agent_stopped(state, id, result, now, effects),
        Outcome::LogsFlushed(_) => {
            if let Some(giving) = state.agent.giving_back() {
                step_ended(state, giving.id, Step::FlushingLogs, now, effects);
            }
        }
    }
}

fn on_loaded(state: &mut State, loaded: Loaded, now: Now) {
    let saved = match loaded.saved {
        Ok(saved) => saved,
        Err(fault) => {
            state.faults.settings = Some(fault);
            Saved::safe()
        }
    };
    state.loaded = true;
    state.tasks.succeeded(Task::Load);
    state.rehearsal = loaded.rehearsal;
    state.work.capsule = loaded.capsule;
    state.owner.target = saved.target;
    state.owner.agreed = saved.agreed.filter(|agreed| agreed.version == AGREEMENT_VERSION);
    state.owner.share = saved.share.sound();
    state.owner.enrolment_token = loaded.enrolment_token;
    state.owner.account = match (saved.account, loaded.session) {
        (Some(name), KeptSession::Found(store)) => Account::SignedIn { name, store },
        (Some(name), KeptSession::Locked) => Account::Locked { name },
        (None, _) | (_, KeptSession::None) => Account::SignedOut,
    };
    state.enrolment.device = loaded.device;
    state.faults.work = loaded.left_over;
    if let Some(id) = loaded.agent {
        state.last_start = state.last_start.max(id);
        state.work.given = Some((id, state.owner.share));
        // The servers took it in before: what they say of its node is about this agent.
        let running = Running::new(id, now.mono_ms);
        state.agent = Agent::Running(Running { taken_in: true, may_be_frozen: true, ..running });
    } else if state.is_left() {
        state.agent = Agent::Unswept;
        state.tasks.failed(Task::Sweep, now);
    }
}

fn on_saved(state: &mut State, result: Result<(), SettingsFault>, now: Now) {
    match &result {
        Ok(()) => state.tasks.succeeded(Task::Save),
        Err(_) => state.tasks.failed(Task::Save, now),
    }
    state.owner.unsaved |= result.is_err();
    // A damaged file is replaced by any write, but said until the owner has chosen anew: see [`super::set_target`].
    let unread = matches!(state.faults.settings, Some(SettingsFault::Damaged | SettingsFault::Unreadable));
    if result.is_err() || !unread {
        state.faults.settings = result.err();
    }
}

fn on_signed_in(
    state: &mut State,
    id: SignInId,
    result: Result<SignedIn, SignInFault>,
    effects: &mut Vec<Effect>,
) {
    let is_current = match state.owner.account {
        Account::SigningIn { id: current, .. } => current == id,
        // Its session is the one that is kept now, though it ended late.
        Account::SignedIn { .. } if result.is_ok() => true,
        // A quit or a sign-out that came meanwhile is not undone by it.
        Account::SignedIn { .. } | Account::SignedOut | Account::Locked { .. } | Account::SigningOut => {
            return;
        }
    };
    match result {
        Ok(signed_in) => {
            if !is_current {
                // One that had made room came through after all: the other is not needed.
                effects.push(effect::Account::CancelSignIn.into());
            }
            state.owner.account = Account::SignedIn { name: signed_in.name, store: signed_in.store };
            state.faults.sign_in = None;
            state.tasks.forget(Task::Enrol);
            state.owner.unsaved = true;
        }
        Err(_) if !is_current => {}
        Err(SignInFault::NoBrowser) => begin_sign_in(state, SignInMethod::DeviceCode, effects),
        Err(fault) => {
            state.owner.account = Account::SignedOut;
            state.faults.sign_in = (fault != SignInFault::Cancelled).then_some(fault);
        }
    }
}

/// One that is under way makes room, and ends as cancelled.
pub(super) fn begin_sign_in(state: &mut State, method: SignInMethod, effects: &mut Vec<Effect>) {
    state.faults.sign_in = None;
    let id = state.next_sign_in();
    state.owner.account = Account::SigningIn { id, method, code: None, offer_code: false };
    effects.push(effect::Account::SignIn { id, method }.into());
}

fn on_signed_out(state: &mut State, now: Now, effects: &mut Vec<Effect>) {
    state.owner.account = Account::SignedOut;
    state.owner.unsaved = true;
    if let Some(giving) = state.agent.giving_back() {
        step_ended(state, giving.id, Step::SigningOut, now, effects);
    }
}

fn on_device(state: &mut State, task: Task, result: Result<Device, CloudFault>, now: Now) {
    // Whether those who refused the last certificate take the new one, they will say. Until then, no asking in a circle.
    if result.is_ok() && state.certificate_refused() {
        state.tasks.failed(task, now);
    } else {
        settle(state, task, &result, now);
    }
    match result {
        Ok(device) => {
            state.enrolment.device = Some(device);
            state.faults.enrolment = None;
        }
        Err(CloudFault::NotSignedIn | CloudFault::SessionEnded) => {
            state.faults.enrolment = None;
            session_ended(state);
        }
        Err(fault) => state.faults.enrolment = Some(fault),
    }
}

/// The provider or the gateway does not take the session any more. What was begun meanwhile is not undone by that.
pub(super) fn session_ended(state: &mut State) {
    if state.account_name().is_some() {
        state.owner.account = Account::SignedOut;
        state.owner.unsaved = true;
        state.faults.sign_in = Some(SignInFault::SessionEnded);
    }
}

/// This PC is nobody's device now. Whoever is signed in may enrol it.
fn on_left(state: &mut State, result: Result<(), CloudFault>, now: Now) {
    settle(state, Task::Leave, &result, now);
    match result {
        Ok(()) => {
            device_gone(state);
        }
        Err(fault) => state.faults.enrolment = Some(fault),
    }
}

/// This PC is not that device, or not any more. What was last heard is about that one.
pub(super) fn device_gone(state: &mut State) {
    state.enrolment.device = None;
    state.enrolment.take_over = None;
    state.faults.enrolment = None;
    state.gateway = GatewayWord::Unknown;
    state.tasks.forget(Task::Enrol);
}

fn on_looked(state: &mut State, result: Result<Hardware, GpuFault>, now: Now) {
    match result {
        Ok(hardware) => {
            state.tasks.succeeded_for(Task::Look, LOOK_EVERY_MS, now);
            state.rehearsal |= hardware.driver.double;
            if let Agent::Running(running) = &mut state.agent {
                running.tags.get_or_insert_with(|| tags(&hardware));
            }
            state.work.hardware = Some(hardware);
            state.faults.gpu = None;
        }
        Err(fault) => {
            state.tasks.failed(Task::Look, now);
            state.faults.gpu = Some(fault);
        }
    }
}

fn on_wanted_set(state: &mut State, seq: u64, result: Result<WantedTold, CloudFault>, now: Now) {
    match result {
        Ok(WantedTold::Kept { applied }) => state.wanted.answered(seq, Some(applied)),
        Ok(WantedTold::Stale { highest }) => {
            state.wanted.answered(seq, None);
            state.wanted.heard(highest);
        }
        Err(fault) => {
            state.wanted.answered(seq, None);
            settle(state, Task::Wanted, &Err::<(), _>(fault), now);
        }
    }
}

/// What an earlier start was given up for is over, and what an earlier sweep left is this agent's again. It may end in a second:
/// only one that runs for a while has started well, and its failures count until then.
pub(super) fn came_up(
    state: &mut State,
    id: StartId,
    tags: Option<Tags>,
    said: Option<Result<(), RegistrationFault>>,
    inside: Inside,
    now: Now,
) {
    let mut running = Running { tags, inside, ..Running::new(id, now.mono_ms) };
    if let Some(said) = said {
        running.hear(said);
    }
    state.agent = Agent::Running(running);
    state.faults.agent = None;
    state.faults.forget_what_jobs_need();
    if state.is_left() {
        state.faults.work = None;
    }
}

fn on_agent_started(state: &mut State, id: StartId, result: Result<(), AgentFault>, now: Now) {
    let Agent::Starting { id: expected, said, tags, inside } = &mut state.agent else { return };
    if *expected != id {
        return;
    }
    let (said, tags, inside) = (said.take(), std::mem::take(tags), std::mem::take(inside));
    match result {
        Ok(()) => came_up(state, id, Some(tags), said, inside, now),
        Err(fault) => {
            if let AgentFault::Held { id } = fault {
                // The guard knows a newer start than this life does: the next one is to be newer still.
                state.last_start = state.last_start.max(id);
            }
            state.tasks.failed(Task::StartAgent, now);
            state.agent = Agent::Unswept;
            state.faults.agent = Some(fault);
        }
    }
}
