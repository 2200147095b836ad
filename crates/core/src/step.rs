//! The one function through which everything happens.

mod drive;
mod giving_back;
mod intents;
mod outcomes;
mod signals;

use crate::effect::{self, Effect};
use crate::event::{Event, Intent, Signal};
use crate::fault::{CloudFault, SettingsFault};
use crate::state::State;
use crate::target::{PauseEnd, Target};
use crate::tasks::Task;
use crate::time::{Now, UnixMs};

/// Takes one event into the state and says what to do about it. Total: every event is legal in every state.
pub fn step(state: &mut State, event: Event, now: Now) -> Vec<Effect> {
    let mut effects = Vec::new();
    if state.slept(now) {
        // A card may have come or gone meanwhile.
        state.tasks.forget(Task::Look);
    }
    take_in(state, event, now, &mut effects);
    // The question is about a job: over with it, and where it is ended anyway.
    state.owner.quit_asked &= state.quit_would_end_a_job();
    giving_back::go_on(state, now, &mut effects);
    drive::drive(state, now, &mut effects);
    state.tasks.let_pass(now);
    effects
}

/// When [`crate::Signal::Tick`] is wanted next, on the monotonic clock; none when only the world can change anything.
pub fn wake_at(state: &State, now: Now) -> Option<u64> {
    let on_mono =
        |wall: UnixMs| now.mono_ms.saturating_add(wall.0.saturating_sub(now.wall.0).max(0).unsigned_abs());
    let resume = match state.owner.target {
        Target::Paused { until: PauseEnd::At { at } } => Some(on_mono(at)),
        Target::Paused { until: PauseEnd::Resumed } | Target::Earning => None,
    };
    let device = state.enrolment.device.as_ref();
    let renew = device.map(|device| on_mono(device.renew_at)).filter(|at| *at > now.mono_ms);
    let step = state.agent.giving_back().and_then(|giving| giving.wake_at_ms());
    [resume, renew, step, state.wall_due_ms(), state.tasks.next_try_ms()].into_iter().flatten().min()
}

fn take_in(state: &mut State, event: Event, now: Now, effects: &mut Vec<Effect>) {
    // What is asked or noticed before the settings are read must not be overwritten by them.
    let kept = !matches!(event, Event::Outcome(_) | Event::Signal(Signal::Tick));
    if kept && !state.loaded {
        if wants_the_pc_back(&event) {
            effects.push(effect::Agent::FreezeEarlier.into());
        }
        state.early.push(event);
        return;
    }
    match event {
        Event::Intent(intent) => intents::on_intent(state, intent, now, effects),
        Event::Signal(Signal::Terminate) => {
            intents::on_intent(state, Intent::Quit { confirmed: true }, now, effects);
        }
        Event::Signal(signal) => signals::on_signal(state, signal, now, effects),
        Event::Outcome(outcome) => outcomes::on_outcome(state, outcome, now, effects),
    }
}

/// With nothing left to ask.
fn wants_the_pc_back(event: &Event) -> bool {
    match event {
        Event::Intent(Intent::Pause { .. } | Intent::Quit { confirmed: true }) => true,
        Event::Signal(signal) => *signal == Signal::Terminate,
        Event::Intent(_) | Event::Outcome(_) => false,
    }
}

/// Emits the task's effect if it is due.
fn want<E: Into<Effect>>(
    state: &mut State,
    task: Task,
    now: Now,
    effects: &mut Vec<Effect>,
    effect: impl FnOnce(&State) -> E,
) {
    if state.tasks.take(task, now) {
        effects.push(effect(state).into());
    }
}

/// How a question to the gateway ended; one that came too often is not asked before the gateway's time is over.
fn settle<T>(state: &mut State, task: Task, result: &Result<T, CloudFault>, now: Now) {
    match result {
        Ok(_) => state.tasks.succeeded(task),
        Err(CloudFault::TooMany { wait_s }) => {
            state.tasks.not_before(task, wait_s.saturating_mul(1_000), now)
        }
        Err(_) => state.tasks.failed(task, now),
    }
}

fn set_target(state: &mut State, target: Target) {
    if matches!(state.faults.settings, Some(SettingsFault::Damaged | SettingsFault::Unreadable)) {
        state.faults.settings = None;
    }
    state.owner.target = target;
    state.owner.unsaved = true;
}
