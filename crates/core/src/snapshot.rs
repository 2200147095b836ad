//! The only thing that the tray, the window and the command line may know. Replaced whole, never patched.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::can::{Verb, can};
use crate::event::{Device, DeviceCode, LogReport, SessionStore, SignInMethod};
use crate::giving_back::Step;
use crate::hardware::Hardware;
use crate::phase::{Phase, phase};
use crate::problem::{Problem, problems};
use crate::region::{Earnings, Job, Node};
use crate::share::ShareView;
use crate::share::view::share;
use crate::state::{Account, GatewayWord, State};
use crate::target::{AGREEMENT_VERSION, AccountName, Agreement, Target};
use crate::time::UnixMs;
use crate::wall::{Refusals, WallView};

/// Its JSON form is `status --json`; `docs/status.md` describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Snapshot {
    /// A build for rehearsals, or a double of a real part is in play: nothing here is real money.
    pub rehearsal: bool,
    pub phase: Phase,
    pub target: Target,
    /// What the owner can do now.
    pub can: BTreeSet<Verb>,
    /// Something of ours runs or may run on this PC.
    pub may_run: bool,
    pub account: AccountView,
    /// Who is paid for what this PC does: whose device it is.
    pub paid: Option<AccountName>,
    pub agreement: AgreementView,
    pub device: Option<Device>,
    pub hardware: Option<Hardware>,
    pub node: Option<Node>,
    pub jobs: Vec<Job>,
    pub earnings: Option<Earnings>,
    /// Since when the region's word is stale; none while it speaks.
    pub stale_since: Option<UnixMs>,
    pub problems: Vec<Problem>,
    pub logs: LogReport,
    /// What a job can see of this PC, as it was last tried; none where nobody did.
    pub wall: Option<WallView>,
    /// What jobs were not given and so not run, since the app started; none if there was nothing.
    pub refused: Option<Refusals>,
    /// What of this PC jobs get; none where nothing holds them to a share.
    pub share: Option<ShareView>,
    /// How far giving the PC back has come; none while nothing is given back.
    pub giving_back: Option<Step>,
    /// A job is running and the owner asked to quit: ask them.
    pub quit_asked: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(tag = "account", rename_all = "snake_case")]
pub enum AccountView {
    SignedOut,
    SigningIn {
        method: SignInMethod,
        code: Option<DeviceCode>,
        /// Nobody has come back from the browser for a while: a code may do.
        offer_code: bool,
    },
    /// Signed in before; the keyring that holds the session is locked.
    Locked {
        name: AccountName,
    },
    SignedIn {
        name: AccountName,
        store: SessionStore,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct AgreementView {
    /// The version to agree to.
    pub version: u32,
    pub agreed: Option<Agreement>,
}

pub fn view(state: &State) -> Snapshot {
    let problems = problems(state);
    let last = state.last_answer();
    let stale_since = match &state.gateway {
        GatewayWord::Unreachable { since, .. } => Some(*since),
        GatewayWord::Seen(answer) => answer.silent_since,
        GatewayWord::Unknown => None,
    };
    let giving_back = state.agent.giving_back().filter(|giving| !giving.why.is_of_the_agent_alone());
    Snapshot {
        rehearsal: state.rehearsal,
        phase: phase(state, &problems),
        target: state.owner.target,
        can: can(state),
        may_run: state.may_run(),
        account: account(&state.owner.account),
        paid: state.paid().cloned(),
        agreement: AgreementView { version: AGREEMENT_VERSION, agreed: state.owner.agreed },
        device: state.enrolment.device.clone(),
        hardware: state.work.hardware.clone(),
        node: last.and_then(|answer| answer.node.clone()),
        jobs: last.map(|answer| answer.jobs.clone()).unwrap_or_default(),
        earnings: last.and_then(|answer| answer.earnings.clone()),
        stale_since,
        problems,
        logs: state.logs.clone(),
        wall: state.wall().map(WallView::from),
        refused: state.refused.all(),
        share: share(state),
        giving_back: giving_back.map(|giving| giving.step),
        quit_asked: state.owner.quit_asked,
    }
}

fn account(account: &Account) -> AccountView {
    match account {
        Account::SignedOut | Account::SigningOut => AccountView::SignedOut,
        Account::SigningIn { id: _, method, code, offer_code } => {
            AccountView::SigningIn { method: *method, code: code.clone(), offer_code: *offer_code }
        }
        Account::Locked { name } => AccountView::Locked { name: name.clone() },
        Account::SignedIn { name, store } => AccountView::SignedIn { name: name.clone(), store: *store },
    }
}
