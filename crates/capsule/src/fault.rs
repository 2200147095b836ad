//! Why a capsule does not start. Each is one plain problem with what would mend it, and none is tried again in a loop.

use serde::{Deserialize, Serialize};

/// What a PC lacks for a capsule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    #[error("{0} is not installed")]
    Program(String),
    /// `kernel.unprivileged_userns_clone`, `user.max_user_namespaces`.
    #[error("this system lets no ordinary user make a user namespace ({0})")]
    UserNamespaces(String),
    /// Ubuntu's: the namespace comes, without its rights.
    #[error("this system's AppArmor takes the rights from user namespaces")]
    AppArmor,
    /// No line in `/etc/subuid` or `/etc/subgid`, or one of fewer than 65,536.
    #[error("the user has no range of subordinate ids ({0})")]
    SubordinateIds(String),
    /// No control group that is this user's, or one without these controllers: without them there are no limits.
    #[error("no control group was delegated that can limit and freeze jobs (missing: {0})")]
    ControlGroup(String),
    #[error("{0} cannot be opened")]
    Device(String),
    #[error("this PC is connected to no network")]
    Network,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    #[error(transparent)]
    Missing(#[from] Missing),
    /// The drive that it is to lie on.
    #[error("the disk of the capsule cannot be used: {0}")]
    Disk(String),
    /// More than a folder among the owner's is to hold: the capsule that did so has ended.
    #[error("jobs have filled the disk of the capsule")]
    Full,
    /// Another capsule of this name lives, or one on the same disk.
    #[error("another capsule of this name, or on this disk, is there")]
    Busy,
    /// A step of the start, and what was said.
    #[error("{step}: {why}")]
    Failed { step: String, why: String },
    #[error("no capsule can live on this system yet")]
    Elsewhere,
}

impl Fault {
    pub fn at(step: &str, why: impl std::fmt::Display) -> Self {
        Self::Failed { step: step.to_owned(), why: why.to_string() }
    }
}
