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
    /// Anything else that the gateway refused, with its problem code.
    #[error("refused: {0}")]
    Refused(String),
    #[error("this PC cannot keep its certificate: {0}")]
    CannotStore(String),
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
    #[error("cannot be written: {0}")]
    CannotWrite(String),
}
