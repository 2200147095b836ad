//! Who holds the guard, and what becomes of the agent and its work when that one goes, or the guard itself does.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ionet_core::StartId;

use super::conversation::Conversation;
use super::guard::until_lost;
use super::guard_tests::{connect, next, place, program, run_dir, started, stop, until_nothing_is_left};
use super::processes::{Row, row};
use super::signals::{Signal, send};
use super::stage::{Stage, is_alive, until};
use crate::guard::{GuardEvent, HoldId};
use crate::teardown;

#[tokio::test]
async fn with_the_resident_program_gone_and_none_after_it_everything_is_torn_down() {
    let stage = Stage::new();
    let (guard, _events) = connect(&stage).await;
    started(&stage, &guard).await;
    let ours = stage.ours().await;

    drop(guard);

    until_nothing_is_left(&stage).await;
    assert!(!ours.iter().any(|process| is_alive(process.pid)));
}

#[tokio::test]
async fn a_successor_in_time_finds_the_agent_running() {
    let stage = Stage::new();
    let (guard, _events) = connect(&stage).await;
    let running = started(&stage, &guard).await;

    drop(guard);
    let (successor, _events) = connect(&stage).await;

    assert_eq!(successor.running(), Some(running.clone()));
    assert!(is_alive(running.pid));
    stop(&stage, &successor).await.unwrap();
    assert_eq!(stage.ours().await, []);
}

#[tokio::test]
async fn a_newer_resident_program_replaces_the_older() {
    let stage = Stage::new();
    let (older, mut events) = connect(&stage).await;
    started(&stage, &older).await;

    let (newer, _events) = connect(&stage).await;

    assert_eq!(events.recv().await, Some(GuardEvent::Lost(older.id())));
    assert_ne!(older.id(), newer.id());
    drop(older);
    stop(&stage, &newer).await.unwrap();
}

#[tokio::test]
async fn a_second_guard_on_the_same_folder_does_not_start() {
    let stage = Stage::new();
    let (guard, _events) = connect(&stage).await;

    let second = tokio::process::Command::new(program(&stage))
        .args(["guard", "--run-dir"])
        .arg(run_dir(&stage))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status();

    assert!(!second.await.unwrap().success());
    started(&stage, &guard).await;
    stop(&stage, &guard).await.unwrap();
}

#[tokio::test]
async fn with_nothing_running_the_guard_ends_with_its_resident_program() {
    let stage = Stage::new();
    let (guard, _events) = connect(&stage).await;

    drop(guard);

    until_nothing_is_left(&stage).await;
}

#[tokio::test]
async fn a_guard_that_is_let_go_after_a_stop_has_ended_and_that_is_no_news() {
    let stage = Stage::new();
    let (guard, mut events) = connect(&stage).await;
    started(&stage, &guard).await;
    stop(&stage, &guard).await.unwrap();

    guard.let_go().await;

    assert!(!run_dir(&stage).join("guard.sock").exists());
    assert_eq!(events.recv().await, None);
    let (next, _events) = connect(&stage).await;
    started(&stage, &next).await;
    stop(&stage, &next).await.unwrap();
}

#[tokio::test]
async fn a_guard_that_is_told_to_end_tears_everything_down() {
    let stage = Stage::new();
    let (guard, mut events) = connect(&stage).await;
    let running = started(&stage, &guard).await;
    let ours = stage.ours().await;

    send(&parent(running.pid), Signal::TERM);

    assert_eq!(events.recv().await, Some(GuardEvent::Lost(guard.id())));
    until_nothing_is_left(&stage).await;
    assert!(!ours.iter().any(|process| is_alive(process.pid)));
}

fn parent(pid: u32) -> Row {
    row(row(pid as i32).unwrap().parent).unwrap()
}

/// Also one that has left session, parent and environment behind, and one that ignores whatever it can.
#[tokio::test]
async fn with_the_guard_itself_killed_everything_ends_and_a_stop_clears_away_without_it() {
    let stage = Stage::new();
    let (guard, mut events) = connect(&stage).await;
    let running = started(&stage, &guard).await;
    guard.freeze().await.unwrap();
    let ours = stage.ours().await;

    send(&parent(running.pid), Signal::KILL);
    assert_eq!(events.recv().await, Some(GuardEvent::Lost(guard.id())));
    assert_eq!(guard.freeze().await, Ok(()), "nothing runs");
    assert_eq!(guard.stop(next(), &place(&stage), Duration::ZERO).await, None);
    teardown::after_guard(&run_dir(&stage), &stage.data()).await.unwrap();

    assert!(ours.len() >= 5 && !ours.iter().any(|process| is_alive(process.pid)));
    assert_eq!(fs::read_dir(stage.data().join("alloc")).unwrap().count(), 0);
}

#[tokio::test]
async fn with_the_guards_keeper_killed_the_guard_ends_everything() {
    let stage = Stage::new();
    let (guard, mut events) = connect(&stage).await;
    let running = started(&stage, &guard).await;
    let ours = stage.ours().await;
    let guards = parent(running.pid);

    send(&parent(guards.pid as u32), Signal::KILL);

    assert_eq!(events.recv().await, Some(GuardEvent::Lost(guard.id())));
    until("the guard's end", || !is_alive(guards.pid as u32)).await;
    assert!(!ours.iter().any(|process| is_alive(process.pid)));
}

#[tokio::test]
async fn an_agent_whose_guard_was_killed_makes_room_for_the_next_one() {
    let stage = Stage::new();
    let (guard, mut events) = connect(&stage).await;
    let first = started(&stage, &guard).await;
    let ours = stage.ours().await;
    send(&parent(first.pid), Signal::KILL);
    assert_eq!(events.recv().await, Some(GuardEvent::Lost(guard.id())));
    drop(guard);

    let (guard, _events) = connect(&stage).await;

    assert!(!ours.iter().any(|process| is_alive(process.pid)), "before the next guard is there");
    assert_eq!(guard.running(), None);
    let second = started(&stage, &guard).await;
    assert!(is_alive(second.pid));
    stop(&stage, &guard).await.unwrap();
}

#[tokio::test]
async fn however_the_reading_of_a_guard_ends_it_is_lost_and_that_is_told_once() {
    let ends: [std::pin::Pin<Box<dyn Future<Output = ()> + Send>>; 2] =
        [Box::pin(async {}), Box::pin(async { panic!("a word that nobody has thought of") })];
    for listening in ends {
        let (events, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let talk = Arc::new(Mutex::new(Conversation::new(None)));
        let start = talk.lock().unwrap().start(StartId(1));
        let lost = until_lost(listening, Arc::clone(&talk), Arc::default(), events, HoldId(7));
        let _ = tokio::spawn(lost).await;

        assert!(start.await.is_err(), "whoever waits for a word of it does so no more");
        assert_eq!(heard.recv().await, Some(GuardEvent::Lost(HoldId(7))));
        assert_eq!(heard.recv().await, None);
    }
}
