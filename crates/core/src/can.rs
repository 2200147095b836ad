//! What the owner can do now, decided once for menu, page and command line.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::event::Intent;
use crate::giving_back::Why;
use crate::share::view::share;
use crate::state::{Account, State};
use crate::target::Target;

/// A deed that may be possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    SignIn,
    CancelSignIn,
    SignOut,
    Agree,
    TakeOver,
    Pause,
    Resume,
    Retry,
    Set,
    Quit,
}

/// The verbs that are possible now. While anything of ours runs or may run, the owner can pause (unless that is being done
/// already) and quit, whatever else is wrong.
pub fn can(state: &State) -> BTreeSet<Verb> {
    let mut verbs = BTreeSet::new();
    let mut allow = |verb, when: bool| {
        if when {
            verbs.insert(verb);
        }
    };
    let quitting = is_quitting(state);
    allow(Verb::Quit, !quitting);
    let going = quitting || matches!(state.owner.account, Account::SigningOut);
    let wants_to_earn = state.owner.target == Target::Earning;
    // Before the settings are read an agent of an earlier life may run: what is asked then is done as soon as they are.
    if !state.loaded {
        allow(Verb::Pause, !quitting);
        return verbs;
    }
    allow(Verb::Pause, !going && wants_to_earn && (state.may_run() || state.may_enrol()));
    allow(Verb::Resume, !going && !wants_to_earn && state.is_known());
    allow(Verb::Retry, !going);
    allow(Verb::Set, !quitting && state.work.capsule);
    allow(Verb::Agree, !going && state.is_known() && state.owner.agreed.is_none());
    allow(Verb::TakeOver, !going && state.is_others());
    match state.owner.account {
        Account::SignedOut => allow(Verb::SignIn, !going),
        Account::SigningIn { offer_code, .. } => {
            allow(Verb::CancelSignIn, !quitting);
            // A browser that does not come back: the sign-in can go on by code.
            allow(Verb::SignIn, !going && offer_code);
        }
        Account::Locked { .. } => {
            allow(Verb::SignIn, !going);
            allow(Verb::SignOut, !going);
        }
        Account::SignedIn { .. } => allow(Verb::SignOut, !going),
        Account::SigningOut => {}
    }
    verbs
}

/// Whether this intent may be carried out now.
pub(crate) fn may(state: &State, intent: &Intent) -> bool {
    let verb = match intent {
        Intent::SignIn { .. } => Verb::SignIn,
        Intent::CancelSignIn => Verb::CancelSignIn,
        Intent::SignOut => Verb::SignOut,
        Intent::Agree { .. } => Verb::Agree,
        Intent::TakeOver => Verb::TakeOver,
        // A pause may get another end while it lasts.
        Intent::Pause { .. } if matches!(state.owner.target, Target::Paused { .. }) => {
            return !is_quitting(state);
        }
        Intent::Pause { .. } => Verb::Pause,
        Intent::Resume => Verb::Resume,
        Intent::Set { setting } => {
            let fits = share(state).is_some_and(|share| share.check(*setting).is_ok());
            return fits && can(state).contains(&Verb::Set);
        }
        Intent::Detect | Intent::Retry => Verb::Retry,
        Intent::Quit { .. } => Verb::Quit,
        Intent::Open | Intent::OpenLink { .. } | Intent::KeepRunning => return true,
    };
    can(state).contains(&verb)
}

fn is_quitting(state: &State) -> bool {
    state.agent.giving_back().is_some_and(|giving| giving.why == Why::Quit)
}
