//! Whoever wants to know something of the cards asks here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ionet_core::fault::GpuFault;
use ionet_core::hardware::{Driver, Figures, Gpu};
use ionet_sensors::Cards;
use tonic::Status;

use crate::offer::{self, Lent};
use crate::protocol::{Fingerprint, Stats};
use crate::stats::{self, Known};

pub(crate) struct Desk {
    cards: Arc<Cards>,
    /// Nothing, until the agent has said what.
    lent: Mutex<Lent>,
    /// Of the last look, by id.
    known: Mutex<BTreeMap<String, Known>>,
}

impl Desk {
    pub(crate) fn new(cards: Cards) -> Self {
        let (lent, known) = (Mutex::default(), Mutex::default());
        Self { cards: Arc::new(cards), lent, known }
    }

    pub(crate) fn lend(&self, lent: Lent) {
        *lock(&self.lent) = lent;
    }

    /// What is offered now. While the driver says nothing, nothing of what was offered can be given.
    pub(crate) async fn offer(&self, last: Option<&Fingerprint>) -> Fingerprint {
        let lent = lock(&self.lent).clone();
        match self.look().await {
            Ok((gpus, driver)) => {
                *lock(&self.known) =
                    gpus.iter().filter(|gpu| lent.contains(&gpu.uuid)).map(Known::of).collect();
                offer::offer(&gpus, &driver, &lent)
            }
            Err(fault) => offer::none_of(last.cloned().unwrap_or_default(), &fault.to_string()),
        }
    }

    /// Whether these can be given now, by a look of now.
    pub(crate) async fn check(&self, ids: &[String]) -> Result<(), Status> {
        let lent = lock(&self.lent).clone();
        let (gpus, _) = self.look().await.map_err(|fault| Status::unavailable(fault.to_string()))?;
        for id in ids {
            let gpu = gpus.iter().find(|gpu| gpu.uuid == *id && lent.contains(&gpu.uuid));
            let gpu =
                gpu.ok_or_else(|| Status::not_found(format!("the card {id} is not lent on this PC")))?;
            if let Some(trouble) = offer::trouble(gpu) {
                return Err(Status::failed_precondition(format!("the card {id} cannot be given: {trouble}")));
            }
        }
        Ok(())
    }

    /// What the cards of the last look are doing; none where the driver does not say.
    pub(crate) async fn stats(&self) -> Option<Stats> {
        let cards = self.cards.clone();
        let figures = tokio::task::spawn_blocking(move || cards.figures()).await;
        let figures: Figures = figures.ok()?.ok()?;
        Some(stats::of(&figures, &lock(&self.known)))
    }

    async fn look(&self) -> Result<(Vec<Gpu>, Driver), GpuFault> {
        let cards = self.cards.clone();
        let seen = tokio::task::spawn_blocking(move || cards.gpus()).await;
        seen.unwrap_or_else(|broken| Err(GpuFault::DriverBroken(broken.to_string())))
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
