//! Nodes: registration, drain, eligibility, heartbeats, pools.

use std::time::Duration;

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use super::LIMIT;
use crate::{
    Options, Region, jobs,
    process::wait_for,
    region::POOL,
    shapes::{has_shape, recording},
};

pub async fn a_node_with_an_introduction_becomes_ready(region: &Region) -> Result<()> {
    let agent = region.ready_client(Options::default()).await?;

    let node = region.ready(&agent.name).await?;
    has_shape("node", &recording("node.json")?, &node)?;
    ensure!(node["SecretID"] == "", "the node's secret is shown");
    ensure!(node["Attributes"]["nomad.version"] == "2.0.5", "{}", node["Attributes"]["nomad.version"]);
    ensure!(node["Meta"]["ionet.host"] == agent.name.as_str(), "{}", node["Meta"]);
    ensure!(node["Drivers"]["raw_exec"]["Healthy"] == true, "{}", node["Drivers"]);
    let list = region.get("/v1/nodes").await?;
    has_shape("node list", &recording("node_list.json")?, &list)?;
    ensure!(list[0]["Drivers"]["raw_exec"]["Detected"] == true, "{}", list[0]["Drivers"]);
    Ok(())
}

pub async fn a_wrong_introduction_is_denied_and_the_server_says_why(region: &Region) -> Result<()> {
    let other_name = region.mint("somebody-else", POOL, "10m").await?;
    let other_pool = region.mint("pool", "elsewhere", "10m").await?;
    let cases = [
        ("none", String::new(), "node registration without introduction token"),
        ("garbage", "garbage".to_owned(), ""),
        ("name", other_name, "node registration introduction claims mismatch"),
        ("pool", other_pool, "node registration introduction claims mismatch"),
    ];
    for (name, token, reason) in cases {
        let options = Options { name: Some(name.into()), intro_token: Some(token), ..Options::default() };
        let agent = region.client(options).await?;
        let line =
            agent.logged("error registering", LIMIT, |line| line["@message"] == "error registering").await?;
        ensure!(line["error"] == "rpc error: Permission denied", "{name}: {line}");
        ensure!(line["@module"] == "client" && line["@level"] == "error", "{name}: {line}");
        ensure!(region.server_output().contains(reason), "{name}: the server did not log {reason:?}");
    }
    ensure!(region.get("/v1/nodes").await? == json!([]), "a node got in");
    Ok(())
}

pub async fn a_registered_data_dir_needs_no_introduction_again(region: &Region) -> Result<()> {
    let mut agent = region.ready_client(Options::default()).await?;
    let first = region.ready(&agent.name).await?;
    agent.kill();
    agent.forget_intro_token();
    region.node_when(&agent.name, "down", LIMIT, |node| node["Status"] == "down").await?;

    agent.start()?;

    let again = region.ready(&agent.name).await?;
    ensure!(again["ID"] == first["ID"], "{} is not {}", again["ID"], first["ID"]);
    Ok(())
}

pub async fn drain_eligibility_and_purge_answer_as_recorded(region: &Region) -> Result<()> {
    let agent = region.ready_client(Options::default()).await?;
    let id = region.ready(&agent.name).await?["ID"].as_str().unwrap_or_default().to_owned();
    region.submit(&jobs::loop_service("loop", &agent.name)).await?;
    region.running("loop").await?;
    let drain = json!({
        "DrainSpec": { "Deadline": 5_000_000_000_u64, "IgnoreSystemJobs": false }, "MarkEligible": false,
        "Meta": { "reason": "paused" },
    });

    let answer = region.put(&format!("/v1/node/{id}/drain"), &region.gateway, &drain).await?;
    has_shape("drain answer", &recording("drain_response.json")?["body"], &answer)?;
    let node = region.get(&format!("/v1/node/{id}")).await?;
    let draining = &recording("node_draining.json")?["while_draining"];
    has_shape("draining node", draining, &node)?;
    ensure!(node["Drain"] == true && node["LastDrain"]["Status"] == "draining", "{}", node["LastDrain"]);

    let node = region.node_when(&agent.name, "drained", LIMIT, |node| node["Drain"] == false).await?;
    has_shape("drained node", &recording("node_after_drain.json")?, &node)?;
    ensure!(node["LastDrain"]["Status"] == "complete", "{}", node["LastDrain"]);
    ensure!(node["LastDrain"]["Meta"]["reason"] == "paused", "{}", node["LastDrain"]);
    ensure!(node["DrainStrategy"].is_null() && node["SchedulingEligibility"] == "ineligible", "{node}");

    let asked = json!({ "Eligibility": "eligible" });
    let answer = region.put(&format!("/v1/node/{id}/eligibility"), &region.gateway, &asked).await?;
    has_shape("eligibility answer", &recording("eligibility_response.json")?["body"], &answer)?;
    region.running("loop").await?;
    let answer = region.put(&format!("/v1/node/{id}/purge"), &region.gateway, &json!({})).await?;
    has_shape("purge answer", &recording("purge_response.json")?["body"], &answer)
}

pub async fn a_draining_node_cannot_be_made_eligible(region: &Region) -> Result<()> {
    let agent = region.ready_client(Options::default()).await?;
    let id = region.ready(&agent.name).await?["ID"].as_str().unwrap_or_default().to_owned();
    region.submit(&jobs::stubborn_service("stubborn", &agent.name)).await?;
    region.running("stubborn").await?;
    region
        .put(&format!("/v1/node/{id}/drain"), &region.gateway, &json!({ "DrainSpec": { "Deadline": 0 } }))
        .await?;

    let path = format!("/v1/node/{id}/eligibility");
    let body = json!({ "Eligibility": "eligible" }).to_string();
    let refused = region.request(Method::PUT, &path, &region.gateway, Some(&body)).await?;
    ensure!(refused.status == 500, "{refused:?}");
    ensure!(
        refused.text.contains("can not set node's scheduling eligibility to eligible while it is draining"),
        "{}",
        refused.text
    );

    region
        .put(
            &format!("/v1/node/{id}/drain"),
            &region.gateway,
            &json!({ "DrainSpec": null, "MarkEligible": true }),
        )
        .await?;
    let node = region.get(&format!("/v1/node/{id}")).await?;
    ensure!(
        node["LastDrain"]["Status"] == "canceled" && node["SchedulingEligibility"] == "eligible",
        "{node}"
    );
    Ok(())
}

pub async fn a_vanished_client_makes_its_node_down_and_its_work_lost(region: &Region) -> Result<()> {
    let mut agent = region.ready_client(Options::default()).await?;
    region.submit(&jobs::loop_service("loop", &agent.name)).await?;
    let alloc = region.running("loop").await?;

    agent.kill();

    region.node_when(&agent.name, "down", LIMIT, |node| node["Status"] == "down").await?;
    let is_lost =
        |a: &Value| a["ID"] == alloc["ID"] && a["ClientStatus"] == "lost" && a["DesiredStatus"] == "stop";
    region.alloc_when("loop", "lost", LIMIT, is_lost).await?;
    agent.start()?;
    // It comes back within ten seconds of its staggered heartbeat; the old task goes, a new one comes.
    let is_new = |a: &Value| a["ID"] != alloc["ID"] && a["ClientStatus"] == "running";
    region.alloc_when("loop", "placed anew", Duration::from_secs(40), is_new).await?;
    let pid_file = agent.alloc_dir(&alloc).join("t/pid");
    let pid: u32 = std::fs::read_to_string(pid_file)?.trim().parse()?;
    wait_for(
        "the old task's end",
        LIMIT,
        || async move { Ok((!crate::process::is_alive(pid)).then_some(())) },
    )
    .await
}

pub async fn node_pools_are_read_back_as_recorded(region: &Region) -> Result<()> {
    let pool = region.get(&format!("/v1/node/pool/{POOL}")).await?;
    has_shape("node pool", &recording("node_pool.json")?, &pool)?;
    ensure!(pool["NodeIdentityTTL"] == 720_u64 * 3600 * 1_000_000_000, "{pool}");
    let body = json!({ "Name": "others" }).to_string();
    let written = region.request(Method::PUT, "/v1/node/pools", &region.management, Some(&body)).await?;
    ensure!(written.status == 200 && written.text.is_empty(), "{written:?}");
    let anonymous = region.request(Method::GET, "/v1/node/pools", "", None).await?;
    ensure!(anonymous.status == 200 && anonymous.body == json!([]), "{anonymous:?}");
    Ok(())
}
