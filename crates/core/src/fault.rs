//! Why something did not work: one typed cause per kind of effect, never a string that somebody matches on.

use serde::{Deserialize, Serialize};

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

/// The proxy that the system names is in the way. It is named `host:port`, without credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyFault {
    #[error("the proxy {0} cannot be reached")]
    Unreachable(String),
    #[error("the proxy {0} wants a name and a password")]
    WantsPassword(String),
    #[error("the proxy {host} refuses with {status}")]
    Refuses { host: String, status: u16 },
}

/// GPUs could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GpuFault {
    #[error("no NVIDIA driver is installed")]
    DriverMissing,
    #[error("the NVIDIA driver is installed but does not run: {0}")]
    DriverBroken(String),
    #[error("driver {found} is older than {needed}")]
    DriverTooOld { found: String, needed: String },
    #[error("the driver sees no card")]
    NoGpu,
}

/// The Nomad agent did not start or did not stay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgentFault {
    #[error("no Nomad agent was found")]
    Missing,
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

/// Work could not be frozen, thawed or swept away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkFault {
    #[error("{left} processes or containers of ours are still there")]
    StillThere { left: u32 },
    #[error("not permitted")]
    NotPermitted,
    #[error("the container engine does not answer")]
    EngineDown,
}

/// Logs could not be kept or shipped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum LogFault {
    #[error("no room on the disk")]
    DiskFull,
    #[error("the store refused: {0}")]
    Refused(u16),
    #[error("not reachable")]
    Unreachable,
}

/// Settings could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsFault {
    #[error("damaged")]
    Damaged,
    #[error("cannot be written: {0}")]
    CannotWrite(String),
}
