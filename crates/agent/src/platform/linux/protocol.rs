//! What the guard and the resident program say to each other: one JSON object a line.
//!
//! Either may be older than the other: an update leaves the old guard with its agent and its jobs. Each begins with a
//! hello that names the newest and the oldest version that it speaks, and both speak the newest that they share.
//!
//! Where two share none, the resident program says `{"ask":"stop"}`, which every version understands for ever, and
//! leaves: the guard ends what it holds, then itself, and a new one takes its folder.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ionet_core::StartId;
use ionet_core::fault::{AgentFault, EngineFault, RegistrationFault, WorkFault};
use ionet_core::wall::Refusals;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::guard::{Place, Running, Start};

pub(crate) const OURS: Versions = Versions { newest: 3, oldest: 3 };

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Versions {
    pub(crate) newest: u32,
    pub(crate) oldest: u32,
}

impl Versions {
    /// The newest that both speak.
    pub(crate) fn shared(self, other: Self) -> Option<u32> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest.max(other.oldest)).then_some(newest)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(crate) enum Ask {
    Hello(Versions),
    Start {
        /// Newer than every start and stop before it.
        id: StartId,
        #[serde(flatten)]
        start: Box<Start>,
    },
    Stop {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<StartId>,
        #[serde(skip_serializing_if = "Option::is_none")]
        place: Option<Place>,
        /// How long tasks may take to leave.
        #[serde(skip_serializing_if = "Option::is_none")]
        patience_ms: Option<u64>,
    },
    /// Keep frozen whatever runs and whatever starts. Answered when the first look is over.
    Freeze {
        question: u64,
    },
    Thaw {
        question: u64,
    },
    /// These files are others by now: have the agent read them again. No answer.
    Reload {
        #[serde(default)]
        files: BTreeMap<PathBuf, String>,
    },
    Status,
}

impl Ask {
    /// What every version understands.
    pub(crate) fn stop_and_go() -> Self {
        Self::Stop { id: None, place: None, patience_ms: None }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(crate) enum Say {
    Hello(Versions),
    /// The agent is up.
    Started(Running),
    NotStarted {
        id: StartId,
        why: NotStarted,
    },
    Exited {
        id: StartId,
        code: Option<i32>,
        stderr_tail: String,
    },
    Registration {
        id: StartId,
        result: Result<(), RegistrationFault>,
    },
    FilesLeft {
        id: StartId,
        left: u32,
    },
    Containers {
        id: StartId,
        result: Result<(), EngineFault>,
    },
    /// All that the gate of this start has refused jobs.
    Refused {
        id: StartId,
        #[serde(flatten)]
        refusals: Refusals,
    },
    Stopped {
        id: Option<StartId>,
    },
    NotStopped {
        id: Option<StartId>,
        why: NotStopped,
    },
    Frozen {
        question: u64,
        result: Result<(), NotStopped>,
    },
    Thawed {
        question: u64,
        result: Result<(), NotStopped>,
    },
    Status {
        running: Option<Running>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NotStarted {
    Missing,
    NotExecutable {
        program: String,
    },
    /// A newer start was heard before.
    Held {
        id: StartId,
    },
    /// A stop or a newer start came.
    CalledOff,
    /// What it reads could not be laid out.
    Folder {
        full: bool,
        why: String,
    },
    Other {
        why: String,
    },
}

impl From<NotStarted> for AgentFault {
    fn from(why: NotStarted) -> Self {
        match why {
            NotStarted::Missing => Self::Missing,
            NotStarted::NotExecutable { program } => Self::NotExecutable(program),
            NotStarted::Held { id } => Self::Held { id },
            NotStarted::CalledOff => Self::CalledOff,
            NotStarted::Folder { full: true, .. } => Self::DiskFull,
            NotStarted::Folder { why, .. } => Self::FolderUnwritable(why),
            NotStarted::Other { why } => Self::NoGuard(why),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NotStopped {
    StillThere { left: u32 },
    NotPermitted,
    EngineDown,
    FilesLeft { left: u32 },
}

impl From<WorkFault> for NotStopped {
    fn from(fault: WorkFault) -> Self {
        match fault {
            WorkFault::StillThere { left } => Self::StillThere { left },
            WorkFault::NotPermitted => Self::NotPermitted,
            WorkFault::EngineDown => Self::EngineDown,
            WorkFault::FilesLeft { left } => Self::FilesLeft { left },
        }
    }
}

impl From<NotStopped> for WorkFault {
    fn from(why: NotStopped) -> Self {
        match why {
            NotStopped::StillThere { left } => Self::StillThere { left },
            NotStopped::NotPermitted => Self::NotPermitted,
            NotStopped::EngineDown => Self::EngineDown,
            NotStopped::FilesLeft { left } => Self::FilesLeft { left },
        }
    }
}

pub(crate) fn line(what: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    Ok(line)
}

pub(crate) async fn send(to: &mut (impl AsyncWrite + Unpin), what: &impl Serialize) -> std::io::Result<()> {
    to.write_all(&line(what)?).await
}
