use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use futures_util::FutureExt as _;
use ionet_gateway_api::{AllocationState, DeviceState, path};
use serde_json::{Value, json};

use crate::stand::region::now_s;
use crate::stand::{Pc, Stand};

pub(crate) const SECOND: i64 = 1_000_000_000;

/// Plays a scene that takes place on one day, and is given that day's midnight (UTC, nanoseconds). A scene in which
/// midnight passes is played again; one is not begun in a day's first seconds, which have not seen its end yet.
pub(crate) async fn on_one_day(scene: impl AsyncFn(i64)) {
    let midnight = || (now_s() - now_s() % 86_400) * SECOND;
    loop {
        let day = midnight();
        if now_s() * SECOND < day + 30 * SECOND {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        }
        let played = AssertUnwindSafe(scene(day)).catch_unwind().await;
        if midnight() == day {
            return played.unwrap_or_else(|panic| resume_unwind(panic));
        }
    }
}

pub(crate) fn ended(state: &DeviceState) -> bool {
    state.allocations.first().is_some_and(|allocation| allocation.status == "complete")
}

fn is_down(state: &DeviceState) -> bool {
    state.node.as_ref().is_some_and(|node| node.status == "down")
}

pub(crate) fn only(state: &DeviceState) -> &AllocationState {
    assert_eq!(state.allocations.len(), 1);
    &state.allocations[0]
}

/// A PC whose node is known, and a gateway that hears everything from then on in the order in which it happens.
pub(crate) async fn pc_with_node(stand: &Stand) -> Pc {
    let pc = stand.enrol("alice").await;
    stand.until_following().await;
    // It is as it is wanted: nobody asks for it beside the stream.
    stand.region.node("n-1", pc.id(), json!({ "SchedulingEligibility": "ineligible" }));
    stand.until(&pc, |state| state.node.is_some()).await;
    pc
}

/// One that was placed at midnight, ran a second later and ended nine seconds after that, all by the servers' clock.
pub(crate) fn life(begin: i64) -> [Value; 3] {
    let times = json!({ "CreateTime": begin, "ModifyTime": begin });
    let running = json!({ "ClientStatus": "running", "ModifyTime": begin + SECOND });
    let complete = json!({ "ClientStatus": "complete", "ModifyTime": begin + 10 * SECOND });
    [times, running, complete]
}

#[tokio::test]
async fn an_allocation_earns_by_the_servers_clock_from_when_it_ran_to_its_end() {
    on_one_day(async |day| {
        let stand = Stand::start().await;
        let pc = pc_with_node(&stand).await;

        for change in life(day) {
            stand.region.allocation("a-1", "n-1", change);
        }

        let state = stand.until(&pc, ended).await;
        assert_eq!(only(&state).earned, "0.009000");
        assert_eq!(only(&state).job, "render");
        assert_eq!(only(&state).placed_at_ms, day / 1_000_000);
        assert_eq!(state.earnings.today, "0.009000");
        assert_eq!(state.earnings.currency, ionet_gateway_api::CURRENCY);
        assert!(!state.rehearsal);
    })
    .await;
}

#[tokio::test]
async fn a_job_that_runs_is_told_of_however_many_have_begun_and_ended_since() {
    on_one_day(async |day| {
        let stand = Stand::start().await;
        let pc = pc_with_node(&stand).await;
        for change in &life(day)[..2] {
            stand.region.allocation("a-long", "n-1", change.clone());
        }

        for number in 1..=120 {
            for change in life(day + number) {
                stand.region.allocation(&format!("a-{number}"), "n-1", change);
            }
        }

        let is_told = |state: &DeviceState, id: &str, status: &str| {
            state.allocations.iter().any(|told| told.id == id && told.status == status)
        };
        let state = stand.until(&pc, |state| is_told(state, "a-120", "complete")).await;
        assert!(is_told(&state, "a-long", "running"), "{:?}", state.allocations);
    })
    .await;
}

#[tokio::test]
async fn another_device_neither_sees_nor_earns_it() {
    on_one_day(async |day| {
        let stand = Stand::start().await;
        let pc = pc_with_node(&stand).await;
        let other = stand.enrol("bob").await;

        for change in life(day) {
            stand.region.allocation("a-1", "n-1", change);
        }

        stand.until(&pc, ended).await;
        let state = stand.state(&other).await;
        assert!(state.allocations.is_empty() && state.node.is_none());
        assert_eq!(state.earnings.today, "0.000000");
    })
    .await;
}

#[tokio::test]
async fn a_replay_of_the_whole_stream_changes_nothing() {
    on_one_day(async |day| {
        let stand = Stand::start().await;
        let pc = pc_with_node(&stand).await;

        for change in life(day) {
            stand.region.allocation("a-1", "n-1", change);
        }
        stand.region.replay();
        stand.region.replay();
        stand.region.node("n-1", pc.id(), json!({ "Status": "down" }));

        let state = stand.until(&pc, |state| ended(state) && is_down(state)).await;
        assert_eq!(only(&state).earned, "0.009000");
        assert_eq!(state.earnings.today, "0.009000");
    })
    .await;
}

#[tokio::test]
async fn what_ended_while_the_gateway_was_away_is_found_in_the_lists() {
    on_one_day(async |day| {
        let mut stand = Stand::start().await;
        let pc = pc_with_node(&stand).await;
        let [begin, running, complete] = life(day);
        stand.region.allocation("a-1", "n-1", begin.clone());
        stand.region.allocation("a-1", "n-1", running);
        stand
            .until(&pc, |state| state.allocations.first().is_some_and(|first| first.status == "running"))
            .await;

        stand.pause().await;
        stand.region.allocation_silently("a-1", "n-1", complete.clone());
        // Never seen alive: its task's events tell that it ran, and how long after it was placed.
        stand.region.allocation_silently("a-2", "n-1", begin.clone());
        let task = json!({ "t": { "StartedAt": null, "Events": [
                { "Type": "Received", "Time": 5 * SECOND }, { "Type": "Started", "Time": 8 * SECOND }
            ] } });
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
        assert_eq!(earned, BTreeMap::from([("a-1", "0.009000"), ("a-2", "0.007000"), ("a-3", "0.000000")]));
        assert_eq!(state.earnings.today, "0.016000");
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_may_not_be_read_does_not_keep_the_ledger_from_the_lists() {
    on_one_day(async |day| {
        let mut stand = Stand::start().await;
        let pc = pc_with_node(&stand).await;
        stand.pause().await;
        stand.region.deny_stream();
        stand.resume().await;

        let [begin, running, complete] = life(day);
        stand.region.allocation("a-1", "n-1", begin);
        stand.region.allocation("a-1", "n-1", running);
        stand
            .until(&pc, |state| state.allocations.first().is_some_and(|first| first.status == "running"))
            .await;
        stand.region.allocation("a-1", "n-1", complete);

        let state = stand.until(&pc, ended).await;
        assert_eq!(state.earnings.today, "0.009000");
    })
    .await;
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
async fn a_down_node_earns_until_the_servers_declared_it_down() {
    on_one_day(async |day| {
        let stand = Stand::start().await;
        let pc = pc_with_node(&stand).await;
        let [begin, running, _] = life(day);
        stand.region.allocation("a-1", "n-1", begin);
        stand.region.allocation("a-1", "n-1", running);

        let silent_since = day / SECOND + 5;
        stand.region.node("n-1", pc.id(), json!({ "Status": "down", "StatusUpdatedAt": silent_since }));

        let runs = |state: &DeviceState| state.allocations.iter().any(|a| a.status == "running");
        let state = stand.until(&pc, |state| runs(state) && is_down(state)).await;
        assert_eq!(only(&state).earned, "0.004000");
        assert_eq!(state.earnings.today, "0.004000");
    })
    .await;
}

#[tokio::test]
async fn what_ran_into_today_counts_from_midnight() {
    on_one_day(async |day| {
        let stand = Stand::start().await;
        let pc = pc_with_node(&stand).await;
        let begin = day - 20 * SECOND;
        let end = day + 10 * SECOND;

        stand.region.allocation(
            "a-1",
            "n-1",
            json!({ "ClientStatus": "running", "CreateTime": begin, "ModifyTime": begin }),
        );
        stand.region.allocation("a-1", "n-1", json!({ "ClientStatus": "complete", "ModifyTime": end }));

        let state = stand.until(&pc, ended).await;
        assert_eq!(only(&state).earned, "0.030000");
        assert_eq!(state.earnings.today, "0.010000");
        let today = async |began: i64| {
            let path = format!("{}?day_began={}", path::WATCH, began / 1_000_000);
            stand.get(&pc.http, &path).await.json::<DeviceState>().await.unwrap().earnings.today
        };
        let hours = |count: i64| now_s() * SECOND - count * 3600 * SECOND;
        assert_eq!(today(begin + 5 * SECOND).await, "0.025000", "the owner's day began then");
        assert_eq!(today(end).await, "0.000000");
        assert_eq!(
            today(hours(-1) - 5 * SECOND).await,
            "0.000000",
            "by a clock that is ahead it has just begun"
        );
        for nonsense in [hours(-48), hours(48), 0, i64::MIN] {
            assert_eq!(today(nonsense).await, "0.010000", "no day of the owner's: UTC's");
        }
    })
    .await;
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
