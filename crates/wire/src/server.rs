//! The resident program's end.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ionet_core::hardware::Figures;
use ionet_core::question::{Answer, Question, Refused};
use ionet_core::{Intent, Snapshot};
use ionet_private::socket::{Listener, Mark};
use ionet_private::{Lock, SocketError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::Meeting;
pub use crate::meeting::BindError;

mod pace;
mod watcher;

/// A question, and where its answer goes. Whoever asked may have left: then the channel is closed.
pub type Asked = (Question, oneshot::Sender<Result<Answer, Refused>>);

/// A watcher is shown the last snapshot well within this.
const LET_GO_WITHIN: Duration = Duration::from_secs(1);

/// A window and a few commands; whoever starts more at once has a mistake in a script.
const MOST_WATCHERS: usize = 32;

/// How often the socket is looked for: a log-out takes a session's folder away.
const LOOKED_FOR_EVERY: Duration = Duration::from_secs(30);

/// What makes letting in fail (no file descriptor is left) does not pass within a moment.
const LET_IN_AGAIN: Duration = Duration::from_millis(500);

/// The one listening end. Holding it is what makes a process the resident program.
#[derive(Debug)]
pub struct Server {
    meeting: Meeting,
    alone: Arc<Lock>,
    listener: Listener,
    windows: Windows,
    looked_for_every: Duration,
}

/// What the watchers are served with.
#[derive(Clone)]
pub struct Served {
    pub snapshots: watch::Receiver<Snapshot>,
    /// None while there are no live ones.
    pub figures: watch::Receiver<Option<Figures>>,
    /// Gets what they want.
    pub intents: mpsc::Sender<Intent>,
    /// Gets what they ask.
    pub questions: mpsc::Sender<Asked>,
}

/// The windows that watch now.
#[derive(Debug, Clone)]
pub struct Windows {
    count: watch::Sender<usize>,
    figures: watch::Sender<usize>,
    raised: watch::Sender<()>,
}

impl Windows {
    /// How many windows watch; changes as they come and go.
    pub fn count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// How many windows want live figures now.
    pub fn wanting_figures(&self) -> watch::Receiver<usize> {
        self.figures.subscribe()
    }

    /// Asks every open window to come to the front.
    pub fn raise(&self) {
        self.raised.send_replace(());
    }
}

impl Server {
    /// Becomes the resident program, or says that there is one. A socket left by a killed one is replaced.
    /// Blocks, and must be called inside a tokio runtime.
    pub fn bind(meeting: &Meeting) -> Result<Self, BindError> {
        let alone = meeting.take()?;
        let listener = meeting.listen(&alone)?;
        let windows = Windows {
            count: watch::Sender::new(0),
            figures: watch::Sender::new(0),
            raised: watch::Sender::new(()),
        };
        Ok(Self {
            meeting: meeting.clone(),
            alone: Arc::new(alone),
            listener,
            windows,
            looked_for_every: LOOKED_FOR_EVERY,
        })
    }

    pub fn windows(&self) -> Windows {
        self.windows.clone()
    }

    /// Serves every watcher until the snapshots' sender is gone, and returns when the watchers have been let go. Where it
    /// breaks off, its watchers lose their connections, and it can be called again: the socket stays.
    pub async fn serve(&mut self, served: Served) {
        let mut ended = served.snapshots.clone();
        let mut watchers = JoinSet::new();
        let mut anew = self.anew();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok(stream) if watchers.len() < MOST_WATCHERS => {
                        watchers.spawn(watcher::serve(stream, served.clone(), self.windows.clone()));
                    }
                    Ok(stream) => watcher::turn_away(stream).await,
                    Err(error) => refused(&error).await,
                },
                Some(_) = watchers.join_next() => {}
                listener = &mut anew => {
                    self.listener = listener;
                    anew = self.anew();
                }
                () = gone(&mut ended) => break,
            }
        }
        let all_gone = async { while watchers.join_next().await.is_some() {} };
        // One that hangs is dropped with the rest.
        let _ = tokio::time::timeout(LET_GO_WITHIN, all_gone).await;
        let meeting = self.meeting.clone();
        let left = tokio::task::spawn_blocking(move || meeting.leave());
        let _ = tokio::time::timeout(LET_GO_WITHIN, left).await;
    }

    fn anew(&self) -> Pin<Box<impl Future<Output = Listener> + use<>>> {
        Box::pin(listen_anew(
            self.meeting.clone(),
            self.alone.clone(),
            self.listener.mark(),
            self.looked_for_every,
        ))
    }
}

/// Returns when no further snapshot can come.
async fn gone(snapshots: &mut watch::Receiver<Snapshot>) {
    while snapshots.changed().await.is_ok() {}
}

/// Looks whether the socket can still be found where it was made, and listens elsewhere once it cannot. Those who watch
/// stay connected; those who come later find the new place by the note. A disk that hangs holds up nobody else.
async fn listen_anew(meeting: Meeting, alone: Arc<Lock>, mark: Mark, every: Duration) -> Listener {
    loop {
        tokio::time::sleep(every).await;
        let (meeting, alone, mark) = (meeting.clone(), alone.clone(), mark.clone());
        let look = move || if mark.is_there() { None } else { Some(meeting.listen(&alone)) };
        match tokio::task::spawn_blocking(look).await {
            Ok(None) => {}
            Ok(Some(Ok(listener))) => {
                tracing::info!("listening anew: the socket was gone");
                return listener;
            }
            Ok(Some(Err(error))) => tracing::warn!(%error, "no new watcher can find this program"),
            Err(error) => tracing::warn!(%error, "looking for the socket broke off"),
        }
    }
}

async fn refused(error: &SocketError) {
    tracing::warn!(%error, "a watcher was not let in");
    if !matches!(error, SocketError::WrongUser) {
        tokio::time::sleep(LET_IN_AGAIN).await;
    }
}

#[cfg(test)]
mod tests;
