//! One watcher: what it is shown, what it asks, and when it is let go.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use ionet_core::question::{Answer, Question, Refused};
use ionet_private::socket::Stream;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::pace::Pace;
use super::{Asked, Served, Windows};
use crate::message::{
    FromResident, FromWatcher, Hello, Kind, LONGEST_ASKED, LetGo, Reader, ResidentHello, WatcherHello,
    Writer, greeting, read, reader, write, writer,
};
use crate::{PROTOCOL, WireError};

/// A watcher greets at once, and one that is alive takes what it is sent.
const GREETS_WITHIN: Duration = Duration::from_secs(10);
const TAKES_WITHIN: Duration = Duration::from_secs(10);

/// The last word to one that is let go, and the last that is heard of one that has left.
const LAST_WORD_WITHIN: Duration = Duration::from_secs(1);

const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

/// Questions of one watcher that wait for their answers at once.
const ASKED_AT_ONCE: usize = 8;

type Receives = Reader<ReadHalf<Stream>>;
type Sends = Writer<WriteHalf<Stream>>;

pub(super) async fn serve(stream: Stream, served: Served, windows: Windows) {
    match converse(stream, served, windows).await {
        Ok(()) | Err(WireError::Closed) => {}
        Err(error) => tracing::warn!(%error, "a watcher was let go"),
    }
}

/// One too many.
pub(super) async fn turn_away(stream: Stream) {
    let (_, send) = tokio::io::split(stream);
    let mut writer = writer(send);
    let said = async {
        write(&mut writer, &hello()).await?;
        write(&mut writer, &FromResident::LetGo(LetGo::TooMany)).await
    };
    // Two short lines always fit into a new connection.
    let _ = timeout(LAST_WORD_WITHIN, said).await;
    tracing::warn!("too many watch already: one was turned away");
}

async fn converse(stream: Stream, served: Served, windows: Windows) -> Result<(), WireError> {
    let (receive, send) = tokio::io::split(stream);
    let (mut reader, mut writer) = (reader(receive, LONGEST_ASKED), writer(send));
    let outcome = watch(&mut reader, &mut writer, served, &windows).await;
    if let Some(why) = outcome.as_ref().err().and_then(last_word) {
        let _ = timeout(LAST_WORD_WITHIN, write(&mut writer, &FromResident::LetGo(why))).await;
    }
    outcome
}

/// Until the watcher leaves, has to be let go, or there is nothing more to show.
async fn watch(
    reader: &mut Receives,
    writer: &mut Sends,
    served: Served,
    windows: &Windows,
) -> Result<(), WireError> {
    let WatcherHello { pid, kind, .. } =
        timeout(GREETS_WITHIN, greet(reader, writer)).await.map_err(|_| WireError::Silent)??;
    let open = Counted::new(kind == Kind::Window, &windows.count);
    log(kind, pid, "watches");
    let (tell, heard) = mpsc::channel(ASKED_AT_ONCE);
    let intents = served.intents.clone();
    let mut listening = std::pin::pin!(listen(reader, intents, tell));
    let outcome = tokio::select! {
        outcome = &mut listening => outcome,
        shown = show(writer, served, windows, heard, kind) => match shown {
            Ok(()) => Ok(()),
            Err(WireError::Silent) => Err(WireError::Silent),
            // Whoever asks and leaves at once can be shown nothing, and is heard all the same.
            Err(_) => timeout(TAKES_WITHIN, listening).await.unwrap_or(Err(WireError::Closed)),
        },
    };
    drop(open);
    log(kind, pid, "is gone");
    outcome
}

async fn greet(reader: &mut Receives, writer: &mut Sends) -> Result<WatcherHello, WireError> {
    write(writer, &hello()).await?;
    greeting(reader).await
}

fn hello() -> ResidentHello {
    ResidentHello {
        from_resident: Hello::Hello,
        protocol: PROTOCOL,
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Only one that speaks this protocol understands a reason, and only one that is still there.
fn last_word(error: &WireError) -> Option<LetGo> {
    match error {
        WireError::NotAMessage(_) => Some(LetGo::NotAMessage),
        WireError::Silent => Some(LetGo::TooSlow),
        WireError::NobodyThere(_)
        | WireError::WrongUser
        | WireError::OtherProtocol { .. }
        | WireError::Closed
        | WireError::LetGo(_)
        | WireError::Refused(_)
        | WireError::Io(_) => None,
    }
}

fn log(kind: Kind, pid: u32, what: &str) {
    match kind {
        Kind::Window => tracing::info!(pid, "window {what}"),
        Kind::Command => tracing::debug!(pid, "command {what}"),
    }
}

/// Counts one for as long as it lives.
struct Counted<'a>(Option<&'a watch::Sender<usize>>);

impl<'a> Counted<'a> {
    fn new(counts: bool, count: &'a watch::Sender<usize>) -> Self {
        let counted = counts.then_some(count);
        if let Some(count) = counted {
            count.send_modify(|count| *count += 1);
        }
        Self(counted)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if let Some(count) = self.0 {
            count.send_modify(|count| *count -= 1);
        }
    }
}

/// What the listening half passes on to the showing one.
enum Heard {
    Ask { id: u64, question: Question },
    WantFigures(bool),
}

async fn listen(
    reader: &mut Receives,
    intents: mpsc::Sender<ionet_core::Intent>,
    tell: mpsc::Sender<Heard>,
) -> Result<(), WireError> {
    let mut pace = Pace::new();
    loop {
        let message = read(reader).await?;
        pace.next().await;
        let heard = match message {
            FromWatcher::Intent(intent) => match intents.send(intent).await {
                Ok(()) => continue,
                Err(_) => return Ok(()),
            },
            FromWatcher::Ask { id, question } => Heard::Ask { id, question },
            FromWatcher::WantFigures(wanted) => Heard::WantFigures(wanted),
        };
        // Where nothing can be shown any more, nothing need be answered; an intent may still follow.
        let _ = tell.send(heard).await;
    }
}

/// The snapshot of now, then each later one; those that come faster than they can be sent are skipped, and so are
/// figures. Answers go out as they come.
async fn show(
    writer: &mut Sends,
    served: Served,
    windows: &Windows,
    mut heard: mpsc::Receiver<Heard>,
    kind: Kind,
) -> Result<(), WireError> {
    let Served { mut snapshots, mut figures, questions, .. } = served;
    let mut raised = windows.raised.subscribe();
    let mut wanting: Option<Counted<'_>> = None;
    let mut answers = FuturesUnordered::new();
    snapshots.mark_changed();
    loop {
        let message = tokio::select! {
            changed = snapshots.changed() => match changed {
                Ok(()) => FromResident::Snapshot(Box::new(snapshots.borrow_and_update().clone())),
                Err(_) => return Ok(()),
            },
            Ok(()) = raised.changed() => FromResident::Raise,
            Ok(()) = figures.changed(), if wanting.is_some() => {
                FromResident::Figures(figures.borrow_and_update().clone())
            }
            Some(heard) = heard.recv() => match heard {
                Heard::WantFigures(wanted) => {
                    wanting = (wanted && kind == Kind::Window).then(|| Counted::new(true, &windows.figures));
                    figures.mark_changed();
                    continue;
                }
                Heard::Ask { id, question } if answers.len() < ASKED_AT_ONCE => {
                    answers.push(answer(id, question, questions.clone()));
                    continue;
                }
                Heard::Ask { id, .. } => FromResident::Answer { id, answer: Err(Refused::TooMany) },
            },
            Some((id, answer)) = answers.next() => FromResident::Answer { id, answer },
        };
        timeout(TAKES_WITHIN, write(writer, &message)).await.map_err(|_| WireError::Silent)??;
    }
}

async fn answer(
    id: u64,
    question: Question,
    questions: mpsc::Sender<Asked>,
) -> (u64, Result<Answer, Refused>) {
    let (reply, replied) = oneshot::channel();
    let asked = async {
        questions.send((question, reply)).await.ok()?;
        replied.await.ok()
    };
    let answer = match timeout(ANSWERED_WITHIN, asked).await {
        Ok(answer) => answer.unwrap_or(Err(Refused::NoAnswer)),
        Err(_) => Err(Refused::TooLate),
    };
    (id, answer)
}
