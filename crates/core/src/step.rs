//! The one function through which everything happens.

mod drive;
mod giving_back;
mod intents;
mod news;

use crate::effect::Effect;
use crate::event::Event;
use crate::fault::SettingsFault;
use crate::state::State;
use crate::target::{PauseEnd, Target};
use crate::tasks::Task;
use crate::time::{Now, UnixMs};

/// Takes one event into the state and says what to do about it. Total: every event is legal in every state.
pub fn step(state: &mut State, event: Event, now: Now) -> Vec<Effect> {
    let mut effects = Vec::new();
    match event {
        // What the owner asks before the settings are read must not be overwritten by them.
        Event::Intent(intent) if !state.loaded => state.early.push(intent),
        Event::Intent(intent) => intents::on_intent(state, intent, now, &mut effects),
        Event::Signal(signal) => news::on_signal(state, signal, now),
        Event::Outcome(outcome) => news::on_outcome(state, outcome, now, &mut effects),
    }
    drive::drive(state, now, &mut effects);
    state.tasks.let_pass(now.mono_ms);
    effects
}

/// When [`crate::Signal::Tick`] is wanted next, on the monotonic clock; none when only the world can change anything.
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

fn set_target(state: &mut State, target: Target) {
    if state.faults.settings == Some(SettingsFault::Damaged) {
        state.faults.settings = None;
    }
    state.target = target;
    state.unsaved = true;
}
