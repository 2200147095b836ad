//! Files are damaged, the disk is full, the store takes nothing.

use std::fs;
use std::path::Path;
use std::process::Command;

use ionet_core::{Intent, Phase, ProblemCode as Code, Snapshot};
use journeys::site::{Site, work};
use journeys::wait::{PATIENCE, until, until_seen};
use journeys::{files, read};
use serde_json::{Value, json};

use crate::PAUSED;

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
    // The safe value has taken the damaged file's place: said once, and nothing runs before the owner chooses.
    let paused = pc.phase(&PAUSED).await;
    let ran_paused = pc.agents();
    pc.command("resume").await;
    pc.online().await;
    pc.leave().await;
    pc.start();
    pc.online().await;

    assert_eq!(read::told_phase(&not_agreed), &json!({"phase": "agreement"}));
    assert!(paused.problems.iter().all(|problem| problem.code != Code::SettingsDamaged));
    assert_eq!((ran_unagreed, ran_paused), (vec![], vec![]));
    let beside = fs::read_dir(settings.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let kept = beside.filter(|path| path.to_string_lossy().contains("settings.json.damaged-"));
    let kept: Vec<_> = kept.map(|path| fs::read_to_string(path).unwrap()).collect();
    assert_eq!(kept, ["{\"version\": 1, \"tar"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_identity_is_made_anew_with_the_same_key_for_the_same_device() {
    let Some(site) = Site::start().await else { return };
    let mut pc = site.machine("pc").await;
    pc.start();
    let before = read::device(&pc.online().await);
    pc.leave().await;
    let identity = pc.pc.folders().identity();
    let key = fs::read(identity.join("device-key.pem")).unwrap();
    fs::write(identity.join("device.json"), "\0\0\0\0").unwrap();

    pc.start();
    let after = read::device(&pc.online().await);

    assert!(after.is_some() && after == before, "{after:?}");
    assert_eq!(fs::read(identity.join("device-key.pem")).unwrap(), key);
    assert_eq!(site.account.devices().await.unwrap().devices.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signed_in_on_the_desktop_is_still_known_after_a_time_without_one() {
    let Some(site) = Site::start().await else { return };
    let mut pc = site.machine("pc").await;
    pc.start();
    pc.online().await;
    pc.leave().await;
    let (settings, identity) = (pc.pc.folders().settings(), pc.pc.folders().identity());
    let read = |file: &Path| -> Value { serde_json::from_slice(&fs::read(file).unwrap()).unwrap() };
    let owner = read(&identity.join("device.json"))["owner"].clone();
    let mut known = read(&settings);
    known["account"] = owner.clone();
    fs::write(&settings, known.to_string()).unwrap();

    pc.start();
    pc.online().await;
    pc.command("pause").await;
    pc.leave().await;

    let saved = read(&settings);
    assert!(owner["subject"].is_string() && saved["target"].to_string().contains("paused"), "{saved}");
    assert_eq!(saved["account"], owner);
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_that_the_store_refuses_wait_over_a_restart_and_are_all_shipped_later() {
    let Some(site) = Site::start().await else { return };
    let mut pc = site.machine("pc").await;
    site.stage.refuse_uploads(true);
    pc.start();
    let device = read::device(&pc.phase(&Phase::Waiting).await).unwrap();
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
    pc.until("it counts what waits", |now| read::waiting_logs(now) > 0).await;
    let (_, told) = pc.says(Code::LogRefused).await;
    let worked = pc.phase(&Phase::Waiting).await;
    site.stage.refuse_uploads(false);
    let shipped = |now: &Snapshot| read::is_well(now) && read::waiting_logs(now) == 0;
    pc.until("everything is shipped", shipped).await;

    assert_eq!(exit, Some(0));
    assert!(!kept.is_empty() && read::told_waiting_logs(&told) > Some(0), "{told}");
    assert!(read::problems(&worked).contains(&Code::LogRefused), "{worked:?}");
    let prefix = site.stage.bucket_dir().join("devices").join(device);
    for (name, bytes) in kept {
        assert_eq!(fs::read(prefix.join(&name)).unwrap(), bytes, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_with_spaces_and_other_letters_is_as_good_as_any() {
    let Some(site) = Site::start().await else { return };
    let mut pc = site.machine("Größe \"1\" für $HOME, 二").await;
    pc.start();
    pc.online().await;
    let allocation = site.job("letter", &pc).await;
    until_seen("the task has written", PATIENCE, || Ok((pc.printed(&allocation) > 0).then_some(())))
        .await
        .unwrap();
    pc.command("pause").await;
    pc.phase(&PAUSED).await;

    assert!(work(&allocation).is_empty());
    assert!(!fs::exists(pc.pc.folders().agent_data().join("alloc").join(&allocation)).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_log_disk_is_said_and_the_pc_earns_on() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root to mount a small disk");
        return;
    }
    let Some(site) = Site::start().await else { return };
    let mut pc = site.machine("pc").await;
    let logs = pc.pc.folders().logs;
    fs::create_dir_all(&logs).unwrap();
    // Taken away with everything else that is mounted below the site's folder.
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m,mode=700", "logs"]).arg(&logs).status();
    assert!(mounted.unwrap().success());
    pc.start();
    pc.online().await;

    let filler = logs.join("filler");
    let full = fs::write(&filler, vec![0; 2 << 20]);
    until("the full disk is said", PATIENCE, || async {
        // Whatever is asked for is written down, or would be.
        pc.pc.ask(Intent::Retry).await?;
        let problems = read::problems(&pc.snapshot().await);
        Ok(problems.contains(&Code::LogDiskFull).then_some(()))
    })
    .await
    .unwrap();
    let allocation = site.job("render", &pc).await;
    fs::remove_file(&filler).unwrap();
    pc.pc.ask(Intent::Retry).await.unwrap();
    let well = pc.until("there is room again", read::is_well).await;

    assert!(full.is_err(), "the disk was not full");
    assert_eq!(*read::phase(&well), Phase::Earning);
    assert_eq!(site.allocation(&allocation).await["ClientStatus"], "running");
}
