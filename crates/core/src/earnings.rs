//! What was earned, asked for by period or by job. The gateway's ledger answers; nothing here adds anything up.

use serde::{Deserialize, Serialize};

use crate::money::Money;
use crate::time::UnixMs;

/// Whose earnings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    ThisPc,
    /// Every PC of the account.
    Account,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum EarningsQuestion {
    Periods {
        scope: Scope,
        /// Rising moments, at least 2: period `i` is from moment `i` to moment `i + 1`. Days are the owner's, with
        /// their time zone and its daylight saving, so whoever asks says where they meet.
        boundaries: Vec<UnixMs>,
    },
    /// A page of jobs, newest placement first.
    Jobs {
        scope: Scope,
        from: UnixMs,
        to: UnixMs,
        /// [`JobsPage::next`] of the page before; none for the first.
        after: Option<String>,
        /// 1 to 1 000.
        limit: u32,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum EarningsAnswer {
    Periods(Periods),
    Jobs(JobsPage),
}

/// One amount a period. Periods that meet add up to the whole, to the millionth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Periods {
    pub amounts: Vec<Money>,
    pub currency: String,
    pub as_of: UnixMs,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct JobsPage {
    pub jobs: Vec<JobEarned>,
    /// Where the next page begins; none after the last.
    pub next: Option<String>,
    pub currency: String,
    pub as_of: UnixMs,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct JobEarned {
    pub allocation: String,
    pub job: String,
    pub device: String,
    /// What the owner calls that PC.
    pub label: String,
    /// The GPU that it was priced as, a slug; none at the default price.
    pub gpu: Option<String>,
    pub placed_at: UnixMs,
    /// Since when it has been paid for; none while it never ran.
    pub started_at: Option<UnixMs>,
    pub ended_at: Option<UnixMs>,
    pub rate_per_hour: Money,
    /// What it earned between the question's moments.
    pub amount: Money,
    /// Why it earns no longer; none while it does.
    pub end: Option<JobEnd>,
}

/// Why a job earns no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "snake_case")]
pub enum JobEnd {
    Complete,
    Failed,
    Lost,
    Stopped,
    Disputed,
    /// A word that this version does not know.
    #[serde(other)]
    Unknown,
}
