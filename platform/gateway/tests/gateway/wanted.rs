use ionet_gateway_api::{Problem, WantedAnswer, code, path};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::metering::pc_with_node;
use crate::stand::{PATIENCE, Pc, Stand, enrolment, is, problem, read, until};

pub(crate) async fn want(stand: &Stand, pc: &Pc, seq: u64, eligible: bool) -> Response {
    want_with(stand, pc, json!({ "seq": seq, "eligible": eligible, "holds": [] })).await
}

async fn want_with(stand: &Stand, pc: &Pc, body: Value) -> Response {
    stand.send(&pc.http, Method::PUT, path::WANTED, Some(body)).await
}

fn eligible_calls(stand: &Stand, node: &str) -> Vec<Value> {
    let path = format!("/v1/node/{node}/eligibility");
    stand.region.calls(&path).into_iter().map(|call| call.body["Eligibility"].clone()).collect()
}

/// Waits until what the region holds of a node's eligibility is this.
pub(crate) async fn until_eligible(stand: &Stand, node: &str, eligible: bool) {
    let word = if eligible { "eligible" } else { "ineligible" };
    until("the region to be as it is wanted", async || {
        stand.region.node_field(node, "SchedulingEligibility") == word
    })
    .await;
}

#[tokio::test]
async fn a_new_node_gets_no_work_until_its_pc_wants_it() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;

    stand.region.node("n-1", pc.id(), json!({}));
    until_eligible(&stand, "n-1", false).await;
    let answer: WantedAnswer = read(want(&stand, &pc, 1, true).await).await;

    assert_eq!((answer.seq, answer.applied), (1, true));
    until_eligible(&stand, "n-1", true).await;
    let state = stand.until(&pc, |state| state.node.as_ref().is_some_and(|node| node.eligible)).await;
    assert_eq!(state.wanted_seq, 1);
}

#[tokio::test]
async fn what_is_wanted_holds_also_for_a_node_that_registers_later() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    assert_eq!(want(&stand, &pc, 1, true).await.status(), 200);

    stand.region.node("n-1", pc.id(), json!({ "SchedulingEligibility": "ineligible" }));

    until_eligible(&stand, "n-1", true).await;
}

#[tokio::test]
async fn the_highest_number_counts_and_a_lower_one_learns_it() {
    let mut stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    assert_eq!(want(&stand, &pc, 7, false).await.status(), 200);
    stand.pause().await;
    stand.resume().await;

    let same_again = want(&stand, &pc, 7, false).await;
    let same_number = want(&stand, &pc, 7, true).await;
    let late = want(&stand, &pc, 3, true).await;

    assert_eq!(same_again.status(), 200);
    assert_eq!(problem(same_number).await, is(code::STALE_SEQUENCE, 409));
    assert_eq!(late.status(), 409);
    let late: Problem = late.json().await.unwrap();
    assert_eq!((late.code.as_str(), late.detail.as_deref()), (code::STALE_SEQUENCE, Some("7")));
    assert_eq!(stand.state(&pc).await.wanted_seq, 7);
}

#[tokio::test]
async fn a_late_wish_never_undoes_a_newer_one() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    stand.region.node("n-1", pc.id(), json!({}));
    assert_eq!(want(&stand, &pc, 2, false).await.status(), 200);

    assert_eq!(want(&stand, &pc, 1, true).await.status(), 409);

    until_eligible(&stand, "n-1", false).await;
    assert!(!eligible_calls(&stand, "n-1").contains(&json!("eligible")));
}

#[tokio::test]
async fn a_node_with_a_held_gpu_gets_no_work() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    stand.region.node("n-1", pc.id(), json!({}));
    assert_eq!(want(&stand, &pc, 1, true).await.status(), 200);
    until_eligible(&stand, "n-1", true).await;

    let held = json!({ "seq": 2, "eligible": true, "holds": ["GPU-b", "GPU-a", "GPU-a"] });
    assert_eq!(want_with(&stand, &pc, held).await.status(), 200);

    until_eligible(&stand, "n-1", false).await;
    let same = json!({ "seq": 2, "eligible": true, "holds": ["GPU-a", "GPU-b"] });
    assert_eq!(want_with(&stand, &pc, same).await.status(), 200);
}

#[tokio::test]
async fn the_region_is_written_to_only_where_it_differs() {
    let stand = Stand::start().await;
    let pc = pc_with_node(&stand).await;

    for seq in 1..20 {
        assert_eq!(want(&stand, &pc, seq, false).await.status(), 200);
    }
    assert_eq!(want(&stand, &pc, 20, true).await.status(), 200);
    for seq in 21..40 {
        assert_eq!(want(&stand, &pc, seq, true).await.status(), 200);
    }

    assert_eq!(eligible_calls(&stand, "n-1"), [json!("eligible")]);
}

#[tokio::test]
async fn what_somebody_else_changed_is_changed_back() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    stand.region.node("n-1", pc.id(), json!({ "SchedulingEligibility": "ineligible" }));
    assert_eq!(want(&stand, &pc, 1, false).await.status(), 200);

    stand.region.node("n-1", pc.id(), json!({ "SchedulingEligibility": "eligible" }));

    stand.region.until_called("/v1/node/n-1/eligibility", 1).await;
    until_eligible(&stand, "n-1", false).await;
}

#[tokio::test]
async fn a_region_that_refuses_at_first_is_brought_to_it_later() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    stand.region.answer("/v1/node/n-1/eligibility", 500);
    stand.region.node("n-1", pc.id(), json!({}));
    stand.until(&pc, |state| state.node.is_some()).await;

    assert_eq!(want(&stand, &pc, 1, false).await.status(), 200);
    stand.region.until_called("/v1/node/n-1/eligibility", 2).await;
    stand.region.recover("/v1/node/n-1/eligibility");

    until_eligible(&stand, "n-1", false).await;
}

#[tokio::test]
async fn a_write_that_the_region_has_not_answered_may_still_change_the_node() {
    let stand = Stand::start().await;
    let pc = pc_with_node(&stand).await;
    stand.region.hold("/v1/node/n-1/eligibility");

    let on: WantedAnswer = read(want(&stand, &pc, 1, true).await).await;
    stand.region.until_called("/v1/node/n-1/eligibility", 1).await;
    let off: WantedAnswer = read(want(&stand, &pc, 2, false).await).await;

    assert_eq!((on.applied, off.applied), (false, false));
    stand.region.let_go();
    let applied = async { while !read::<WantedAnswer>(want(&stand, &pc, 2, false).await).await.applied {} };
    tokio::time::timeout(PATIENCE, applied).await.expect("the region should be brought to what is wanted");
    until_eligible(&stand, "n-1", false).await;
    assert!(eligible_calls(&stand, "n-1").contains(&json!("ineligible")));
}

#[tokio::test]
async fn a_write_that_a_server_in_trouble_took_may_still_change_the_node() {
    let stand = Stand::start().await;
    let pc = pc_with_node(&stand).await;
    stand.region.answer("/v1/node/n-1/eligibility", 500);

    let on: WantedAnswer = read(want(&stand, &pc, 1, true).await).await;
    let off: WantedAnswer = read(want(&stand, &pc, 2, false).await).await;
    stand.region.recover("/v1/node/n-1/eligibility");

    assert_eq!((on.applied, off.applied), (false, false));
    let applied = async { while !read::<WantedAnswer>(want(&stand, &pc, 2, false).await).await.applied {} };
    tokio::time::timeout(PATIENCE, applied).await.expect("the region should be brought to what is wanted");
    assert!(eligible_calls(&stand, "n-1").contains(&json!("ineligible")));
}

#[tokio::test]
async fn only_the_newest_node_of_a_pc_gets_work() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    assert_eq!(want(&stand, &pc, 1, true).await.status(), 200);
    stand.region.node("n-1", pc.id(), json!({}));
    stand.region.node("n-2", pc.id(), json!({}));
    stand.region.node("n-down", pc.id(), json!({ "Status": "down" }));

    until_eligible(&stand, "n-1", false).await;
    let state = stand.until(&pc, |state| state.node.as_ref().is_some_and(|node| node.id == "n-2")).await;

    assert!(state.node.unwrap().eligible);
    assert!(eligible_calls(&stand, "n-2").is_empty());
    // Nor when the newer one is away: a PC does not go back to a node that it has left.
    stand.region.node("n-2", pc.id(), json!({ "Status": "down" }));
    stand.until(&pc, |state| state.node.as_ref().is_some_and(|node| node.status == "down")).await;
    assert!(!eligible_calls(&stand, "n-1").contains(&json!("eligible")));
}

#[tokio::test]
async fn a_wish_that_cannot_be_read_is_refused() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;

    for body in [
        json!({ "seq": 0, "eligible": true, "holds": [] }),
        json!({ "seq": u64::MAX, "eligible": true, "holds": [] }),
        json!({ "seq": 1, "eligible": true, "holds": ["two\nlines"] }),
        json!({ "seq": 1, "eligible": true, "holds": vec!["GPU-x"; 65] }),
        json!({ "seq": 1, "eligible": true }),
    ] {
        assert_eq!(problem(want_with(&stand, &pc, body).await).await, is(code::BAD_REQUEST, 400));
    }
    assert_eq!(stand.state(&pc).await.wanted_seq, 0);
}

#[tokio::test]
async fn a_pc_that_leaves_its_account_gets_nothing_any_more_and_its_nodes_no_work() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    stand.region.node("n-1", pc.id(), json!({}));
    assert_eq!(want(&stand, &pc, 1, true).await.status(), 200);
    until_eligible(&stand, "n-1", true).await;

    let left = stand.send(&pc.http, Method::DELETE, path::DEVICE, None).await;

    assert_eq!(left.status(), 204);
    stand.region.until_called("/v1/node/n-1/drain", 1).await;
    until_eligible(&stand, "n-1", false).await;
    for (method, path) in
        [(Method::GET, path::WATCH), (Method::POST, path::INTRODUCTION), (Method::DELETE, path::DEVICE)]
    {
        let answer = stand.send(&pc.http, method, path, None).await;
        assert_eq!(problem(answer).await, is(code::DEVICE_RETIRED, 403));
    }
    let again = stand
        .send_as(&stand.issuer.token("alice"), Method::POST, path::DEVICES, Some(enrolment(&pc.key)))
        .await;
    assert_eq!(problem(again).await, is(code::DEVICE_RETIRED, 403));
}

#[tokio::test]
async fn a_pc_is_told_whose_it_is() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;

    let state = stand.state(&pc).await;

    assert_eq!(pc.certificate.account.subject, "alice");
    assert_eq!(state.account, pc.certificate.account);
}
