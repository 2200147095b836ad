use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ionet_core::fault::WorkFault;
use rustix::process::{Pid, getpriority_process};
use tokio::net::UnixListener;

use super::guard_tests::place;
use super::processes::{Family, Role};
use super::stage::{ALLOC, Stage, is_alive, until};
use super::work::{self, thaw};
use crate::guard::Place;
use crate::{introduction, teardown};

async fn sweep(stage: &Stage) -> Result<(), WorkFault> {
    work::sweep(stage.family().unwrap_or_else(nobody), Some(&place(stage)), Duration::from_secs(2)).await
}

fn nobody() -> Family {
    Family { guard: i32::MAX, agent: None, program: None }
}

/// Look after look, as a guard does it.
async fn freeze(family: &Family) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while let (_, Err(fault)) = work::freeze(family.clone(), Arc::default()).await {
        assert!(Instant::now() < deadline, "{fault:?}");
    }
}

/// A tree that never stops starting processes: the race that a freeze must win.
const RESTLESS: &str = r#"
sh -c 'while :; do sh -c "echo x >> ticks; sleep 0.01"; done' &
sh -c 'while :; do sh -c "echo y >> ticks; sleep 0.01"; done' &
wait"#;

fn ticks(stage: &Stage) -> u64 {
    fs::metadata(stage.dir.path().join("ticks")).map_or(0, |file| file.len())
}

#[tokio::test]
async fn freezing_stops_a_whole_restless_tree_and_thawing_lets_it_go_on_at_the_lowest_priority() {
    let mut stage = Stage::new();
    let family = stage.executor(RESTLESS);
    until("ticks", || ticks(&stage) > 10).await;

    freeze(&family).await;

    let frozen = stage.ours().await;
    let stood = ticks(&stage);
    assert!(frozen.iter().all(|process| process.frozen == (process.role == Role::Task)), "{frozen:?}");
    assert_eq!(frozen.iter().filter(|process| process.role == Role::Agent).count(), 1, "the executor");
    let stands = stage.ours().await;
    assert_eq!((&stands, ticks(&stage)), (&frozen, stood), "nobody came, went or went on");

    thaw(family).await.unwrap();

    until("more ticks", || ticks(&stage) > stood + 10).await;
    for task in stage.tasks().await {
        if let Ok(nice) = getpriority_process(Pid::from_raw(task.pid as i32)) {
            assert_eq!(nice, 19);
        }
    }
}

/// A shell waits in the kernel for a child that it has just made, and cannot be stopped as long as that one is.
#[tokio::test]
async fn a_freeze_that_meets_a_program_as_it_starts_another_is_a_freeze_all_the_same() {
    let mut stage = Stage::new();
    let restless = "sh -c 'while :; do echo x >> ticks; /bin/true; done'";
    let family = stage.executor(&format!("{restless} & {restless} & wait"));
    until("ticks", || ticks(&stage) > 10).await;

    for _ in 0..60 {
        freeze(&family).await;
        let (frozen, stood) = (stage.ours().await, ticks(&stage));
        assert!(frozen.iter().all(|process| process.frozen == (process.role == Role::Task)), "{frozen:?}");
        assert_eq!((stage.ours().await, ticks(&stage)), (frozen, stood), "nobody came, went or went on");
        thaw(family.clone()).await.unwrap();
        until("more ticks", || ticks(&stage) > stood).await;
    }
}

#[tokio::test]
async fn a_sweep_leaves_nothing_of_ours_and_everything_of_others() {
    let (mut stage, mut other) = (Stage::new(), Stage::new());
    let stubborn = "trap '' TERM; sh -c 'trap \"\" TERM; sleep 600; sleep 600'; true";
    let family = stage.executor(stubborn);
    other.executor("sleep 600; true");
    stage.until_tasks(2).await;
    other.until_tasks(1).await;
    freeze(&family).await;
    let (ours, theirs) = (stage.ours().await, other.ours().await);

    sweep(&stage).await.unwrap();

    assert!(ours.len() >= 3 && !ours.iter().any(|process| is_alive(process.pid)));
    assert_eq!(theirs, other.ours().await);
    assert!(other.data().join("alloc").join(ALLOC).exists());
}

#[tokio::test]
async fn a_task_that_obeys_has_time_to_leave() {
    let mut stage = Stage::new();
    let text = "sh -c 'trap \"echo bye > bye; exit\" TERM; while :; do sleep 0.05; done'; true";
    let family = stage.executor(text);
    stage.until_tasks(2).await;
    freeze(&family).await;

    sweep(&stage).await.unwrap();

    assert_eq!(fs::read_to_string(stage.dir.path().join("bye")).unwrap(), "bye\n");
}

#[tokio::test]
async fn a_sweep_unmounts_what_nomad_mounted_for_secrets() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let stage = Stage::new();
    let secrets = stage.data().join("alloc").join(ALLOC).join("t t/secrets");
    fs::create_dir_all(&secrets).unwrap();
    if rustix::mount::mount("tmpfs", &secrets, "tmpfs", rustix::mount::MountFlags::NOEXEC, None).is_err() {
        eprintln!("skipped: needs the right to mount");
        return;
    }
    fs::write(secrets.join("token"), "x").unwrap();

    sweep(&stage).await.unwrap();

    assert!(!secrets.join("token").exists());
    fs::remove_dir_all(stage.data()).unwrap();
}

#[tokio::test]
async fn a_state_that_cannot_be_removed_keeps_neither_the_introduction_nor_the_rest_of_it() {
    let stage = Stage::new();
    let client = stage.data().join("client");
    introduction::place(&stage.data(), "token").unwrap();
    // No file: it stays.
    fs::create_dir(client.join("state.db.1")).unwrap();
    for file in ["state.db", "state.db.2"] {
        fs::write(client.join(file), "x").unwrap();
    }

    assert_eq!(sweep(&stage).await, Err(WorkFault::FilesLeft { left: 1 }));

    let left: Vec<_> = fs::read_dir(&client).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["state.db.1"]);
    assert_eq!(fs::read_dir(stage.data().join("alloc")).unwrap().count(), 0);
}

#[tokio::test]
async fn an_engine_that_is_not_there_holds_nothing_and_one_that_does_not_answer_is_a_fault() {
    let stage = Stage::new();
    let socket = stage.dir.path().join("docker.sock");

    assert_eq!(teardown::in_new_world(&stage.data(), &socket).await, Ok(()));

    drop(UnixListener::bind(&socket).unwrap());
    assert_eq!(teardown::in_new_world(&stage.data(), &socket).await, Err(WorkFault::EngineDown));
}

#[tokio::test]
async fn an_engine_that_accepts_and_never_answers_holds_up_no_sweep() {
    let mut stage = Stage::new();
    let socket = stage.dir.path().join("docker.sock");
    let _stuck = UnixListener::bind(&socket).unwrap();
    let family = stage.executor("trap '' TERM; sleep 600; sleep 600");
    stage.until_tasks(1).await;
    let ours = stage.ours().await;
    let place = Place { docker_socket: Some(socket), ..place(&stage) };

    let swept = work::sweep(family, Some(&place), Duration::ZERO).await;

    assert_eq!(swept, Err(WorkFault::EngineDown));
    assert!(!ours.iter().any(|process| is_alive(process.pid)));
    assert_eq!(fs::read_dir(stage.data().join("alloc")).unwrap().count(), 0);
}
