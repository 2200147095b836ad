//! All there is to know, in one place. No secret is in it.

use crate::event::{Device, DeviceCode, Intent, LogReport, SessionStore, SignInMethod};
use crate::fault::{
    AgentFault, CloudFault, GpuFault, RegistrationFault, SettingsFault, SignInFault, WorkFault,
};
use crate::hardware::Hardware;
use crate::region::{Node, RegionView};
use crate::target::{AccountName, Agreement, Saved, Target};
use crate::tasks::Tasks;
use crate::time::UnixMs;
use crate::wind_down::{Why, WindDown};

#[derive(Debug, Clone, PartialEq)]
pub struct State {
    pub loaded: bool,
    pub rehearsal: bool,
    pub target: Target,
    pub agreed: Option<Agreement>,
    pub account: Account,
    pub enrolment_token: bool,
    pub device: Option<Device>,
    pub hardware: Option<Hardware>,
    pub agent: Agent,
    pub region: Region,
    pub watching: bool,
    pub wind_down: Option<WindDown>,
    /// Asked for, and waiting for a half-started agent.
    pub(crate) wind_down_asked: Option<Why>,
    /// Something in [`Self::saved`] has changed since it was last written.
    pub(crate) unsaved: bool,
    /// The owner asked to quit while a job was running, and has not answered yet.
    pub quit_asked: bool,
    pub logs: LogReport,
    pub faults: Faults,
    pub(crate) tasks: Tasks,
    /// The agent that runs has said once that the servers took its node in.
    pub(crate) taken_in: bool,
    /// The agent ended without a sweep: work of its may still be there.
    pub(crate) unswept: bool,
    /// An agent that ended before its start was told.
    pub(crate) ended_early: Option<AgentFault>,
    /// Intents that came before the settings were read.
    pub(crate) early: Vec<Intent>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Account {
    SignedOut,
    SigningIn { method: SignInMethod, code: Option<DeviceCode> },
    SignedIn { name: AccountName, store: SessionStore },
    SigningOut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agent {
    Stopped,
    Starting,
    Running,
}

/// The region's last word, and whether it still speaks.
#[derive(Debug, Clone, PartialEq)]
pub enum Region {
    Unknown,
    Seen(RegionView),
    /// The gateway was lost at `since`; what it said last is kept and shown with its age.
    Unreachable {
        last: Option<RegionView>,
        since: UnixMs,
        fault: CloudFault,
    },
}

/// The last failure of each kind, gone when that kind next succeeds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Faults {
    pub sign_in: Option<SignInFault>,
    pub enrolment: Option<CloudFault>,
    pub gpu: Option<GpuFault>,
    pub agent: Option<AgentFault>,
    pub registration: Option<RegistrationFault>,
    pub work: Option<WorkFault>,
    pub settings: Option<SettingsFault>,
}

impl Default for State {
    fn default() -> Self {
        let Saved { target, agreed, account: _ } = Saved::default();
        Self {
            loaded: false,
            rehearsal: false,
            target,
            agreed,
            account: Account::SignedOut,
            enrolment_token: false,
            device: None,
            hardware: None,
            agent: Agent::Stopped,
            region: Region::Unknown,
            watching: false,
            wind_down: None,
            wind_down_asked: None,
            unsaved: false,
            quit_asked: false,
            logs: LogReport::default(),
            faults: Faults::default(),
            tasks: Tasks::default(),
            taken_in: false,
            unswept: false,
            ended_early: None,
            early: Vec::new(),
        }
    }
}

impl State {
    /// What is written to the settings file.
    pub fn saved(&self) -> Saved {
        let account = match &self.account {
            Account::SignedIn { name, .. } => Some(name.clone()),
            Account::SignedOut | Account::SigningIn { .. } | Account::SigningOut => None,
        };
        Saved { target: self.target, agreed: self.agreed, account }
    }

    /// The region's last word, fresh or stale.
    pub fn last_view(&self) -> Option<&RegionView> {
        match &self.region {
            Region::Unknown => None,
            Region::Seen(view) => Some(view),
            Region::Unreachable { last, .. } => last.as_ref(),
        }
    }

    /// This PC's node, only while the region speaks.
    pub fn node(&self) -> Option<&Node> {
        match &self.region {
            Region::Seen(view) => view.node.as_ref(),
            Region::Unknown | Region::Unreachable { .. } => None,
        }
    }

    /// Why the servers do not take the node in. None while they say that it is ready, whatever the agent said since it was
    /// taken in: it says nothing when a heartbeat gets through again. (Before that, they speak of an agent's earlier life.)
    /// None either while the gateway or the region is silent: then that is the cause, and said.
    pub fn registration_fault(&self) -> Option<&RegistrationFault> {
        let Region::Seen(view) = &self.region else { return None };
        let counts = self.agent == Agent::Running
            && view.silent_since.is_none()
            && !(view.is_ready() && self.taken_in);
        self.faults.registration.as_ref().filter(|_| counts)
    }

    /// Whether the gateway or the servers do not take this PC's certificate: another one may be taken.
    pub(crate) fn certificate_refused(&self) -> bool {
        let by_gateway = match &self.region {
            Region::Unreachable { fault, .. } => {
                matches!(fault, CloudFault::CertificateRefused | CloudFault::CertificateExpired)
            }
            Region::Unknown | Region::Seen(_) => false,
        };
        let by_servers = matches!(
            self.registration_fault(),
            Some(RegistrationFault::CertificateRefused | RegistrationFault::CertificateExpired)
        );
        by_gateway || by_servers
    }

    pub fn has_live_job(&self) -> bool {
        self.agent != Agent::Stopped
            && self.last_view().is_some_and(|view| view.jobs.iter().any(|job| job.status.is_live()))
    }

    pub fn is_lost(&self) -> bool {
        self.last_view().is_some_and(|view| view.lost)
            || self.faults.enrolment == Some(CloudFault::DeviceLost)
    }
}
