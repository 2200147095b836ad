//! What the guard and the resident program say to each other: one JSON object a line.
//!
//! Either may be older than the other: an update leaves the old guard with its agent and its jobs. Each begins with a
//! hello that names the newest and the oldest version that it speaks, and both speak the newest that they share.
//!
//! - 1: no hello, no numbers, no freezing. A resident program begins with `status`, a guard says nothing unasked.
//! - 2: hellos; each word carries the number of the start or question that it belongs to; freezing.
//!
//! Where two share none, the resident program says `{"ask":"stop"}`, which every version understands for ever, and
//! leaves: the guard ends what it holds, then itself, and a new one takes its folder.

use ionet_core::StartId;
use ionet_core::fault::{AgentFault, EngineFault, RegistrationFault, WorkFault};
use ionet_core::wall::Refusals;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::guard::{Place, Running, Start};

pub(crate) const OURS: Versions = Versions { newest: 2, oldest: 1 };

/// Without a hello.
pub(crate) const UNNUMBERED: u32 = 1;

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
        /// Newer than every start and stop before it. Version 1 gives none.
        id: Option<StartId>,
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
        place: Place,
    },
    Thaw {
        question: u64,
        place: Place,
    },
    /// Read the configuration's files again. No answer.
    Reload,
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
        id: Option<StartId>,
        why: NotStarted,
    },
    Exited {
        id: Option<StartId>,
        code: Option<i32>,
        stderr_tail: String,
    },
    Registration {
        id: Option<StartId>,
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

impl Say {
    /// The same in the words of that version; none where it has none for it.
    pub(crate) fn in_version(self, version: u32) -> Option<Self> {
        if version > UNNUMBERED {
            return Some(self);
        }
        match self {
            Self::Hello(_)
            | Self::FilesLeft { .. }
            | Self::Containers { .. }
            | Self::Refused { .. }
            | Self::Frozen { .. }
            | Self::Thawed { .. } => None,
            Self::NotStarted { id, why: NotStarted::Held { .. } | NotStarted::CalledOff } => {
                Some(Self::NotStarted { id, why: NotStarted::Busy })
            }
            // Nothing runs: an older one would have said that all is gone.
            Self::NotStopped { id, why: NotStopped::FilesLeft { .. } } => Some(Self::Stopped { id }),
            same @ (Self::Started(_)
            | Self::NotStarted { .. }
            | Self::Exited { .. }
            | Self::Registration { .. }
            | Self::Stopped { .. }
            | Self::NotStopped { .. }
            | Self::Status { .. }) => Some(same),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NotStarted {
    Missing,
    NotExecutable {
        program: String,
    },
    /// The last agent is still there: said to and by version 1 alone.
    Busy,
    /// A newer start was heard before.
    Held {
        id: StartId,
    },
    /// A stop or a newer start came.
    CalledOff,
    Other {
        why: String,
    },
}

impl From<NotStarted> for AgentFault {
    fn from(why: NotStarted) -> Self {
        match why {
            NotStarted::Missing => Self::Missing,
            NotStarted::NotExecutable { program } => Self::NotExecutable(program),
            NotStarted::Busy => Self::NoGuard("it holds another agent".to_owned()),
            NotStarted::Held { id } => Self::Held { id },
            NotStarted::CalledOff => Self::CalledOff,
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
