//! What was earned: by period and by job, as the gateway's ledger tells it.

use serde::{Deserialize, Serialize};

use crate::money::Money;
use crate::time::UnixMs;

/// Whose earnings are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// What this device earned, whoever is signed in.
    ThisPc,
    /// What all devices earned that the signed-in account ever had.
    Account,
}

/// One amount for each period that was asked for, in that order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Periods {
    pub amounts: Vec<Money>,
    pub currency: String,
    pub as_of: UnixMs,
}

/// A page of jobs, newest placement first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct JobsPage {
    pub jobs: Vec<JobEarned>,
    /// Where the next page begins; none after the last.
    pub next: Option<String>,
    pub currency: String,
    pub as_of: UnixMs,
}

/// What one job earned on one PC within the range that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct JobEarned {
    /// Nomad's allocation id.
    pub allocation: String,
    /// The job's name as the customer gave it.
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
