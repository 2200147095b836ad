//! What the region (through the gateway) says about this PC.

use serde::{Deserialize, Serialize};

use crate::money::Money;
use crate::target::AccountName;
use crate::time::UnixMs;

/// What the gateway tells this PC: the region's word on it, and whose it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WatchAnswer {
    /// None until a node of this device has registered.
    pub node: Option<Node>,
    pub jobs: Vec<Job>,
    pub earnings: Option<Earnings>,
    /// The gateway answers, but the region has not answered it since then; all the rest here is as of then.
    pub silent_since: Option<UnixMs>,
    /// The gateway works with a double of Nomad.
    pub rehearsal: bool,
    /// The owner has reported this PC lost: its certificate is worthless.
    pub lost: bool,
    /// Whose device this is: who is paid.
    pub owner: Option<AccountName>,
    /// The highest sequence number of a wanted state that the gateway has.
    pub wanted_seq: u64,
}

impl WatchAnswer {
    /// The servers have this PC's node, and hear from it.
    pub(crate) fn is_ready(&self) -> bool {
        self.node.as_ref().is_some_and(|node| node.status == NodeStatus::Ready)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Node {
    pub id: String,
    pub status: NodeStatus,
    pub eligible: bool,
}

/// Nomad's node status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "snake_case")]
pub enum NodeStatus {
    Initializing,
    Ready,
    Down,
    Disconnected,
    /// A word that this version does not know.
    #[serde(other)]
    Unknown,
}

/// One allocation on this PC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Job {
    /// Nomad's allocation id.
    pub allocation: String,
    /// The job's name as the customer gave it.
    pub name: String,
    pub status: JobStatus,
    /// When the region placed it here, by the servers' clock.
    pub placed_at: UnixMs,
    pub earned: Money,
}

/// Nomad's client status of an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    Pending,
    Running,
    Complete,
    Failed,
    Lost,
    /// A word that this version does not know.
    #[serde(other)]
    Unknown,
}

impl JobStatus {
    /// Still holds the PC.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Pending | Self::Running)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Earnings {
    /// Since the owner's day began, by this PC's time zone.
    pub today: Money,
    /// `USDC`.
    pub currency: String,
    pub as_of: UnixMs,
}
