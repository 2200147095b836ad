//! What the guard and the resident program say to each other: one JSON object a line.

use ionet_core::fault::{AgentFault, RegistrationFault, WorkFault};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::guard::{Running, Start};

#[derive(Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(crate) enum Ask {
    Start(Box<Start>),
    Stop,
    /// Read the configuration's files again. No answer.
    Reload,
    Status,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(crate) enum Say {
    Started(Running),
    NotStarted { why: NotStarted },
    Exited { code: Option<i32>, stderr_tail: String },
    Registration { result: Result<(), RegistrationFault> },
    Stopped,
    NotStopped { why: NotStopped },
    Status { running: Option<Running> },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NotStarted {
    Missing,
    NotExecutable {
        program: String,
    },
    /// The last agent is still there.
    Busy,
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
}

impl From<WorkFault> for NotStopped {
    fn from(fault: WorkFault) -> Self {
        match fault {
            WorkFault::StillThere { left } => Self::StillThere { left },
            WorkFault::NotPermitted => Self::NotPermitted,
            WorkFault::EngineDown => Self::EngineDown,
        }
    }
}

impl From<NotStopped> for WorkFault {
    fn from(why: NotStopped) -> Self {
        match why {
            NotStopped::StillThere { left } => Self::StillThere { left },
            NotStopped::NotPermitted => Self::NotPermitted,
            NotStopped::EngineDown => Self::EngineDown,
        }
    }
}

pub(crate) async fn send(to: &mut (impl AsyncWrite + Unpin), what: &impl Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    to.write_all(&line).await
}
