//! What the owner asks for.

use super::giving_back::give_back;
use super::outcomes::begin_sign_in;
use super::set_target;
use crate::agent::Agent;
use crate::can::may;
use crate::effect::{self, Effect};
use crate::event::Intent;
use crate::giving_back::Why;
use crate::state::{Account, State};
use crate::target::{AGREEMENT_VERSION, Agreement, Target};
use crate::tasks::Task;
use crate::time::Now;

pub(super) fn on_intent(state: &mut State, intent: Intent, now: Now, effects: &mut Vec<Effect>) {
    // What is not possible now was asked by a view of earlier.
    if !may(state, &intent) {
        return;
    }
    match intent {
        Intent::SignIn { method } => begin_sign_in(state, method, effects),
        Intent::CancelSignIn => effects.push(effect::Account::CancelSignIn.into()),
        Intent::SignOut => {
            state.owner.account = Account::SigningOut;
            set_target(state, Target::SAFE);
            give_back(state, Why::SignOut, now, effects);
        }
        Intent::Agree { version } => agree(state, version, now),
        Intent::TakeOver => {
            state.enrolment.take_over = state.account_name().cloned();
            state.tasks.forget(Task::Leave);
        }
        Intent::Pause { until } => set_target(state, Target::Paused { until }),
        Intent::Resume => {
            state.tasks.retry_now();
            set_target(state, Target::Earning);
        }
        Intent::Set { setting } => {
            state.owner.share.set(setting);
            state.owner.unsaved = true;
        }
        Intent::Detect => state.tasks.forget(Task::Look),
        Intent::Retry => retry(state),
        Intent::Open => {
            state.faults.window = false;
            effects.push(effect::Desktop::OpenWindow.into());
        }
        Intent::OpenLink { link } => effects.push(effect::Desktop::OpenLink(link).into()),
        // While a job runs, the owner is asked first; one that is ended anyway is no question.
        Intent::Quit { confirmed: false } if state.quit_would_end_a_job() => state.owner.quit_asked = true,
        Intent::Quit { .. } => give_back(state, Why::Quit, now, effects),
        Intent::KeepRunning => state.owner.quit_asked = false,
    }
}

/// To another page than that of now nobody can agree.
fn agree(state: &mut State, version: u32, now: Now) {
    if version == AGREEMENT_VERSION {
        state.owner.agreed = Some(Agreement { version, at: now.wall });
        state.owner.unsaved = true;
    }
}

fn retry(state: &mut State) {
    state.tasks.retry_now();
    state.faults.runner = None;
    if state.agent == Agent::Away && state.faults.work.is_some() {
        // Nothing runs, but something was left: it is swept once more.
        state.agent = Agent::Unswept;
    }
}
