//! Problems of the owner's settings and account.

use super::gateway::of_proxy;
use super::{Action, Problem, ProblemCode, Stops, plain, with};
use crate::event::SessionStore;
use crate::fault::{SettingsFault, SignInFault};
use crate::state::{Account, State};

pub(super) fn of_settings(fault: &SettingsFault) -> Problem {
    match fault {
        SettingsFault::Damaged => plain(ProblemCode::SettingsDamaged, Action::Resume, Stops::Everything),
        SettingsFault::Unreadable => {
            plain(ProblemCode::SettingsUnreadable, Action::Resume, Stops::Everything)
        }
        SettingsFault::CannotWrite(why) => {
            with(ProblemCode::SettingsUnwritable, Action::Retry, Stops::Nothing, &[("why", why.clone())])
        }
    }
}

/// The money would go to another account than the one that the window shows.
pub(super) fn of_others(state: &State) -> Option<Problem> {
    let paid = state.paid().filter(|_| state.is_others())?;
    let here = state.account_name()?;
    let args = [("paid", paid.shown.clone()), ("here", here.shown.clone())];
    Some(with(ProblemCode::OtherAccount, Action::TakeOver, Stops::Everything, &args))
}

pub(super) fn of_session(state: &State) -> Option<Problem> {
    match state.owner.account {
        Account::SignedIn { store: SessionStore::File, .. } => {
            Some(plain(ProblemCode::NoKeyring, Action::None, Stops::Nothing))
        }
        Account::Locked { .. } => Some(plain(ProblemCode::KeyringLocked, Action::None, Stops::Nothing)),
        Account::SignedIn { store: SessionStore::Keyring, .. }
        | Account::SignedOut
        | Account::SigningIn { .. }
        | Account::SigningOut => None,
    }
}

/// An enrolled PC earns without a session.
pub(super) fn of_sign_in(fault: &SignInFault, enrolled: bool) -> Option<Problem> {
    use ProblemCode as Code;
    let stops = if enrolled { Stops::Nothing } else { Stops::Everything };
    let with = |code, name, value: &str| with(code, Action::SignIn, stops, &[(name, value.to_owned())]);
    Some(match fault {
        SignInFault::ProviderDown => plain(Code::ProviderDown, Action::SignIn, stops),
        SignInFault::Abandoned => plain(Code::SignInAbandoned, Action::SignIn, stops),
        SignInFault::Refused(why) => with(Code::SignInRefused, "why", why),
        SignInFault::NotOurs(what) => with(Code::SignInNotOurs, "why", what),
        SignInFault::CodeExpired => plain(Code::CodeExpired, Action::SignIn, stops),
        SignInFault::NoTrustStore => plain(Code::NoTrustStore, Action::SignIn, stops),
        SignInFault::CannotStore(why) => with(Code::CannotStore, "why", why),
        SignInFault::Unreadable(why) => with(Code::SignInUnreadable, "why", why),
        SignInFault::Inspected { issuer } => with(Code::ConnectionOpened, "issuer", issuer),
        SignInFault::Proxy(fault) => of_proxy(fault, Action::SignIn, stops),
        SignInFault::SessionEnded => plain(Code::SessionEnded, Action::SignIn, Stops::Nothing),
        SignInFault::KeyringLocked => plain(Code::KeyringLocked, Action::SignIn, Stops::Nothing),
        // Without a browser the sign-in goes on by code: see `step`.
        SignInFault::NoBrowser | SignInFault::Cancelled => return None,
    })
}
