//! The only thing that the tray, the window and the command line may know. Replaced whole, never patched.

use serde::{Deserialize, Serialize};

use crate::event::{Device, DeviceCode, LogReport, SessionStore, SignInMethod};
use crate::hardware::Hardware;
use crate::phase::{Phase, phase};
use crate::problem::{Problem, problems};
use crate::region::{Earnings, Job, Node};
use crate::state::{Account, Region, State};
use crate::target::{AGREEMENT_VERSION, AccountName, Agreement, Target};
use crate::time::UnixMs;
use crate::wind_down::{Stage, Why};

/// Its JSON form is `status --json`; `docs/status.md` describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Snapshot {
    /// Version of this form. A reader refuses one it does not know.
    pub schema: u32,
    /// A build for rehearsals, or a double of a real part is in play: nothing here is real money.
    pub rehearsal: bool,
    pub phase: Phase,
    pub target: Target,
    pub account: AccountView,
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
    /// How far giving the PC back has come; none while nothing is given back.
    pub stage: Option<Stage>,
    /// A job is running and the owner asked to quit: ask them.
    pub quit_asked: bool,
}

pub const SCHEMA: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(tag = "account", rename_all = "snake_case")]
pub enum AccountView {
    SignedOut,
    SigningIn { method: SignInMethod, code: Option<DeviceCode> },
    SignedIn { name: AccountName, store: SessionStore },
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
    let last = state.last_view();
    let stale_since = match &state.region {
        Region::Unreachable { since, .. } => Some(*since),
        Region::Seen(view) => view.silent_since,
        Region::Unknown => None,
    };
    Snapshot {
        schema: SCHEMA,
        rehearsal: state.rehearsal,
        phase: phase(state, &problems),
        target: state.target,
        account: match &state.account {
            Account::SignedOut | Account::SigningOut => AccountView::SignedOut,
            Account::SigningIn { method, code } => {
                AccountView::SigningIn { method: *method, code: code.clone() }
            }
            Account::SignedIn { name, store } => AccountView::SignedIn { name: name.clone(), store: *store },
        },
        agreement: AgreementView { version: AGREEMENT_VERSION, agreed: state.agreed },
        device: state.device.clone(),
        hardware: state.hardware.clone(),
        node: last.and_then(|view| view.node.clone()),
        jobs: last.map(|view| view.jobs.clone()).unwrap_or_default(),
        earnings: last.and_then(|view| view.earnings.clone()),
        stale_since,
        problems,
        logs: state.logs.clone(),
        stage: state.wind_down.filter(|wind_down| wind_down.why != Why::Readmission).map(|down| down.stage),
        quit_asked: state.quit_asked,
    }
}
