//! What the guard's loop is woken by.

use std::future::pending;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::beside::Done;
use super::child::{Agent, Told};
use super::protocol::{Ask, Say, send};
use super::socket::is_ours;

/// A resident program that reads nothing for so long is stuck: the guard's work does not wait for it.
const READS_WITHIN: Duration = Duration::from_millis(500);

pub(super) enum News {
    Came(Resident),
    Asked(Ask),
    Left,
    Agent(Told),
    Done(Done),
    Terminated,
    /// A process that we have taken in ended.
    Orphan,
    Time,
}

pub(super) struct Signals {
    pub(super) terminate: Signal,
    pub(super) interrupt: Signal,
    pub(super) child: Signal,
}

/// A resident program of the same user.
pub(super) struct Resident {
    lines: Lines<BufReader<OwnedReadHalf>>,
    write: OwnedWriteHalf,
}

impl Resident {
    fn of(stream: UnixStream) -> Option<Self> {
        let same_user = is_ours(&stream);
        let (read, write) = stream.into_split();
        same_user.then(|| Self { lines: BufReader::new(read).lines(), write })
    }

    pub(super) async fn say(&mut self, say: Say) {
        let _ = timeout(READS_WITHIN, send(&mut self.write, &say)).await;
    }

    /// None once the connection has closed. A line that makes no sense is passed over.
    async fn ask(&mut self) -> Option<Ask> {
        loop {
            let line = self.lines.next_line().await.ok()??;
            if let Ok(ask) = serde_json::from_str(&line) {
                return Some(ask);
            }
        }
    }
}

pub(super) async fn news(
    listener: &UnixListener,
    resident: &mut Option<Resident>,
    agent: &mut Option<Agent>,
    signals: &mut Signals,
    done: &mut mpsc::UnboundedReceiver<Done>,
    until: Option<Instant>,
) -> News {
    tokio::select! {
        came = came(listener) => News::Came(came),
        asked = ask(resident) => asked.map_or(News::Left, News::Asked),
        told = told(agent) => News::Agent(told),
        Some(done) = done.recv() => News::Done(done),
        _ = signals.terminate.recv() => News::Terminated,
        _ = signals.interrupt.recv() => News::Terminated,
        _ = signals.child.recv() => News::Orphan,
        () = at(until) => News::Time,
    }
}

async fn came(listener: &UnixListener) -> Resident {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Some(resident) = Resident::of(stream) {
                    return resident;
                }
            }
            // Out of descriptors, most likely.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn ask(resident: &mut Option<Resident>) -> Option<Ask> {
    match resident {
        Some(resident) => resident.ask().await,
        None => pending().await,
    }
}

async fn told(agent: &mut Option<Agent>) -> Told {
    match agent {
        Some(agent) => agent.told().await,
        None => pending().await,
    }
}

async fn at(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => pending().await,
    }
}
