//! A watcher's end: the window, or a command.

use std::time::Duration;

use ionet_core::hardware::Figures;
use ionet_core::question::{Answer, Question};
use ionet_core::{Intent, Snapshot};
use ionet_private::socket::Stream;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::time::timeout;

use crate::message::{
    FromResident, FromWatcher, Hello, Kind, LONGEST_SHOWN, Reader, ResidentHello, WatcherHello, Writer,
    greeting, read, reader, write, writer,
};
use crate::{Meeting, PROTOCOL, WireError};

mod asks;

pub use asks::Asks;

/// A resident program that is there greets at once; one that hangs never does.
const GREETED_WITHIN: Duration = Duration::from_secs(10);

/// A connection to the resident program.
pub struct Client {
    /// Process id of the resident program.
    pub resident_pid: u32,
    pub resident_version: String,
    updates: Updates,
    asks: Asks,
}

/// What the resident program sends.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    Snapshot(Box<Snapshot>),
    /// Live figures, or none: those shown before are no longer live.
    Figures(Option<Figures>),
    /// Come to the front.
    Raise,
}

impl Client {
    /// Connects and greets. [`WireError::NobodyThere`] when no resident program runs, [`WireError::Silent`] when one
    /// runs and hangs.
    pub async fn connect(meeting: &Meeting, kind: Kind) -> Result<Self, WireError> {
        let stream = meeting.connect().await?;
        timeout(GREETED_WITHIN, Self::greet(stream, kind)).await.map_err(|_| WireError::Silent)?
    }

    async fn greet(stream: Stream, kind: Kind) -> Result<Self, WireError> {
        let (receive, send) = tokio::io::split(stream);
        let (mut reader, mut writer) = (reader(receive, LONGEST_SHOWN), writer(send));
        let ours =
            WatcherHello { from_watcher: Hello::Hello, protocol: PROTOCOL, pid: std::process::id(), kind };
        // Whoever lets go of us may have said why before.
        let greeted = write(&mut writer, &ours).await;
        let theirs: ResidentHello = greeting(&mut reader).await?;
        greeted?;
        let asks = Asks::new(writer);
        let updates = Updates { reader, answers: asks.waiting() };
        Ok(Self { resident_pid: theirs.pid, resident_version: theirs.version, updates, asks })
    }

    /// The snapshot of now at the first call, then each new one. Safe to drop half-way.
    pub async fn next(&mut self) -> Result<Snapshot, WireError> {
        self.updates.next().await
    }

    pub async fn send(&mut self, intent: Intent) -> Result<(), WireError> {
        self.asks.send(intent).await
    }

    /// The answer. Updates that come meanwhile are passed over: the next snapshot is whole again.
    pub async fn ask(&mut self, question: Question) -> Result<Answer, WireError> {
        let mut answer = std::pin::pin!(self.asks.ask(question));
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return answer,
                update = self.updates.update() => drop(update?),
            }
        }
    }

    /// Two halves, for a watcher that reads and asks at the same time.
    pub fn split(self) -> (Updates, Asks) {
        (self.updates, self.asks)
    }
}

/// The reading half. It also carries the answers to what the other half asks, so it has to be read for those to come.
pub struct Updates {
    reader: Reader<ReadHalf<Stream>>,
    answers: asks::Waiting,
}

impl Updates {
    /// The next update of any kind. Safe to drop half-way.
    pub async fn update(&mut self) -> Result<Update, WireError> {
        loop {
            match read(&mut self.reader).await? {
                FromResident::Snapshot(snapshot) => return Ok(Update::Snapshot(snapshot)),
                FromResident::Figures(figures) => return Ok(Update::Figures(figures)),
                FromResident::Raise => return Ok(Update::Raise),
                FromResident::Answer { id, answer } => self.answers.answered(id, answer),
                FromResident::LetGo(why) => return Err(WireError::LetGo(why)),
            }
        }
    }

    /// The next snapshot. Safe to drop half-way.
    pub async fn next(&mut self) -> Result<Snapshot, WireError> {
        loop {
            match self.update().await? {
                Update::Snapshot(snapshot) => return Ok(*snapshot),
                Update::Figures(_) | Update::Raise => {}
            }
        }
    }
}

impl Drop for Updates {
    /// Nobody hears an answer any more.
    fn drop(&mut self) {
        self.answers.close();
    }
}

pub(crate) type Sending = Writer<WriteHalf<Stream>>;

pub(crate) async fn say(writer: &mut Sending, message: &FromWatcher) -> Result<(), WireError> {
    write(writer, message).await
}
