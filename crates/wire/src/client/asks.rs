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

/// Those who wait, by the id of their question; none once nobody hears answers any more.
#[derive(Clone)]
pub(super) struct Waiting(Arc<Mutex<(u64, Option<BTreeMap<u64, Answered>>)>>);

impl Default for Waiting {
    fn default() -> Self {
        Self(Arc::new(Mutex::new((0, Some(BTreeMap::new())))))
    }
}

impl Waiting {
    fn add(&self) -> Option<(u64, oneshot::Receiver<Result<Answer, Refused>>)> {
        let (answered, answer) = oneshot::channel();
        let mut held = self.lock();
        let (last, waiting) = &mut *held;
        let waiting = waiting.as_mut()?;
        // Whoever stopped waiting is forgotten with the next question.
        waiting.retain(|_, answered| !answered.is_closed());
        *last += 1;
        waiting.insert(*last, answered);
        Some((*last, answer))
    }

    pub(super) fn answered(&self, id: u64, answer: Result<Answer, Refused>) {
        if let Some(waits) = self.lock().1.as_mut().and_then(|waiting| waiting.remove(&id)) {
            let _ = waits.send(answer);
        }
    }

    pub(super) fn close(&self) {
        self.lock().1 = None;
    }

    fn lock(&self) -> MutexGuard<'_, (u64, Option<BTreeMap<u64, Answered>>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
