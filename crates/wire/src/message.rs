//! The messages, and how they lie on a line.

use futures_util::{SinkExt, StreamExt};
use interprocess::local_socket::tokio::Stream;
use ionet_core::{Intent, Snapshot};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{ReadHalf, WriteHalf};
use tokio_util::codec::{FramedRead, FramedWrite, LinesCodec, LinesCodecError};

use crate::{MAX_LINE, PROTOCOL, WireError};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "from_resident", rename_all = "snake_case")]
pub enum FromResident {
    Hello {
        protocol: u32,
        pid: u32,
        version: String,
    },
    Snapshot(Box<Snapshot>),
    /// Come to the front: the owner asked for the window again.
    Raise,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "from_watcher", rename_all = "snake_case")]
pub enum FromWatcher {
    Hello { protocol: u32, pid: u32, kind: Kind },
    Intent { intent: Intent },
}

/// Who watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Window,
    Command,
}

pub(crate) type Reader = FramedRead<ReadHalf<Stream>, LinesCodec>;
pub(crate) type Writer = FramedWrite<WriteHalf<Stream>, LinesCodec>;

pub(crate) fn split(stream: Stream) -> (Reader, Writer) {
    let (receive, send) = tokio::io::split(stream);
    let codec = || LinesCodec::new_with_max_length(MAX_LINE);
    (FramedRead::new(receive, codec()), FramedWrite::new(send, codec()))
}

pub(crate) async fn write<M: Serialize>(writer: &mut Writer, message: &M) -> Result<(), WireError> {
    let line = serde_json::to_string(message).map_err(|error| WireError::NotAMessage(error.to_string()))?;
    writer.send(line).await.map_err(of_codec)
}

/// The next message; [`WireError::Closed`] at the end of the stream.
pub(crate) async fn read<M: DeserializeOwned>(reader: &mut Reader) -> Result<M, WireError> {
    let line = reader.next().await.ok_or(WireError::Closed)?.map_err(of_codec)?;
    serde_json::from_str(&line).map_err(|error| WireError::NotAMessage(error.to_string()))
}

pub(crate) fn same_protocol(theirs: u32) -> Result<(), WireError> {
    if theirs == PROTOCOL { Ok(()) } else { Err(WireError::OtherProtocol { theirs }) }
}

fn of_codec(error: LinesCodecError) -> WireError {
    match error {
        LinesCodecError::MaxLineLengthExceeded => WireError::NotAMessage("a line over the limit".to_owned()),
        LinesCodecError::Io(error) if error.kind() == std::io::ErrorKind::BrokenPipe => WireError::Closed,
        LinesCodecError::Io(error) => error.into(),
    }
}
