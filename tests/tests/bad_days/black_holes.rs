//! The other side takes every connection and answers nobody, or a part of this PC hangs: the owner gets the PC back all
//! the same, and at once. What was frozen is not let go to wait for somebody who does not answer.

#![expect(clippy::print_stdout, reason = "a test says how long it took, or why it is left out")]

use std::time::Instant;

use disk_double::Hang;
use ionet_core::{Phase, ProblemCode as Code};
use journeys::freeze_watch::{FreezeWatch, Seen};
use journeys::machine::Machine;
use journeys::processes::Process;
use journeys::site::Site;
use journeys::wait::PATIENCE;
use journeys::{capsule, processes, read};
use rustix::process::Signal;

use crate::PAUSED;

/// A program that is stopped where it stands: the kernel takes its connections, and nobody answers them.
struct BlackHole(Vec<u32>);

impl BlackHole {
    fn instead_of(site: &Site, pc: &Machine, parts: &[&str]) -> Self {
        let mut pids: Vec<(String, u32)> = site.stage.pids().into_iter().collect();
        let inside = capsule::processes(&pc.pc.folders().guard_run());
        pids.extend(
            inside.iter().filter(|one| one.name() == "dockerd").map(|one| ("engine".to_owned(), one.pid)),
        );
        let stopped: Vec<u32> = parts
            .iter()
            .map(|part| pids.iter().find(|(name, _)| name.starts_with(part)).map(|(_, pid)| *pid).unwrap())
            .collect();
        for pid in &stopped {
            processes::signal(*pid, Signal::STOP).unwrap();
        }
        Self(stopped)
    }
}

impl Drop for BlackHole {
    fn drop(&mut self) {
        // What ended with its capsule is not there to be let go on.
        for pid in self.0.iter().filter(|pid| Process::read(**pid).is_some()) {
            processes::signal(*pid, Signal::CONT).unwrap();
        }
    }
}

/// One PC that works beside the other side's parts, and then some of these hang.
struct Scene {
    site: Site,
    pc: Machine,
    hole: BlackHole,
    watch: FreezeWatch,
}

impl Scene {
    async fn play(hanging: &[&str]) -> Option<Self> {
        Some(Self::at(Site::start().await?, hanging).await)
    }

    async fn at(site: Site, hanging: &[&str]) -> Self {
        let mut pc = site.machine("pc").await;
        pc.start();
        pc.online().await;
        let allocation = site.job("render", &pc).await;
        let hole = BlackHole::instead_of(&site, &pc, hanging);
        let watch = FreezeWatch::start(&processes::of_allocation(&allocation));
        Self { site, pc, hole, watch }
    }
}

/// Pauses the PC; when the others are back, so is it.
async fn pauses_and_comes_back(site: Option<Site>, hanging: &[&str]) -> Option<Paused> {
    let Scene { site: _site, pc, hole, watch } = Scene::at(site?, hanging).await;

    let (asked, log) = (Instant::now(), pc.pc.folders().agent_logs().join("capsule.log"));
    let paused = pc.pc.command(&["pause"]).await.unwrap();
    let seen = watch.gone(PATIENCE).await.unwrap();
    pc.phase(&PAUSED).await;
    pc.idle(PATIENCE).await;
    say(hanging, &seen, asked);
    drop(hole);
    pc.command("resume").await;
    pc.at_work().await;

    assert!(
        paused.status.success(),
        "an engine that is not asked any more ends with its capsule as all else does"
    );
    assert!(seen.frozen.is_some(), "{hanging:?}: {seen:?}");
    Some(Paused { seen, holder: std::fs::read_to_string(log).unwrap_or_default() })
}

struct Paused {
    seen: Seen,
    /// What the capsule's holder has said.
    holder: String,
}

fn say(hanging: &[&str], seen: &Seen, asked: Instant) {
    let after = |moment: Option<Instant>| moment.map(|moment| moment.duration_since(asked));
    println!(
        "beside {hanging:?}: frozen after {:?}, its work gone after {:?}, nothing left after {:?}",
        after(seen.frozen),
        after(seen.gone),
        asked.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_gateway_that_takes_connections_and_never_answers_a_pause_freezes_and_nothing_runs_again() {
    let Some(Paused { seen, .. }) = pauses_and_comes_back(Site::start().await, &["gateway"]).await else {
        return;
    };

    assert!(!seen.ran_again, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_region_that_takes_connections_and_never_answers_a_pause_freezes_and_nothing_runs_again() {
    let Some(Paused { seen, .. }) = pauses_and_comes_back(Site::start().await, &["nomad"]).await else {
        return;
    };

    assert!(!seen.ran_again, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_gateway_that_never_answers_what_is_frozen_in_a_capsule_never_runs_again() {
    let site = Site::with_capsules().await;
    let Some(Paused { seen, holder }) = pauses_and_comes_back(site, &["gateway"]).await else { return };

    assert!(!seen.ran_again, "{seen:?}");
    assert!(holder.contains("jobs stand still") && !holder.contains("jobs go on"), "{holder}");
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_an_engine_that_takes_connections_and_never_answers_a_pause_freezes_and_leaves_nothing() {
    pauses_and_comes_back(Site::with_capsules().await, &["engine"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_gateway_and_a_region_that_never_answer_quit_freezes_and_leaves_nothing() {
    let hanging = ["gateway", "nomad"];
    // What is named first goes last: the hole is filled before its site ends.
    let Some(Scene { site: _site, pc, hole: _hole, watch }) = Scene::play(&hanging).await else { return };

    let asked = Instant::now();
    pc.command("quit").await;
    let seen = watch.gone(PATIENCE).await.unwrap();
    pc.pc.nothing_left(PATIENCE, |_| true).await.unwrap();

    say(&hanging, &seen, asked);
    assert!(seen.frozen.is_some() && !seen.ran_again, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_disk_of_jobs_files_that_hangs_a_pause_freezes_and_leaves_files_alone_which_go_later() {
    let Some(site) = Site::start().await else { return };
    let mut pc = site.machine("pc").await;
    pc.start();
    pc.online().await;
    let allocation = site.job("render", &pc).await;
    let data = pc.pc.folders().agent_data();
    let work = processes::of_allocation(&allocation);
    let Some(hang) = Hang::over(&data) else { return };
    let watch = FreezeWatch::start(&work);

    let asked = Instant::now();
    let paused = pc.pc.command(&["pause"]).await.unwrap();
    let told = asked.elapsed();
    let seen = watch.gone(PATIENCE).await.unwrap();
    pc.says(Code::FilesLeft).await;
    pc.phase(&PAUSED).await;
    say(&["disk"], &seen, asked);
    println!("the command ended after {told:?}");
    drop(hang);
    pc.command("resume").await;
    pc.until("it works again", |now| matches!(read::phase(now), Phase::Waiting | Phase::Earning)).await;
    pc.command("pause").await;
    pc.until("nothing is left", |now| *read::phase(now) == PAUSED && read::is_well(now)).await;

    assert!(paused.status.success(), "nothing runs");
    assert!(seen.frozen.is_some(), "{seen:?}");
    assert_eq!(std::fs::read_dir(data.join("alloc")).map_or(0, Iterator::count), 0);
}
