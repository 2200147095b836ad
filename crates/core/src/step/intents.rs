//! What the owner asks for.

use super::giving_back::give_back;
use super::set_target;
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
        Intent::SignIn { method } => {
            if matches!(state.owner.account, Account::SigningIn { .. }) {
                // The one under way makes room, and ends as cancelled.
                state.owner.superseded += 1;
            }
            state.owner.account = Account::SigningIn { method, code: None, offer_code: false };
            state.faults.sign_in = None;
            effects.push(effect::Account::SignIn(method).into());
        }
        Intent::CancelSignIn => effects.push(effect::Account::CancelSignIn.into()),
        Intent::SignOut => {
            state.owner.account = Account::SigningOut;
            set_target(state, Target::SAFE);
            give_back(state, Why::SignOut, now, effects);
        }
        Intent::Agree { version } => {
            if version == AGREEMENT_VERSION {
                state.owner.agreed = Some(Agreement { version, at: now.wall });
                state.owner.unsaved = true;
            }
        }
        Intent::TakeOver => {
            state.enrolment.take_over = true;
            state.tasks.forget(Task::TakeOver);
        }
        Intent::Pause { until } => set_target(state, Target::Paused { until }),
        Intent::Resume => {
            state.tasks.retry_now();
            set_target(state, Target::Earning);
        }
        Intent::Detect => state.tasks.forget(Task::Look),
        Intent::Retry => {
            state.tasks.retry_now();
            state.faults.runner = None;
        }
        Intent::Open => effects.push(effect::Desktop::OpenWindow.into()),
        Intent::OpenLink { link } => effects.push(effect::Desktop::OpenLink(link).into()),
        Intent::Quit { confirmed } => {
            if confirmed || !state.has_live_job() {
                give_back(state, Why::Quit, now, effects);
            } else {
                state.owner.quit_asked = true;
            }
        }
        Intent::KeepRunning => state.owner.quit_asked = false,
    }
}
