//! The disk that jobs' files lie on hangs in mid-call: the owner gets the PC back all the same.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use disk_double::Hang;
use ionet_core::fault::{AgentFault, WorkFault};
use tokio::time::timeout;

use super::gate::Gate;
use super::gate_tests::{asked_for, post, say};
use super::guard_tests::{agent, connect, place, start, started, stop};
use super::processes::row;
use super::stage::{ALLOC, Stage, is_alive};
use super::work;

/// Against a test that hangs itself; whoever waits for the disk waits for ever.
const SOON: Duration = Duration::from_secs(20);

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    timeout(SOON, what).await.expect("it hangs with the disk")
}

async fn sweep(stage: &Stage) -> Result<(), WorkFault> {
    let family = stage.family().unwrap();
    in_time(work::sweep(family, Some(&place(stage)), Duration::ZERO)).await
}

/// What runs as a task, by its number: the disk is not asked.
async fn tasks(stage: &Stage) -> Vec<u32> {
    stage.tasks().await.into_iter().map(|task| task.pid).collect()
}

fn is_frozen(pid: u32) -> bool {
    row(pid as i32).is_some_and(|row| row.is_frozen())
}

#[tokio::test]
async fn while_the_data_disk_hangs_work_is_frozen_and_ended_and_its_files_are_said_and_go_later() {
    let mut stage = Stage::new();
    let family = stage.executor("sleep 600 & sleep 600; true");
    stage.until_tasks(2).await;
    let tasks = tasks(&stage).await;
    let Some(hang) = Hang::over(&stage.data()) else { return };

    in_time(work::freeze(family, Arc::default())).await.1.unwrap();
    assert!(tasks.iter().all(|pid| is_frozen(*pid)));
    assert_eq!(sweep(&stage).await, Err(WorkFault::FilesLeft { left: 1 }));
    assert!(!tasks.iter().any(|pid| is_alive(*pid)));
    assert_eq!(sweep(&stage).await, Err(WorkFault::FilesLeft { left: 1 }), "it hangs still");

    drop(hang);
    assert!(stage.data().join("alloc").join(ALLOC).exists());
    assert_eq!(sweep(&stage).await, Ok(()));
    assert_eq!(fs::read_dir(stage.data().join("alloc")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_guard_whose_data_disk_hangs_freezes_and_ends_all_work_and_starts_nothing_until_it_answers() {
    let stage = Stage::new();
    let (guard, _events) = connect(&stage).await;
    let running = started(&stage, &guard).await;
    let tasks = tasks(&stage).await;
    let Some(hang) = Hang::over(&stage.data()) else { return };

    in_time(guard.freeze()).await.unwrap();
    assert!(tasks.iter().all(|pid| is_frozen(*pid)));
    assert_eq!(in_time(stop(&stage, &guard)).await, Err(WorkFault::FilesLeft { left: 1 }));
    assert!(!tasks.iter().any(|pid| is_alive(*pid)) && !is_alive(running.pid));
    let refused = in_time(guard.start(start(&stage, agent(&stage)))).await;
    assert!(matches!(refused, Err(AgentFault::FolderUnwritable(why)) if why.contains("disk")));

    drop(hang);
    assert_eq!(stop(&stage, &guard).await, Ok(()));
    assert_eq!(fs::read_dir(stage.data().join("alloc")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_start_that_hangs_in_its_disk_is_frozen_and_stopped_like_any_other() {
    let stage = Stage::new();
    let (guard, _events) = connect(&stage).await;
    let Some(_hang) = Hang::over(&stage.data()) else { return };
    let starting = guard.start(start(&stage, agent(&stage)));
    tokio::pin!(starting);
    assert!(timeout(Duration::from_millis(100), &mut starting).await.is_err(), "it hangs");

    in_time(guard.freeze()).await.unwrap();
    let stopped = in_time(stop(&stage, &guard)).await;

    assert_eq!(in_time(starting).await, Err(AgentFault::CalledOff));
    assert_eq!(stopped, Err(WorkFault::FilesLeft { left: 1 }));
}

/// A guard has one thread for all that it does.
#[tokio::test]
async fn a_container_whose_folders_hang_with_their_disk_holds_up_nobody_else_at_the_gate() {
    let stage = Stage::new();
    let socket = stage.dir.path().join("engine.sock");
    let gone = stage.dir.path().join("gone.sock");
    let _gate = Gate::open(socket.clone(), &gone, &stage.data(), Vec::new(), Arc::new(|_| ())).unwrap();
    let asked = asked_for(&stage.data(), ALLOC).to_string();
    let Some(hang) = Hang::over(&stage.data()) else { return };
    let asked = post("/v1.41/containers/create", &asked);
    let hangs = say(&socket, &asked);
    tokio::pin!(hangs);
    assert!(timeout(Duration::from_millis(100), &mut hangs).await.is_err(), "it hangs");

    let other = in_time(say(&socket, &post("/v1.41/build", ""))).await;
    let refused = in_time(hangs).await;
    drop(hang);

    assert!(other.starts_with("HTTP/1.1 403"), "{other}");
    assert!(refused.starts_with("HTTP/1.1 403") && refused.contains("does not answer"), "{refused}");
    // Looked at, once who hung has come back: there is no engine.
    let admitted = async {
        while !say(&socket, &asked).await.contains("that the engine says too much of, or nothing") {}
    };
    in_time(admitted).await;
}
