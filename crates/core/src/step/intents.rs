//! What the owner asks for.

use super::giving_back::ask_wind_down;
use super::set_target;
use crate::effect::Effect;
use crate::event::Intent;
use crate::state::{Account, Agent, State};
use crate::target::{AGREEMENT_VERSION, Agreement, Target};
use crate::tasks::Task;
use crate::time::Now;
use crate::wind_down::Why;

pub(super) fn on_intent(state: &mut State, intent: Intent, now: Now, effects: &mut Vec<Effect>) {
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

/// The owner says that something has changed: no wait holds any longer, and cards are looked for anew.
fn try_again(state: &mut State) {
    state.tasks.retry_now();
    state.faults.gpu = None;
    // What an earlier sweep had to leave is swept again before anything else.
    if state.faults.work.is_some() && state.agent == Agent::Stopped {
        ask_wind_down(state, Why::Pause);
    }
}
