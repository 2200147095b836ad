//! Bad input and bad days, through the real programs: each is said by its code, nothing is lost, and the app finds its
//! way back without its owner when the cause is gone.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]
#![cfg(target_os = "linux")]

#[path = "bad_days/site.rs"]
mod site;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use ionet_core::target::PauseEnd;
use ionet_core::{Intent, Phase, ProblemCode as Code, Snapshot};
use journeys::wait::{until, until_seen};
use journeys::{card, files, needs};
use serde_json::json;
use site::{Machine, PATIENCE, Site, now_ms, point, work};

const PAUSED: Phase = Phase::Paused { until: PauseEnd::Resumed };

/// How long giving the PC back may take when nobody on the other side answers.
const GIVEN_BACK: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_down_at_the_first_start_is_said_and_the_pc_enrols_when_it_is_back() {
    let Some(mut site) = Site::start().await else { return };
    let mut pc = site.machine("pc").await;
    site.stage.stop_gateway().unwrap();

    pc.start();
    let (exit, told) = pc.says(Code::GatewayDown).await;
    site.stage.start_gateway().await.unwrap();
    pc.online().await;

    assert_eq!((exit, &told["device"]), (Some(5), &json!(null)));
    assert_eq!(told["phase"], json!({"phase": "blocked", "code": "gateway-down"}));
    assert_eq!(site.account.devices().await.unwrap().devices.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_on_while_the_gateway_is_gone_and_no_second_of_it_goes_unpaid() {
    let lacking = needs::absent(&["python3"]);
    let Some(mut site) = Site::start().await.filter(|_| lacking.is_empty()) else { return };
    let mut pc = site.machine("pc").await;
    pc.start();
    pc.online().await;
    let (allocation, node) = (site.job("render", &pc).await, pc.node().await);
    let task = work(&allocation);

    site.stage.kill_gateway().unwrap();
    let (_, told) = pc.says(Code::GatewayDown).await;
    let so_far = pc.printed(&allocation);
    until_seen("the job prints on", PATIENCE, || Ok((pc.printed(&allocation) > so_far).then_some(())))
        .await
        .unwrap();
    let still = work(&allocation);
    // Its end, too, is one that the gateway does not see.
    site.stage.customer().delete("/v1/job/render").await.unwrap();
    until("the job has ended", PATIENCE, || async {
        Ok((site.allocation(&allocation).await["ClientStatus"] == "complete").then_some(()))
    })
    .await
    .unwrap();
    site.stage.start_gateway().await.unwrap();
    let audit = until("ledger and servers agree", PATIENCE, || async {
        let audit = site.audit("render", &node).await?;
        anyhow::ensure!(audit.equal && audit.recomputed > 0, "{audit:?}");
        Ok(Some(audit))
    })
    .await
    .unwrap();
    let well = pc.online().await;

    assert!(!task.is_empty() && still == task, "{task:?} became {still:?}");
    assert!(told["stale_since"].is_i64(), "{told}");
    assert_eq!(told["jobs"][0]["allocation"], json!(allocation), "what it said last is still shown");
    assert_eq!(well.stale_since, None);
    assert_eq!(well.earnings.unwrap().today.micros, audit.recomputed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_went_away_finds_its_pcs_online_again_also_one_that_started_meanwhile() {
    let Some(mut site) = Site::start().await else { return };
    let (mut old, mut new) = (site.machine("old").await, site.machine("new").await);
    old.start();
    old.online().await;
    let node = old.node().await;

    site.stage.stop_region().unwrap();
    new.start();
    new.says(Code::RegionUnreachable).await;
    old.says(Code::RegionUnreachable).await;
    let started_meanwhile = new.agents();
    site.stage.start_region().await.unwrap();
    new.online().await;
    old.online().await;
    site.job("of-the-old", &old).await;
    site.job("of-the-new", &new).await;

    assert!(started_meanwhile.is_empty(), "an agent without an introduction: {started_meanwhile:?}");
    assert_eq!(old.node().await, node);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_gateway_and_region_gone_pause_and_sigterm_still_leave_nothing_running() {
    let Some(mut site) = Site::start().await else { return };
    let (mut paused, mut ended) = (site.machine("paused").await, site.machine("ended").await);
    paused.start();
    ended.start();
    for pc in [&paused, &ended] {
        pc.online().await;
    }
    let works = [site.job("one", &paused).await, site.job("two", &ended).await];
    let ran = works.each_ref().map(|allocation| work(allocation).len());
    site.stage.kill_gateway().unwrap();
    site.stage.stop_region().unwrap();

    let asked = Instant::now();
    let ((), exit) = tokio::join!(paused.command("pause"), ended.leave());
    let rest = GIVEN_BACK.saturating_sub(asked.elapsed());
    paused.idle(rest).await;
    ended.pc.nothing_left(rest, |_| true).await.unwrap();
    let left = works.each_ref().map(|allocation| work(allocation).len());
    let given_back = paused.snapshot().await;
    site.stage.start_region().await.unwrap();
    site.stage.start_gateway().await.unwrap();
    paused.command("resume").await;
    paused.at_work().await;

    assert_eq!((ran, left), ([1, 1], [0, 0]));
    assert_eq!((given_back.phase, exit), (PAUSED, Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_missing_cannot_be_run_or_crashes_is_said_and_used_once_it_is_whole() {
    let Some(site) = Site::start().await else { return };
    let plain = site.folder("plain-file");
    fs::write(&plain, "no program").unwrap();
    let crashing = site.folder("crashing");
    fs::write(&crashing, "#!/bin/sh\n[ \"$1\" = version ] && exec echo Nomad v2.0.5\nexit 1\n").unwrap();
    fs::set_permissions(&crashing, fs::Permissions::from_mode(0o755)).unwrap();
    let days = [
        ("gone", site.folder("nowhere"), Code::AgentMissing),
        ("plain", plain, Code::AgentNotExecutable),
        ("crash", crashing, Code::AgentCrashed),
    ];
    let mut pcs = Vec::new();
    for (name, agent, code) in days {
        let mut pc = site.machine(name).await;
        let link = site.folder(name).join("nomad");
        point(&link, &agent);
        pc.pc.set("NOMAD", &link.to_string_lossy());
        pc.start();
        pcs.push((pc, link, code));
    }

    for (pc, link, code) in &pcs {
        let (exit, told) = pc.says(*code).await;
        assert_eq!(told["phase"], json!({"phase": "blocked", "code": code.as_str()}));
        assert_eq!(exit, Some(5));
        point(link, &site.stage.agent().path);
    }

    for (pc, ..) in &pcs {
        pc.online().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_card_that_works_nothing_starts_until_one_is_found() {
    if card::is_real() {
        eprintln!("skipped: this machine's own card cannot be taken away");
        return;
    }
    let Some(site) = Site::start().await else { return };
    let days = [
        ("empty", json!({"cards": []}), Code::NoGpu),
        ("old", json!({"driver": "470.256.02-double", "cards": [{}]}), Code::DriverTooOld),
        ("broken", json!({"init": 18, "cards": [{}]}), Code::DriverBroken),
    ];
    let mut pcs = Vec::new();
    for (name, script, code) in days {
        let mut pc = site.machine(name).await;
        fs::write(&pc.card, script.to_string()).unwrap();
        pc.start();
        pcs.push((pc, code));
    }
    let mut bare = site.machine("bare").await;
    bare.pc.set("LD_LIBRARY_PATH", "");
    bare.start();
    // A driver is missing only where the PC has a card that wants one.
    pcs.push((bare, Code::NoGpu));

    for (pc, code) in &pcs {
        let (exit, told) = pc.says(*code).await;
        assert_eq!(told["phase"], json!({"phase": "blocked", "code": code.as_str()}));
        let device = pc.until("it is enrolled all the same", |now| now.device.is_some()).await.device;
        let nodes = site.nodes(&device.unwrap().id).await.unwrap();
        assert_eq!((exit, pc.agents(), nodes), (Some(5), vec![], vec![]));
    }
    pcs.pop();
    for (pc, _) in &pcs {
        fs::write(&pc.card, json!({"cards": [{}]}).to_string()).unwrap();
        pc.pc.ask(Intent::Detect).await.unwrap();
    }

    for (pc, _) in &pcs {
        pc.online().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_settings_keep_the_pc_paused_until_its_owner_agrees_and_resumes() {
    let Some(site) = Site::start().await else { return };
    let mut pc = site.machine("pc").await;
    pc.start();
    pc.online().await;
    pc.leave().await;
    let settings = pc.pc.folders().settings();
    fs::write(&settings, "{\"version\": 1, \"tar").unwrap();

    pc.start_with(&[]);
    let (_, not_agreed) = pc.says(Code::SettingsDamaged).await;
    let ran_unagreed = pc.agents();
    pc.leave().await;
    pc.start();
    pc.phase(&PAUSED).await;
    // Written anew with the agreement alone: that the owner has to choose is still said.
    until_seen("the agreement is saved", PATIENCE, || {
        let text = fs::read_to_string(&settings)?;
        Ok(serde_json::from_str::<serde_json::Value>(&text).is_ok().then_some(()))
    })
    .await
    .unwrap();
    let (exit, paused) = pc.says(Code::SettingsDamaged).await;
    let ran_paused = pc.agents();
    pc.command("resume").await;
    pc.online().await;
    pc.leave().await;
    pc.start();
    pc.online().await;

    assert_eq!(not_agreed["phase"], json!({"phase": "agreement"}));
    assert_eq!((paused["phase"]["phase"].as_str(), exit), (Some("paused"), Some(4)));
    assert_eq!((ran_unagreed, ran_paused), (vec![], vec![]));
    let kept = fs::read_to_string(settings.with_extension("damaged.json")).unwrap();
    assert_eq!(kept, "{\"version\": 1, \"tar");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_identity_is_made_anew_with_the_same_key_for_the_same_device() {
    let Some(site) = Site::start().await else { return };
    let mut pc = site.machine("pc").await;
    pc.start();
    let before = pc.online().await.device.unwrap();
    pc.leave().await;
    let identity = pc.pc.folders().identity();
    let key = fs::read(identity.join("device-key.pem")).unwrap();
    fs::write(identity.join("device.json"), "\0\0\0\0").unwrap();

    pc.start();
    let after = pc.online().await.device.unwrap();

    assert_eq!(after.id, before.id);
    assert_eq!(fs::read(identity.join("device-key.pem")).unwrap(), key);
    assert_eq!(site.account.devices().await.unwrap().devices.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_killed_and_started_again_goes_on_with_the_agent_and_the_job_it_had() {
    let Some(site) = Site::start().await else { return };
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
    let same = |processes: &[journeys::processes::Process]| -> Vec<(u32, u64)> {
        processes.iter().map(|process| (process.pid, process.started)).collect()
    };
    assert_eq!(same(&pc.agents()), same(&agents));
    assert_eq!(work(&allocation), task);
    assert_eq!(now["ClientStatus"], "running");
    assert_eq!(now["TaskStates"]["work"]["Restarts"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_killed_and_does_not_come_back_leaves_nothing_running() {
    let Some(site) = Site::start().await else { return };
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
    while watcher.next().await.unwrap().stage.is_none() {}
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
async fn logs_that_the_store_refuses_wait_over_a_restart_and_are_all_shipped_later() {
    let Some(site) = Site::start().await else { return };
    let mut pc = site.machine("pc").await;
    site.stage.refuse_uploads(true);
    pc.start();
    let device = pc.phase(&Phase::Waiting).await.device.unwrap().id;
    let exit = pc.leave().await;
    let outbox = pc.pc.folders().logs.join("outbox");
    let waiting = files::below(&outbox).unwrap();
    let kept: Vec<(String, Vec<u8>)> = waiting
        .iter()
        .map(|file| {
            (file.strip_prefix(&outbox).unwrap().to_string_lossy().into_owned(), fs::read(file).unwrap())
        })
        .collect();

    pc.start();
    pc.until("it counts what waits", |now| now.logs.waiting > 0).await;
    let (_, told) = pc.says(Code::LogRefused).await;
    let worked = pc.phase(&Phase::Waiting).await;
    site.stage.refuse_uploads(false);
    let shipped = |now: &Snapshot| now.problems.is_empty() && now.logs.waiting == 0;
    pc.until("everything is shipped", shipped).await;

    assert_eq!(exit, Some(0));
    assert!(!kept.is_empty() && told["logs"]["waiting"].as_u64() > Some(0), "{told}");
    assert!(worked.problems.iter().all(|problem| !problem.blocking), "{:?}", worked.problems);
    let prefix = site.stage.bucket_dir().join("devices").join(device);
    for (name, bytes) in kept {
        assert_eq!(fs::read(prefix.join(&name)).unwrap(), bytes, "{name}");
    }
}

/// Takes as long as the shortest life that a gateway gives: a minute.
#[tokio::test(flavor = "multi_thread")]
async fn a_short_certificate_is_renewed_in_time_and_one_that_ran_out_while_the_pc_was_off_at_its_start() {
    let life = Duration::from_secs(60);
    let Some(site) = Site::start_with(|options| options.certificate_life = Some(life)).await else { return };
    let (mut on, mut off) = (site.machine("on").await, site.machine("off").await);
    on.start();
    off.start();
    let (first, old) = (on.online().await.device.unwrap(), off.online().await.device.unwrap());
    let node = on.node().await;
    off.leave().await;

    let renewed = until("the certificate is renewed", life * 2, || async {
        assert!(is_ready(&site, &node).await, "the node fell out of the region");
        Ok(on.snapshot().await.device.filter(|device| device.expires_at != first.expires_at))
    })
    .await
    .unwrap();
    let renewed_at = now_ms();
    let both = first.expires_at.0.max(old.expires_at.0);
    until("the first certificates have run out", life * 2, || async {
        assert!(is_ready(&site, &node).await, "the node fell out of the region");
        Ok((now_ms() > both).then_some(()))
    })
    .await
    .unwrap();
    off.start();
    let new = off.online().await.device.unwrap();
    on.online().await;
    site.job("after-the-renewal", &on).await;
    site.job("after-the-end", &off).await;

    assert!((first.renew_at.0..first.expires_at.0).contains(&renewed_at), "{first:?}, at {renewed_at}");
    assert_eq!((renewed.id, new.id), (first.id, old.id));
    assert!(new.expires_at.0 > both);
}

async fn is_ready(site: &Site, node: &str) -> bool {
    site.stage.nomad_get(&format!("/v1/node/{node}")).await.unwrap()["Status"] == "ready"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pc_reported_lost_stops_and_stays_stopped_and_the_accounts_other_pc_works_on() {
    let Some(site) = Site::start().await else { return };
    let (mut lost, mut kept) = (site.machine("lost").await, site.machine("kept").await);
    lost.start();
    kept.start();
    let device = lost.online().await.device.unwrap().id;
    kept.online().await;
    let (gone, stays) = (site.job("gone", &lost).await, site.job("stays", &kept).await);
    let (node, task) = (lost.node().await, work(&stays));

    site.account.report_lost(&device).await.unwrap();
    lost.phase(&Phase::Blocked { code: Code::DeviceLost }).await;
    let (exit, _) = lost.says(Code::DeviceLost).await;
    lost.idle(PATIENCE).await;
    site.held(&node).await;
    lost.leave().await;
    lost.start();
    lost.says(Code::DeviceLost).await;
    let restarted = lost.agents();

    assert_eq!((exit, work(&gone), restarted), (Some(5), vec![], vec![]));
    untouched(&site, &kept, &stays, &task).await;
}

async fn untouched(site: &Site, pc: &Machine, allocation: &str, task: &[(u32, u64)]) {
    let (exit, told) = pc.status().await;
    let node = site.stage.nomad_get(&format!("/v1/node/{}", pc.node().await)).await.unwrap();

    assert_eq!(
        (exit, &told["phase"], &told["problems"]),
        (Some(0), &json!({"phase": "earning"}), &json!([]))
    );
    assert_eq!((&node["Status"], &node["SchedulingEligibility"]), (&json!("ready"), &json!("eligible")));
    assert_eq!(site.allocation(allocation).await["ClientStatus"], "running");
    assert_eq!(work(allocation), task);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_of_the_same_user_says_that_the_app_is_running_and_disturbs_nothing() {
    let Some(site) = Site::start().await else { return };
    let mut pc = site.machine("pc").await;
    pc.start();
    pc.online().await;
    let agents = pc.agents();

    let second = pc.pc.command(&["run", "--headless"]).await.unwrap();

    let said = String::from_utf8_lossy(&second.stderr);
    assert!(second.status.code() == Some(1) && said.contains("already running"), "{said}");
    assert_eq!(pc.pc.resident_pid().await.unwrap(), pc.resident_pid());
    assert_eq!(pc.agents(), agents);
    pc.online().await;
}
