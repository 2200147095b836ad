//! Jobs and allocations.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use super::LIMIT;
use crate::{
    Options, Region, jobs,
    process::wait_for,
    shapes::{has_shape, recording},
};

#[expect(clippy::too_many_lines, reason = "one scene from its beginning to its end")]
pub async fn a_job_runs_with_its_files_and_environment(region: &Region) -> Result<()> {
    let agent = region.ready_client(Options::default()).await?;
    let script = "env; echo cwd $(pwd); echo oops >&2; echo $$ > pid; while true; do sleep 0.1; done";
    region.submit(&jobs::shell("loop", "service", &agent.name, script)).await?;
    let listed = region.running("loop").await?;

    let id = listed["ID"].as_str().unwrap_or_default();
    let dir = agent.alloc_dir(&listed);
    let printed = wait_for("the task's output", LIMIT, || async {
        let text = fs::read_to_string(dir.join("alloc/logs/t.stdout.0"))?;
        Ok(text.contains("cwd ").then_some(text))
    })
    .await?;
    let expected = [
        format!("NOMAD_ALLOC_ID={id}"),
        "NOMAD_JOB_ID=loop".into(),
        "NOMAD_JOB_NAME=loop".into(),
        "NOMAD_TASK_NAME=t".into(),
        format!("NOMAD_ALLOC_DIR={}", dir.join("alloc").display()),
        format!("NOMAD_TASK_DIR={}", dir.join("t/local").display()),
        format!("NOMAD_SECRETS_DIR={}", dir.join("t/secrets").display()),
        "MARK=x".into(),
        format!("cwd {}", dir.join("t").display()),
    ];
    for line in expected {
        ensure!(printed.lines().any(|printed| printed == line), "{line} is not in\n{printed}");
    }
    wait_for("the task's error output", LIMIT, || async {
        let text = fs::read_to_string(dir.join("alloc/logs/t.stderr.0"))?;
        Ok((text == "oops\n").then_some(()))
    })
    .await?;
    has_shape("allocation", &recording("alloc.json")?, &region.get(&format!("/v1/allocation/{id}")).await?)?;
    let all = region.get("/v1/allocations").await?;
    has_shape("allocation list", &recording("alloc_list.json")?, &all)?;
    let node = listed["NodeID"].as_str().unwrap_or_default();
    let on_node = region.get(&format!("/v1/node/{node}/allocations")).await?;
    ensure!(on_node[0]["ID"] == id && on_node[0]["Job"]["ID"] == "loop", "{on_node}");
    let job = region.get("/v1/job/loop").await?;
    ensure!(job["Status"] == "running" && job["Stop"] == false && job["Type"] == "service", "{job}");
    Ok(())
}

pub async fn a_batch_job_completes(region: &Region) -> Result<()> {
    let agent = region.ready_client(Options::default()).await?;
    region.submit(&jobs::short_batch("once", &agent.name)).await?;

    let alloc = region.alloc_when("once", "complete", LIMIT, |a| a["ClientStatus"] == "complete").await?;
    let task = &alloc["TaskStates"]["t"];
    ensure!(task["State"] == "dead" && task["Failed"] == false && task["FinishedAt"].is_string(), "{task}");
    let kinds: Vec<_> =
        task["Events"].as_array().into_iter().flatten().filter_map(|e| e["Type"].as_str()).collect();
    ensure!(kinds == ["Received", "Task Setup", "Started", "Terminated"], "{kinds:?}");
    wait_for("job dead", LIMIT, || async {
        Ok((region.get("/v1/job/once").await?["Status"] == "dead").then_some(()))
    })
    .await
}

pub async fn a_failed_task_is_told_with_its_exit_code(region: &Region) -> Result<()> {
    let agent = region.ready_client(Options::default()).await?;
    let mut job = jobs::shell("fails", "batch", &agent.name, "exit 7");
    job["TaskGroups"][0]["ReschedulePolicy"] = json!({ "Attempts": 0, "Unlimited": false, "Interval": 0 });
    region.submit(&job).await?;

    let alloc = region.alloc_when("fails", "failed", LIMIT, |a| a["ClientStatus"] == "failed").await?;
    let task = &alloc["TaskStates"]["t"];
    ensure!(task["Failed"] == true, "{task}");
    let ended = task["Events"].as_array().into_iter().flatten().find(|event| event["Type"] == "Terminated");
    ensure!(ended.is_some_and(|event| event["ExitCode"] == 7), "{task}");
    Ok(())
}

pub async fn a_job_without_a_node_waits_in_a_blocked_evaluation(region: &Region) -> Result<()> {
    let agent = region.ready_client(Options::default()).await?;
    let id = region.ready(&agent.name).await?["ID"].as_str().unwrap_or_default().to_owned();
    let eligibility = format!("/v1/node/{id}/eligibility");
    region.put(&eligibility, &region.gateway, &json!({ "Eligibility": "ineligible" })).await?;

    region.submit(&jobs::loop_service("loop", &agent.name)).await?;
    wait_for_blocked(region, "loop").await?;
    ensure!(region.get("/v1/job/loop/allocations").await? == json!([]), "it was placed");
    let job = region.get("/v1/job/loop").await?;
    // A service whose deployment is open counts as running, although nothing of it runs.
    ensure!(job["Status"] == "running", "it is {}", job["Status"]);

    region.put(&eligibility, &region.gateway, &json!({ "Eligibility": "eligible" })).await?;
    region.running("loop").await?;
    Ok(())
}

pub async fn stopping_an_allocation_needs_alloc_lifecycle_and_moves_it_off(region: &Region) -> Result<()> {
    let agent = region.ready_client(Options::default()).await?;
    let node = region.ready(&agent.name).await?["ID"].as_str().unwrap_or_default().to_owned();
    region.submit(&jobs::loop_service("loop", &agent.name)).await?;
    let first = region.running("loop").await?;
    let stop = format!("/v1/allocation/{}/stop", first["ID"].as_str().unwrap_or_default());
    let refused = region.request(Method::PUT, &stop, &region.node_read, None).await?;
    ensure!(matches!(refused.status, 403 | 500), "{refused:?}");

    let eligibility = format!("/v1/node/{node}/eligibility");
    region.put(&eligibility, &region.gateway, &json!({ "Eligibility": "ineligible" })).await?;
    let answer = region.put(&stop, &region.gateway, &json!({})).await?;
    ensure!(answer["EvalID"].as_str().is_some_and(|id| id.len() == 36), "{answer}");
    region.alloc_when("loop", "stopped", LIMIT, |a| a["ClientStatus"] == "complete").await?;
    wait_for_blocked(region, "loop").await?;
    let eval = evaluations(region, "loop").await?.into_iter().find(|eval| eval["Status"] == "blocked");
    ensure!(eval.is_some_and(|eval| eval["TriggeredBy"] == "queued-allocs"), "not by queued-allocs");

    region.put(&eligibility, &region.gateway, &json!({ "Eligibility": "eligible" })).await?;
    let again = region.running("loop").await?;
    ensure!(again["ID"] != first["ID"], "the same allocation came back");
    Ok(())
}

pub async fn deleting_a_job_stops_its_allocation(region: &Region) -> Result<()> {
    let agent = region.ready_client(Options::default()).await?;
    region.submit(&jobs::loop_service("loop", &agent.name)).await?;
    region.running("loop").await?;

    let answer = region.request(Method::DELETE, "/v1/job/loop", &region.management, None).await?;
    ensure!(answer.status == 200 && answer.body["EvalID"].is_string(), "{answer:?}");

    let alloc = region.alloc_when("loop", "stopped", LIMIT, |a| a["ClientStatus"] == "complete").await?;
    ensure!(alloc["DesiredStatus"] == "stop", "{alloc}");
    wait_for("job dead", LIMIT, || async {
        Ok((region.get("/v1/job/loop").await?["Status"] == "dead").then_some(()))
    })
    .await
}

pub async fn a_stubborn_task_is_killed_after_the_shorter_timeout(region: &Region) -> Result<()> {
    let agent = region.ready_client(Options { max_kill_timeout: Some("1s"), ..Options::default() }).await?;
    region.submit(&jobs::stubborn_service("stubborn", &agent.name)).await?;
    region.running("stubborn").await?;
    let asked = Instant::now();
    region.request(Method::DELETE, "/v1/job/stubborn", &region.management, None).await?;

    let alloc = region.alloc_when("stubborn", "killed", LIMIT, |a| a["ClientStatus"] == "complete").await?;
    ensure!(asked.elapsed() < Duration::from_secs(4), "it took {:?}", asked.elapsed());
    let events = alloc["TaskStates"]["t"]["Events"].as_array().cloned().unwrap_or_default();
    let killing = events.iter().find(|event| event["Type"] == "Killing");
    let message = killing.and_then(|event| event["DisplayMessage"].as_str()).unwrap_or_default().to_owned();
    ensure!(message == "Sent interrupt. Waiting 1s before force killing", "{message}");
    let ended = events.iter().find(|event| event["Type"] == "Terminated");
    ensure!(ended.is_some_and(|event| event["ExitCode"] == 137 && event["Signal"] == 9), "{events:?}");
    ensure!(events.iter().any(|event| event["Type"] == "Killed"), "{events:?}");
    Ok(())
}

async fn evaluations(region: &Region, job: &str) -> Result<Vec<Value>> {
    let reply =
        region.request(Method::GET, &format!("/v1/job/{job}/evaluations"), &region.management, None).await?;
    Ok(reply.body.as_array().cloned().unwrap_or_default())
}

pub(super) async fn wait_for_blocked(region: &Region, job: &str) -> Result<()> {
    wait_for("a blocked evaluation", LIMIT, || async {
        let found = evaluations(region, job).await?;
        Ok(found.iter().any(|eval| eval["Status"] == "blocked").then_some(()))
    })
    .await
}
