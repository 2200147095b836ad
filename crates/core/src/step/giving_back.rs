//! The PC is given back: the order is [`crate::giving_back`]'s, this is where it begins, goes on and ends.

use crate::agent::Agent;
use crate::effect::{self, Effect};
use crate::fault::WorkFault;
use crate::giving_back::{GivingBack, Step, ToEnd, Why};
use crate::start::StartId;
use crate::state::{Account, State};
use crate::tasks::Task;
use crate::time::Now;

/// The PC is to be given back. Where that is under way already, the stronger reason counts.
pub(super) fn give_back(state: &mut State, why: Why, now: Now, effects: &mut Vec<Effect>) {
    state.owner.quit_asked = false;
    if let Agent::GivingBack(giving) = &mut state.agent {
        giving.strengthen(why);
        return;
    }
    // Neither waits for the rest after an earlier try: the region is told at once, and the cards are looked at when it goes on.
    // An earlier answer does not show that it answers now.
    state.tasks.forget(Task::Wanted);
    state.wanted.doubt();
    state.tasks.forget(Task::Look);
    let live = state.agent.live();
    let id = live.unwrap_or_else(|| state.next_start());
    let to_end = match live {
        Some(_) => ToEnd::OfAgent,
        None if state.agent.may_run() => ToEnd::Orphaned,
        None => ToEnd::Nothing,
    };
    let giving = GivingBack::begin(id, why, to_end, now.mono_ms);
    state.agent = Agent::GivingBack(giving);
    effects.extend(effect_of(giving, now));
}

/// The step with this effect has ended. Late, doubled and stale words name a step or a start that is not the one of now.
pub(super) fn step_ended(state: &mut State, id: StartId, step: Step, now: Now, effects: &mut Vec<Effect>) {
    if is_at(state, id, step) {
        advance(state, now, effects);
    }
}

/// The agent is gone, or what is left of it could not be cleared away.
pub(super) fn agent_stopped(
    state: &mut State,
    id: StartId,
    result: Result<(), WorkFault>,
    now: Now,
    effects: &mut Vec<Effect>,
) {
    if !is_at(state, id, Step::StoppingAgent) {
        return;
    }
    match &result {
        Ok(()) => state.tasks.succeeded(Task::Sweep),
        Err(_) => state.tasks.failed(Task::Sweep, now),
    }
    state.faults.work = result.err();
    state.faults.forget_what_jobs_need();
    advance(state, now, effects);
}

/// Goes on where what a step waits for has come from elsewhere, or its time is over.
pub(super) fn go_on(state: &mut State, now: Now, effects: &mut Vec<Effect>) {
    while let Agent::GivingBack(giving) = state.agent {
        let over = match giving.step {
            Step::MakingIneligible => state.is_applied() || state.region_is_silent(),
            Step::Saving => !state.tasks.is_under_way(Task::Save) && !state.may_save(now),
            Step::Freezing
            | Step::Thawing
            | Step::StoppingAllocations
            | Step::StoppingAgent
            | Step::SigningOut
            | Step::FlushingLogs => false,
        };
        if !over && !giving.is_overdue(now.mono_ms) {
            return;
        }
        advance(state, now, effects);
    }
}

fn is_at(state: &State, id: StartId, step: Step) -> bool {
    state.agent.giving_back().is_some_and(|giving| giving.id == id && giving.step == step)
}

fn advance(state: &mut State, now: Now, effects: &mut Vec<Effect>) {
    let Agent::GivingBack(mut giving) = state.agent else { return };
    match next(state, giving) {
        Some(step) => {
            giving.enter(step, now.mono_ms);
            state.agent = Agent::GivingBack(giving);
            effects.extend(effect_of(giving, now));
        }
        // The state stays as it is: nothing may start again between here and the program's end.
        None if giving.why == Why::Quit => {
            giving.rest();
            state.agent = Agent::GivingBack(giving);
            effects.push(Effect::Exit);
        }
        None => state.agent = if state.is_left() { Agent::Unswept } else { Agent::Away },
    }
}

fn next(state: &State, giving: GivingBack) -> Option<Step> {
    match giving.step {
        Step::Freezing if giving.to_end == ToEnd::Orphaned => Some(Step::StoppingAgent),
        Step::Freezing => Some(Step::MakingIneligible),
        // What is thawed must be told to leave by somebody: by a region that has just shown that it answers.
        Step::MakingIneligible if state.is_applied() => Some(Step::Thawing),
        Step::MakingIneligible | Step::StoppingAllocations => Some(Step::StoppingAgent),
        Step::Thawing => Some(Step::StoppingAllocations),
        Step::StoppingAgent | Step::SigningOut | Step::Saving | Step::FlushingLogs => {
            after_the_work(state, giving)
        }
    }
}

/// The work is gone. The session goes after it, also when the program is to end; then what is to be remembered.
fn after_the_work(state: &State, giving: GivingBack) -> Option<Step> {
    let quit = giving.why == Why::Quit;
    if giving.step < Step::SigningOut && matches!(state.owner.account, Account::SigningOut) {
        return Some(Step::SigningOut);
    }
    if giving.step < Step::Saving && quit {
        return Some(Step::Saving);
    }
    (giving.step < Step::FlushingLogs && quit).then_some(Step::FlushingLogs)
}

/// None for a step that waits for what is told anyway: see [`super::drive`].
fn effect_of(giving: GivingBack, now: Now) -> Option<Effect> {
    use effect::Agent as Deed;
    let id = giving.id;
    Some(match giving.step {
        Step::Freezing => Deed::Freeze { id }.into(),
        Step::Thawing => Deed::Thaw { id }.into(),
        Step::StoppingAllocations => {
            effect::Region::StopAllocations { id, within_ms: giving.within_ms(now.mono_ms) }.into()
        }
        Step::StoppingAgent => Deed::Stop { id, patience_ms: giving.patience_ms() }.into(),
        Step::SigningOut => effect::Account::SignOut.into(),
        Step::FlushingLogs => effect::Logs::Flush { within_ms: giving.within_ms(now.mono_ms) }.into(),
        Step::MakingIneligible | Step::Saving => return None,
    })
}

impl State {
    /// The region has been told that no new work may come, and has taken it.
    fn is_applied(&self) -> bool {
        self.wanted.is_applied(&self.wants()) && !self.region_is_silent()
    }
}
