//! The one function through which everything happens.

use crate::effect::Effect;
use crate::event::{Device, Event, Intent, Loaded, Outcome, Signal, SignedIn};
use crate::fault::{AgentFault, CloudFault, SettingsFault, SignInFault};
use crate::hardware::tags;
use crate::region::{NodeStatus, RegionView};
use crate::state::{Account, Agent, Region, State};
use crate::target::{AGREEMENT_VERSION, Agreement, PauseEnd, Saved, Target};
use crate::tasks::Task;
use crate::time::{Now, UnixMs};
use crate::wind_down::{Why, WindDown};

/// Takes one event into the state and says what to do about it. Total: every event is legal in every state.
pub fn step(state: &mut State, event: Event, now: Now) -> Vec<Effect> {
    let mut effects = Vec::new();
    match event {
        // What the owner asks before the settings are read must not be overwritten by them.
        Event::Intent(intent) if !state.loaded => state.early.push(intent),
        Event::Intent(intent) => on_intent(state, intent, now, &mut effects),
        Event::Signal(signal) => on_signal(state, signal, now),
        Event::Outcome(outcome) => on_outcome(state, outcome, now, &mut effects),
    }
    drive(state, now, &mut effects);
    state.tasks.let_pass(now.mono_ms);
    effects
}

/// When [`Signal::Tick`] is wanted next, on the monotonic clock; none when only the world can change anything.
pub fn wake_at(state: &State, now: Now) -> Option<u64> {
    let on_mono =
        |wall: UnixMs| now.mono_ms.saturating_add(wall.0.saturating_sub(now.wall.0).max(0).unsigned_abs());
    let resume = match state.target {
        Target::Paused { until: PauseEnd::At { at } } => Some(on_mono(at)),
        Target::Paused { until: PauseEnd::Resumed } | Target::Earning => None,
    };
    let renew = state.device.as_ref().map(|device| on_mono(device.renew_at)).filter(|at| *at > now.mono_ms);
    [resume, renew, state.tasks.next_try_ms()].into_iter().flatten().min()
}

fn on_intent(state: &mut State, intent: Intent, now: Now, effects: &mut Vec<Effect>) {
    match intent {
        Intent::SignIn { method } => {
            if matches!(state.account, Account::SignedOut) {
                state.account = Account::SigningIn { method, code: None };
                state.faults.sign_in = None;
                effects.push(Effect::SignIn(method));
            }
        }
        Intent::CancelSignIn => {
            if matches!(state.account, Account::SigningIn { .. }) {
                effects.push(Effect::CancelSignIn);
            }
        }
        Intent::SignOut => {
            if matches!(state.account, Account::SignedIn { .. }) {
                state.account = Account::SigningOut;
                set_target(state, Target::SAFE);
                ask_wind_down(state, Why::SignOut);
            }
        }
        Intent::Agree { version } => {
            if version == AGREEMENT_VERSION {
                state.agreed = Some(Agreement { version, at: now.wall });
                state.unsaved = true;
            }
        }
        Intent::Pause { until } => set_target(state, Target::Paused { until }),
        Intent::Resume => {
            try_again(state);
            set_target(state, Target::Earning);
        }
        Intent::Detect => {
            state.hardware = None;
            state.faults.gpu = None;
            state.tasks.forget(Task::Detect);
        }
        Intent::Retry => try_again(state),
        Intent::Open => effects.push(Effect::OpenWindow),
        Intent::OpenLink { link } => effects.push(Effect::OpenLink(link)),
        Intent::Quit { confirmed } => {
            if confirmed || !state.has_live_job() {
                ask_wind_down(state, Why::Quit);
            } else {
                state.quit_asked = true;
            }
        }
        Intent::KeepRunning => state.quit_asked = false,
    }
}

fn on_signal(state: &mut State, signal: Signal, now: Now) {
    match signal {
        Signal::Tick => {}
        Signal::Region(view) => {
            state.rehearsal |= view.rehearsal;
            if view.node.as_ref().is_some_and(|node| node.eligible) {
                state.tasks.forget(Task::Eligible);
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

fn on_outcome(state: &mut State, outcome: Outcome, now: Now, effects: &mut Vec<Effect>) {
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
        Outcome::SignedIn(result) => on_signed_in(state, result),
        Outcome::SignedOut => {
            state.account = Account::SignedOut;
            state.unsaved = true;
            finish_wind_down(state, effects);
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
    }
}

fn on_signed_in(state: &mut State, result: Result<SignedIn, SignInFault>) {
    match result {
        Ok(signed_in) => {
            state.account = Account::SignedIn { name: signed_in.name, store: signed_in.store };
            state.faults.sign_in = None;
            state.tasks.forget(Task::Enrol);
            state.unsaved = true;
        }
        Err(fault) => {
            state.account = Account::SignedOut;
            state.faults.sign_in = (fault != SignInFault::Cancelled).then_some(fault);
        }
    }
}

fn on_device(state: &mut State, task: Task, result: Result<Device, CloudFault>, now: Now) {
    settle(state, task, result.is_ok(), now);
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

/// Compares what is wanted with what is, and emits the next effect that brings them together. Ordered: each line
/// assumes what the lines above it have settled.
fn drive(state: &mut State, now: Now, effects: &mut Vec<Effect>) {
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
    if state.wind_down.is_some() {
        return;
    }
    let maybe_running = state.agent != Agent::Stopped || state.unswept;
    if maybe_running && state.is_lost() {
        ask_wind_down(state, Why::Lost);
    }
    if maybe_running && matches!(state.target, Target::Paused { .. }) {
        ask_wind_down(state, Why::Pause);
    }
    if let Some(why) = state.wind_down_asked {
        if state.agent != Agent::Starting {
            state.wind_down_asked = None;
            let (wind_down, effect) = WindDown::begin(why, state.agent);
            state.wind_down = Some(wind_down);
            effects.push(effect);
        }
        return;
    }
    if state.is_lost() || !state.may_enrol() {
        return;
    }
    if state.hardware.is_none() && state.faults.gpu.is_none() {
        want(state, Task::Detect, now, effects, |_| Effect::Detect);
    }
    let Some(device) = &state.device else {
        want(state, Task::Enrol, now, effects, |_| Effect::Enrol);
        return;
    };
    let (renew_at, expires_at) = (device.renew_at, device.expires_at);
    if !state.watching {
        state.watching = true;
        effects.push(Effect::Watch);
    }
    if renew_at <= now.wall {
        want(state, Task::Renew, now, effects, |_| Effect::Renew);
    }
    let certified = expires_at > now.wall;
    if state.target != Target::Earning || !certified {
        return;
    }
    if state.agent == Agent::Stopped
        && let Some(tags) = state.hardware.as_ref().map(tags)
        && state.tasks.take(Task::StartAgent, now.mono_ms)
    {
        state.agent = Agent::Starting;
        state.ended_early = None;
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

fn want(
    state: &mut State,
    task: Task,
    now: Now,
    effects: &mut Vec<Effect>,
    effect: impl FnOnce(&State) -> Effect,
) {
    if state.tasks.take(task, now.mono_ms) {
        effects.push(effect(state));
    }
}

fn settle(state: &mut State, task: Task, ok: bool, now: Now) {
    if ok {
        state.tasks.succeeded(task);
    } else {
        state.tasks.failed(task, now.mono_ms);
    }
}

/// The owner says that something has changed: no wait holds any longer, and cards are looked for anew.
fn try_again(state: &mut State) {
    state.tasks.retry_now();
    state.faults.gpu = None;
    // What an earlier sweep had to leave is swept again before anything else.
    if state.faults.work.is_some() && state.agent == Agent::Stopped {
        ask_wind_down(state, Why::Pause);
    }
}

fn set_target(state: &mut State, target: Target) {
    if state.faults.settings == Some(SettingsFault::Damaged) {
        state.faults.settings = None;
    }
    state.target = target;
    state.unsaved = true;
}

/// The PC is to be given back. It begins as soon as no agent is half started: see [`drive`].
fn ask_wind_down(state: &mut State, why: Why) {
    state.quit_asked = false;
    match &mut state.wind_down {
        Some(wind_down) => wind_down.strengthen(why),
        None => state.wind_down_asked = state.wind_down_asked.max(Some(why)),
    }
}

fn advance(state: &mut State, effects: &mut Vec<Effect>) {
    let Some(wind_down) = state.wind_down else { return };
    match wind_down.advance() {
        Some((next, effect)) => {
            state.wind_down = Some(next);
            effects.push(effect);
        }
        // The work is gone; the session goes last, also when the program is to end.
        None if matches!(state.account, Account::SigningOut) => effects.push(Effect::SignOut),
        None => finish_wind_down(state, effects),
    }
}

fn finish_wind_down(state: &mut State, effects: &mut Vec<Effect>) {
    match state.wind_down.map(|wind_down| wind_down.why) {
        // The state stays as it is: nothing may start again between here and the program's end.
        Some(Why::Quit) => effects.push(Effect::Exit),
        Some(Why::Pause | Why::SignOut | Why::Lost) => state.wind_down = None,
        None => {}
    }
}
