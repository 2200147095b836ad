//! What the owner wants, as opposed to what is. Saved at every change, and read back as paused when damaged.

use serde::{Deserialize, Serialize};

use crate::share::Share;
use crate::time::UnixMs;

/// What the owner wants this PC to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(tag = "want", rename_all = "snake_case")]
pub enum Target {
    Earning,
    Paused { until: PauseEnd },
}

/// A pause always says when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum PauseEnd {
    /// When the owner resumes.
    Resumed,
    /// By itself, at this time by the PC's clock.
    At { at: UnixMs },
}

impl Target {
    /// The value to fall back on when the saved one cannot be read: nothing runs.
    pub const SAFE: Self = Self::Paused { until: PauseEnd::Resumed };
}

/// Everything of the state that outlives the process. Nothing in it is a secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    pub target: Target,
    pub agreed: Option<Agreement>,
    pub account: Option<AccountName>,
    /// Files of before it was a choice lack it.
    #[serde(default)]
    pub share: Share,
}

impl Default for Saved {
    /// A PC that has never run this app: it will earn once its owner has signed in and agreed.
    fn default() -> Self {
        Self { target: Target::Earning, agreed: None, account: None, share: Share::default() }
    }
}

impl Saved {
    /// What a damaged file reads back as: nothing runs and nothing was agreed to.
    pub fn safe() -> Self {
        Self { target: Target::SAFE, ..Self::default() }
    }
}

/// The version of the agreement page that this project ships. A new text gets a new number and is asked for again.
pub const AGREEMENT_VERSION: u32 = 1;

/// The owner's word that jobs may run here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Agreement {
    pub version: u32,
    pub at: UnixMs,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct AccountName {
    /// The identity provider's `sub`.
    pub subject: String,
    /// What a person recognises: their e-mail address, else the subject.
    pub shown: String,
}
