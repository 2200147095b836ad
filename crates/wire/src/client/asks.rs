//! The half that asks, and those who wait for an answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ionet_core::Intent;
use ionet_core::question::{Answer, Question, Refused};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Sending, say};
use crate::WireError;
use crate::message::FromWatcher;

/// The resident program answers, or says that it cannot, well before this.
const ANSWERED_WITHIN: Duration = Duration::from_secs(45);

/// Cheap to clone: several questions can be under way at once.
#[derive(Clone)]
pub struct Asks {
    writer: Arc<tokio::sync::Mutex<Sending>>,
    waiting: Waiting,
}

impl Asks {
    pub(super) fn new(writer: Sending) -> Self {
        Self { writer: Arc::new(tokio::sync::Mutex::new(writer)), waiting: Waiting::default() }
    }

    pub(super) fn waiting(&self) -> Waiting {
        self.waiting.clone()
    }

    pub async fn send(&self, intent: Intent) -> Result<(), WireError> {
        self.say(FromWatcher::Intent(intent)).await
    }

    /// Live figures are sent to a window that wants them, from the next ones on.
    pub async fn want_figures(&self, wanted: bool) -> Result<(), WireError> {
        self.say(FromWatcher::WantFigures(wanted)).await
    }

    /// The answer, [`WireError::Refused`] where there is none. The other half has to be read meanwhile.
    pub async fn ask(&self, question: Question) -> Result<Answer, WireError> {
        let (id, answer) = self.waiting.add().ok_or(WireError::Closed)?;
        self.say(FromWatcher::Ask { id, question }).await?;
        match timeout(ANSWERED_WITHIN, answer).await {
            Ok(Ok(answer)) => answer.map_err(WireError::Refused),
            Ok(Err(_)) => Err(WireError::Closed),
            Err(_) => Err(WireError::Silent),
        }
    }

    async fn say(&self, message: FromWatcher) -> Result<(), WireError> {
        say(&mut *self.writer.lock().await, &message).await
    }
}

type Answered = oneshot::Sender<Result<Answer, Refused>>;

/// Those who wait for their answers.
#[derive(Clone, Default)]
pub(super) struct Waiting(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    last: u64,
    /// By the id of their question.
    by_id: BTreeMap<u64, Answered>,
    /// Nobody hears answers any more.
    closed: bool,
}

impl Waiting {
    fn add(&self) -> Option<(u64, oneshot::Receiver<Result<Answer, Refused>>)> {
        let (answered, answer) = oneshot::channel();
        let mut held = self.lock();
        if held.closed {
            return None;
        }
        // Whoever stopped waiting is forgotten with the next question.
        held.by_id.retain(|_, answered| !answered.is_closed());
        held.last += 1;
        let id = held.last;
        held.by_id.insert(id, answered);
        Some((id, answer))
    }

    pub(super) fn answered(&self, id: u64, answer: Result<Answer, Refused>) {
        if let Some(waits) = self.lock().by_id.remove(&id) {
            let _ = waits.send(answer);
        }
    }

    pub(super) fn close(&self) {
        let mut held = self.lock();
        held.closed = true;
        held.by_id.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
