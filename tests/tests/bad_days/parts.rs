//! A part of this PC is missing, broken or there already.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use ionet_core::{Intent, Phase, ProblemCode as Code};
use journeys::site::{Site, point};
use journeys::wait::PATIENCE;
use journeys::{card, read};
use serde_json::json;

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
        assert_eq!(read::told_phase(&told), &read::blocked(*code));
        assert_eq!(exit, Some(5));
        point(link, &site.stage.agent().path);
    }

    for (pc, ..) in &pcs {
        pc.online().await;
    }
}

/// Takes the port that its agent is about to take, once.
const PORT_THIEF: &str = r#"#!/usr/bin/env python3
import os, re, socket, subprocess, sys
AGENT, ONCE = "@AGENT@", "@ONCE@"
if sys.argv[1] == "version" or os.path.exists(ONCE):
    os.execv(AGENT, [AGENT, *sys.argv[1:]])
open(ONCE, "w").close()
port = int(re.search(r"ports \{[^}]*http\s*=\s*(\d+)", open(sys.argv[3]).read()).group(1))
thief = socket.create_server(("127.0.0.1", port))
sys.exit(subprocess.call([AGENT, *sys.argv[1:]]))
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_another_program_took_is_said_and_the_next_start_takes_others() {
    let Some(site) = Site::start().await else { return };
    let mut pc = site.machine("pc").await;
    let thief = site.folder("thief");
    let agent = site.stage.agent().path.to_string_lossy().into_owned();
    let once = site.folder("once");
    let script = PORT_THIEF.replace("@AGENT@", &agent).replace("@ONCE@", &once.to_string_lossy());
    fs::write(&thief, script).unwrap();
    fs::set_permissions(&thief, fs::Permissions::from_mode(0o755)).unwrap();
    pc.pc.set("NOMAD", &thief.to_string_lossy());
    let mut seen = Vec::new();

    pc.start();
    let mut watcher = pc.pc.watch(PATIENCE).await.unwrap();
    let well = loop {
        let now = watcher.next().await.unwrap();
        seen.extend(read::problems(&now));
        if *read::phase(&now) == Phase::Waiting {
            break now;
        }
    };

    assert!(once.exists() && seen.contains(&Code::PortInUse), "{seen:?}");
    assert_eq!(read::problems(&well), []);
    assert_eq!(pc.agents().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_card_that_works_nothing_starts_until_one_is_found() {
    if card::is_real() {
        println!("skipped: needs a machine without a card");
        return;
    }
    let Some(site) = Site::start().await else { return };
    let days = [
        ("empty", json!({"cards": []}), Code::NoGpu),
        ("old", json!({"driver": "470.256.02-double", "cards": [{}]}), Code::DriverTooOld),
        ("broken", json!({"init": 999, "cards": [{}]}), Code::DriverBroken),
        ("replaced", json!({"init": 18, "cards": [{}]}), Code::DriverMismatch),
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
        assert_eq!(read::told_phase(&told), &read::blocked(*code));
        let enrolled = pc.until("it is enrolled all the same", |now| read::device(now).is_some()).await;
        let nodes = site.nodes(&read::device(&enrolled).unwrap()).await.unwrap();
        assert_eq!((exit, pc.agents(), nodes), (Some(5), vec![], vec![]));
    }
    pcs.pop();
    for (number, (pc, _)) in pcs.iter().enumerate() {
        fs::write(&pc.card, json!({"cards": [{}]}).to_string()).unwrap();
        // The first one looks again by itself.
        if number > 0 {
            pc.pc.ask(Intent::Detect).await.unwrap();
        }
    }

    for (pc, _) in &pcs {
        pc.online().await;
    }
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
