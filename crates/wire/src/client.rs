//! A watcher's end: the window, or a command.

use std::io::ErrorKind;
use std::path::Path;

use interprocess::local_socket::tokio::Stream;
use interprocess::local_socket::traits::tokio::Stream as _;
use interprocess::local_socket::{GenericFilePath, ToFsName as _};
use ionet_core::{Intent, Snapshot};

use crate::message::{FromResident, FromWatcher, Kind, Reader, Writer, read, same_protocol, split, write};
use crate::{PROTOCOL, WireError, peer};

/// A connection to the resident program.
pub struct Client {
    /// Process id of the resident program.
    pub resident_pid: u32,
    pub resident_version: String,
    reader: Reader,
    writer: Writer,
}

impl Client {
    /// Connects and greets. [`WireError::NobodyThere`] when no resident program runs.
    pub async fn connect(socket: &Path, kind: Kind) -> Result<Self, WireError> {
        let name = socket.to_fs_name::<GenericFilePath>()?;
        let stream = Stream::connect(name).await.map_err(|error| {
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) {
                WireError::NobodyThere(socket.to_owned())
            } else {
                error.into()
            }
        })?;
        peer::check(&stream)?;
        let (mut reader, mut writer) = split(stream);
        write(&mut writer, &FromWatcher::Hello { protocol: PROTOCOL, pid: std::process::id(), kind }).await?;
        match read(&mut reader).await? {
            FromResident::Hello { protocol, pid, version } => {
                same_protocol(protocol)?;
                Ok(Self { resident_pid: pid, resident_version: version, reader, writer })
            }
            FromResident::Snapshot(_) | FromResident::Raise => {
                Err(WireError::NotAMessage("an update before hello".to_owned()))
            }
        }
    }

    /// The snapshot of now at the first call, then each new one. Safe to drop half-way.
    pub async fn next(&mut self) -> Result<Snapshot, WireError> {
        next(&mut self.reader).await
    }

    pub async fn send(&mut self, intent: Intent) -> Result<(), WireError> {
        write(&mut self.writer, &FromWatcher::Intent { intent }).await
    }

    /// Two halves, for a watcher that reads and asks at the same time.
    pub fn split(self) -> (Snapshots, Intents) {
        (Snapshots(self.reader), Intents(self.writer))
    }
}

pub struct Snapshots(Reader);

/// What the resident program sends.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    Snapshot(Box<Snapshot>),
    /// Come to the front.
    Raise,
}

impl Snapshots {
    /// The next update of either kind. Safe to drop half-way.
    pub async fn update(&mut self) -> Result<Update, WireError> {
        update(&mut self.0).await
    }

    pub async fn next(&mut self) -> Result<Snapshot, WireError> {
        next(&mut self.0).await
    }
}

pub struct Intents(Writer);

impl Intents {
    pub async fn send(&mut self, intent: Intent) -> Result<(), WireError> {
        write(&mut self.0, &FromWatcher::Intent { intent }).await
    }
}

async fn next(reader: &mut Reader) -> Result<Snapshot, WireError> {
    loop {
        match update(reader).await? {
            Update::Snapshot(snapshot) => return Ok(*snapshot),
            Update::Raise => {}
        }
    }
}

async fn update(reader: &mut Reader) -> Result<Update, WireError> {
    loop {
        match read(reader).await? {
            FromResident::Snapshot(snapshot) => return Ok(Update::Snapshot(snapshot)),
            FromResident::Raise => return Ok(Update::Raise),
            FromResident::Hello { .. } => {}
        }
    }
}
