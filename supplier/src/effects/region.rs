//! The gateway's word on this PC: the long poll, what the PC wants of its node, and stopping allocations.

use std::sync::Arc;
use std::time::Duration;

use chrono::Local;
use ionet_cloud::WantedFault;
use ionet_core::effect::{Region, Wanted};
use ionet_core::event::WantedTold;
use ionet_core::fault::CloudFault;
use ionet_core::{Outcome, Signal};
use tokio::time::timeout;

use super::{Shared, unsaid};
use crate::day;
use crate::runners::spread;

/// One poll is held open this long when nothing changes.
const HELD: Duration = Duration::from_secs(30);
const WAITS: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(10)];

/// The owner waits for this answer while the PC is given back.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

impl Shared {
    pub(super) fn region(self: &Arc<Self>, deed: Region) {
        let shared = self.clone();
        match deed {
            Region::Watch => self.follow_the_gateway(),
            Region::SetWanted { seq, wanted } => {
                let broken_off = Outcome::WantedSet { seq, result: Err(CloudFault::Refused(unsaid())) };
                self.run(broken_off, async move {
                    Outcome::WantedSet { seq, result: shared.set_wanted(seq, wanted).await }
                });
            }
            Region::StopAllocations { id, within_ms } => {
                let broken_off =
                    Outcome::AllocationsStopped { id, result: Err(CloudFault::Refused(unsaid())) };
                self.run(broken_off, async move {
                    let stopped = timeout(Duration::from_millis(within_ms), shared.stop_allocations()).await;
                    Outcome::AllocationsStopped { id, result: stopped.unwrap_or(Err(CloudFault::Slow)) }
                });
            }
        }
    }

    fn follow_the_gateway(self: &Arc<Self>) {
        let (watching, shipping) = (self.clone(), self.clone());
        self.tools.runners.start("watch", move || watching.clone().watch()).for_ever();
        let shipping = move || {
            let shared = shipping.clone();
            async move { shared.shipper.run().await }
        };
        self.tools.runners.start("log shipping", shipping).for_ever();
    }

    /// Follows the gateway until nobody listens any more.
    async fn watch(self: Arc<Self>) {
        let (mut index, mut failures) = (0, 0);
        while !self.events.is_closed() {
            match self.tools.cloud.watch(index, HELD, day::today_began(&Local)).await {
                Ok((seen, answer)) => {
                    (index, failures) = (seen, 0);
                    self.live_jobs.send_replace(answer.jobs.iter().any(|job| job.status.is_live()));
                    self.tell(Signal::Region(answer)).await;
                }
                Err(fault) => {
                    if failures == 0 {
                        tracing::warn!(%fault, "the gateway does not answer as it should");
                    }
                    let wait = wait_after(&fault, failures);
                    self.tell(Signal::RegionFault(fault)).await;
                    // A certificate that came meanwhile, or comes now, ends the wait.
                    let _ = timeout(wait, self.renewed.notified()).await;
                    failures += 1;
                    // Its numbers may have begun anew.
                    index = 0;
                }
            }
        }
    }

    async fn set_wanted(&self, seq: u64, wanted: Wanted) -> Result<WantedTold, CloudFault> {
        let holds: Vec<String> = wanted.holds.into_iter().collect();
        let told = self.tools.cloud.set_wanted(seq, wanted.eligible, &holds);
        match timeout(TOLD_WITHIN, told).await {
            Ok(Ok(applied)) => Ok(WantedTold::Kept { applied }),
            Ok(Err(WantedFault::Stale { known })) => Ok(WantedTold::Stale { highest: known }),
            Ok(Err(WantedFault::Cloud(fault))) => Err(fault),
            Err(_) => Err(CloudFault::Slow),
        }
    }

    /// Done when none of this node's allocations is pending or running: a finished drain would not say that.
    async fn stop_allocations(&self) -> Result<(), CloudFault> {
        if self.tools.cloud.stop_allocations().await?.is_empty() {
            return Ok(());
        }
        // The poll that is under way anyway tells: a second one beside it would push it out.
        let mut live = self.live_jobs.subscribe();
        live.wait_for(|live| !live).await.map(drop).map_err(|_| CloudFault::Unavailable(None))
    }
}

/// Longer after each failure in a row, spread by chance; at least as long as the gateway says.
fn wait_after(fault: &CloudFault, failures: usize) -> Duration {
    let wait = spread(WAITS[failures.min(WAITS.len() - 1)]);
    if let CloudFault::TooMany { wait_s } = fault { wait.max(Duration::from_secs(*wait_s)) } else { wait }
}
