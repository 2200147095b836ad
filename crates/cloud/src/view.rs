//! From the gateway's words to the core's.

use ionet_core::UnixMs;
use ionet_core::fault::CloudFault;
use ionet_core::money::NotMoney;
use ionet_core::region::{Earnings, Job, JobStatus, Node, NodeStatus, RegionView};
use ionet_gateway_api::{AllocationState, DeviceState, NodeState};

/// A word or an amount that is not one of the agreed ones makes the whole answer garbled: half a view would mislead.
pub(crate) fn view_of(state: DeviceState) -> Result<RegionView, CloudFault> {
    let earnings = state.earnings;
    Ok(RegionView {
        node: state.node.map(node_of).transpose()?,
        jobs: state.allocations.into_iter().map(job_of).collect::<Result<_, _>>()?,
        earnings: Some(Earnings {
            today: earnings.today.parse().map_err(garbled)?,
            currency: earnings.currency,
            as_of: UnixMs(earnings.as_of_ms),
        }),
        silent_since: state.region_silent_since_ms.map(UnixMs),
        rehearsal: state.rehearsal,
        lost: false,
    })
}

fn node_of(node: NodeState) -> Result<Node, CloudFault> {
    let status = match node.status.as_str() {
        "initializing" => NodeStatus::Initializing,
        "ready" => NodeStatus::Ready,
        "down" => NodeStatus::Down,
        "disconnected" => NodeStatus::Disconnected,
        _ => return Err(CloudFault::Garbled),
    };
    Ok(Node { id: node.id, status, eligible: node.eligible })
}

fn job_of(allocation: AllocationState) -> Result<Job, CloudFault> {
    let status = match allocation.status.as_str() {
        "pending" => JobStatus::Pending,
        "running" => JobStatus::Running,
        "complete" => JobStatus::Complete,
        "failed" => JobStatus::Failed,
        // Nomad's `unknown`: the servers have lost sight of the client, and count the work as lost unless it returns.
        "lost" | "unknown" => JobStatus::Lost,
        _ => return Err(CloudFault::Garbled),
    };
    Ok(Job {
        allocation: allocation.id,
        name: allocation.job,
        status,
        placed_at: UnixMs(allocation.placed_at_ms),
        earned: allocation.earned.parse().map_err(garbled)?,
    })
}

fn garbled(_: NotMoney) -> CloudFault {
    CloudFault::Garbled
}

#[cfg(test)]
mod tests {
    use ionet_core::Money;
    use ionet_gateway_api::EarningsState;

    use super::*;

    fn state(node: &str, job: &str, today: &str) -> DeviceState {
        let allocation = AllocationState {
            id: "a1".into(),
            job: "render".into(),
            status: job.into(),
            placed_at_ms: 5,
            earned: "0.5".into(),
        };
        DeviceState {
            index: 7,
            node: Some(NodeState { id: "n1".into(), status: node.into(), eligible: true }),
            allocations: vec![allocation],
            earnings: EarningsState { today: today.into(), currency: "USDC".into(), as_of_ms: 9 },
            region_silent_since_ms: None,
            rehearsal: true,
        }
    }

    #[test]
    fn the_gateways_words_become_the_cores() {
        let view = view_of(state("ready", "running", "1.25")).unwrap();

        assert_eq!(view.node.unwrap().status, NodeStatus::Ready);
        assert_eq!(
            (view.jobs[0].status, view.jobs[0].earned),
            (JobStatus::Running, Money { micros: 500_000 })
        );
        assert_eq!(view.earnings.unwrap().today, Money { micros: 1_250_000 });
        assert!(view.rehearsal && !view.lost);
    }

    #[test]
    fn an_unknown_word_or_amount_is_garbled() {
        let garbled = [("?", "running", "1"), ("ready", "?", "1"), ("ready", "running", "1e3")]
            .map(|(node, job, today)| view_of(state(node, job, today)));

        assert_eq!(garbled, [const { Err(CloudFault::Garbled) }; 3]);
    }
}
