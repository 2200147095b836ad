//! What jobs need of this PC.

use std::sync::Arc;

use ionet_cloud::Belonging;
use ionet_core::effect::Work;
use ionet_core::fault::GpuFault;
use ionet_core::{Outcome, Signal};

use super::{Shared, unsaid};

pub(super) fn broken_off(deed: Work) -> Outcome {
    match deed {
        Work::Look => Outcome::Looked(Err(GpuFault::DriverBroken(unsaid()))),
    }
}

impl Shared {
    pub(super) async fn work(self: Arc<Self>, deed: Work) -> Outcome {
        match deed {
            Work::Look => Outcome::Looked(self.look().await),
        }
    }

    async fn look(&self) -> Result<ionet_core::hardware::Hardware, GpuFault> {
        let cards = self.tools.cards.clone();
        let looked = tokio::task::spawn_blocking(move || cards.look()).await;
        let found = looked.unwrap_or_else(|error| Err(GpuFault::DriverBroken(error.to_string())))?;
        let uuids = found.gpus.iter().map(|gpu| gpu.uuid.clone()).collect();
        if self.tools.cloud.know_gpus(uuids).await == Belonging::Elsewhere {
            self.tell(Signal::AnotherPc).await;
        }
        Ok(found)
    }
}
