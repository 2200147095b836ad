//! The guard: the one process that ends what runs here. It is the resident program's own binary, started as
//! `… guard --run-dir DIR`, holds the agent as its child, and is held by a connection to the resident program. When
//! that closes it waits for a successor, then leaves nothing running. Nomad would let its tasks outlive it.
//!
//! Ours is whoever comes from it. It has a parent, its keeper ([`keep`]), for when it is killed itself.
//!
//! One guard per folder, one resident program per guard; a newer one replaces the older.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ionet_core::StartId;
use ionet_core::fault::{EngineFault, RegistrationFault};
use ionet_core::wall::Refusals;
use serde::{Deserialize, Serialize};

pub use crate::platform::guard::{Guard, serve, serve_with};
pub use crate::platform::keeper::keep;
pub use crate::supervisor::Waits;

/// Where the agent finds its container engine: the guard's gate, which passes on what a job may have and nothing else.
pub fn gate_socket(run_dir: &Path) -> PathBuf {
    run_dir.join("engine.sock")
}

/// Where what is ours lies and runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Nomad's data folder: what lies below it is ours.
    pub data_dir: PathBuf,
    /// The engine of the capsule, all of whose containers are ours. The agent is to reach it through [`gate_socket`] alone.
    pub docker_socket: Option<PathBuf>,
}

/// An agent to start.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Newer than every start and stop before it. Said beside the rest: see the protocol.
    #[serde(skip)]
    pub id: StartId,
    pub program: PathBuf,
    pub args: Vec<String>,
    /// The whole environment: nothing is inherited.
    pub env: BTreeMap<String, String>,
    pub cwd: PathBuf,
    /// The device whose node it is to be. None from an app that sees to that itself.
    #[serde(default)]
    pub node: Option<String>,
    /// Its introduction to the region: a secret. It reads that once.
    #[serde(default)]
    pub introduction: Option<String>,
    /// What it reads beside: whole files of mode 0600.
    #[serde(default)]
    pub files: BTreeMap<PathBuf, String>,
    /// The ids of the cards that its jobs may be given.
    #[serde(default)]
    pub cards: Vec<String>,
    #[serde(flatten)]
    pub place: Place,
    /// Where the end of what the agent printed is kept when it ends.
    pub log: PathBuf,
    /// Where all that it prints is kept, without the words of its jobs; older files lie beside it.
    #[serde(default)]
    pub agent_log: Option<PathBuf>,
    /// Where its HTTP will listen; a start is over when it answers there. Without it, when the process is there.
    pub http: Option<SocketAddr>,
}

/// An agent that a guard holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    #[serde(default)]
    pub id: StartId,
    pub pid: u32,
    /// Its HTTP has answered.
    #[serde(default)]
    pub up: bool,
    #[serde(flatten)]
    pub place: Place,
    pub http: Option<SocketAddr>,
}

/// Tells one hold on a guard from another: the events of one that was given up long ago may still be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HoldId(pub(crate) u64);

/// What a guard has to tell unasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuardEvent {
    /// An agent is up that nobody waits for any more: its start was given up, or an earlier resident program's.
    Started(Running),
    /// The agent ended without being asked to. An end during a start is that start's fault instead.
    Exited {
        id: StartId,
        code: Option<i32>,
        /// The end of what it printed, and how a breakdown began: at most 18 KiB.
        stderr_tail: String,
    },
    /// The agent says that the region has taken it in, or why not. Told when it changes, and again to a newcomer.
    Registration { id: StartId, result: Result<(), RegistrationFault> },
    /// The engine refused a job's container for what is this PC's and no job's: told each time, and again to a newcomer.
    /// Or it ran one after that.
    Containers { id: StartId, result: Result<(), EngineFault> },
    /// Jobs asked for more than they may have, and were not run: all of them so far, told once a second at most, and again to a
    /// newcomer.
    Refused { id: StartId, refusals: Refusals },
    /// Files of jobs that have ended while the agent runs on and that nobody could remove.
    FilesLeft { id: StartId, left: u32 },
    /// The guard itself is gone, or another resident program has taken over.
    Lost(HoldId),
}
