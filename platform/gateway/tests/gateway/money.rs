//! What must not cost anybody money, and what must not earn any.

use std::collections::BTreeMap;

use ionet_gateway_api::DeviceState;
use serde_json::{Value, json};

use crate::metering::{SECOND, ended, life, on_one_day, only, pc_with_node};
use crate::stand::region::now_s;
use crate::stand::{Pc, Stand};

pub(crate) fn is_running(state: &DeviceState) -> bool {
    state.allocations.first().is_some_and(|first| first.status == "running")
}

/// Places one that ran and has ended, and waits until it is in the books at what it is worth.
async fn earns_nine_seconds(stand: &Stand, pc: &Pc, id: &str, node: &str, day: i64) {
    for change in life(day) {
        stand.region.allocation(id, node, change);
    }
    let worth = |state: &DeviceState| {
        state.allocations.iter().any(|a| a.id == id && a.status == "complete" && a.earned == "0.009000")
    };
    stand.until(pc, worth).await;
}

pub(crate) fn running_since(at: i64) -> Value {
    json!({ "ClientStatus": "running", "CreateTime": at, "ModifyTime": at })
}

#[tokio::test]
async fn one_allocation_that_the_region_refuses_or_garbles_stops_nobodys_earnings() {
    on_one_day(async |day| {
        let mut stand = Stand::start_with(|config| {
            config.prices.gpus.insert("nvidia-h100".to_owned(), 7_200_000);
        })
        .await;
        let pc = pc_with_node(&stand).await;
        stand.pause().await;
        for id in ["a-refused", "a-garbled"] {
            stand.region.allocation_silently(id, "n-1", running_since(day));
        }
        stand.region.answer("/v1/allocation/a-refused", 403);
        stand.region.garble("/v1/allocation/a-garbled");
        stand.region.list_also(json!({ "ID": "a-nonsense", "NodeID": 7, "ClientStatus": [] }));
        stand.region.list_also(json!("not even an object"));
        stand.resume().await;

        earns_nine_seconds(&stand, &pc, "a-good", "n-1", day).await;

        // They are metered all the same, at the default price until the region tells more.
        stand.until(&pc, |state| state.allocations.len() == 3).await;
    })
    .await;
}

#[tokio::test]
async fn one_node_that_the_region_refuses_stops_nobodys_earnings() {
    on_one_day(async |day| {
        let mut stand = Stand::start().await;
        let (pc, other) = (stand.enrol("alice").await, stand.enrol("bob").await);
        stand.pause().await;
        stand.region.node("n-a-refused", other.id(), json!({}));
        stand.region.answer("/v1/node/n-a-refused", 500);
        stand.region.allocation_silently("a-on-it", "n-a-refused", running_since(day));
        stand.region.node("n-1", pc.id(), json!({}));
        stand.resume().await;

        earns_nine_seconds(&stand, &pc, "a-good", "n-1", day).await;
        stand.region.recover("/v1/node/n-a-refused");
        stand.region.node("n-a-refused", other.id(), json!({}));
        stand.region.allocation("a-on-it", "n-a-refused", running_since(day));

        stand.until(&other, is_running).await;
    })
    .await;
}

#[tokio::test]
async fn a_line_or_an_event_of_nonsense_costs_no_other() {
    on_one_day(async |day| {
        let stand = Stand::start().await;
        let pc = pc_with_node(&stand).await;

        stand.region.tell("<html>");
        stand.region.tell(r#"{"Index": "seven"}"#);
        stand.region.tell(
            r#"{"Index": 9, "Events": [7, {"Payload": {"Allocation": {"ID": 1}}}, {"Payload": null}]}"#,
        );

        earns_nine_seconds(&stand, &pc, "a-good", "n-1", day).await;
    })
    .await;
}

#[tokio::test]
async fn a_list_that_is_suddenly_short_ends_nothing() {
    on_one_day(async |day| {
        let mut stand = Stand::start().await;
        let pc = pc_with_node(&stand).await;
        stand.region.allocation("a-1", "n-1", running_since(day));
        stand.region.allocation("a-2", "n-1", running_since(day));
        stand
            .until(&pc, |state| state.allocations.iter().filter(|a| a.status == "running").count() == 2)
            .await;

        stand.region.unlist("a-1", true);
        for _ in 0..3 {
            stand.pause().await;
            stand.resume().await;
            stand.until_following().await;
        }
        let short = stand.state(&pc).await;
        stand.pause().await;
        stand.region.unlist("a-1", false);
        stand.resume().await;
        stand.region.allocation(
            "a-1",
            "n-1",
            json!({ "ClientStatus": "complete", "ModifyTime": day + 9 * SECOND }),
        );

        assert!(short.allocations.iter().all(|a| a.status == "running"));
        let worth =
            |state: &DeviceState| state.allocations.iter().any(|a| a.id == "a-1" && a.earned == "0.009000");
        stand.until(&pc, worth).await;
    })
    .await;
}

#[tokio::test]
async fn what_the_lists_lack_earns_nothing_meanwhile_and_has_not_ended() {
    let mut stand = Stand::start().await;
    let pc = pc_with_node(&stand).await;
    stand.region.allocation("a-1", "n-1", json!({ "ClientStatus": "running" }));
    stand.until(&pc, is_running).await;

    stand.pause().await;
    stand.region.forget_allocation("a-1");
    stand.resume().await;
    let settled = async {
        loop {
            let (first, second) = (stand.state(&pc).await, stand.state(&pc).await);
            if only(&first).earned == only(&second).earned
                && second.earnings.as_of_ms > first.earnings.as_of_ms
            {
                return second;
            }
        }
    };
    let state =
        tokio::time::timeout(crate::stand::PATIENCE, settled).await.expect("it should earn no further");

    assert_eq!(only(&state).status, "running");
}

#[tokio::test]
async fn jobs_of_every_namespace_are_metered() {
    on_one_day(async |day| {
        let mut stand = Stand::start().await;
        let pc = pc_with_node(&stand).await;
        stand.pause().await;
        let mut elsewhere = running_since(day);
        elsewhere["Namespace"] = json!("research");
        stand.region.allocation_silently("a-1", "n-1", elsewhere);
        stand.resume().await;

        stand.until(&pc, is_running).await;
    })
    .await;
}

#[tokio::test]
async fn a_node_that_was_down_and_came_back_is_not_paid_for_the_time_between() {
    on_one_day(async |day| {
        let stand = Stand::start().await;
        let pc = pc_with_node(&stand).await;
        let second = day / SECOND;
        stand.region.allocation("a-1", "n-1", running_since(day));

        stand.region.node("n-1", pc.id(), json!({ "Status": "disconnected", "StatusUpdatedAt": second + 5 }));
        stand.region.node(
            "n-1",
            pc.id(),
            json!({ "Status": "initializing", "StatusUpdatedAt": second + 15 }),
        );
        stand.region.node("n-1", pc.id(), json!({ "Status": "ready", "StatusUpdatedAt": second + 20 }));
        let end = json!({ "ClientStatus": "complete", "ModifyTime": day + 25 * SECOND });
        stand.region.allocation("a-1", "n-1", end);

        let state = stand.until(&pc, ended).await;
        assert_eq!(only(&state).earned, "0.010000");
    })
    .await;
}

#[tokio::test]
async fn a_gap_while_the_gateway_was_away_is_known_from_the_servers_notes() {
    on_one_day(async |day| {
        let mut stand = Stand::start().await;
        let pc = pc_with_node(&stand).await;
        stand.region.allocation("a-1", "n-1", running_since(day));
        stand.until(&pc, is_running).await;
        let at = |after: i64| {
            let time = time::OffsetDateTime::from_unix_timestamp(day / SECOND + after).unwrap();
            time.format(&time::format_description::well_known::Rfc3339).unwrap()
        };

        stand.pause().await;
        let notes = json!([
            { "Message": "Node registered", "Subsystem": "Cluster", "Timestamp": at(-100) },
            { "Message": "Node heartbeat missed", "Subsystem": "Cluster", "Timestamp": at(4) },
            { "Message": "Node reregistered by heartbeat", "Subsystem": "Cluster", "Timestamp": at(10) },
        ]);
        stand.region.node("n-1", pc.id(), json!({ "Events": notes }));
        let end = json!({ "ClientStatus": "complete", "ModifyTime": day + 20 * SECOND });
        stand.region.allocation_silently("a-1", "n-1", end);
        stand.resume().await;

        let state = stand.until(&pc, ended).await;
        assert_eq!(only(&state).earned, "0.014000");
    })
    .await;
}

#[tokio::test]
async fn hours_of_pending_are_not_paid() {
    on_one_day(async |day| {
        let stand = Stand::start().await;
        let pc = pc_with_node(&stand).await;
        let placed = day - 3 * 3600 * SECOND;
        stand.region.allocation("a-1", "n-1", json!({ "CreateTime": placed, "ModifyTime": placed }));
        stand.region.allocation("a-1", "n-1", json!({ "ClientStatus": "running", "ModifyTime": day }));
        let end = json!({ "ClientStatus": "complete", "ModifyTime": day + SECOND });
        stand.region.allocation("a-1", "n-1", end);

        let state = stand.until(&pc, ended).await;

        assert_eq!(only(&state).earned, "0.001000");
    })
    .await;
}

#[tokio::test]
async fn after_a_restart_a_silent_region_is_silent_since_it_was_last_heard() {
    let mut stand = Stand::start().await;
    let pc = pc_with_node(&stand).await;
    let running_from = (now_s() - 60) * SECOND;
    stand.region.allocation("a-1", "n-1", running_since(running_from));
    let heard = stand.until(&pc, is_running).await;

    stand.pause().await;
    let stopped_ms = now_s() * 1000 + 999;
    stand.region.stop();
    stand.resume().await;
    let at_once = stand.state(&pc).await;
    let silent = stand.until(&pc, |state| state.region_silent_since_ms.is_some()).await;

    let since = silent.region_silent_since_ms.unwrap();
    assert!(since <= stopped_ms, "{since} is after the region fell silent at {stopped_ms}");
    assert!(at_once.earnings.as_of_ms <= stopped_ms);
    assert!(since >= heard.earnings.as_of_ms - 5_000, "{since} is long before {}", heard.earnings.as_of_ms);
}

#[tokio::test]
async fn only_the_newest_node_of_a_pc_earns() {
    on_one_day(async |day| {
        let stand = Stand::start().await;
        let pc = stand.enrol("alice").await;
        stand.until_following().await;
        let second = day / SECOND;
        stand.region.node("n-1", pc.id(), json!({ "StatusUpdatedAt": second - 100 }));
        stand.region.allocation("a-1", "n-1", running_since(day));
        stand.until(&pc, is_running).await;

        stand.region.node("n-2", pc.id(), json!({ "StatusUpdatedAt": second + 6 }));
        stand.region.allocation("a-2", "n-2", running_since(day + 7 * SECOND));
        for (id, node) in [("a-1", "n-1"), ("a-2", "n-2")] {
            let end = json!({ "ClientStatus": "complete", "ModifyTime": day + 10 * SECOND });
            stand.region.allocation(id, node, end);
        }

        let both =
            |state: &DeviceState| state.allocations.iter().filter(|a| a.status == "complete").count() == 2;
        let state = stand.until(&pc, both).await;
        let earned: BTreeMap<_, _> =
            state.allocations.iter().map(|a| (a.id.as_str(), a.earned.as_str())).collect();
        assert_eq!(earned, BTreeMap::from([("a-1", "0.006000"), ("a-2", "0.003000")]));
    })
    .await;
}

#[tokio::test]
async fn two_gateways_on_one_database_meter_as_one() {
    on_one_day(async |day| {
        let stand = Stand::start().await;
        let second = stand.another_gateway().await;
        let pc = pc_with_node(&stand).await;

        for id in ["a-1", "a-2", "a-3"] {
            for change in life(day) {
                stand.region.allocation(id, "n-1", change);
            }
        }

        let done =
            |state: &DeviceState| state.allocations.iter().filter(|a| a.earned == "0.009000").count() == 3;
        stand.until(&pc, done).await;
        second.end().await;
    })
    .await;
}
