//! What is noticed.

use super::outcomes::{came_up, device_gone, session_ended};
use crate::agent::Agent;
use crate::effect::{self, Effect};
use crate::event::{EngineSeen, KeptSession, Signal};
use crate::fault::{AgentFault, CloudFault, EngineFault, RegistrationFault, WorkFault};
use crate::region::{NodeStatus, WatchAnswer};
use crate::share::JobsDisk;
use crate::start::StartId;
use crate::state::{Account, GatewayWord, State};
use crate::tasks::Task;
use crate::time::Now;
use crate::wall::{CapsuleUse, Inside, Refusals, Wall};

/// An agent that ran for so long has started well, whatever comes later.
const STARTED_WELL_MS: u64 = 60_000;

/// Each try may cost a customer's job its start.
const CONTAINERS_AGAIN_MS: u64 = 10 * 60_000;

pub(super) fn on_signal(state: &mut State, signal: Signal, now: Now, effects: &mut Vec<Effect>) {
    match signal {
        // The end that `Terminate` asks for is a quit: see [`super::take_in`].
        Signal::Tick | Signal::Terminate => {}
        Signal::Region(answer) => on_answer(state, answer, now),
        Signal::RegionFault(fault) => on_silence(state, fault, now, effects),
        Signal::DeviceCode { id, code: given } => {
            if let Account::SigningIn { id: current, code, .. } = &mut state.owner.account
                && *current == id
            {
                *code = Some(given);
            }
        }
        Signal::BrowserIsSilent { id } => {
            if let Account::SigningIn { id: current, offer_code, .. } = &mut state.owner.account
                && *current == id
            {
                *offer_code = true;
            }
        }
        Signal::Session(kept) => on_session(state, kept),
        Signal::AnotherPc => device_gone(state),
        Signal::AgentUp { id } => on_agent_up(state, id, now),
        Signal::AgentExited { id, fault } => on_agent_exited(state, id, fault, now),
        Signal::Registration { id, result } => on_registration(state, id, result),
        Signal::Engine { id, result } => on_engine(state, id, result),
        Signal::Containers { id, result } => on_containers(state, id, result, now),
        Signal::JobsDisk { id, result } => on_jobs_disk(state, id, result),
        Signal::JobsDrive { free } => state.work.free = free,
        Signal::Wall { id, wall } => on_wall(state, id, wall),
        Signal::Capsule { id, used } => on_used(state, id, used),
        Signal::JobRefused { id, refusals } => on_job_refused(state, id, refusals),
        Signal::Logs(report) => state.logs = report,
        Signal::FilesLeft { id, left } => on_files_left(state, id, left),
        Signal::WindowFailed => state.faults.window = true,
        Signal::RunnerBroke { name } => state.faults.runner = Some(name),
    }
}

fn on_answer(state: &mut State, answer: WatchAnswer, now: Now) {
    state.rehearsal |= answer.rehearsal;
    state.wanted.heard(answer.wanted_seq);
    if let Some(node) = &answer.node {
        state.wanted.seen_applied(node.eligible);
    }
    if let (Some(device), Some(owner)) = (&mut state.enrolment.device, &answer.owner) {
        device.owner = Some(owner.clone());
    }
    // The first word that it is ready may be about an agent's earlier life; a later one is about this one's.
    let became_ready = state.last_answer().is_some_and(|last| !last.is_ready()) && answer.is_ready();
    if let Agent::Running(running) = &mut state.agent
        && became_ready
    {
        running.registration = None;
        running.taken_in = true;
    }
    // The gateway has our word, and the node is not what we asked for: it is said again, at growing intervals.
    let wanted = state.wants();
    let held_back =
        answer.node.as_ref().is_some_and(|node| node.status == NodeStatus::Ready && !node.eligible);
    if held_back && wanted.eligible && state.wanted.is_told(&wanted) && state.tasks.is_due(Task::Wanted, now)
    {
        state.tasks.failed(Task::Wanted, now);
        state.wanted.doubt();
    } else if answer.node.as_ref().is_some_and(|node| node.eligible) {
        state.tasks.forget(Task::Wanted);
    }
    state.gateway = GatewayWord::Seen(answer);
}

fn on_silence(state: &mut State, fault: CloudFault, now: Now, effects: &mut Vec<Effect>) {
    let (last, since) = match std::mem::take(&mut state.gateway) {
        GatewayWord::Unknown => (None, now.wall),
        GatewayWord::Seen(answer) => (Some(answer), now.wall),
        GatewayWord::Unreachable { last, since, .. } => (last, since),
    };
    let lost = fault == CloudFault::DeviceLost;
    let last = if lost { Some(WatchAnswer { lost, ..last.unwrap_or_default() }) } else { last };
    state.gateway = GatewayWord::Unreachable { last, since, fault };
    if lost && state.account_name().is_some() {
        // Whoever holds this PC now is not to act for the account.
        state.owner.account = Account::SignedOut;
        state.owner.unsaved = true;
        effects.push(effect::Account::Forget.into());
    }
}

fn on_session(state: &mut State, kept: KeptSession) {
    match (&state.owner.account, kept) {
        (Account::Locked { name }, KeptSession::Found(store)) => {
            state.owner.account = Account::SignedIn { name: name.clone(), store };
            state.tasks.forget(Task::Enrol);
        }
        (Account::Locked { .. }, KeptSession::None) => {
            state.owner.account = Account::SignedOut;
            state.owner.unsaved = true;
        }
        (Account::SignedIn { .. }, KeptSession::None) => session_ended(state),
        _ => {}
    }
}

/// One that has come back may run containers again.
fn on_engine(state: &mut State, id: StartId, result: Result<EngineSeen, EngineFault>) {
    if state.agent.live() != Some(id) {
        return;
    }
    if result.is_ok() && state.faults.engine.is_some() {
        state.faults.containers = None;
    }
    if let Ok(seen) = &result {
        state.work.loses_cards = seen.loses_cards;
        // Of a start that is under way its engine has just been asked.
        if let Agent::Running(running) = &mut state.agent {
            running.other_engine = seen.other_labels;
        }
    }
    state.faults.engine = result.err();
}

/// Without new work no start can show that it is over, and no question to the engine does: so a next job tries, after a
/// while or when the owner says so.
fn on_containers(state: &mut State, id: StartId, result: Result<(), EngineFault>, now: Now) {
    if state.agent.live() != Some(id) {
        return;
    }
    match &result {
        Ok(()) => state.tasks.forget(Task::Containers),
        Err(_) => state.tasks.not_before(Task::Containers, CONTAINERS_AGAIN_MS, now),
    }
    state.faults.containers = result.err();
}

fn on_jobs_disk(state: &mut State, id: StartId, result: Result<(), AgentFault>) {
    if state.agent.live() == Some(id) {
        state.faults.disk = result.err();
    }
}

/// One that fails is seen to in [`super::drive`].
fn on_wall(state: &mut State, id: StartId, wall: Wall) {
    let Some(inside) = state.agent.inside_of(id) else { return };
    inside.wall = Some(wall);
    state.faults.wall = None;
}

fn on_used(state: &mut State, id: StartId, used: CapsuleUse) {
    if let Some(inside) = state.agent.inside_of(id) {
        state.work.disk = JobsDisk::of(&used);
        inside.used = Some(used);
    }
}

fn on_job_refused(state: &mut State, id: StartId, refusals: Refusals) {
    if state.agent.live() == Some(id) {
        state.refused.hear(id, refusals);
    }
}

/// Work that is there is worse than files that are.
fn on_files_left(state: &mut State, id: StartId, left: u32) {
    if state.agent.live() == Some(id) && !state.is_left() {
        state.faults.work = Some(WorkFault::FilesLeft { left });
    }
}

/// A start that had been given up. Where an agent is wanted, it is the one; where not, it is swept away.
fn on_agent_up(state: &mut State, id: StartId, now: Now) {
    let (tags, said, inside) = match &mut state.agent {
        Agent::Away | Agent::Unswept => (None, None, Inside::default()),
        Agent::Starting { id: expected, tags, said, inside } if *expected == id => {
            (Some(std::mem::take(tags)), said.take(), std::mem::take(inside))
        }
        Agent::Starting { .. } | Agent::Running(_) | Agent::GivingBack(_) => return,
    };
    came_up(state, id, tags, said, inside, now);
}

fn on_agent_exited(state: &mut State, id: StartId, fault: AgentFault, now: Now) {
    if state.agent.live() != Some(id) {
        return;
    }
    if state.agent.running().is_some_and(|running| now.mono_ms - running.since_ms >= STARTED_WELL_MS) {
        state.tasks.forget(Task::StartAgent);
    }
    state.faults.agent = Some(fault);
    state.tasks.failed(Task::StartAgent, now);
    state.agent = Agent::Unswept;
}

fn on_registration(state: &mut State, id: StartId, result: Result<(), RegistrationFault>) {
    let taken_in = result.is_ok();
    match &mut state.agent {
        Agent::Running(running) if running.id == id => running.hear(result),
        Agent::Starting { id: starting, said, .. } if *starting == id => *said = Some(result),
        Agent::Running(_) | Agent::Starting { .. } | Agent::Away | Agent::Unswept | Agent::GivingBack(_) => {
            return;
        }
    }
    if taken_in {
        state.tasks.forget(Task::Readmit);
        state.tasks.forget(Task::Renew);
    }
}
