//! Why something did not work: one typed cause per kind of effect, never a string that somebody matches on.

use serde::{Deserialize, Serialize};

use crate::hardware::CardTrouble;
use crate::start::StartId;
use crate::wall::Wall;

/// Sign-in did not end with an account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignInFault {
    #[error("the identity provider cannot be reached")]
    ProviderDown,
    #[error("no browser took the page")]
    NoBrowser,
    #[error("nobody came back from the browser in time")]
    Abandoned,
    #[error("the person refused or the provider did: {0}")]
    Refused(String),
    /// State, issuer, nonce or signature did not match: possibly somebody else's answer.
    #[error("the sign-in answer was not the one that was asked for: {0}")]
    NotOurs(&'static str),
    #[error("the device code expired")]
    CodeExpired,
    #[error("the sign-in could not be stored: {0}")]
    CannotStore(String),
    #[error("signed in no longer: the provider refused the refresh token")]
    SessionEnded,
    /// The provider answers, and what it says is not what such an answer is made of.
    #[error("the identity provider's answer cannot be read: {0}")]
    Unreadable(String),
    /// Its owner did not unlock it for this sign-in.
    #[error("the keyring is locked")]
    KeyringLocked,
    #[error(transparent)]
    Proxy(#[from] ProxyFault),
    /// See [`CloudFault::Inspected`].
    #[error("{issuer} opens the connection to the identity provider")]
    Inspected { issuer: String },
    /// This PC has no list of authorities, so nobody on the internet can be told from somebody else.
    #[error("this PC has no trust store")]
    NoTrustStore,
    #[error("cancelled")]
    Cancelled,
}

/// The gateway could not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloudFault {
    #[error("no network")]
    NoNetwork,
    #[error("the gateway does not answer or answers {0:?}")]
    Unavailable(Option<u16>),
    #[error("the gateway answers, the region behind it does not")]
    RegionUnreachable,
    #[error("the gateway took too long")]
    Slow,
    #[error("the gateway's answer makes no sense")]
    Garbled,
    #[error("this PC's clock is off by {skew_ms} ms")]
    ClockWrong { skew_ms: i64 },
    #[error("this PC's certificate was refused")]
    CertificateRefused,
    #[error("this PC's certificate has expired")]
    CertificateExpired,
    #[error("this PC was reported lost")]
    DeviceLost,
    #[error("this PC is not enrolled yet")]
    NotEnrolled,
    #[error("a sign-in is needed for this")]
    NotSignedIn,
    /// There may be a sign-in: in a keyring that is locked now.
    #[error("the sign-in lies in a keyring that is locked")]
    KeyringLocked,
    /// The session began before a PC of the account was reported lost.
    #[error("the session was ended by the gateway")]
    SessionEnded,
    #[error("this PC has left its account")]
    DeviceRetired,
    /// Not before so many seconds have passed.
    #[error("asked too often: not again within {wait_s} s")]
    TooMany { wait_s: u64 },
    /// Something between this PC and the gateway opens secure connections: who signed the certificate that it shows.
    #[error("{issuer} opens the connection to the gateway")]
    Inspected { issuer: String },
    #[error(transparent)]
    Proxy(#[from] ProxyFault),
    /// The gateway names a root, a server or a store that what this app was shipped with does not.
    #[error("the gateway names what this app does not know: {0}")]
    Untrusted(String),
    /// Anything else that the gateway refused, with its problem code.
    #[error("refused: {0}")]
    Refused(String),
    #[error("this PC cannot keep its certificate: {0}")]
    CannotStore(String),
}

/// The proxy that the system names is in the way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the proxy {host} ({named_by:?}) {why}")]
pub struct ProxyFault {
    /// `host:port`, without credentials.
    pub host: String,
    pub named_by: NamedBy,
    pub why: ProxyTrouble,
}

/// Where a proxy comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedBy {
    /// Variables such as `HTTPS_PROXY`, of whatever started the app.
    Environment,
    /// The desktop's or the system's own settings.
    Settings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyTrouble {
    #[error("cannot be reached")]
    Unreachable,
    #[error("wants a name and a password")]
    WantsPassword,
    #[error("refuses with {status}")]
    Refuses { status: u16 },
}

/// No card of this PC can work. All of these pass: a driver is installed, loaded or restarted, a card comes back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GpuFault {
    /// There is a card, and nothing that drives it.
    #[error("no NVIDIA driver is installed")]
    DriverMissing,
    /// As in the first seconds after a start of the PC.
    #[error("the NVIDIA driver is installed but not loaded")]
    DriverNotLoaded,
    /// It was updated while its old half was running.
    #[error("the NVIDIA driver's library and kernel module are of different versions")]
    DriverMismatch,
    /// A question to it does not come back.
    #[error("the NVIDIA driver does not answer")]
    DriverSilent,
    #[error("the NVIDIA driver is installed but does not run: {0}")]
    DriverBroken(String),
    #[error("driver {found} is older than {needed}")]
    DriverTooOld { found: String, needed: String },
    #[error("the driver sees no card")]
    NoGpu,
    /// The driver runs, and every card is out. These are, for the first of the reasons.
    #[error("no card can take jobs: {cards}: {trouble:?}")]
    CardsOut { cards: String, trouble: CardTrouble },
}

/// The Nomad agent did not start or did not stay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgentFault {
    #[error("no Nomad agent was found")]
    Missing,
    /// Without it no job could be given a card.
    #[error("the program that gives jobs their cards was not found")]
    NoCardPlugin,
    #[error("{0} cannot be run")]
    NotExecutable(String),
    #[error("a port it needs is taken")]
    PortInUse,
    #[error("it ended with code {code:?}")]
    Crashed { code: Option<i32> },
    #[error("its configuration is not valid: {0}")]
    BadPlan(String),
    #[error("no introduction token: {0}")]
    NoIntroduction(CloudFault),
    #[error("the guard cannot be reached: {0}")]
    NoGuard(String),
    #[error("Nomad {found} was found, {needed} is needed")]
    WrongVersion { found: String, needed: String },
    /// Its checksum is not that of the release.
    #[error("{0} is not what its publisher released")]
    NotGenuine(String),
    /// A script that looks for the real one by the owner's environment, which no agent gets.
    #[error("{0} is a version manager's shim or another script")]
    Shim(String),
    #[error("{0} says nothing when it is asked for its version")]
    Silent(String),
    /// What lies there is the next version's, and this program is still the last one's.
    #[error("the app was upgraded while it runs")]
    Upgraded,
    /// There is no way out of this PC, so that it cannot tell which address is its own.
    #[error("this PC has no default route")]
    NoNetwork,
    /// What it keeps about itself and its jobs cannot be read. It goes, with those jobs, and the next start begins anew.
    #[error("its own state is damaged")]
    StateDamaged,
    #[error("no room on the disk of its folder")]
    DiskFull,
    #[error("its folder cannot be written: {0}")]
    FolderUnwritable(String),
    #[error("another Nomad holds its folder")]
    FolderInUse,
    #[error("it may not make control groups: {0}")]
    NoControlGroups(String),
    #[error("this PC's certificate or key cannot be read: {0}")]
    CertificateUnreadable(String),
    #[error("it cannot tell what this PC has: {0}")]
    PcUnreadable(String),
    /// It is still coming up, and may be there later.
    #[error("it takes too long to come up")]
    Slow,
    /// The guard holds the agent of this newer start.
    #[error("start {} came first", .id.0)]
    Held { id: StartId },
    /// A stop or a newer start came before it was up.
    #[error("it was called off")]
    CalledOff,
    #[error("the container engine: {0}")]
    Engine(EngineFault),
    #[error("no capsule: {0}")]
    NoCapsule(CapsuleFault),
}

/// The capsule that agent and jobs live in cannot be opened. What is missing is the owner's or an administrator's to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CapsuleFault {
    #[error("{0} is not installed")]
    ProgramMissing(String),
    /// The setting that forbids it.
    #[error("an ordinary user may make no world of their own ({0})")]
    NotPermitted(String),
    #[error("the user has no range of subordinate ids ({0})")]
    NoIds(String),
    /// Which of its controllers are missing.
    #[error("no control group can limit and freeze jobs (missing: {0})")]
    NoControlGroup(String),
    #[error("the system's device {0} cannot be used")]
    NoDevice(String),
    #[error("its disk cannot be used: {0}")]
    Disk(String),
    #[error("jobs have filled its disk")]
    Full,
    #[error("another one is there")]
    Busy,
    #[error("{0}")]
    Failed(String),
    #[error("there is no place for one on this system yet")]
    Elsewhere,
}

/// No job can run in the container engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineFault {
    #[error("it is not there or does not run")]
    Absent,
    #[error("this user may not use it")]
    NotPermitted,
    #[error("it does not answer")]
    Silent,
    #[error("it refuses with {0}")]
    Refuses(u16),
    /// Something answers that is no container engine, or one for another system's programs.
    #[error("it is not one that runs Linux containers: {0}")]
    Foreign(String),
    #[error("it cannot give a card to a container")]
    NoCard,
    /// By CDI, or by a runtime of another name. Nomad's driver asks for the runtime `nvidia` and for nothing else.
    #[error("it gives a card to a container, but not by the runtime that jobs ask for")]
    NoCardRuntime,
    /// One that sees none of the folders where jobs' files lie.
    #[error("it is shut away from this PC's folders")]
    Confined,
    /// It runs, and refuses a job's container because of them.
    #[error("it cannot reach the jobs' folders below {0}")]
    FoldersOutOfReach(String),
    /// One that it starts containers with.
    #[error("its program {0} is gone")]
    ProgramGone(String),
    /// What gives a container its card says why.
    #[error("it cannot give a card to a container: {0}")]
    CardUnreachable(String),
}

/// The agent runs, and the region's servers do not take its node in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistrationFault {
    /// Expired, or not yet valid.
    #[error("the servers say that this PC's certificate has expired")]
    CertificateExpired,
    /// Another authority's, another region's, or without a client's name.
    #[error("the servers refuse this PC's certificate")]
    CertificateRefused,
    #[error("the servers do not prove that they are the region's")]
    ServersNotTrusted,
    /// No introduction, one that had expired, or a node identity that had: a client cannot tell which.
    #[error("the servers deny the registration")]
    Denied,
    #[error("the servers cannot be reached")]
    ServersUnreachable,
}

/// The wall around jobs is not known to hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WallFault {
    /// From inside, something was reached that is to be kept from jobs.
    #[error("open: {:?}", .0.breaches().collect::<Vec<_>>())]
    Open(Wall),
    #[error("nobody tried it")]
    Untried,
}

/// Work could not be frozen, thawed or swept away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkFault {
    #[error("{left} processes or containers of ours are still there")]
    StillThere { left: u32 },
    #[error("not permitted")]
    NotPermitted,
    #[error("the container engine does not answer")]
    EngineDown,
    /// Nothing runs any more, but files of ended jobs lie on the disk.
    #[error("files of {left} ended jobs could not be removed")]
    FilesLeft { left: u32 },
}

/// Logs could not be kept or shipped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum LogFault {
    #[error("no room on the disk")]
    DiskFull,
    #[error("this user's share of the disk is used up")]
    QuotaUsedUp,
    #[error("the disk can only be read")]
    ReadOnly,
    #[error("the folder is not this user's to write")]
    NotAllowed,
    /// Sectors, cables, a network mount: the system's own word for it.
    #[error("the disk fails: {0}")]
    DiskFailing(String),
    #[error("the disk does not answer")]
    DiskHangs,
    #[error("the folder's disk is gone")]
    DiskGone,
    #[error("the store refused: {0}")]
    Refused(u16),
    #[error("not reachable")]
    Unreachable,
    /// The store alone, for a day, while the gateway answers.
    #[error("{0} has not been reachable for a day")]
    StoreSilent(String),
}

/// Settings could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsFault {
    #[error("damaged")]
    Damaged,
    /// The disk does not answer, or refuses to read.
    #[error("cannot be read")]
    Unreadable,
    #[error("cannot be written: {0}")]
    CannotWrite(String),
}
