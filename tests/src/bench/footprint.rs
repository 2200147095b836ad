//! `./dev bench footprint`: what the app takes of this PC while it waits for work, and while its window is open.

#![expect(clippy::print_stderr, reason = "who waits sees how far it is")]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use ionet_core::{Intent, Phase, Snapshot};
use rustix::process::Signal;
use serde_json::json;

use super::boinc::Boinc;
use super::cost::{self, Usage};
use super::{Bench, Figure, Peer, bare_window};
use crate::processes::{self, Process};
use crate::read;
use crate::step::Step;
use crate::steps::walk_to;
use crate::wait::until_seen;
use crate::window::web_view;
use crate::world::{Options, World};

const MIB: u64 = 1 << 20;

/// The resident program, its guard and what keeps that together.
const RESIDENT_GOAL: u64 = 14 * MIB;
const WINDOW_GOAL: u64 = 250_000_000;
const IDLE_GOAL: f64 = 0.02;

/// So often what the app shows changes before anything is measured.
const SNAPSHOTS: usize = 500;

/// How long the app is left alone before its memory is read: what is free goes back once a minute.
const REST: Duration = Duration::from_secs(65);
/// Long enough that what comes once a minute weighs what it weighs.
const IDLE: Duration = Duration::from_secs(180);

/// Walks the app to its first job, lets it live a while, and measures it waiting for the next.
///
/// # Errors
/// When the app does not come so far.
pub(super) async fn bench(options: Options, mut samples: File) -> Result<Bench> {
    let mut world = World::start(options).await?;
    let measured = measure(&mut world, &mut samples).await;
    let agent = world.agent();
    for left in world.end().await {
        eprintln!("had to be killed: {left}");
    }
    Ok(Bench::new("footprint", agent, measured?))
}

async fn measure(world: &mut World, samples: &mut File) -> Result<Vec<Figure>> {
    walk_to(Step::Job, world).await?;
    world.close_window().await?;
    eprintln!("{SNAPSHOTS} snapshots, one pause …");
    live(world).await?;
    let mut figures = waiting(world, samples).await?;
    eprintln!("the window …");
    let window = open_window(world).await?;
    tokio::time::sleep(REST).await;
    let taken = cost::pss(&processes::family(window, &processes::all()))?;
    close_window(world, window).await?;
    let bare = bare_window::pss(world, REST).await?;
    figures.push(bytes("window_pss", taken, WINDOW_GOAL).beside(Some(bare)));
    tokio::time::sleep(REST).await;
    let after = note(samples, "after_close", &resident_and_guards(world).await?)?;
    figures.push(bytes("after_close_pss", after, RESIDENT_GOAL));
    Ok(figures)
}

/// A job runs, what the app shows changes again and again, the job ends; then one pause.
async fn live(world: &World) -> Result<()> {
    let mut client = world.pc.watch(world.patience).await?;
    let mut shown = client.next().await?;
    for turn in 0..SNAPSHOTS {
        let asked = turn % 2 == 0;
        let intent = if asked { Intent::Quit { confirmed: false } } else { Intent::KeepRunning };
        // Without a job there would be no question.
        ensure!(*read::phase(&shown) == Phase::Earning, "the job has ended");
        client.send(intent).await?;
        while shown.quit_asked != asked {
            shown = client.next().await?;
        }
    }
    drop(client);
    world.stage.customer().delete(&format!("/v1/job/{}", world.learnt.job()?)).await?;
    online(world).await?;
    command(world, "pause").await?;
    command(world, "resume").await?;
    online(world).await
}

/// Memory and processor while it waits, with BOINC beside it.
async fn waiting(world: &World, samples: &mut File) -> Result<Vec<Figure>> {
    let boinc = Boinc::start().await?;
    if boinc.is_none() {
        eprintln!("boinc-client is not here: no peer");
    }
    settled(world).await?;
    tokio::time::sleep(REST).await;
    eprintln!("{} s of waiting …", IDLE.as_secs());
    let ours = resident_and_guards(world).await?;
    let theirs: Vec<u32> = boinc.iter().map(|boinc| boinc.pid).collect();
    let (usage, usage_of_boinc) = (Usage::begin(&ours)?, Usage::begin(&theirs)?);
    tokio::time::sleep(IDLE).await;
    let (used, used_by_boinc) = (usage.percent()?, usage_of_boinc.percent()?);
    let taken = note(samples, "waiting", &ours)?;
    let with_agent =
        cost::pss(&processes::family(guards(world)[0], &processes::all()))? + cost::pss(&ours[..1])?;
    let peer = |value| boinc.as_ref().map(|boinc| Peer { name: boinc.name.clone(), value });
    let figures = vec![
        bytes("resident_pss", taken, RESIDENT_GOAL).beside(peer(cost::pss(&theirs)? as f64)),
        Figure::within("idle_cpu_percent", rounded(used), "%", IDLE_GOAL)
            .beside(peer(rounded(used_by_boinc))),
        Figure::told("online_pss_with_agent", with_agent as f64, "B"),
    ];
    if let Some(boinc) = boinc {
        boinc.end().await?;
    }
    Ok(figures)
}

/// What it wrote of all that lies in the bucket: shipping that is no waiting. A rehearsal build ships within seconds what one in
/// production keeps for a quarter of an hour.
async fn settled(world: &World) -> Result<()> {
    let logs = world.pc.folders().logs;
    until_seen("the logs of what it did to be shipped", world.patience, || {
        let unshipped = ["app", "agent", "jobs", "outbox"].map(|part| logs.join(part));
        Ok((!unshipped.iter().any(|part| holds_a_log(part))).then_some(()))
    })
    .await
}

/// What the agent and the guard write for themselves lies beside the app's own, and stays.
fn holds_a_log(folder: &Path) -> bool {
    let mut entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.any(|entry| {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let to_ship = name == "current.log" || name.starts_with("closed-") || name.ends_with(".gz");
        if path.is_dir() { holds_a_log(&path) } else { to_ship }
    })
}

/// Opens the window as its owner does; gives its process.
async fn open_window(world: &World) -> Result<u32> {
    command(world, "open").await?;
    let window = until_seen("the window's process", world.patience, || Ok(world.pc.windows().pop())).await?;
    web_view(window.pid, world.patience).await?;
    Ok(window.pid)
}

async fn close_window(world: &World, window: u32) -> Result<()> {
    processes::signal(window, Signal::TERM)?;
    until_seen("the window's end", world.patience, || Ok(world.pc.windows().is_empty().then_some(()))).await
}

async fn resident_and_guards(world: &World) -> Result<Vec<u32>> {
    let guards = guards(world);
    ensure!(!guards.is_empty(), "there is no guard");
    Ok([world.pc.resident_pid().await?].into_iter().chain(guards).collect())
}

/// The guard and what keeps it, the latter first: it has started the other.
fn guards(world: &World) -> Vec<u32> {
    let mut guards = world.pc.processes(None);
    guards.retain(Process::is_guard);
    guards.sort_unstable_by_key(|guard| (guard.started, guard.pid));
    guards.into_iter().map(|guard| guard.pid).collect()
}

async fn command(world: &World, argument: &str) -> Result<()> {
    let output = world.pc.command(&[argument]).await?;
    ensure!(output.status.success(), "`{argument}` failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

async fn online(world: &World) -> Result<()> {
    let well = |now: &Snapshot| *read::phase(now) == Phase::Waiting && read::is_well(now);
    world.pc.snapshot_with("it waits for work", world.patience, well).await.map(drop)
}

/// What these take together; where it lies is a sample of its own for each.
fn note(samples: &mut File, when: &str, pids: &[u32]) -> Result<u64> {
    for pid in pids {
        let command = processes::Process::read(*pid).map(|process| process.command);
        writeln!(samples, "{}", json!({"when": when, "command": command, "parts": cost::parts(*pid)?}))?;
    }
    cost::pss(pids)
}

fn bytes(name: &'static str, value: u64, goal: u64) -> Figure {
    Figure::within(name, value as f64, "B", goal as f64)
}

/// To a ten-thousandth of a percent.
fn rounded(percent: f64) -> f64 {
    (percent * 10_000.0).round() / 10_000.0
}
