//! Nodes that bear another device's name than the one that they registered with.

use ionet_gateway_api::{DeviceState, path};
use reqwest::Method;
use serde_json::json;

use crate::stand::{Pc, Stand, until};

/// A PC that takes work, with a node that gets it.
async fn with_working_node(stand: &Stand) -> Pc {
    let pc = stand.enrol("alice").await;
    let wanted = json!({ "seq": 1, "eligible": true, "holds": [] });
    assert_eq!(stand.send(&pc.http, Method::PUT, path::WANTED, Some(wanted)).await.status(), 200);
    stand.region.node("n-1", pc.id(), json!({ "StatusUpdatedAt": 1_000 }));
    stand.until(&pc, |state| is(state, "n-1")).await;
    pc
}

fn is(state: &DeviceState, node: &str) -> bool {
    state.node.as_ref().is_some_and(|now| now.id == node)
}

/// Registers a node under the one's name, and then again under the other's.
fn take_name(stand: &Stand, own: &str, other: &str) {
    stand.region.node("n-evil", own, json!({ "SchedulingEligibility": "ineligible" }));
    stand.region.node("n-evil", other, json!({ "SchedulingEligibility": "eligible" }));
}

#[tokio::test]
async fn a_node_that_took_another_devices_name_while_the_gateway_was_away_is_that_of_the_device_it_registered_for()
 {
    let mut stand = Stand::start().await;
    let (pc, mallory) = (with_working_node(&stand).await, stand.enrol("mallory").await);

    stand.pause().await;
    take_name(&stand, mallory.id(), pc.id());
    stand.resume().await;

    stand.until(&mallory, |state| is(state, "n-evil")).await;
    assert!(is(&stand.state(&pc).await, "n-1"));
    assert_eq!(stand.region.node_field("n-1", "SchedulingEligibility"), "eligible");
}

#[tokio::test]
async fn a_node_whose_first_registration_is_forgotten_takes_no_place_of_one_that_lives() {
    let mut stand = Stand::start().await;
    let (pc, mallory) = (with_working_node(&stand).await, stand.enrol("mallory").await);

    stand.pause().await;
    take_name(&stand, mallory.id(), pc.id());
    stand.region.forget_events();
    stand.resume().await;

    let calls = stand.region.until_called("/eligibility", 1).await;
    assert_eq!(calls[0].path, "/v1/node/n-evil/eligibility");
    assert_eq!(calls[0].body["Eligibility"], "ineligible");
    assert!(is(&stand.state(&pc).await, "n-1"));
    assert_eq!(stand.region.node_field("n-1", "SchedulingEligibility"), "eligible");
}

#[tokio::test]
async fn a_pc_that_lost_its_data_while_the_gateway_was_away_works_on_once_its_old_node_is_down() {
    let mut stand = Stand::start().await;
    let pc = with_working_node(&stand).await;

    stand.pause().await;
    let ineligible = json!({ "SchedulingEligibility": "ineligible" });
    stand.region.node("n-2", pc.id(), ineligible.clone());
    stand.region.node("n-2", pc.id(), ineligible);
    stand.region.forget_events();
    stand.resume().await;
    stand.until_following().await;
    assert!(is(&stand.state(&pc).await, "n-1"));
    stand.region.node("n-1", pc.id(), json!({ "Status": "down" }));

    let calls = stand.region.until_called("/eligibility", 1).await;
    assert_eq!(calls[0].path, "/v1/node/n-2/eligibility");
    assert_eq!(calls[0].body["Eligibility"], "eligible");
    stand.until(&pc, |state| is(state, "n-2")).await;
}

#[tokio::test]
async fn a_pc_that_lost_its_data_while_the_gateway_was_away_has_its_new_node_at_once_if_the_stream_tells() {
    let mut stand = Stand::start().await;
    let pc = with_working_node(&stand).await;

    stand.pause().await;
    stand.region.node("n-2", pc.id(), json!({}));
    stand.region.node("n-2", pc.id(), json!({}));
    stand.resume().await;

    stand.until(&pc, |state| is(state, "n-2")).await;
    let eligible = |node: &str| stand.region.node_field(node, "SchedulingEligibility") == "eligible";
    until("work for the new node alone", async || eligible("n-2") && !eligible("n-1")).await;
}
