//! All there is to know, in one place. No secret is in it.

use std::collections::BTreeSet;

use crate::agent::Agent;
use crate::effect::Wanted;
use crate::event::{Device, DeviceCode, Event, LogReport, SessionStore, SignInId, SignInMethod};
use crate::fault::{
    AgentFault, CloudFault, EngineFault, GpuFault, RegistrationFault, SettingsFault, SignInFault, WallFault,
    WorkFault,
};
use crate::giving_back::Step;
use crate::hardware::{Hardware, tags};
use crate::region::{Node, WatchAnswer};
use crate::share::{Given, JobsDisk, Share};
use crate::start::StartId;
use crate::target::{AccountName, Agreement, Saved, Target};
use crate::tasks::{Task, Tasks};
use crate::time::{Gigabytes, Now, UnixMs};
use crate::wall::{CapsuleUse, Refused, Wall};
use crate::wanted::Reconciled;

#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    pub loaded: bool,
    pub rehearsal: bool,
    pub owner: Owner,
    pub enrolment: Enrolment,
    pub work: Work,
    pub agent: Agent,
    pub gateway: GatewayWord,
    pub logs: LogReport,
    pub refused: Refused,
    pub faults: Faults,
    pub(crate) tasks: Tasks,
    pub(crate) wanted: Reconciled,
    /// The last start or sweep: the next one gets the number after it.
    pub(crate) last_start: StartId,
    /// What came before the settings were read.
    pub(crate) early: Vec<Event>,
    pub(crate) last_event: Option<Now>,
}

/// The wall clock moves on in a sleep, the monotonic one does not. (A clock that is set by hand looks the same: then a card is
/// looked at once for nothing.)
const SLEPT_MS: i64 = 30_000;

/// It is tried before the agent starts, and told at once to whoever comes to an agent that runs.
const WALL_TOLD_WITHIN_MS: u64 = 30_000;

/// Who the owner is and what they want.
#[derive(Debug, Clone, PartialEq)]
pub struct Owner {
    pub target: Target,
    pub agreed: Option<Agreement>,
    pub account: Account,
    pub share: Share,
    pub enrolment_token: bool,
    /// The owner asked to quit while a job was running, and has not answered yet.
    pub quit_asked: bool,
    pub(crate) last_sign_in: SignInId,
    /// Something in [`State::saved`] has changed since it was last written.
    pub(crate) unsaved: bool,
}

impl Default for Owner {
    fn default() -> Self {
        let Saved { target, agreed, account: _, share } = Saved::default();
        let account = Account::SignedOut;
        Self {
            target,
            agreed,
            account,
            share,
            enrolment_token: false,
            quit_asked: false,
            last_sign_in: SignInId::default(),
            unsaved: false,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Account {
    SignedOut,
    SigningIn {
        id: SignInId,
        method: SignInMethod,
        code: Option<DeviceCode>,
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
    SigningOut,
}

/// This PC as io.net knows it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Enrolment {
    pub device: Option<Device>,
    pub watching: bool,
    /// Who said that this PC shall be theirs.
    pub(crate) take_over: Option<AccountName>,
}

/// What jobs need of this PC.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Work {
    /// The last look that found something.
    pub hardware: Option<Hardware>,
    /// They live in a capsule: see [`crate::event::Loaded::capsule`].
    pub capsule: bool,
    /// By the engine's last word: see [`crate::event::EngineSeen::loses_cards`].
    pub loses_cards: bool,
    /// Free on the drive of the jobs' disk.
    pub free: Option<Gigabytes>,
    /// It stays when its capsule ends.
    pub disk: Option<JobsDisk>,
    /// What the last start was given.
    pub given: Option<Given>,
    /// UUIDs of the GPUs that the owner needs now. Nothing fills it yet.
    pub holds: BTreeSet<String>,
}

/// The gateway's last word, and whether it still speaks.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum GatewayWord {
    #[default]
    Unknown,
    Seen(WatchAnswer),
    /// The gateway was lost at `since`; what it said last is kept and shown with its age.
    Unreachable {
        last: Option<WatchAnswer>,
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
    pub engine: Option<EngineFault>,
    /// What the engine says only when it is to run a job's container.
    pub containers: Option<EngineFault>,
    pub disk: Option<AgentFault>,
    /// What the last start came to that was told of: until the wall of a later one holds.
    pub wall: Option<WallFault>,
    pub agent: Option<AgentFault>,
    pub work: Option<WorkFault>,
    pub settings: Option<SettingsFault>,
    pub window: bool,
    /// A part of the app that broke off and was started again.
    pub runner: Option<&'static str>,
}

impl Faults {
    /// Without an agent nobody looks after what its jobs need, and one that has come up has found it.
    pub(crate) fn forget_what_jobs_need(&mut self) {
        (self.engine, self.containers, self.disk) = (None, None, None);
    }
}

impl State {
    /// What is written to the settings file.
    pub fn saved(&self) -> Saved {
        let Owner { target, agreed, share, .. } = self.owner;
        Saved { target, agreed, account: self.account_name().cloned(), share }
    }

    /// Who is signed in, also while the keyring is locked.
    pub fn account_name(&self) -> Option<&AccountName> {
        match &self.owner.account {
            Account::SignedIn { name, .. } | Account::Locked { name } => Some(name),
            Account::SignedOut | Account::SigningIn { .. } | Account::SigningOut => None,
        }
    }

    /// The region's last word, fresh or stale.
    pub fn last_answer(&self) -> Option<&WatchAnswer> {
        match &self.gateway {
            GatewayWord::Unknown => None,
            GatewayWord::Seen(answer) => Some(answer),
            GatewayWord::Unreachable { last, .. } => last.as_ref(),
        }
    }

    /// This PC's node, only while the region speaks.
    pub fn node(&self) -> Option<&Node> {
        match &self.gateway {
            GatewayWord::Seen(answer) => answer.node.as_ref(),
            GatewayWord::Unknown | GatewayWord::Unreachable { .. } => None,
        }
    }

    /// Whether the gateway or the region behind it was heard once and is not heard now.
    pub(crate) fn region_is_silent(&self) -> bool {
        match &self.gateway {
            GatewayWord::Unknown => false,
            GatewayWord::Seen(answer) => answer.silent_since.is_some(),
            GatewayWord::Unreachable { .. } => true,
        }
    }

    /// What this PC wants of its node now. It may get work from its agent's start on, unless something of this PC's own stands
    /// in the way.
    pub(crate) fn wants(&self) -> Wanted {
        let runs = match self.agent {
            Agent::Starting { .. } | Agent::Running(_) => true,
            Agent::Away | Agent::Unswept | Agent::GivingBack(_) => false,
        };
        let faults = &self.faults;
        let runs_jobs = faults.engine.is_none() && faults.containers.is_none();
        let has_all = faults.gpu.is_none() && runs_jobs && faults.disk.is_none();
        let fit = has_all && self.wall_holds() && !self.agent_is_outdated();
        // The node is the PC: while its owner needs one of its GPUs, none takes new work.
        let holds = self.work.holds.clone();
        Wanted { eligible: runs && fit && holds.is_empty(), holds }
    }

    /// Nothing is known against the wall, and where there is to be one it was tried.
    fn wall_holds(&self) -> bool {
        let tried = self.agent.inside().is_some_and(|inside| inside.wall.is_some());
        self.faults.wall.is_none() && (tried || !self.work.capsule)
    }

    /// What is wrong with the wall around the agent of now.
    pub(crate) fn wall_fault(&self, now: Now) -> Option<WallFault> {
        let is_open = |wall: &Wall| wall.breaches().next().is_some();
        match self.agent.inside()?.wall.as_ref() {
            Some(wall) => is_open(wall).then(|| WallFault::Open(wall.clone())),
            None => self.wall_due_ms().filter(|due| *due <= now.mono_ms).map(|_| WallFault::Untried),
        }
    }

    /// When a wall that was not told of is not waited for any longer.
    pub(crate) fn wall_due_ms(&self) -> Option<u64> {
        let running = self.agent.running().filter(|running| running.inside.wall.is_none())?;
        self.work.capsule.then(|| running.since_ms.saturating_add(WALL_TOLD_WITHIN_MS))
    }

    /// What the jobs of now take.
    pub fn used(&self) -> Option<&CapsuleUse> {
        self.agent.inside()?.used.as_ref()
    }

    /// The wall as it was last tried: around the agent of now, or what ended the one before.
    pub fn wall(&self) -> Option<&Wall> {
        let ended = match &self.faults.wall {
            Some(WallFault::Open(wall)) => Some(wall),
            Some(WallFault::Untried) | None => None,
        };
        self.agent.inside().and_then(|inside| inside.wall.as_ref()).or(ended)
    }

    pub(crate) fn may_save(&self, now: Now) -> bool {
        self.owner.unsaved && self.tasks.is_due(Task::Save, now)
    }

    /// Why the servers do not take the node in. None while they say that it is ready, whatever the agent said since it was
    /// taken in: it says nothing when a heartbeat gets through again. (Before that, they speak of an agent's earlier life.)
    /// None either while the gateway or the region is silent: then that is the cause, and said.
    pub fn registration_fault(&self) -> Option<&RegistrationFault> {
        let GatewayWord::Seen(answer) = &self.gateway else { return None };
        let running = self.agent.running()?;
        let counts = answer.silent_since.is_none() && !(answer.is_ready() && running.taken_in);
        running.registration.as_ref().filter(|_| counts)
    }

    /// Whether the gateway or the servers do not take this PC's certificate: another one may be taken.
    pub(crate) fn certificate_refused(&self) -> bool {
        let by_gateway = match &self.gateway {
            GatewayWord::Unreachable { fault, .. } => {
                matches!(fault, CloudFault::CertificateRefused | CloudFault::CertificateExpired)
            }
            GatewayWord::Unknown | GatewayWord::Seen(_) => false,
        };
        let by_servers = matches!(
            self.registration_fault(),
            Some(RegistrationFault::CertificateRefused | RegistrationFault::CertificateExpired)
        );
        by_gateway || by_servers
    }

    /// Whether something of ours runs or may run on this PC.
    pub fn may_run(&self) -> bool {
        let swept = self.agent.giving_back().is_some_and(|giving| giving.step > Step::StoppingAgent);
        if swept { self.is_left() } else { self.agent.may_run() }
    }

    /// The last sweep left something running. (Files that could not be removed do not run.)
    pub(crate) fn is_left(&self) -> bool {
        match self.faults.work {
            None | Some(WorkFault::FilesLeft { .. }) => false,
            Some(WorkFault::StillThere { .. } | WorkFault::NotPermitted | WorkFault::EngineDown) => true,
        }
    }

    /// One that is given back anyway is no question.
    pub(crate) fn quit_would_end_a_job(&self) -> bool {
        self.has_live_job() && self.agent.giving_back().is_none()
    }

    /// A job holds this PC, by the region's last word on the agent that runs.
    pub fn has_live_job(&self) -> bool {
        self.agent.may_run()
            && self.last_answer().is_some_and(|answer| answer.jobs.iter().any(|job| job.status.is_live()))
    }

    pub fn is_lost(&self) -> bool {
        self.last_answer().is_some_and(|answer| answer.lost)
            || self.faults.enrolment == Some(CloudFault::DeviceLost)
    }

    /// Nothing may run here: this PC was reported lost, or its device has left its account.
    pub(crate) fn is_barred(&self) -> bool {
        self.is_lost() || self.is_retired()
    }

    fn is_retired(&self) -> bool {
        let retired = |fault: &CloudFault| *fault == CloudFault::DeviceRetired;
        let by_watch = matches!(&self.gateway, GatewayWord::Unreachable { fault, .. } if retired(fault));
        by_watch || self.faults.enrolment.as_ref().is_some_and(retired)
    }

    /// An enrolled PC earns without a session; one that is not enrolled needs an account first.
    pub fn is_known(&self) -> bool {
        self.enrolment.device.is_some() || self.owner.enrolment_token || self.account_name().is_some()
    }

    /// Known and agreed to: this PC may speak to the gateway.
    pub(crate) fn may_enrol(&self) -> bool {
        self.is_known() && self.owner.agreed.is_some() && !matches!(self.owner.account, Account::SigningOut)
    }

    /// Who is paid for what this PC does.
    pub fn paid(&self) -> Option<&AccountName> {
        self.enrolment.device.as_ref().and_then(|device| device.owner.as_ref())
    }

    /// Somebody is signed in, and this PC is another account's device.
    pub fn is_others(&self) -> bool {
        match (self.account_name(), self.paid()) {
            (Some(here), Some(paid)) => here.subject != paid.subject,
            (None, _) | (_, None) => false,
        }
    }

    /// The account that is signed in said that this PC, another account's, shall be its own.
    pub(crate) fn takes_over(&self) -> bool {
        self.is_others() && self.enrolment.take_over.as_ref() == self.account_name()
    }

    /// Somebody is signed in on a PC that has left its account: it may become a new device.
    pub(crate) fn is_free(&self) -> bool {
        self.account_name().is_some() && self.is_retired() && !self.is_lost()
    }

    /// The agent that runs was started with the tags of other cards than those of now.
    fn tags_are_stale(&self) -> bool {
        let started_with = self.agent.running().and_then(|running| running.tags.as_ref());
        let now = self.work.hardware.as_ref().filter(|_| self.faults.gpu.is_none()).map(tags);
        started_with.zip(now).is_some_and(|(started_with, now)| *started_with != now)
    }

    /// The agent that runs was started for another PC than this one is now: with other cards, or another engine's ways.
    pub(crate) fn agent_is_outdated(&self) -> bool {
        self.tags_are_stale() || self.agent.running().is_some_and(|running| running.other_engine)
    }

    /// Whether this PC has slept since the last event.
    pub(crate) fn slept(&mut self, now: Now) -> bool {
        let Some(last) = self.last_event.replace(now) else { return false };
        let awake = i64::try_from(now.mono_ms.saturating_sub(last.mono_ms)).unwrap_or(i64::MAX);
        now.wall.0.saturating_sub(last.wall.0).saturating_sub(awake) > SLEPT_MS
    }

    pub(crate) fn next_sign_in(&mut self) -> SignInId {
        self.owner.last_sign_in.0 += 1;
        self.owner.last_sign_in
    }

    pub(crate) fn next_start(&mut self) -> StartId {
        self.last_start = self.last_start.next();
        self.last_start
    }
}
