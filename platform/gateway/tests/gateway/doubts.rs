//! Ends that the allocation's own node did not send.

use ionet_gateway_api::DeviceState;
use serde_json::{Value, json};

use crate::metering::{SECOND, ended, on_one_day, pc_with_node};
use crate::money::{is_running, running_since};
use crate::stand::{Pc, Stand};

#[tokio::test]
async fn an_end_that_its_own_node_did_not_send_is_disputed() {
    on_one_day(async |day| {
        let stand = Stand::start().await;
        let (pc, other) = (pc_with_node(&stand).await, stand.enrol("bob").await);
        stand.region.node("n-other", other.id(), json!({}));
        for (id, node) in [("a-1", "n-1"), ("a-2", "n-other")] {
            stand.region.allocation(id, node, running_since(day));
        }
        // The one node has sent something long ago, the other this very message.
        stand.region.node("n-1", pc.id(), json!({ "LastAllocUpdateIndex": 2 }));
        stand.region.node("n-other", other.id(), json!({ "LastAllocUpdateIndex": 1_000_000 }));
        let end = json!({ "ClientStatus": "complete", "ModifyTime": day + 5 * SECOND });
        stand.region.allocation("a-1", "n-1", end.clone());
        stand.region.allocation("a-2", "n-other", end);

        stand.until(&pc, ended).await;
        stand.until(&other, ended).await;
        stand.until_disputed(&["a-1"]).await;
    })
    .await;
}

/// Places one on a node that has sent something long ago, and nothing since.
async fn runs_on_a_silent_node(stand: &Stand, day: i64) -> Pc {
    let pc = pc_with_node(stand).await;
    stand.region.allocation("a-1", "n-1", running_since(day));
    stand.region.node("n-1", pc.id(), json!({ "LastAllocUpdateIndex": 2 }));
    stand.until(&pc, is_running).await;
    pc
}

fn over(day: i64) -> Value {
    json!({ "ClientStatus": "complete", "ModifyTime": day + 5 * SECOND })
}

#[tokio::test]
async fn an_end_that_a_list_showed_first_is_doubted_once_the_stream_tells_of_it() {
    on_one_day(async |day| {
        let mut stand = Stand::start().await;
        let pc = runs_on_a_silent_node(&stand, day).await;

        stand.region.allocation_silently("a-heard-late", "n-1", running_since(day));
        stand.region.allocation("a-heard-late", "n-1", over(day));
        stand.until(&pc, |state| state.allocations.len() == 2).await;
        stand.pause().await;
        stand.region.allocation("a-1", "n-1", over(day));
        stand.region.allocation_silently("a-listed", "n-1", running_since(day));
        stand.region.allocation("a-listed", "n-1", over(day));
        stand.resume().await;

        stand.until_disputed(&["a-1", "a-heard-late", "a-listed"]).await;
    })
    .await;
}

#[tokio::test]
async fn an_end_whose_node_cannot_be_asked_for_is_doubted_later() {
    on_one_day(async |day| {
        let stand = Stand::start().await;
        let pc = runs_on_a_silent_node(&stand, day).await;

        stand.region.answer("/v1/node/n-1", 500);
        stand.region.allocation("a-1", "n-1", over(day));
        // What comes after it has been heard: its node has been asked for in vain.
        stand.region.allocation("a-2", "n-1", running_since(day));
        stand.until(&pc, |state| state.allocations.len() == 2).await;
        stand.region.recover("/v1/node/n-1");
        stand.region.break_stream();

        stand.until_disputed(&["a-1"]).await;
    })
    .await;
}

#[tokio::test]
async fn an_end_whose_node_could_not_be_asked_for_is_doubted_by_the_gateway_that_comes_after() {
    on_one_day(async |day| {
        let mut stand = Stand::start().await;
        let pc = runs_on_a_silent_node(&stand, day).await;

        stand.region.answer("/v1/node/n-1", 500);
        stand.region.allocation("a-1", "n-1", over(day));
        stand.region.allocation("a-2", "n-1", running_since(day));
        stand.until(&pc, |state| state.allocations.len() == 2).await;
        stand.pause().await;
        stand.region.recover("/v1/node/n-1");
        stand.resume().await;

        stand.until_disputed(&["a-1"]).await;
    })
    .await;
}

/// The node says from now on that its own client sent the change after this one.
fn sends_the_next(stand: &Stand, pc: &Pc) {
    let next = stand.region.index() + 2;
    stand.region.node("n-1", pc.id(), json!({ "LastAllocUpdateIndex": next }));
}

fn failed(day: i64) -> Value {
    json!({ "ClientStatus": "failed", "ModifyTime": day + 5 * SECOND })
}

fn has_failed(state: &DeviceState) -> bool {
    state.allocations.iter().any(|allocation| allocation.status == "failed")
}

/// What the servers do of their own accord to one that has ended.
fn rewrite(stand: &Stand, id: &str) {
    stand.region.allocation_by("PlanResult", id, "n-1", json!({ "NextAllocation": "a-next" }));
    let health = json!({ "DeploymentStatus": { "Healthy": false } });
    stand.region.allocation_by("DeploymentAllocHealth", id, "n-1", health);
}

#[tokio::test]
async fn what_the_servers_write_to_an_ended_allocation_is_no_end_of_its_clients() {
    on_one_day(async |day| {
        let stand = Stand::start().await;
        let pc = runs_on_a_silent_node(&stand, day).await;
        stand.region.allocation("a-forged", "n-1", running_since(day));

        sends_the_next(&stand, &pc);
        stand.region.allocation("a-1", "n-1", failed(day));
        stand.until(&pc, has_failed).await;
        rewrite(&stand, "a-1");
        stand.region.allocation("a-forged", "n-1", over(day));

        stand.until_disputed(&["a-forged"]).await;
    })
    .await;
}

#[tokio::test]
async fn a_rewritten_end_that_a_list_shows_first_is_not_disputed() {
    on_one_day(async |day| {
        let mut stand = Stand::start().await;
        let pc = runs_on_a_silent_node(&stand, day).await;
        for id in ["a-2", "a-forged"] {
            stand.region.allocation(id, "n-1", running_since(day));
        }
        stand.until(&pc, |state| state.allocations.len() == 3).await;

        stand.pause().await;
        // The stream tells of all of the one, of the other only what came after its end.
        stand.region.allocation_silently("a-1", "n-1", failed(day));
        sends_the_next(&stand, &pc);
        stand.region.allocation("a-2", "n-1", failed(day));
        rewrite(&stand, "a-1");
        rewrite(&stand, "a-2");
        stand.region.allocation("a-forged", "n-1", over(day));
        stand.resume().await;

        stand.until_disputed(&["a-forged"]).await;
    })
    .await;
}

#[tokio::test]
async fn a_message_about_an_allocation_that_had_ended_changes_nothing_about_its_end() {
    on_one_day(async |day| {
        let stand = Stand::start().await;
        let pc = runs_on_a_silent_node(&stand, day).await;
        stand.region.allocation("a-forged", "n-1", running_since(day));
        sends_the_next(&stand, &pc);
        stand.region.allocation("a-1", "n-1", failed(day));
        stand.until(&pc, has_failed).await;

        // Another supplier's node says it once more, and of one that runs too.
        stand.region.allocation("a-1", "n-1", over(day));
        stand.region.allocation("a-forged", "n-1", over(day));

        stand.until_disputed(&["a-forged"]).await;
    })
    .await;
}
