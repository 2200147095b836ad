//! Questions about the past read much, and nobody else must wait for them: each caller has one answered at a time, and
//! all of them together read two pages at a time, in the order in which they ask. So whoever asks a little waits for a
//! few pages, however much others ask.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedMutexGuard, Semaphore, SemaphorePermit};

use crate::problem::Refusal;

const PAGES_AT_ONCE: usize = 2;
/// So few callers are not looked through for those who no longer ask.
const FEW: usize = 1_000;

#[derive(Debug)]
pub(crate) struct Queue {
    callers: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    pages: Semaphore,
}

/// A question that is being answered. The caller's next one waits until it is dropped.
#[must_use]
#[derive(Debug)]
pub(crate) struct Question<'a> {
    pages: &'a Semaphore,
    _own: OwnedMutexGuard<()>,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self { callers: Mutex::default(), pages: Semaphore::new(PAGES_AT_ONCE) }
    }

    /// The caller's next question, once the one before it has been answered.
    pub(crate) async fn question(&self, caller: &str) -> Question<'_> {
        let own = {
            let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
            if callers.len() >= FEW {
                callers.retain(|_, own| Arc::strong_count(own) > 1);
            }
            Arc::clone(callers.entry(caller.to_owned()).or_default())
        };
        Question { pages: &self.pages, _own: own.lock_owned().await }
    }
}

impl Question<'_> {
    /// Leave to read one page.
    pub(crate) async fn page(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        // It is never closed.
        self.pages.acquire().await.map_err(|error| Refusal::Internal(error.into()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_callers_questions_wait_for_one_another_and_nobody_elses_do() {
        let queue = Arc::new(Queue::new());
        let first = queue.question("a").await;
        let (says, asked) = oneshot::channel();
        let second = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move {
                let _ = says.send(());
                drop(queue.question("a").await);
            }
        });
        asked.await.unwrap();

        let page = queue.question("b").await.page().await.map(drop);

        assert!(page.is_ok());
        assert!(!second.is_finished());
        drop(first);
        second.await.unwrap();
    }

    #[tokio::test]
    async fn callers_who_ask_no_more_are_forgotten() {
        let queue = Queue::new();

        for number in 0..5 * FEW {
            drop(queue.question(&number.to_string()).await);
        }

        assert!(queue.callers.lock().unwrap().len() <= FEW);
    }
}
