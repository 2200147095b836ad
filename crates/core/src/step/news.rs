//! What is noticed, and what effects come back with.

use super::giving_back::{advance, ask_wind_down, finish};
use super::intents::on_intent;
use super::settle;
use crate::effect::Effect;
use crate::event::{Device, Loaded, Outcome, SignInMethod, Signal, SignedIn};
use crate::fault::{AgentFault, CloudFault, SettingsFault, SignInFault};
use crate::region::RegionView;
use crate::state::{Account, Agent, Region, State};
use crate::target::{AGREEMENT_VERSION, Saved};
use crate::tasks::Task;
use crate::time::Now;
use crate::wind_down::Why;

pub(super) fn on_signal(state: &mut State, signal: Signal, now: Now) {
    match signal {
        Signal::Tick => {}
        Signal::Region(view) => {
            state.rehearsal |= view.rehearsal;
            if view.node.as_ref().is_some_and(|node| node.eligible) {
                state.tasks.forget(Task::Eligible);
            }
            // The first word that it is ready may be about an agent's earlier life; a later one is about this one's.
            if state.last_view().is_some_and(|last| !last.is_ready()) && view.is_ready() {
                state.faults.registration = None;
                state.taken_in = true;
            }
            state.region = Region::Seen(view);
        }
        Signal::RegionFault(fault) => {
            let (last, since) = match std::mem::replace(&mut state.region, Region::Unknown) {
                Region::Unknown => (None, now.wall),
                Region::Seen(view) => (Some(view), now.wall),
                Region::Unreachable { last, since, .. } => (last, since),
            };
            let last = if fault == CloudFault::DeviceLost {
                Some(RegionView { lost: true, ..last.unwrap_or_default() })
            } else {
                last
            };
            state.region = Region::Unreachable { last, since, fault };
        }
        Signal::DeviceCode(given) => {
            if let Account::SigningIn { code, .. } = &mut state.account {
                *code = Some(given);
            }
        }
        Signal::AgentExited { fault } => on_agent_exited(state, fault, now),
        Signal::Registration(result) => {
            if result.is_ok() {
                state.taken_in = true;
                state.tasks.forget(Task::Readmit);
                state.tasks.forget(Task::Renew);
            }
            state.faults.registration = result.err();
        }
        Signal::Gpu(samples) => {
            if let Some(hardware) = &mut state.hardware {
                for (gpu, sample) in hardware.gpus.iter_mut().zip(samples) {
                    gpu.sample = sample;
                }
            }
        }
        Signal::Logs(report) => state.logs = report,
        Signal::Terminate => ask_wind_down(state, Why::Quit),
    }
}

pub(super) fn on_outcome(state: &mut State, outcome: Outcome, now: Now, effects: &mut Vec<Effect>) {
    match outcome {
        Outcome::Loaded(loaded) => {
            on_loaded(state, loaded);
            for intent in std::mem::take(&mut state.early) {
                on_intent(state, intent, now, effects);
            }
        }
        Outcome::Saved(result) => {
            settle(state, Task::Save, result.is_ok(), now);
            state.unsaved |= result.is_err();
            // A damaged file is replaced by any write, but said until the owner has chosen anew: see [`set_target`].
            if result.is_err() || state.faults.settings != Some(SettingsFault::Damaged) {
                state.faults.settings = result.err();
            }
        }
        Outcome::SignedIn(result) => on_signed_in(state, result, effects),
        Outcome::SignedOut => {
            state.account = Account::SignedOut;
            state.unsaved = true;
            finish(state, effects);
        }
        Outcome::Enrolled(result) => on_device(state, Task::Enrol, result, now),
        Outcome::Renewed(result) => on_device(state, Task::Renew, result, now),
        Outcome::Detected(result) => {
            // A missing card does not appear by asking again: the owner asks, or the driver's arrival does.
            state.tasks.succeeded(Task::Detect);
            match result {
                Ok(hardware) => {
                    state.rehearsal |= hardware.driver.double;
                    state.hardware = Some(hardware);
                    state.faults.gpu = None;
                }
                Err(fault) => state.faults.gpu = Some(fault),
            }
        }
        Outcome::AgentStarted(result) => {
            let result = result.and_then(|()| state.ended_early.take().map_or(Ok(()), Err));
            settle(state, Task::StartAgent, result.is_ok(), now);
            match result {
                Ok(()) => {
                    state.agent = Agent::Running;
                    state.faults.agent = None;
                }
                Err(fault) => {
                    state.agent = Agent::Stopped;
                    state.unswept = true;
                    state.faults.agent = Some(fault);
                }
            }
        }
        Outcome::EligibleSet { eligible: true, .. } => {
            // Asked is not done: whether it worked, the region will say. Until then, no asking in a circle.
            state.tasks.failed(Task::Eligible, now.mono_ms);
        }
        Outcome::EligibleSet { eligible: false, .. } => advance(state, effects),
        Outcome::Frozen(_)
        | Outcome::Thawed(_)
        | Outcome::AllocationsStopped(_)
        | Outcome::LogsFlushed(_) => {
            advance(state, effects);
        }
        Outcome::AgentStopped(result) => {
            state.agent = Agent::Stopped;
            state.unswept = false;
            state.faults.registration = None;
            state.faults.work = result.err();
            advance(state, effects);
        }
    }
}

fn on_agent_exited(state: &mut State, fault: AgentFault, now: Now) {
    match state.agent {
        // Its start is still to be told: that outcome then has this fault.
        Agent::Starting => state.ended_early = Some(fault),
        Agent::Running => {
            if state.wind_down.is_none() {
                state.faults.agent = Some(fault);
                state.tasks.failed(Task::StartAgent, now.mono_ms);
            }
            state.agent = Agent::Stopped;
            state.unswept = true;
            state.faults.registration = None;
        }
        Agent::Stopped => {}
    }
}

fn on_loaded(state: &mut State, loaded: Loaded) {
    let saved = match loaded.saved {
        Ok(saved) => saved,
        Err(fault) => {
            state.faults.settings = Some(fault);
            Saved::safe()
        }
    };
    state.loaded = true;
    state.tasks.succeeded(Task::Load);
    state.target = saved.target;
    state.agreed = saved.agreed.filter(|agreed| agreed.version == AGREEMENT_VERSION);
    state.rehearsal = loaded.rehearsal;
    state.enrolment_token = loaded.enrolment_token;
    state.device = loaded.device;
    state.faults.work = loaded.left_over;
    state.account = match (saved.account, loaded.session) {
        (Some(name), Some(store)) => Account::SignedIn { name, store },
        (None, _) | (_, None) => Account::SignedOut,
    };
    if loaded.agent_running {
        state.agent = Agent::Running;
        state.taken_in = true;
    }
}

fn on_signed_in(state: &mut State, result: Result<SignedIn, SignInFault>, effects: &mut Vec<Effect>) {
    match result {
        Ok(signed_in) => {
            state.account = Account::SignedIn { name: signed_in.name, store: signed_in.store };
            state.faults.sign_in = None;
            state.tasks.forget(Task::Enrol);
            state.unsaved = true;
        }
        Err(SignInFault::NoBrowser) => {
            let method = SignInMethod::DeviceCode;
            state.account = Account::SigningIn { method, code: None };
            effects.push(Effect::SignIn(method));
        }
        Err(fault) => {
            state.account = Account::SignedOut;
            state.faults.sign_in = (fault != SignInFault::Cancelled).then_some(fault);
        }
    }
}

fn on_device(state: &mut State, task: Task, result: Result<Device, CloudFault>, now: Now) {
    // Whether those who refused the last certificate take the new one, they will say. Until then, no asking in a circle.
    let taken = result.is_ok() && !state.certificate_refused();
    settle(state, task, taken, now);
    match result {
        Ok(device) => {
            state.device = Some(device);
            state.faults.enrolment = None;
        }
        Err(CloudFault::NotSignedIn) => {
            state.account = Account::SignedOut;
            state.unsaved = true;
            state.faults.enrolment = None;
            state.faults.sign_in = Some(SignInFault::SessionEnded);
        }
        Err(fault) => state.faults.enrolment = Some(fault),
    }
}
