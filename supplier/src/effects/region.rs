//! The gateway's word on this PC: the long poll, and stopping allocations through it.

use std::sync::Arc;
use std::time::Duration;

use ionet_cloud::CloudFault;
use ionet_core::{Event, Signal};

use super::Shared;

/// One poll is held open this long when nothing changes.
const HELD: Duration = Duration::from_secs(30);
const WAITS: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(10)];

impl Shared {
    /// Follows the gateway until nobody listens any more.
    pub(super) async fn watch(self: Arc<Self>) {
        tokio::spawn({
            let shared = self.clone();
            async move { shared.shipper.run().await }
        });
        let (mut index, mut failures) = (0, 0);
        while !self.events.is_closed() {
            match self.tools.cloud.watch(index, HELD).await {
                Ok((seen, view)) => {
                    (index, failures) = (seen, 0);
                    self.send(Event::Signal(Signal::Region(view))).await;
                }
                Err(fault) => {
                    if failures == 0 {
                        tracing::warn!(%fault, "the gateway does not answer as it should");
                    }
                    self.send(Event::Signal(Signal::RegionFault(fault))).await;
                    // A certificate that comes meanwhile ends the wait.
                    let wait = WAITS[failures.min(WAITS.len() - 1)];
                    let _ = tokio::time::timeout(wait, self.renewed.notified()).await;
                    failures += 1;
                    // Its numbers may have begun anew.
                    index = 0;
                }
            }
        }
    }

    /// Done when none of this node's allocations is pending or running: a finished drain would not say that.
    pub(super) async fn stop_allocations(&self) -> Result<(), CloudFault> {
        let cloud = &self.tools.cloud;
        if cloud.stop_allocations().await?.is_empty() {
            return Ok(());
        }
        let mut index = 0;
        loop {
            let (seen, view) = cloud.watch(index, HELD).await?;
            if !view.jobs.iter().any(|job| job.status.is_live()) {
                return Ok(());
            }
            index = seen;
        }
    }
}
