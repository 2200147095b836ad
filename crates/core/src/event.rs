//! Everything that can happen. One enum, one queue.

use serde::{Deserialize, Serialize};

use crate::fault::{
    AgentFault, CloudFault, EngineFault, GpuFault, LogFault, RegistrationFault, SettingsFault, SignInFault,
    WorkFault,
};
use crate::hardware::Hardware;
use crate::region::WatchAnswer;
use crate::share::Setting;
use crate::start::StartId;
use crate::target::{AccountName, PauseEnd, Saved};
use crate::time::{Bytes, Gigabytes, UnixMs};
use crate::wall::{CapsuleUse, Refusals, Wall};

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The owner asked for something: window, tray or command line.
    Intent(Intent),
    /// Something was noticed.
    Signal(Signal),
    /// An effect came back.
    Outcome(Outcome),
}

/// What the owner can ask for. Travels over the wire. Which of it is possible now, [`crate::can`] says; what is not is let be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(tag = "intent", rename_all = "snake_case")]
pub enum Intent {
    SignIn {
        method: SignInMethod,
    },
    CancelSignIn,
    SignOut,
    /// Agree to the page of this version.
    Agree {
        version: u32,
    },
    /// This PC is another account's device: make it one of the account that is signed in.
    TakeOver,
    Pause {
        until: PauseEnd,
    },
    Resume,
    /// Choose what of this PC jobs get, from their next start on.
    Set {
        setting: Setting,
    },
    /// Look for GPUs again.
    Detect,
    /// Try again now whatever is waiting to be tried again.
    Retry,
    /// Show the window.
    Open,
    OpenLink {
        link: Link,
    },
    /// While a job runs, the first one is answered by a question in the snapshot.
    Quit {
        confirmed: bool,
    },
    KeepRunning,
}

/// Which sign-in something belongs to. Rises with each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SignInId(pub u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "snake_case")]
pub enum SignInMethod {
    Browser,
    /// RFC 8628: for PCs where no browser can come back.
    DeviceCode,
}

/// Pages outside the app. Names, not addresses: a window cannot make the app open anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "snake_case")]
pub enum Link {
    DriverDownload,
    AgentInstall,
    Help,
    /// Where the device code is typed in.
    DeviceCodePage,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// A wait that [`crate::wake_at`] asked for is over.
    Tick,
    Region(WatchAnswer),
    RegionFault(CloudFault),
    /// The provider gave a code for the person to type in.
    DeviceCode {
        id: SignInId,
        code: DeviceCode,
    },
    /// Nobody has come back from the browser for a while: a code may do.
    BrowserIsSilent {
        id: SignInId,
    },
    /// The keyring was unlocked or has gone, or the provider does not take the session any more.
    Session(KeptSession),
    /// By its cards this is another PC than the one that was enrolled: the identity has been set aside.
    AnotherPc,
    /// A start that was given up has come up after all.
    AgentUp {
        id: StartId,
    },
    /// The agent ended without being asked to.
    AgentExited {
        id: StartId,
        fault: AgentFault,
    },
    /// The agent says that the servers have taken its node in, or why not.
    Registration {
        id: StartId,
        result: Result<(), RegistrationFault>,
    },
    /// The container engine was asked, for this start's jobs.
    Engine {
        id: StartId,
        result: Result<EngineSeen, EngineFault>,
    },
    /// The engine ran a job's container, or refused one for what is this PC's and no job's.
    Containers {
        id: StartId,
        result: Result<(), EngineFault>,
    },
    /// The disk that jobs' files lie on takes them, or why not.
    JobsDisk {
        id: StartId,
        result: Result<(), AgentFault>,
    },
    /// What is free on the drive of this PC that jobs' files lie on; none where nobody can tell.
    JobsDrive {
        free: Option<Gigabytes>,
    },
    /// The wall around this start's jobs was tried from inside.
    Wall {
        id: StartId,
        wall: Wall,
    },
    /// What this start's jobs take now. It changes no snapshot but by whole gigabytes of their disk.
    Capsule {
        id: StartId,
        used: CapsuleUse,
    },
    /// Jobs of this start asked for more than they may have, and were not run: all of them so far.
    JobRefused {
        id: StartId,
        refusals: Refusals,
    },
    Logs(LogReport),
    /// Nothing of these ended jobs runs, but their files could not be removed while their agent runs on.
    FilesLeft {
        id: StartId,
        left: u32,
    },
    /// The window was started and did not stay.
    WindowFailed,
    /// A part of the app broke off and is started again.
    RunnerBroke {
        name: &'static str,
    },
    /// SIGTERM, or the desktop session ends.
    Terminate,
}

/// What an engine is that runs jobs, as far as they depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EngineSeen {
    /// It labels files otherwise than the agent's configuration was written for.
    pub other_labels: bool,
    /// Its containers lose their card as soon as the system's units are loaded anew.
    pub loses_cards: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct DeviceCode {
    pub user_code: String,
    pub verification_uri: String,
    pub expires_at: UnixMs,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct LogReport {
    pub last_shipped_at: Option<UnixMs>,
    /// Closed files that wait for their upload.
    pub waiting: u32,
    /// What jobs wrote and was not taken over, or was deleted unsent, since the app started.
    pub left_out: Bytes,
    /// Lines of the app itself that found no room, since it started.
    pub lost_lines: u32,
    #[serde(skip)]
    pub fault: Option<LogFault>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Loaded(Loaded),
    Saved(Result<(), SettingsFault>),
    SignedIn { id: SignInId, result: Result<SignedIn, SignInFault> },
    SignedOut,
    Enrolled(Result<Device, CloudFault>),
    Renewed(Result<Device, CloudFault>),
    Left(Result<(), CloudFault>),
    Looked(Result<Hardware, GpuFault>),
    WantedSet { seq: u64, result: Result<WantedTold, CloudFault> },
    AgentStarted { id: StartId, result: Result<(), AgentFault> },
    Frozen { id: StartId, result: Result<(), WorkFault> },
    Thawed { id: StartId, result: Result<(), WorkFault> },
    AllocationsStopped { id: StartId, result: Result<(), CloudFault> },
    AgentStopped { id: StartId, result: Result<(), WorkFault> },
    LogsFlushed(Result<(), LogFault>),
}

/// What the gateway made of a wanted state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedTold {
    /// It has it. `applied`: the region's servers have it too.
    Kept { applied: bool },
    /// It has one with this higher number.
    Stale { highest: u64 },
}

/// What was found on the disk and in the keyring at start.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    pub saved: Result<Saved, SettingsFault>,
    /// The identity made at enrolment, if this is still the PC it was made on.
    pub device: Option<Device>,
    pub session: KeptSession,
    /// A guard of an earlier life still holds a running agent: its start.
    pub agent: Option<StartId>,
    /// What an earlier life left and could not be swept away.
    pub left_over: Option<WorkFault>,
    /// An enrolment token was handed over on the command line: no account is needed.
    pub enrolment_token: bool,
    /// Jobs live in a capsule: none comes before its wall was tried.
    pub capsule: bool,
    /// Built with the feature `rehearsal`: doubles and plain processes are possible here.
    pub rehearsal: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    pub name: AccountName,
    pub store: SessionStore,
}

/// What is known of the session of an earlier life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptSession {
    /// Nobody is signed in.
    None,
    /// There may be one in a keyring that is locked now: it is read when it is unlocked.
    Locked,
    Found(SessionStore),
}

/// Where the refresh token lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "snake_case")]
pub enum SessionStore {
    Keyring,
    /// A file of mode 0600: this desktop has no keyring. The window says so.
    File,
}

/// This PC as the gateway knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Device {
    /// Given by the gateway at enrolment; also the node's name.
    pub id: String,
    /// Whose device it is: who is paid. None for one that was enrolled before the gateway told.
    pub owner: Option<AccountName>,
    pub region: String,
    pub node_pool: String,
    /// The certificate's end.
    pub expires_at: UnixMs,
    /// Two thirds of its life.
    pub renew_at: UnixMs,
}
