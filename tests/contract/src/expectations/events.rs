//! The event stream.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::LIMIT;
use crate::{
    Options, Region, jobs,
    shapes::{has_shape, recording_text},
};

/// The events that a stream delivers until it has been quiet for `quiet`.
pub(super) async fn collect(region: &Region, query: &str, quiet: Duration) -> Result<Vec<Value>> {
    let answer = region.open(&format!("/v1/event/stream?{query}"), &region.gateway).await?;
    let mut stream = answer.bytes_stream();
    let mut text = Vec::new();
    while let Ok(Some(bytes)) = timeout(quiet, stream.next()).await {
        text.extend_from_slice(&bytes?);
    }
    let mut lines = std::str::from_utf8(&text)?.lines();
    let first = lines.next().context("no line at all")?;
    if first != "{}" {
        bail!("the first line is {first}");
    }
    let mut events = Vec::new();
    for line in lines {
        let line: Value = serde_json::from_str(line)?;
        events.extend(line["Events"].as_array().cloned().unwrap_or_default());
    }
    Ok(events)
}

pub async fn the_stream_starts_with_an_empty_object_and_replays(region: &Region) -> Result<()> {
    let agent = region.ready_client(Options::default()).await?;
    let id = region.ready(&agent.name).await?["ID"].as_str().unwrap_or_default().to_owned();

    let all = collect(region, "topic=Node", Duration::from_secs(1)).await?;
    let kinds: Vec<_> = all.iter().filter_map(|event| event["Type"].as_str()).collect();
    ensure!(kinds.first() == Some(&"NodeRegistration"), "{kinds:?}");
    ensure!(all.iter().any(|event| event["Payload"]["Node"]["Status"] == "ready"), "{kinds:?}");
    ensure!(all.iter().all(|event| event["Key"] == id.as_str()), "{all:?}");
    let newest = all.iter().filter_map(|event| event["Index"].as_u64()).max().context("no index")?;

    let after = collect(region, &format!("topic=Node&index={}", newest + 1), Duration::from_secs(1)).await?;
    ensure!(after.iter().all(|event| event["Index"].as_u64() <= Some(newest)), "{after:?}");
    ensure!(!after.is_empty(), "the newest old event was not delivered again");
    Ok(())
}

#[expect(clippy::too_many_lines, reason = "one scene from its beginning to its end")]
pub async fn the_events_of_a_job_and_a_drain_come_as_recorded(region: &Region) -> Result<()> {
    let first = region.ready_client(Options::default()).await?;
    let _second = region.ready_client(Options::default()).await?;
    // It takes a second to end, so that its client reports it as being killed.
    let script = "trap 'sleep 1; exit 0' INT; while true; do sleep 0.1; done";
    let mut job = jobs::shell("loop", "service", &first.name, script);
    job["Constraints"] = Value::Null;
    region.submit(&job).await?;
    let alloc = region.running("loop").await?;
    let node = alloc["NodeID"].as_str().unwrap_or_default().to_owned();
    let name = alloc["NodeName"].as_str().unwrap_or_default();
    let drain =
        json!({ "DrainSpec": { "Deadline": -1 }, "MarkEligible": false, "Meta": { "reason": "paused" } });
    region.put(&format!("/v1/node/{node}/drain"), &region.gateway, &drain).await?;
    region.alloc_when("loop", "stopped", LIMIT, |a| a["ClientStatus"] == "complete").await?;
    region.node_when(name, "drained", LIMIT, |node| node["Drain"] == false).await?;
    region
        .put(&format!("/v1/node/{node}/eligibility"), &region.gateway, &json!({ "Eligibility": "eligible" }))
        .await?;
    region.running("loop").await?;

    let events = collect(region, "topic=Node&topic=Allocation", Duration::from_secs(1)).await?;
    for line in recording_text("events.ndjson")?.lines() {
        let line: Value = serde_json::from_str(line)?;
        for recorded in line["Events"].as_array().into_iter().flatten() {
            // The end of a node has an expectation of its own.
            if recorded["Payload"]["Node"]["Status"] == "down"
                || recorded["Payload"]["Allocation"]["JobID"] == "once"
            {
                continue;
            }
            // One of those like it must have all its fields: a first placement has fewer than a second.
            let shapes: Vec<_> = events
                .iter()
                .filter(|event| is_like(event, recorded))
                .map(|event| has_shape(&summary(recorded), recorded, event))
                .collect();
            ensure!(!shapes.is_empty(), "no event like {}", summary(recorded));
            if shapes.iter().all(Result::is_err) {
                shapes.into_iter().next_back().unwrap_or(Ok(()))?;
            }
        }
    }
    let job_in_payload = events
        .iter()
        .any(|event| event["Payload"]["Allocation"].get("Job").is_some_and(|job| !job.is_null()));
    ensure!(!job_in_payload, "an allocation's event carries its job");
    let indices: Vec<_> = events.iter().filter_map(|event| event["Index"].as_u64()).collect();
    ensure!(indices.is_sorted(), "{indices:?}");
    Ok(())
}

/// Only the client's own event has the index at which it sent an end. The servers write to the same allocation when they plan
/// the next try and when they place it; they raise its index each time, and leave what the client said as it was.
pub async fn a_failed_allocation_that_is_placed_again_is_written_to_by_the_servers(
    region: &Region,
) -> Result<()> {
    let agent = region.ready_client(Options::default()).await?;
    let mut job = jobs::shell("again", "batch", &agent.name, "exit 7");
    job["TaskGroups"][0]["ReschedulePolicy"] = json!({
        "Attempts": 1, "Unlimited": false, "Interval": 3_600_000_000_000_u64, "Delay": 5_000_000_000_u64,
        "DelayFunction": "constant",
    });
    region.submit(&job).await?;
    let placed_again = |alloc: &Value| alloc["NextAllocation"].as_str().is_some_and(|id| !id.is_empty());
    let first = region.alloc_when("again", "placed again", LIMIT, placed_again).await?;

    let all = collect(region, "topic=Allocation", Duration::from_secs(1)).await?;
    let told: Vec<&Value> = all.iter().filter(|event| event["Key"] == first["ID"]).collect();
    let failed: Vec<&Value> = told
        .into_iter()
        .skip_while(|event| event["Payload"]["Allocation"]["ClientStatus"] != "failed")
        .collect();
    let kinds: Vec<_> = failed.iter().filter_map(|event| event["Type"].as_str()).collect();
    ensure!(kinds == ["AllocationUpdated", "PlanResult", "PlanResult"], "{kinds:?}");
    let of = |field: &str| -> Vec<Value> {
        failed.iter().map(|event| event["Payload"]["Allocation"][field].clone()).collect()
    };
    let index_of = |field: &str| of(field).iter().filter_map(Value::as_u64).collect::<Vec<_>>();
    ensure!(of("ClientStatus").iter().all(|status| status == "failed"), "{failed:?}");
    let (indices, by_servers) = (index_of("ModifyIndex"), index_of("AllocModifyIndex"));
    ensure!(indices.len() == 3 && indices.is_sorted_by(|before, after| before < after), "{indices:?}");
    ensure!(by_servers[0] < indices[0] && by_servers[1..] == indices[1..], "{by_servers:?} of {indices:?}");
    let times = index_of("ModifyTime");
    ensure!(times.is_sorted_by(|before, after| before < after), "{times:?}");
    ensure!(of("DesiredStatus") == ["run", "run", "stop"], "{failed:?}");
    ensure!(of("FollowupEvalID")[1].as_str().is_some_and(|id| id.len() == 36), "{failed:?}");
    ensure!(first["ModifyIndex"].as_u64() == indices.last().copied(), "the list has another index: {first}");
    Ok(())
}

fn is_like(event: &Value, recorded: &Value) -> bool {
    let same = |pointer: &&str| event.pointer(pointer) == recorded.pointer(pointer);
    // Whether the node still drains matters to the drain's own events alone; elsewhere it is chance.
    let drain = recorded["Type"] != "NodeDrain" || same(&"/Payload/Node/Drain");
    let fields = ["/Topic", "/Type", "/Payload/Allocation/ClientStatus", "/Payload/Allocation/DesiredStatus"];
    drain && fields.iter().all(same)
}

fn summary(event: &Value) -> String {
    let of = |pointer: &str| event.pointer(pointer).map(Value::to_string).unwrap_or_default();
    format!(
        "{} {} {}{}{}",
        of("/Topic"),
        of("/Type"),
        of("/Payload/Node/Drain"),
        of("/Payload/Allocation/ClientStatus"),
        of("/Payload/Allocation/DesiredStatus")
    )
}
