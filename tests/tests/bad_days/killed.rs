//! The app is killed, as by a crash or a power cut, and started again.

use std::fs;
use std::os::unix::net::UnixListener;
use std::time::Instant;

use ionet_core::giving_back::Step;
use ionet_core::target::PauseEnd;
use ionet_core::{Intent, Phase};
use journeys::freeze_watch::FreezeWatch;
use journeys::machine::Machine;
use journeys::processes::{self, Process};
use journeys::read;
use journeys::site::{Site, work};
use journeys::wait::{PATIENCE, until_seen};

use crate::{GIVEN_BACK, PAUSED};

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_killed_and_started_again_goes_on_with_the_agent_and_the_job_it_had() {
    if let Some(site) = Site::start().await {
        goes_on_with_what_it_had(site).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_killed_and_started_again_goes_on_with_the_capsule_it_had() {
    if let Some(site) = Site::with_capsules().await {
        goes_on_with_what_it_had(site).await;
    }
}

async fn goes_on_with_what_it_had(site: Site) {
    let mut pc = site.machine("pc").await;
    pc.start();
    pc.online().await;
    let allocation = site.job("render", &pc).await;
    let (agents, task) = (pc.agents(), work(&allocation));

    pc.kill().await;
    pc.start();
    pc.phase(&Phase::Earning).await;
    let now = site.allocation(&allocation).await;
    let so_far = pc.printed(&allocation);
    until_seen("the job prints on", PATIENCE, || Ok((pc.printed(&allocation) > so_far).then_some(())))
        .await
        .unwrap();

    assert!(agents.len() == 1 && task.len() == 1, "{agents:?} {task:?}");
    let same = |processes: &[Process]| -> Vec<(u32, u64)> {
        processes.iter().map(|process| (process.pid, process.started)).collect()
    };
    assert_eq!(same(&pc.agents()), same(&agents));
    assert_eq!(work(&allocation), task);
    assert_eq!(now["ClientStatus"], "running");
    assert_eq!(now["TaskStates"]["work"]["Restarts"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_behind_a_silent_keyring_freezes_at_once_what_an_earlier_life_left() {
    let Some(site) = Site::start().await else { return };
    let mut pc = site.machine("pc").await;
    pc.start();
    pc.online().await;
    let allocation = site.job("render", &pc).await;
    let bus = site.folder("pc").join("silent-bus");
    // Connections are taken by the kernel, and nobody answers them.
    let _silent = UnixListener::bind(&bus).unwrap();

    pc.kill().await;
    pc.pc.set("DBUS_SESSION_BUS_ADDRESS", &format!("unix:path={}", bus.display()));
    pc.start_as_owner();
    pc.phase(&Phase::Loading).await;
    let watch = FreezeWatch::start(&processes::of_allocation(&allocation));
    let asked = Instant::now();
    pc.pc.ask(Intent::Pause { until: PauseEnd::Resumed }).await.unwrap();
    watch.frozen(asked, PATIENCE).await.unwrap();
    let meanwhile = pc.snapshot().await;
    pc.idle(PATIENCE).await;

    assert_eq!(*read::phase(&meanwhile), Phase::Loading, "the settings were read meanwhile");
    assert_eq!(work(&allocation), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_killed_and_does_not_come_back_leaves_nothing_running() {
    if let Some(site) = Site::start().await {
        leaves_nothing_without_it(site).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_killed_and_does_not_come_back_leaves_no_capsule() {
    if let Some(site) = Site::with_capsules().await {
        leaves_nothing_without_it(site).await;
    }
}

async fn leaves_nothing_without_it(site: Site) {
    let mut pc = site.machine("pc").await;
    pc.start();
    pc.online().await;
    let allocation = site.job("render", &pc).await;

    pc.kill().await;
    let (kept, task) = (pc.agents().len(), work(&allocation).len());
    pc.pc.nothing_left(GIVEN_BACK, |_| true).await.unwrap();
    let left = work(&allocation);
    pc.start();
    pc.at_work().await;

    assert_eq!((kept, task), (1, 1), "a successor would have found them");
    assert_eq!(left, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_killed_while_it_pauses_comes_back_paused_with_nothing_running() {
    let Some(site) = Site::start().await else { return };
    let mut pc = site.machine("pc").await;
    pc.start();
    pc.online().await;
    let allocation = site.job("render", &pc).await;
    let node = pc.node().await;
    let settings = pc.pc.folders().settings();

    let mut watcher = pc.pc.watch(PATIENCE).await.unwrap();
    watcher.send(Intent::Pause { until: PauseEnd::Resumed }).await.unwrap();
    while read::giving_back(&watcher.next().await.unwrap()).is_none() {}
    until_seen("the pause is written down", PATIENCE, || {
        Ok(fs::read_to_string(&settings)?.contains("paused").then_some(()))
    })
    .await
    .unwrap();
    pc.kill().await;
    let under_way = pc.agents().len();
    pc.start();
    pc.phase(&PAUSED).await;
    pc.idle(PATIENCE).await;

    assert_eq!(under_way, 1, "the pause was over before the app was killed");
    assert_eq!(work(&allocation), []);
    site.held(&node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_killed_at_any_step_to_its_first_job_goes_on_where_it_was() {
    let Some(site) = Site::start().await else { return };
    type Reached = fn(&Machine) -> bool;
    let steps: [(&str, Reached); 6] = [
        ("key", |pc| pc.pc.folders().identity().join("device-key.pem").exists()),
        ("certificate", |pc| pc.pc.folders().identity().join("chain.pem").exists()),
        ("plan", |pc| pc.pc.folders().agent_configuration().join("agent.hcl").exists()),
        ("guard", |pc| pc.pc.folders().guard_run().join("guard.sock").exists()),
        ("agent", |pc| !pc.agents().is_empty()),
        ("node", |pc| pc.pc.folders().agent_data().join("client/client-id").exists()),
    ];

    for (number, (step, reached)) in steps.into_iter().enumerate() {
        let mut pc = site.machine(step).await;
        pc.start();
        while !reached(&pc) {
            std::thread::yield_now();
        }
        pc.kill().await;
        pc.start();
        pc.online().await;

        assert_eq!(pc.agents().len(), 1, "{step}");
        let devices = site.account.devices().await.unwrap().devices;
        assert_eq!(devices.len(), number + 1, "one PC is one device: {step}");
        pc.leave().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_killed_while_it_quits_leaves_nothing_and_earns_at_its_next_start() {
    let Some(site) = Site::start().await else { return };
    let mut pc = site.machine("pc").await;
    pc.start();
    pc.online().await;
    let allocation = site.job("render", &pc).await;

    let mut watcher = pc.pc.watch(PATIENCE).await.unwrap();
    watcher.send(Intent::Quit { confirmed: true }).await.unwrap();
    while read::giving_back(&watcher.next().await.unwrap()) != Some(Step::StoppingAllocations) {}
    pc.kill().await;
    pc.pc.nothing_left(GIVEN_BACK, |_| true).await.unwrap();
    let left = work(&allocation);
    pc.start();
    pc.at_work().await;

    assert_eq!(left, []);
}
