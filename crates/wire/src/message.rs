//! The messages, and how they lie on a line.

use futures_util::{SinkExt, StreamExt};
use ionet_core::hardware::Figures;
use ionet_core::question::{Answer, Question, Refused};
use ionet_core::{Intent, Snapshot};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::{FramedRead, FramedWrite, LinesCodec, LinesCodecError};

use crate::{PROTOCOL, WireError};

/// A snapshot is a few kilobytes, a page of jobs a few hundred; what is longer than this is none of ours.
pub(crate) const LONGEST_SHOWN: usize = 4 << 20;
/// An intent or a question: a hundred years of days are half of it.
pub(crate) const LONGEST_ASKED: usize = 1 << 20;

/// The first line of the resident program. Every version begins with an object that has `protocol`; the rest is looked
/// at only where that is the same.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ResidentHello {
    /// For versions that look at this before the protocol.
    pub(crate) from_resident: Hello,
    pub(crate) protocol: u32,
    pub(crate) pid: u32,
    pub(crate) version: String,
}

/// The first line of a watcher.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WatcherHello {
    pub(crate) from_watcher: Hello,
    pub(crate) protocol: u32,
    pub(crate) pid: u32,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Hello {
    Hello,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromResident {
    Snapshot(Box<Snapshot>),
    /// Live figures, or none: those shown before are no longer live.
    Figures(Option<Figures>),
    /// Come to the front: the owner asked for the window again.
    Raise,
    Answer {
        id: u64,
        answer: Result<Answer, Refused>,
    },
    /// The last word to a watcher that cannot stay.
    LetGo(LetGo),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromWatcher {
    Intent(Intent),
    /// Answered by [`FromResident::Answer`] with the same id, in any order.
    Ask {
        id: u64,
        question: Question,
    },
    /// A window that shows live figures, or no longer does.
    WantFigures(bool),
}

/// Who watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Window,
    Command,
}

/// Why the resident program lets go of a watcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum LetGo {
    #[error("what it said was not a message")]
    NotAMessage,
    #[error("it took too long")]
    TooSlow,
    #[error("too many programs watch already")]
    TooMany,
}

pub(crate) type Reader<R> = FramedRead<R, LinesCodec>;
pub(crate) type Writer<W> = FramedWrite<W, LinesCodec>;

pub(crate) fn reader<R: AsyncRead>(receive: R, longest: usize) -> Reader<R> {
    FramedRead::new(receive, LinesCodec::new_with_max_length(longest))
}

pub(crate) fn writer<W: AsyncWrite>(send: W) -> Writer<W> {
    FramedWrite::new(send, LinesCodec::new())
}

pub(crate) async fn write<W: AsyncWrite + Unpin>(
    writer: &mut Writer<W>,
    message: &impl Serialize,
) -> Result<(), WireError> {
    let line = serde_json::to_string(message).map_err(|error| WireError::NotAMessage(error.to_string()))?;
    writer.send(line).await.map_err(of_codec)
}

/// The next message; [`WireError::Closed`] at the end of the stream. Safe to drop half-way.
pub(crate) async fn read<M: DeserializeOwned, R: AsyncRead + Unpin>(
    reader: &mut Reader<R>,
) -> Result<M, WireError> {
    parse(&line(reader).await?)
}

/// The first message. Whatever else is in it, its protocol comes first.
pub(crate) async fn greeting<M: DeserializeOwned, R: AsyncRead + Unpin>(
    reader: &mut Reader<R>,
) -> Result<M, WireError> {
    #[derive(Deserialize)]
    struct Spoken {
        protocol: u32,
    }
    let line = line(reader).await?;
    let Spoken { protocol } = parse(&line)?;
    if protocol == PROTOCOL { parse(&line) } else { Err(WireError::OtherProtocol { theirs: protocol }) }
}

async fn line<R: AsyncRead + Unpin>(reader: &mut Reader<R>) -> Result<String, WireError> {
    reader.next().await.ok_or(WireError::Closed)?.map_err(of_codec)
}

/// The reason names the place, not the content.
fn parse<M: DeserializeOwned>(line: &str) -> Result<M, WireError> {
    serde_json::from_str(line).map_err(|error| {
        let (what, column) = (error.classify(), error.column());
        WireError::NotAMessage(format!("{what:?} at column {column} of {}", line.len()))
    })
}

fn of_codec(error: LinesCodecError) -> WireError {
    use std::io::ErrorKind;
    match error {
        LinesCodecError::MaxLineLengthExceeded => WireError::NotAMessage("a line over the limit".to_owned()),
        LinesCodecError::Io(error) if error.kind() == ErrorKind::InvalidData => {
            WireError::NotAMessage("a line that is no text".to_owned())
        }
        LinesCodecError::Io(error)
            if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) =>
        {
            WireError::Closed
        }
        LinesCodecError::Io(error) => error.into(),
    }
}

#[cfg(test)]
mod tests;
