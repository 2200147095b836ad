use ionet_gateway_api::{DeviceState, Introduction, StopAnswer, code, path};
use reqwest::Method;
use serde_json::json;

use crate::stand::{Pc, Stand, is, problem, read};

async fn lose(stand: &Stand, pc: &Pc) {
    let path = path::DEVICE_LOST.replace("{device}", pc.id());
    let answer = stand.send_as(&stand.issuer.token("alice"), Method::POST, &path, None).await;
    assert_eq!(answer.status(), 204);
}

#[tokio::test]
async fn an_introduction_is_minted_for_this_device_and_pool_alone() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;

    let given: Introduction = read(stand.send(&pc.http, Method::POST, path::INTRODUCTION, None).await).await;

    assert_eq!(given.token, "a.b.c");
    let calls = stand.region.calls("/client-introduction-token");
    assert_eq!(calls[0].body, json!({ "NodeName": pc.id(), "NodePool": "gamers", "TTL": "5m" }));
}

#[tokio::test]
async fn a_region_that_refuses_or_is_gone_is_said_to_be_unreachable() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;

    stand.region.answer("/v1/acl/identity/client-introduction-token", 403);
    let refused = stand.send(&pc.http, Method::POST, path::INTRODUCTION, None).await;
    stand.region.stop();
    let gone = stand.send(&pc.http, Method::POST, path::INTRODUCTION, None).await;

    assert_eq!(problem(refused).await, is(code::REGION_UNREACHABLE, 502));
    assert_eq!(problem(gone).await, is(code::REGION_UNREACHABLE, 502));
    assert_eq!(stand.get(&pc.http, path::WATCH).await.status(), 200);
}

#[tokio::test]
async fn stopping_stops_what_lives_on_this_device_and_nothing_else() {
    let stand = Stand::start().await;
    let (mine, theirs) = (stand.enrol("alice").await, stand.enrol("bob").await);
    stand.region.node("n-mine", mine.id(), json!({}));
    stand.region.node("n-theirs", theirs.id(), json!({}));
    for (id, status) in [("a-pending", "pending"), ("a-running", "running"), ("a-done", "complete")] {
        stand.region.allocation(id, "n-mine", json!({ "ClientStatus": status }));
    }
    let stopping = json!({ "ClientStatus": "running", "DesiredStatus": "stop" });
    stand.region.allocation("a-stopping", "n-mine", stopping);
    stand.region.allocation("a-theirs", "n-theirs", json!({ "ClientStatus": "running" }));
    stand.region.answer("/v1/allocation/a-pending/stop", 404);
    stand.until(&mine, |state| state.allocations.len() == 4).await;

    let answer: StopAnswer = read(stand.send(&mine.http, Method::POST, path::STOP, None).await).await;

    assert_eq!(answer.stopping, ["a-pending", "a-running", "a-stopping"]);
    let mut paths: Vec<String> = stand.region.calls("/stop").into_iter().map(|call| call.path).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/v1/allocation/a-pending/stop", "/v1/allocation/a-running/stop"]);
}

#[tokio::test]
async fn an_allocation_that_the_region_will_not_stop_is_not_said_to_be_stopping() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    stand.region.node("n-1", pc.id(), json!({}));
    stand.region.allocation("a-1", "n-1", json!({ "ClientStatus": "running" }));
    stand.region.answer("/v1/allocation/a-1/stop", 403);
    stand.until(&pc, |state| !state.allocations.is_empty()).await;

    let answer = stand.send(&pc.http, Method::POST, path::STOP, None).await;

    assert_eq!(problem(answer).await, is(code::REGION_UNREACHABLE, 502));
}

#[tokio::test]
async fn a_lost_devices_nodes_are_drained_also_those_that_register_later() {
    let stand = Stand::start().await;
    let (pc, other) = (stand.enrol("alice").await, stand.enrol("alice").await);
    stand.region.node("n-1", pc.id(), json!({}));
    stand.region.node("n-other", other.id(), json!({}));
    stand.until(&pc, |state| state.node.is_some()).await;
    stand.until(&other, |state| state.node.is_some()).await;

    lose(&stand, &pc).await;
    stand.region.until_called("/drain", 1).await;
    stand.region.node("n-2", pc.id(), json!({}));

    let calls = stand.region.until_called("/drain", 2).await;
    assert_eq!([&*calls[0].path, &*calls[1].path], ["/v1/node/n-1/drain", "/v1/node/n-2/drain"]);
    assert_eq!(calls[0].body["DrainSpec"]["Deadline"], -1);
    assert_eq!(calls[0].body["MarkEligible"], false);
    assert_eq!(calls.len(), 2);
}

#[tokio::test]
async fn a_lost_devices_node_that_becomes_eligible_again_is_drained_again() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    stand.region.node("n-1", pc.id(), json!({ "SchedulingEligibility": "ineligible" }));
    stand.until(&pc, |state| state.node.is_some()).await;
    lose(&stand, &pc).await;
    stand.region.until_called("/drain", 1).await;

    // As a purged node does whose agent was left running, under a new name for good measure.
    stand.region.node("n-1", "somebody-else", json!({ "SchedulingEligibility": "eligible" }));

    let calls = stand.region.until_called("/drain", 2).await;
    assert_eq!(calls[1].path, "/v1/node/n-1/drain");
}

#[tokio::test]
async fn holding_a_lost_device_goes_on_when_the_region_refuses_at_first_and_after_a_restart() {
    let mut stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    stand.region.node("n-1", pc.id(), json!({}));
    stand.until(&pc, |state| state.node.is_some()).await;
    stand.region.answer("/v1/node/n-1/drain", 500);

    lose(&stand, &pc).await;
    stand.region.until_called("/drain", 2).await;
    stand.pause().await;
    let before = stand.region.calls("/drain").len();
    stand.resume().await;

    stand.region.until_called("/drain", before + 1).await;
}

#[tokio::test]
async fn a_waiting_poll_of_a_device_learns_at_once_that_it_is_lost() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    let index = stand.state(&pc).await.index;
    let url = format!("{}{}?index={index}&wait=60", stand.url, path::WATCH);
    let polling = tokio::spawn(pc.http.get(url).send());

    lose(&stand, &pc).await;

    assert_eq!(problem(polling.await.unwrap().unwrap()).await, is(code::DEVICE_LOST, 403));
}

#[tokio::test]
async fn a_poll_waits_for_a_change_and_then_has_it() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    let before = stand.state(&pc).await;
    let url = format!("{}{}?index={}&wait=60", stand.url, path::WATCH, before.index);
    let polling = tokio::spawn(pc.http.get(url).send());

    stand.region.node("n-1", pc.id(), json!({}));

    let state: DeviceState = read(polling.await.unwrap().unwrap()).await;
    assert!(state.index > before.index);
    assert_eq!(state.node.unwrap().status, "ready");
}

#[tokio::test]
async fn a_poll_without_a_change_ends_with_the_same_index() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    let before = stand.state(&pc).await;

    let path = format!("{}?index={}&wait=1", path::WATCH, before.index);
    let state: DeviceState = read(stand.get(&pc.http, &path).await).await;

    assert_eq!(state.index, before.index);
}

#[tokio::test]
async fn the_index_does_not_fall_behind_over_a_restart() {
    let mut stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    stand.region.node("n-1", pc.id(), json!({}));
    let before = stand.until(&pc, |state| state.node.is_some()).await;

    stand.pause().await;
    stand.resume().await;

    assert!(stand.state(&pc).await.index > before.index);
}
