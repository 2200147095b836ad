//! Pause gives the PC back at once and wholly, also across a restart; Resume takes the job up again.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ionet_core::Phase;
use rustix::process::Signal;

use super::{job, online, quit};
use crate::freeze_watch::FreezeWatch;
use crate::processes::{self, Process};
use crate::step::Step;
use crate::wait::until;
use crate::world::World;
use crate::{breaks, leavings};

pub(super) async fn walk(world: &mut World) -> Result<String> {
    let name = "train-small";
    job::submit(world, name).await?;
    let allocation = job::running(world, name).await?;
    let allocation = allocation["ID"].as_str().context("an allocation without an id")?.to_owned();
    world.window()?.shows(&["earning"], world.patience).await?;
    if world.is_broken(Step::PauseResume) {
        breaks::disarm_gateway(world).await?;
    }

    let paused = pause(world, &allocation).await?;
    let until_when = world.window()?.field("phase-detail", world.patience).await?;
    restart_while_paused(world).await?;
    let resumed = Instant::now();
    world.window()?.press("resume", world.patience).await?;
    until("the region says that the node takes work again", world.patience, || async {
        let node = world.node().await?;
        ensure!(online::is_online(&node), "{} and {}", node["Status"], node["SchedulingEligibility"]);
        Ok(Some(()))
    })
    .await?;
    let online_after = resumed.elapsed();
    world.learnt.measured.extend([
        ("pause_to_frozen", paused.frozen),
        ("pause_to_nothing_left", paused.nothing_left),
        ("resume_to_online", online_after),
    ]);
    let again = job::running(world, name).await?;
    world.window()?.shows(&["earning"], world.patience).await?;
    Ok(format!(
        "tray's “{}” froze the job after {:.2} s and left nothing after {:.1} s; window says “{until_when}”, the region: \
         ineligible, no allocation pending or running; a restart stayed paused; after Resume online in {:.1} s and \
         allocation {} of {name} runs",
        paused.label,
        paused.frozen.as_secs_f64(),
        paused.nothing_left.as_secs_f64(),
        online_after.as_secs_f64(),
        again["ID"].as_str().unwrap_or_default().get(..8).unwrap_or_default()
    ))
}

struct Paused {
    label: String,
    frozen: Duration,
    nothing_left: Duration,
}

async fn pause(world: &World, allocation: &str) -> Result<Paused> {
    let watch = FreezeWatch::start(&processes::of_allocation(allocation));
    let clicked = Instant::now();
    let label =
        world.desktop.tray.click("Pause", world.patience, |line| line.label.trim() == "Pause").await?;
    let frozen = watch.frozen(clicked, world.patience).await?;
    world.window()?.shows(&["paused"], world.patience).await?;
    until("the region holds the node and has nothing on it", world.patience, || async {
        let node = world.node().await?;
        ensure!(node["SchedulingEligibility"] == "ineligible", "the node is still eligible");
        let live = world.live_allocations().await?;
        ensure!(live.is_empty(), "{} allocations hold the PC", live.len());
        Ok(Some(()))
    })
    .await?;
    let resident = world.pc.resident_pid().await?;
    let kept = |process: &Process| process.pid == resident;
    leavings::gone(world, &[allocation.to_owned()], kept).await?;
    Ok(Paused { label, frozen, nothing_left: clicked.elapsed() })
}

/// The PC is switched off and on while paused: a pause survives it, and nothing runs meanwhile.
async fn restart_while_paused(world: &mut World) -> Result<()> {
    world.close_window().await?;
    processes::signal(world.pc.resident_pid().await?, Signal::TERM)?;
    world.pc.nothing_left(world.patience, |_| true).await?;
    quit::last_words(world)?;
    world.resident = Some(world.pc.resident("resident", &["run"])?);
    let what = "it comes back paused";
    world.pc.snapshot_with(what, world.patience, |now| matches!(now.phase, Phase::Paused { .. })).await?;
    world.desktop.tray.item(world.patience).await?;
    world.open_window().await?;
    world.window()?.shows(&["paused"], world.patience).await?;
    ensure!(world.live_allocations().await?.is_empty(), "work came to a paused PC");
    Ok(())
}
