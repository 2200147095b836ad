use std::collections::BTreeMap;

use ionet_gateway_api::{AllocationState, DeviceState};
use serde_json::{Value, json};

use crate::stand::region::now_s;
use crate::stand::{Pc, Stand};

const SECOND: i64 = 1_000_000_000;

/// Midnight UTC of today in nanoseconds: everything that these tests let happen today happens from then on.
fn today() -> i64 {
    (now_s() - now_s() % 86_400) * SECOND
}

fn ended(state: &DeviceState) -> bool {
    state.allocations.first().is_some_and(|allocation| allocation.status == "complete")
}

fn only(state: &DeviceState) -> &AllocationState {
    assert_eq!(state.allocations.len(), 1);
    &state.allocations[0]
}

async fn pc_with_node(stand: &Stand) -> Pc {
    let pc = stand.enrol("alice").await;
    stand.region.node("n-1", pc.id(), json!({}));
    stand.until(&pc, |state| state.node.is_some()).await;
    pc
}

/// One that began at midnight, ran and ended ten seconds later, all by the servers' clock.
fn life() -> [Value; 3] {
    let begin = today();
    let times = json!({ "CreateTime": begin, "ModifyTime": begin });
    let running = json!({ "ClientStatus": "running", "ModifyTime": begin + SECOND });
    let complete = json!({ "ClientStatus": "complete", "ModifyTime": begin + 10 * SECOND });
    [times, running, complete]
}

#[tokio::test]
async fn an_allocation_earns_by_the_servers_clock_from_placement_to_its_end() {
    let stand = Stand::start().await;
    let pc = pc_with_node(&stand).await;

    for change in life() {
        stand.region.allocation("a-1", "n-1", change);
    }

    let state = stand.until(&pc, ended).await;
    assert_eq!(only(&state).earned, "0.010000");
    assert_eq!(only(&state).job, "render");
    assert_eq!(only(&state).placed_at_ms, today() / 1_000_000);
    assert_eq!(state.earnings.today, "0.010000");
    assert_eq!(state.earnings.currency, "USD");
    assert!(!state.rehearsal);
}

#[tokio::test]
async fn another_device_neither_sees_nor_earns_it() {
    let stand = Stand::start().await;
    let pc = pc_with_node(&stand).await;
    let other = stand.enrol("bob").await;

    for change in life() {
        stand.region.allocation("a-1", "n-1", change);
    }

    stand.until(&pc, ended).await;
    let state = stand.state(&other).await;
    assert!(state.allocations.is_empty() && state.node.is_none());
    assert_eq!(state.earnings.today, "0.000000");
}

#[tokio::test]
async fn a_replay_of_the_whole_stream_changes_nothing() {
    let stand = Stand::start().await;
    let pc = pc_with_node(&stand).await;

    for change in life() {
        stand.region.allocation("a-1", "n-1", change);
    }
    stand.region.replay();
    stand.region.replay();
    stand.region.node("n-1", pc.id(), json!({ "Status": "down" }));

    let state = stand.until(&pc, |state| state.node.as_ref().is_some_and(|node| node.status == "down")).await;
    assert_eq!(state.earnings.today, "0.010000");
}

#[tokio::test]
async fn what_ended_while_the_gateway_was_away_is_found_in_the_lists() {
    let mut stand = Stand::start().await;
    let pc = pc_with_node(&stand).await;
    let [begin, running, complete] = life();
    stand.region.allocation("a-1", "n-1", begin.clone());
    stand.region.allocation("a-1", "n-1", running);
    stand.until(&pc, |state| state.allocations.first().is_some_and(|first| first.status == "running")).await;

    stand.pause().await;
    stand.region.allocation_silently("a-1", "n-1", complete.clone());
    // Never seen alive: its task's events tell that it ran.
    stand.region.allocation_silently("a-2", "n-1", begin.clone());
    let task =
        json!({ "t": { "StartedAt": null, "Events": [{ "Type": "Received" }, { "Type": "Started" }] } });
    let mut ended_unseen = complete.clone();
    ended_unseen["TaskStates"] = task;
    stand.region.allocation_silently("a-2", "n-1", ended_unseen);
    // Ended without ever having run.
    stand.region.allocation_silently("a-3", "n-1", begin);
    stand.region.allocation_silently("a-3", "n-1", complete);
    stand.resume().await;

    let state = stand.until(&pc, |state| state.allocations.len() == 3 && ended(state)).await;
    let earned: BTreeMap<_, _> =
        state.allocations.iter().map(|a| (a.id.as_str(), a.earned.as_str())).collect();
    assert_eq!(earned, BTreeMap::from([("a-1", "0.010000"), ("a-2", "0.010000"), ("a-3", "0.000000")]));
    assert_eq!(state.earnings.today, "0.020000");
}

#[tokio::test]
async fn a_stream_that_may_not_be_read_does_not_keep_the_ledger_from_the_lists() {
    let mut stand = Stand::start().await;
    let pc = pc_with_node(&stand).await;
    stand.pause().await;
    stand.region.deny_stream();
    stand.resume().await;

    let [begin, running, complete] = life();
    stand.region.allocation("a-1", "n-1", begin);
    stand.region.allocation("a-1", "n-1", running);
    stand.until(&pc, |state| state.allocations.first().is_some_and(|first| first.status == "running")).await;
    stand.region.allocation("a-1", "n-1", complete);

    let state = stand.until(&pc, ended).await;
    assert_eq!(state.earnings.today, "0.010000");
}

#[tokio::test]
async fn a_region_that_goes_silent_is_said_and_nothing_is_earned_meanwhile() {
    let mut stand = Stand::start().await;
    let pc = pc_with_node(&stand).await;
    stand.region.allocation("a-1", "n-1", json!({ "ClientStatus": "running" }));
    stand.until(&pc, |state| !state.allocations.is_empty()).await;

    stand.pause().await;
    stand.region.stop();
    stand.resume().await;
    let silent = stand.until(&pc, |state| state.region_silent_since_ms.is_some()).await;
    let later = stand.state(&pc).await;

    assert_eq!(only(&silent).status, "running");
    assert_eq!(later.earnings, silent.earnings);
    assert_eq!(Some(later.earnings.as_of_ms), later.region_silent_since_ms);
}

#[tokio::test]
async fn one_that_the_region_forgot_stops_earning() {
    let mut stand = Stand::start().await;
    let pc = pc_with_node(&stand).await;
    stand.region.allocation("a-1", "n-1", json!({ "ClientStatus": "running" }));
    stand.until(&pc, |state| !state.allocations.is_empty()).await;

    stand.pause().await;
    stand.region.forget_allocation("a-1");
    stand.resume().await;

    stand.until(&pc, |state| only(state).status == "lost").await;
}

#[tokio::test]
async fn a_down_node_earns_until_the_servers_declared_it_down() {
    let stand = Stand::start().await;
    let pc = pc_with_node(&stand).await;
    let [begin, running, _] = life();
    stand.region.allocation("a-1", "n-1", begin);
    stand.region.allocation("a-1", "n-1", running);

    let silent_since = today() / SECOND + 5;
    stand.region.node("n-1", pc.id(), json!({ "Status": "down", "StatusUpdatedAt": silent_since }));

    let state = stand.until(&pc, |state| state.node.as_ref().is_some_and(|node| node.status == "down")).await;
    assert_eq!(only(&state).earned, "0.005000");
    assert_eq!(state.earnings.today, "0.005000");
}

#[tokio::test]
async fn the_price_is_that_of_the_gpu_that_the_job_asks_for_and_never_the_pcs_word() {
    let stand = Stand::start_with(|config| {
        config.prices.gpus.insert("nvidia-geforce-rtx-4090".to_owned(), 7_200_000);
    })
    .await;
    let pc = stand.enrol("alice").await;
    stand.region.node("n-1", pc.id(), json!({ "Meta": { "ionet.gpu": "nvidia-geforce-rtx-4090" } }));
    let [begin, _, mut complete] = life();
    complete["TaskStates"] = json!({ "t": { "StartedAt": "2026-11-22T20:16:51Z" } });
    let mut asks = begin.clone();
    let constraint =
        json!({ "LTarget": "${meta.ionet.gpu}", "Operand": "=", "RTarget": "nvidia-geforce-rtx-4090" });
    asks["Job"] =
        json!({ "Constraints": null, "TaskGroups": [{ "Name": "g", "Constraints": [constraint] }] });

    stand.region.allocation("a-asks", "n-1", asks);
    stand.region.allocation("a-does-not", "n-1", begin);
    stand.region.allocation("a-asks", "n-1", complete.clone());
    stand.region.allocation("a-does-not", "n-1", complete);

    let done = |state: &DeviceState| state.allocations.iter().filter(|a| a.status == "complete").count() == 2;
    let state = stand.until(&pc, done).await;
    let earned: BTreeMap<_, _> =
        state.allocations.iter().map(|a| (a.id.as_str(), a.earned.as_str())).collect();
    assert_eq!(earned, BTreeMap::from([("a-asks", "0.020000"), ("a-does-not", "0.010000")]));
}

#[tokio::test]
async fn what_ran_into_today_counts_from_midnight() {
    let stand = Stand::start().await;
    let pc = pc_with_node(&stand).await;
    let begin = today() - 20 * SECOND;
    let end = today() + 10 * SECOND;

    stand.region.allocation("a-1", "n-1", json!({ "ClientStatus": "running", "CreateTime": begin }));
    stand.region.allocation("a-1", "n-1", json!({ "ClientStatus": "complete", "ModifyTime": end }));

    let state = stand.until(&pc, ended).await;
    assert_eq!(only(&state).earned, "0.030000");
    assert_eq!(state.earnings.today, "0.010000");
}

#[tokio::test]
async fn a_rehearsal_is_called_one() {
    let mut stand = Stand::start().await;
    stand.region.be_a_double();
    stand.pause().await;
    stand.resume().await;
    let pc = stand.enrol("alice").await;
    stand.region.node("n-1", pc.id(), json!({}));

    let state = stand.until(&pc, |state| state.node.is_some()).await;

    assert!(state.rehearsal);
}
