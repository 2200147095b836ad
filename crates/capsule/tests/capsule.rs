//! Capsules for real: with an engine, containers, the kernel's namespaces and control groups.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "these are tests, their helpers too")]

mod held;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::Duration;

use held::by_user::{Delegated, held_by_user};
use held::{Held, NOTHING, inventory, kill, lacks, nothing_left, wait};
use ionet_agent::guard::{Guard, Place, Start};
use ionet_core::StartId;
use ionet_logbook::{Door, Limits, Logbook, Sources};
use serde_json::json;

const MEMORY: u64 = 64 << 20;

#[test]
fn what_runs_in_a_capsule_is_nobody_outside_and_nothing_of_it_is_left_when_it_is_let_go() {
    if let Some(needs) = lacks() {
        println!("skipped: needs {needs}");
        return;
    }
    let held = Held::start("test-plain");
    held.image();
    let (code, said) =
        held.run("id; hostname; cat /proc/self/uid_map", json!({"Memory": MEMORY, "PidsLimit": 20}));
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("uid=0"), "{said}");
    let outside = fs::metadata(format!("/proc/{}", held.processes()["init"][0])).unwrap().uid();
    assert!(outside > 65_536, "the capsule's root is {outside} outside");
    let data = held.folder().join("data");
    assert!(fs::read_dir(&data).unwrap().next().is_none(), "its disk is in no view of this PC's");

    let dir = held.let_go();
    assert_eq!(inventory("test-plain", dir.path()), [""; 0]);
    assert!(dir.path().join("disk/disk.img").exists(), "its disk stays for the next");
}

#[test]
fn a_job_has_its_limits_and_no_more() {
    if let Some(needs) = lacks() {
        println!("skipped: needs {needs}");
        return;
    }
    let held = Held::start("test-limits");
    held.image();
    let limits = json!({"Memory": MEMORY, "MemorySwap": MEMORY, "PidsLimit": 20});
    let (code, _) = held.run("dd if=/dev/zero of=/dev/null bs=200M count=1", limits.clone());
    assert_eq!(code, 137, "more memory than it has");
    let (code, said) = held.run(
        "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do sleep 5 & done; wait",
        limits,
    );
    assert!(code != 0 && said.contains("fork"), "{code}: {said}");
    drop(held);
}

#[test]
fn the_disk_holds_no_more_than_its_size_and_gives_back_what_a_job_frees() {
    if let Some(needs) = lacks() {
        println!("skipped: needs {needs}");
        return;
    }
    let mut held = Held::start("test-disk");
    held.image();
    let image = held.folder().join("disk.img");
    let taken = || fs::metadata(&image).unwrap().blocks() * 512;
    let before = taken();
    let at_first = holds(&mut held);
    let id =
        held.job("dd if=/dev/zero of=/full bs=1M count=300 conv=fsync; sleep 600", json!({"Memory": MEMORY}));
    wait("300 MB on the drive", || (taken() > before + (290 << 20)).then_some(()));
    assert!(holds(&mut held) > at_first + (290 << 20), "outside it is known how full it is");
    held.ask("DELETE", &format!("/containers/{id}?force=1"), held::NOTHING).unwrap();
    wait("them back", || (taken() < before + (30 << 20)).then_some(()));
    assert_eq!(fs::metadata(&image).unwrap().permissions().mode() & 0o777, 0o600);
    drop(held);
}

/// Bytes on a capsule's disk, as its holder tells it.
fn holds(held: &mut Held) -> u64 {
    let said = held.tell("count");
    let (_, disk) = said.split_once("disk: Some((").unwrap_or_else(|| panic!("{said}"));
    disk.split(',').next().unwrap().parse().unwrap()
}

#[test]
fn a_disk_has_one_holder_whatever_the_names_and_goes_on_to_the_next_when_that_is_killed() {
    if let Some(needs) = lacks() {
        println!("skipped: needs {needs}");
        return;
    }
    let mut held = Held::start("test-one");
    assert_eq!(held.another("test-two"), "another capsule of this name, or on this disk, is there");
    held.image();
    held.kill_holder();
    let dir = held.gone();

    // The first one's capsule may still be at its end.
    let held = Held::again("test-two", dir, |hold| hold);
    assert_eq!(held.run("true", json!({"Memory": MEMORY})).0, 0, "the image that the first has loaded");
    let dir = held.let_go();
    nothing_left("test-one", dir.path());
    nothing_left("test-two", dir.path());
}

/// The guard inside is the one that there is outside, and the same client speaks with it.
#[tokio::test]
async fn an_agent_is_started_and_stopped_inside_as_it_is_outside_and_sees_nothing_of_the_owners() {
    if let Some(needs) = lacks() {
        println!("skipped: needs {needs}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let said = "for i in 1 2 3; do ls /home /root /tmp; hostname; cat /run/agent/key; id -u; done >/data/agent/said 2>&1";
    let agent = held::script(&dir, &format!("{said}\nexec sleep 600\n"));
    let held = Held::again("test-agent", dir, |mut hold| {
        hold.arg("--agent").arg(&agent);
        hold
    });
    let (guard, _events) = Guard::reached(&held.run_folder(), Duration::from_secs(30)).await.unwrap();
    let place = Place { data_dir: "/data/agent".into(), docker_socket: Some("/run/engine.sock".into()) };
    let running = guard.start(start(&place)).await.unwrap();

    assert!(running.pid < 1000, "a number of the capsule's own");
    wait("the agent", || held.processes().get("job").map(Vec::len).filter(|agents| *agents > 0));
    held.image();
    let seen = wait("what it saw", || {
        let (code, said) =
            held.run("cat /data/agent/said", json!({"Memory": MEMORY, "Binds": ["/data:/data"]}));
        (code == 0 && said.lines().filter(|line| line.ends_with("a key0")).count() == 3).then_some(said)
    });
    let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
    assert!(seen.contains("capsule") && !seen.contains(&hostname), "{seen}");
    assert!(seen.contains("cannot access '/home'"), "{seen}");
    guard.stop(StartId(2), &place, Duration::from_millis(100)).await.unwrap().unwrap();
    assert_eq!(held.processes().get("job"), None);
    drop(guard);
    let (code, _) = held.run("true", json!({"Memory": MEMORY}));
    assert_eq!(code, 0, "the engine goes on");
    drop(held);
}

/// What a job has planted between the logs leads nowhere: not in the capsule, and so less outside.
#[test]
fn logs_inside_are_taken_over_through_their_door_and_what_a_link_leads_to_is_not() {
    if let Some(needs) = lacks() {
        println!("skipped: needs {needs}");
        return;
    }
    let held = Held::start("test-files");
    held.image();
    let id = "0a1b2c3d-0000-4000-8000-00000000cafe";
    let logs = format!("/data/agent/alloc/{id}/alloc/logs");
    let script = format!(
        "/bin/busybox mkdir -p /data/logs {logs}; echo '{{\"@message\":\"said inside\"}}' > /data/logs/client.log; \
         echo 'of a job' > {logs}/t.stdout.0; /bin/busybox ln -s /etc/hostname {logs}/u.stdout.0"
    );
    let (code, said) = held.run(&script, json!({"Memory": MEMORY, "Binds": ["/data:/data"]}));
    assert_eq!(code, 0, "{said}");
    let outside = tempfile::tempdir().unwrap();
    let logbook = Logbook::open(outside.path(), Limits::default()).unwrap();
    logbook.follow(Sources::Beyond(Door::at(held.run_folder().join("files.sock"))));
    let taken_over = |stream: &str| fs::read_to_string(outside.path().join(stream).join("current.log")).ok();

    let of_job = wait("the job's log", || {
        logbook.take_over();
        taken_over(&format!("jobs/{id}/t.stdout"))
    });

    assert_eq!(of_job, "of a job\n");
    assert!(taken_over("agent").unwrap().contains("said inside"));
    assert_eq!(taken_over(&format!("jobs/{id}/u.stdout")), None, "a link");
    drop(logbook);
    drop(held);
}

/// Of a script in the agent's place, with a key that comes with its start.
fn start(place: &Place) -> Start {
    Start {
        id: StartId(1),
        program: "/opt/ionet/nomad".into(),
        args: Vec::new(),
        env: [("PATH".to_owned(), "/usr/bin".to_owned())].into(),
        cwd: "/data".into(),
        node: Some("d-test".to_owned()),
        introduction: None,
        files: [("/run/agent/key".into(), "a key".to_owned())].into(),
        cards: Vec::new(),
        place: place.clone(),
        log: "/data/logs/last-words.txt".into(),
        agent_log: Some("/data/logs/client.log".into()),
        http: None,
    }
}

/// On version 1 of control groups who is frozen takes no signal, so an end has to thaw; on version 2 it has not.
#[test]
fn whoever_of_a_capsule_is_killed_while_its_jobs_are_frozen_nothing_is_left() {
    if let Some(needs) = lacks() {
        println!("skipped: needs {needs}");
        return;
    }
    let mut dir = tempfile::tempdir().unwrap();
    for role in ["holder", "moat", "names", "init", "network"] {
        let mut held = Held::again("test-frozen", dir, |hold| hold);
        held.image();
        for _ in 0..3 {
            held.job("while :; do sleep 0.1; done", json!({"Memory": MEMORY}));
        }
        assert_eq!(held.tell("freeze"), "frozen");
        match role {
            "holder" => held.kill_holder(),
            role => kill(held.processes()[role][0]),
        }
        dir = held.gone();
        nothing_left("test-frozen", dir.path());
    }
}

#[test]
fn one_jobs_containers_stand_still_while_those_of_others_and_the_engine_go_on() {
    if let Some(needs) = lacks() {
        println!("skipped: needs {needs}");
        return;
    }
    let mut held = Held::start("test-one");
    held.image();
    let [first, second] =
        [(); 2].map(|()| held.job("while :; do echo on; sleep 0.02; done", json!({"Memory": MEMORY})));
    let said = |held: &Held, id: &str| {
        held.ask("GET", &format!("/containers/{id}/logs?stdout=1"), NOTHING).unwrap().len()
    };
    let goes_on = |held: &Held, id: &str| {
        let before = said(held, id);
        wait("more of what it says", || (said(held, id) > before + 200).then_some(()));
    };
    goes_on(&held, &first);

    assert_eq!(held.tell(&format!("freeze {first}")), "frozen");
    // What it said before that may still be on its way.
    goes_on(&held, &second);
    let stood = said(&held, &first);
    goes_on(&held, &second);
    assert_eq!(said(&held, &first), stood);

    assert_eq!(held.tell("freeze"), "frozen");
    assert_eq!(held.tell(&format!("thaw {first}")), "thawed");
    assert_eq!(said(&held, &first), stood, "all stand still");
    assert_eq!(held.tell("thaw"), "thawed");
    goes_on(&held, &first);
    goes_on(&held, &second);

    let nobody = held.tell(&format!("freeze {}", "0".repeat(64)));
    assert!(nobody.contains("not there"), "{nobody}");
    let nonsense = held.tell("freeze ../../..");
    assert!(nonsense.contains("64 hexadecimal digits"), "{nonsense}");
}

/// Seeded: a failing run is played again with the same seed.
#[test]
fn whoever_is_killed_whenever_either_all_goes_on_or_nothing_is_left() {
    if let Some(needs) = lacks() {
        println!("skipped: needs {needs}");
        return;
    }
    let number =
        |name: &str, or: u64| std::env::var(name).ok().and_then(|said| said.parse().ok()).unwrap_or(or);
    let (kills, mut random) = (number("IONET_KILLS", 12), number("IONET_SEED", 7));
    let mut next = move |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below
    };
    let mut dir = Some(tempfile::tempdir().unwrap());
    let mut held: Option<Held> = None;
    for nth in 0..kills {
        let now = held.get_or_insert_with(|| {
            let fresh = Held::again("test-kills", dir.take().unwrap(), |hold| hold);
            fresh.image();
            fresh
        });
        wait("a job", || now.try_job("while :; do sleep 0.1; done", &json!({"Memory": MEMORY})).ok());
        std::thread::sleep(std::time::Duration::from_millis(next(120) as u64));
        let processes = now.processes();
        let roles: Vec<&&'static str> = processes.keys().collect();
        let role: &str = roles[next(roles.len())];
        let pids = &processes[role];
        println!("kill {nth}: {role}");
        kill(pids[next(pids.len())]);
        match role {
            "holder" | "moat" | "names" | "init" | "network" => {
                let left = held.take().unwrap().gone();
                nothing_left("test-kills", left.path());
                dir = Some(left);
            }
            _ => drop(wait("the engine again", || now.ask("GET", "/_ping", held::NOTHING).ok())),
        }
    }
    if let Some(held) = held {
        let dir = held.let_go();
        nothing_left("test-kills", dir.path());
    }
}

/// The user, the ranges and the group are the test's: no file of this PC's is changed.
#[test]
fn an_ordinary_user_with_a_delegated_group_has_the_same_capsule() {
    if let Some(needs) = lacks() {
        println!("skipped: needs {needs}");
        return;
    }
    const USER: u32 = 54_321;
    let Some(delegated) = Delegated::to(USER) else {
        println!("skipped: needs a control group that can be delegated");
        return;
    };
    let held = held_by_user("test-user", USER, &delegated, "");
    held.image();

    let (code, said) = held.run("id; cat /proc/self/uid_map", json!({"Memory": MEMORY, "PidsLimit": 20}));
    assert_eq!(code, 0, "{said}");
    let limits = json!({"Memory": MEMORY, "MemorySwap": MEMORY});
    assert_eq!(held.run("dd if=/dev/zero of=/dev/null bs=200M count=1", limits).0, 137);
    let outside = fs::metadata(format!("/proc/{}", held.processes()["init"][0])).unwrap().uid();
    assert_eq!(outside, 0x7200_0000, "not even the owner");
    let dir = held.let_go();
    nothing_left("test-user", dir.path());
}

/// Nothing but a look keeps a folder to its size.
#[test]
fn a_capsule_whose_jobs_fill_an_ordinary_users_folder_ends_and_says_why() {
    if let Some(needs) = lacks() {
        println!("skipped: needs {needs}");
        return;
    }
    const USER: u32 = 54_323;
    let Some(delegated) = Delegated::to(USER) else {
        println!("skipped: needs a control group that can be delegated");
        return;
    };
    let mut held = held_by_user("test-full", USER, &delegated, "--disk 1073741824");
    held.image();
    wait("a look", || held.tell("count").contains("disk: Some((").then_some(()));
    wait("the image on it", || (holds(&mut held) > 1 << 20).then_some(()));

    held.job("dd if=/dev/zero of=/full bs=1M count=1100; sleep 600", json!({"Memory": MEMORY}));

    let dir = held.gone();
    let said = fs::read_to_string(dir.path().join("errors")).unwrap();
    assert!(said.contains("jobs have filled the disk of the capsule"), "{said}");
    nothing_left("test-full", dir.path());
}
