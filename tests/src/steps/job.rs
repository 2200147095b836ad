//! A customer's job comes to this PC and works.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::breaks;
use crate::processes::{self, Process};
use crate::step::Step;
use crate::wait::{until, until_seen};
use crate::world::World;

pub(super) async fn walk(world: &mut World) -> Result<String> {
    let name = "render-island";
    if world.options.engine {
        // No region of a rehearsal has a registry: the example's image is put where a job would have brought it.
        ionet_stage::offer_example(&world.pc.folders().guard_run().join("engine.sock"))?;
    }
    let submitted = Instant::now();
    submit(world, name).await?;
    let allocation = running(world, name).await?;
    world.learnt.measured.insert("job_submitted_to_running", submitted.elapsed());
    let id = allocation["ID"].as_str().context("an allocation without an id")?.to_owned();
    world.window()?.shows(&["earning"], world.patience).await?;
    let line = world.window()?.says(name, world.patience).await?;
    let printed = progress(world, &id).await?;
    let work =
        until_seen("the job's process", world.patience, || Ok(first(processes::of_allocation(&id)))).await?;
    let cgroup = std::fs::read_to_string(format!("/proc/{}/cgroup", work.pid))?;
    ensure!(cgroup.contains("docker") || !world.options.engine, "process {} lies in {cgroup}", work.pid);
    // Still the same one, and it still works.
    let node = world.learnt.node()?;
    let now = world.stage.nomad_get(&format!("/v1/allocation/{id}")).await?;
    ensure!(now["ClientStatus"] == "running" && now["NodeID"] == node, "it is {}", now["ClientStatus"]);
    let heading = world.window()?.field("phase", world.patience).await?;
    let title = world.desktop.tray.titled(&heading, world.patience).await?;
    world.learnt.first_allocation = Some(id.clone());
    Ok(format!(
        "window: {line}; tray says “{title}”; the region runs allocation {} of {name} on this node, process {}{} \
         works and printed “{printed}”",
        &id[..8.min(id.len())],
        work.pid,
        if world.options.engine { " in a container" } else { "" }
    ))
}

/// Submits the example under this name, as the demo's customer, for the kind of card that this PC has.
pub(super) async fn submit(world: &mut World, name: &str) -> Result<()> {
    let mut job = ionet_stage::example_job(name, world.options.engine);
    let node = world.node().await?;
    let card = node["Meta"]["ionet.gpu"].as_str().context("the node names no card")?;
    let wish = json!({"LTarget": "${meta.ionet.gpu}", "RTarget": card, "Operand": "="});
    job["Job"]["Constraints"].as_array_mut().context("a job without constraints")?.push(wish);
    world.learnt.card = Some(card.to_owned());
    if world.is_broken(Step::Job) {
        job = breaks::failing(job);
    }
    world.stage.submit_job(&job).await?;
    world.learnt.jobs.push(name.to_owned());
    Ok(())
}

/// The job's allocation that runs on this PC, by the region's word.
pub(super) async fn running(world: &World, name: &str) -> Result<Value> {
    until(&format!("the region runs {name} on this PC"), world.patience, || async {
        let all = world.allocations().await?;
        let ours: Vec<&Value> = all.iter().filter(|one| one["JobID"] == name).collect();
        let states: Vec<&Value> = ours.iter().map(|one| &one["ClientStatus"]).collect();
        let running = ours.iter().find(|one| one["ClientStatus"] == "running");
        running.map(|one| Some((*one).clone())).with_context(|| format!("its allocations are {states:?}"))
    })
    .await
}

fn first(processes: Vec<Process>) -> Option<Process> {
    processes.into_iter().next()
}

/// Where the task's standard output lies on this PC.
pub(super) fn output(world: &World, allocation: &str) -> Result<std::path::PathBuf> {
    let file = format!("alloc/{allocation}/alloc/logs/work.stdout.0");
    world.pc.of_agent(&format!("/data/agent/{file}"), world.pc.folders().agent_data().join(file))
}

/// The job's newest line, once it has printed one.
async fn progress(world: &World, allocation: &str) -> Result<String> {
    let file = output(world, allocation)?;
    until("the job's first line", world.patience, || async {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let line = text.lines().last().filter(|line| line.starts_with("step "));
        if line.is_none() {
            // One that has ended prints nothing more, and its files are gone.
            let now = world.stage.nomad_get(&format!("/v1/allocation/{allocation}")).await?;
            ensure!(now["ClientStatus"] == "running", "it is {}", now["ClientStatus"]);
        }
        Ok(line.map(str::to_owned))
    })
    .await
}
