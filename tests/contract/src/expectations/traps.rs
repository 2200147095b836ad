//! The eight traps: what a reader of the documentation would not expect.

use std::{fs, time::Duration};

use anyhow::{Result, ensure};
use futures_util::StreamExt;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;

use super::LIMIT;
use crate::{Options, Region, jobs, process::is_alive, region::REGION};

pub async fn trap_1_health_is_ok_while_registration_is_denied(region: &Region) -> Result<()> {
    let agent = region.client(Options { intro_token: Some(String::new()), ..Options::default() }).await?;

    agent.logged("registration denied", LIMIT, |line| line["@message"] == "error registering").await?;

    let health = agent.request(Method::GET, "/v1/agent/health", "", None).await?;
    ensure!(health.status == 200 && health.body["client"]["ok"] == true, "{health:?}");
    Ok(())
}

pub async fn trap_2_the_agents_environment_leaks_into_raw_exec_tasks(region: &Region) -> Result<()> {
    let host_variable = vec![("FOO_HOSTVAR".to_owned(), "seen".to_owned())];
    let open = Options { token_in_env: true, env: host_variable.clone(), ..Options::default() };
    let closed = Options {
        token_in_env: true,
        env: host_variable,
        env_denylist: Some("NOMAD_CLIENT_INTRO_TOKEN".into()),
        ..Options::default()
    };
    for (id, options, leaks) in [("leaks", open, true), ("kept", closed, false)] {
        let agent = region.ready_client(options).await?;
        region.submit(&jobs::shell(id, "batch", &agent.name, "env")).await?;
        let alloc = region.alloc_when(id, "complete", LIMIT, |a| a["ClientStatus"] == "complete").await?;
        let printed = fs::read_to_string(agent.alloc_dir(&alloc).join("alloc/logs/t.stdout.0"))?;
        ensure!(printed.contains("FOO_HOSTVAR=seen"), "{printed}");
        ensure!(printed.contains("NOMAD_CLIENT_INTRO_TOKEN=ey") == leaks, "{id}: {printed}");
    }
    Ok(())
}

pub async fn trap_3_a_drain_is_over_before_the_task_has_ended(region: &Region) -> Result<()> {
    let agent = region.ready_client(Options { max_kill_timeout: Some("5s"), ..Options::default() }).await?;
    region.submit(&jobs::stubborn_service("stubborn", &agent.name)).await?;
    region.running("stubborn").await?;
    let node = region.ready(&agent.name).await?;
    let path = format!("/v1/node/{}/drain", node["ID"].as_str().unwrap_or_default());

    region
        .put(&path, &region.gateway, &json!({ "DrainSpec": { "Deadline": -1 }, "MarkEligible": false }))
        .await?;
    region.node_when(&agent.name, "drained", LIMIT, |node| node["Drain"] == false).await?;

    let still = region
        .alloc_when("stubborn", "still running", Duration::from_secs(1), |a| a["DesiredStatus"] == "stop")
        .await?;
    ensure!(still["ClientStatus"] == "running", "{}", still["ClientStatus"]);
    region.alloc_when("stubborn", "stopped", LIMIT, |a| a["ClientStatus"] == "complete").await?;
    Ok(())
}

pub async fn trap_4_exit_status_0_does_not_mean_drained(region: &Region) -> Result<()> {
    let mut agent = region.ready_client(Options::default()).await?;
    region.submit(&jobs::loop_service("loop", &agent.name)).await?;
    let alloc = region.running("loop").await?;
    let pid: u32 = fs::read_to_string(agent.alloc_dir(&alloc).join("t/pid"))?.trim().parse()?;

    region.kill_server();
    agent.process()?.signal(Signal::INT);

    let code = agent.process()?.exit_code(LIMIT).await?;
    ensure!(code == 0, "exit status {code}");
    ensure!(is_alive(pid), "the task has ended");
    Ok(())
}

pub async fn trap_5_a_denied_event_stream_is_200_and_silent(region: &Region) -> Result<()> {
    let unknown = uuid::Uuid::new_v4().to_string();
    for (token, topics) in
        [("", "topic=Node"), (&unknown, "topic=Node"), (&region.node_read, "topic=Node&topic=Allocation")]
    {
        let answer = region.open(&format!("/v1/event/stream?{topics}"), token).await?;
        ensure!(answer.status() == 200, "{}", answer.status());
        let first = tokio::time::timeout(Duration::from_secs(3), answer.bytes_stream().next()).await;
        let silent = match first {
            Err(_) | Ok(None | Some(Err(_))) => true,
            Ok(Some(Ok(bytes))) => bytes.is_empty(),
        };
        ensure!(silent, "{topics} with a token that may not: something was said");
    }
    Ok(())
}

pub async fn trap_6_purging_a_node_revokes_nothing(region: &Region) -> Result<()> {
    let mut agent = region.ready_client(Options::default()).await?;
    let before = region.ready(&agent.name).await?;
    let id = before["ID"].as_str().unwrap_or_default().to_owned();
    agent.kill();
    agent.forget_intro_token();
    let index = before["ModifyIndex"].as_u64().unwrap_or(1);

    region.put(&format!("/v1/node/{id}/purge"), &region.gateway, &json!({})).await?;
    let gone = region.request(Method::GET, &format!("/v1/node/{id}"), &region.gateway, None).await?;
    ensure!(gone.status == 404, "{gone:?}");
    let events =
        super::events::collect(region, &format!("topic=Node&index={index}"), Duration::from_secs(1)).await?;
    let told = events.iter().any(|e| e["Type"] == "NodeDeregistration");
    ensure!(!told, "a purge was announced");

    agent.start()?;
    let after = region.ready(&agent.name).await?;
    ensure!(after["ID"] == id.as_str(), "another node came back");
    Ok(())
}

pub async fn trap_7_an_inherited_aws_ca_bundle_ends_the_agent_at_its_start(region: &Region) -> Result<()> {
    let bundle = region.pki.ca_file().display().to_string();
    let env = vec![("AWS_CA_BUNDLE".to_owned(), bundle)];
    let probing = Options { env: env.clone(), probe_aws: true, ..Options::default() };
    let mut agent = region.client(probing).await?;

    let code = agent.process()?.exit_code(LIMIT).await?;

    ensure!(code == 1, "exit status {code}");
    // Without that probe it does no harm.
    region.ready_client(Options { env, ..Options::default() }).await?;
    Ok(())
}

pub async fn trap_8_a_drained_node_stays_ineligible_across_restarts(region: &Region) -> Result<()> {
    let mut agent = region.ready_client(Options::default()).await?;
    let node = region.ready(&agent.name).await?;
    let path = format!("/v1/node/{}", node["ID"].as_str().unwrap_or_default());
    let drain = json!({ "DrainSpec": { "Deadline": -1 }, "MarkEligible": false });
    region.put(&format!("{path}/drain"), &region.gateway, &drain).await?;
    region.node_when(&agent.name, "drained", LIMIT, |node| node["Drain"] == false).await?;

    agent.kill();
    agent.start()?;
    agent.logged("registered again", LIMIT, |line| line["@message"] == "node registration complete").await?;
    let node = region.ready(&agent.name).await?;
    ensure!(node["SchedulingEligibility"] == "ineligible", "{}", node["SchedulingEligibility"]);

    region
        .put(&format!("{path}/eligibility"), &region.gateway, &json!({ "Eligibility": "eligible" }))
        .await?;
    let node = region.get(&path).await?;
    ensure!(node["SchedulingEligibility"] == "eligible", "it cannot be made eligible in {REGION}");
    Ok(())
}
