//! The holder's end of what it and the moat say to each other.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::control::{Ask, Say};
use crate::fault::Fault;

/// A step of a start, or an answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15);

pub(super) struct Talk {
    lines: Lines<BufReader<OwnedReadHalf>>,
    write: OwnedWriteHalf,
}

impl Talk {
    pub(super) fn over(control: UnixStream) -> Self {
        let (read, write) = control.into_split();
        Self { lines: BufReader::new(read).lines(), write }
    }

    pub(super) async fn ask(&mut self, ask: &Ask) -> Result<(), Fault> {
        let mut line = serde_json::to_vec(ask).map_err(|error| Fault::at("moat", error))?;
        line.push(b'\n');
        self.write.write_all(&line).await.map_err(|error| Fault::at("moat", error))
    }

    /// What is taken from the moat's next word.
    pub(super) async fn hear<T>(&mut self, step: &str, of: impl Fn(&Say) -> Option<T>) -> Result<T, Fault> {
        let line = timeout(ANSWERED_WITHIN, self.lines.next_line()).await;
        let line = line.map_err(|_| Fault::at(step, "no answer"))?.map_err(|error| Fault::at(step, error))?;
        let line = line.ok_or_else(|| Fault::at(step, "it ended"))?;
        let say: Say = serde_json::from_str(&line).map_err(|error| Fault::at(step, error))?;
        if let Say::Failed(fault) = say {
            return Err(fault);
        }
        of(&say).ok_or_else(|| Fault::at(step, format!("it said {say:?}")))
    }

    pub(super) async fn done(&mut self, step: &str) -> Result<(), Fault> {
        self.hear(step, |say| matches!(say, Say::Done).then_some(())).await
    }

    pub(super) async fn unshared(&mut self) -> Result<(), Fault> {
        self.hear("moat", |say| matches!(say, Say::Unshared).then_some(())).await
    }
}
