//! From the gateway's words to the core's.

use ionet_core::UnixMs;
use ionet_core::fault::CloudFault;
use ionet_core::region::{Earnings, Job, JobStatus, Node, NodeStatus, WatchAnswer};
use ionet_core::target::AccountName;
use ionet_gateway_api::{AccountState, AllocationState, DeviceState, EarningsState, NodeState};
use serde_json::Value;

/// The index and what stands there. One allocation that cannot be read does not hide the others, nor does an amount; what says
/// whose device this is and what its node is must be whole.
pub(crate) fn read_view(body: &[u8]) -> Result<(u64, WatchAnswer), CloudFault> {
    let mut state: Value = serde_json::from_slice(body).map_err(|_| CloudFault::Garbled)?;
    let listed = state.get_mut("allocations").map(Value::take).unwrap_or_default();
    let earned = state.get_mut("earnings").map(Value::take).unwrap_or_default();
    let members = state.as_object_mut().ok_or(CloudFault::Garbled)?;
    members.insert("allocations".into(), Value::Array(Vec::new()));
    members.insert("earnings".into(), serde_json::json!({"today": "0", "currency": "", "as_of_ms": 0}));
    let state: DeviceState = serde_json::from_value(state).map_err(|_| CloudFault::Garbled)?;
    let Value::Array(listed) = listed else { return Err(CloudFault::Garbled) };
    let view = WatchAnswer {
        node: state.node.map(node_of),
        jobs: listed.into_iter().filter_map(job_of).collect(),
        earnings: earnings_of(earned),
        silent_since: state.region_silent_since_ms.map(UnixMs),
        rehearsal: state.rehearsal,
        lost: false,
        owner: Some(owner_of(state.account)),
        wanted_seq: state.wanted_seq,
    };
    Ok((state.index, view))
}

pub(crate) fn owner_of(account: AccountState) -> AccountName {
    AccountName { subject: account.subject, shown: account.shown }
}

fn node_of(node: NodeState) -> Node {
    let status = match node.status.as_str() {
        "initializing" => NodeStatus::Initializing,
        "ready" => NodeStatus::Ready,
        "down" => NodeStatus::Down,
        "disconnected" => NodeStatus::Disconnected,
        _ => NodeStatus::Unknown,
    };
    Node { id: node.id, status, eligible: node.eligible }
}

fn job_of(listed: Value) -> Option<Job> {
    let read = serde_json::from_value::<AllocationState>(listed).ok().and_then(|allocation| {
        Some(Job {
            earned: allocation.earned.parse().ok()?,
            status: status_of(&allocation.status),
            allocation: allocation.id,
            name: allocation.job,
            placed_at: UnixMs(allocation.placed_at_ms),
        })
    });
    if read.is_none() {
        tracing::warn!("the gateway lists an allocation that cannot be read; it is left out");
    }
    read
}

fn status_of(word: &str) -> JobStatus {
    match word {
        "pending" => JobStatus::Pending,
        "running" => JobStatus::Running,
        "complete" => JobStatus::Complete,
        "failed" => JobStatus::Failed,
        // Nomad's `unknown`: the servers have lost sight of the client, and count the work as lost unless it returns.
        "lost" | "unknown" => JobStatus::Lost,
        _ => JobStatus::Unknown,
    }
}

fn earnings_of(told: Value) -> Option<Earnings> {
    let told: EarningsState = serde_json::from_value(told).ok()?;
    Some(Earnings { today: told.today.parse().ok()?, currency: told.currency, as_of: UnixMs(told.as_of_ms) })
}

#[cfg(test)]
mod tests {
    use ionet_core::Money;
    use serde_json::json;

    use super::*;

    fn allocation(id: &str, status: &str, earned: &str) -> Value {
        json!({"id": id, "job": "render", "status": status, "placed_at_ms": 5, "earned": earned, "new": {"x": 1}})
    }

    fn view(node: &str, allocations: &[Value], today: &str) -> Result<(u64, WatchAnswer), CloudFault> {
        let state = json!({
            "index": 7, "account": {"subject": "alice", "shown": "alice@example.test"}, "wanted_seq": 3,
            "node": {"id": "n1", "status": node, "eligible": true, "class": "new"}, "allocations": allocations,
            "earnings": {"today": today, "currency": "USDC", "as_of_ms": 9}, "rehearsal": true, "something": "new"
        });
        read_view(state.to_string().as_bytes())
    }

    #[test]
    fn the_gateways_words_become_the_cores() {
        let (index, view) = view("ready", &[allocation("a1", "running", "0.5")], "1.25").unwrap();

        assert_eq!((index, view.wanted_seq), (7, 3));
        assert_eq!(view.owner.unwrap().shown, "alice@example.test");
        assert_eq!(view.node.unwrap().status, NodeStatus::Ready);
        assert_eq!(
            (view.jobs[0].status, view.jobs[0].earned),
            (JobStatus::Running, Money { micros: 500_000 })
        );
        assert_eq!(view.earnings.unwrap().today, Money { micros: 1_250_000 });
        assert!(view.rehearsal && !view.lost);
    }

    #[test]
    fn a_word_of_a_later_version_is_unknown_and_the_rest_stands() {
        let (_, view) = view("drained", &[allocation("a1", "reconnecting", "0.5")], "1").unwrap();

        assert_eq!(view.node.unwrap().status, NodeStatus::Unknown);
        assert_eq!(view.jobs[0].status, JobStatus::Unknown);
    }

    #[test]
    fn an_allocation_that_cannot_be_read_does_not_hide_the_others() {
        let bad = [allocation("a2", "running", "1e3"), json!({"id": "a3"}), json!("a4"), json!(null)];
        let all: Vec<_> = [allocation("a1", "running", "0.5")].into_iter().chain(bad).collect();

        let (_, view) = view("ready", &all, "1").unwrap();

        assert_eq!(view.jobs.iter().map(|job| job.allocation.as_str()).collect::<Vec<_>>(), ["a1"]);
    }

    #[test]
    fn an_amount_that_is_none_is_not_shown() {
        let (_, view) = view("ready", &[allocation("a1", "running", "0.5")], "NaN").unwrap();

        assert_eq!((view.earnings, view.jobs.len()), (None, 1));
    }

    #[test]
    fn an_answer_that_is_no_state_is_garbled() {
        for body in ["<html>", "[]", "{}", "{\"index\": 1, \"allocations\": []}", "null"] {
            assert_eq!(read_view(body.as_bytes()), Err(CloudFault::Garbled), "{body}");
        }
    }
}
