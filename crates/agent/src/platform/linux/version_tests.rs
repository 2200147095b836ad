//! Guards and resident programs of different ages. The older one's words are those that version 1 really said.

use std::path::PathBuf;
use std::time::Duration;

use ionet_core::StartId;
use ionet_core::fault::{AgentFault, RegistrationFault, WorkFault};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};

use super::guard_tests::{connect, next, place, run_dir, start, stop};
use super::protocol::{OURS, Versions};
use super::stage::Stage;
use crate::guard::{Guard, GuardEvent};

/// What an older guard is asked, and what it answers.
struct Old {
    lines: Lines<BufReader<OwnedReadHalf>>,
    write: OwnedWriteHalf,
}

impl Old {
    async fn accepts(listener: &UnixListener) -> Self {
        let (read, write) = listener.accept().await.unwrap().0.into_split();
        Self { lines: BufReader::new(read).lines(), write }
    }

    async fn is_asked(&mut self) -> serde_json::Value {
        let line = self.lines.next_line().await.unwrap().expect("a word");
        serde_json::from_str(&line).unwrap()
    }

    async fn says(&mut self, line: &str) {
        self.write.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }
}

fn listener(stage: &Stage) -> UnixListener {
    std::fs::create_dir_all(run_dir(stage)).unwrap();
    UnixListener::bind(run_dir(stage).join("guard.sock")).unwrap()
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one scene from its beginning to its end")]
async fn a_new_app_takes_over_the_agent_of_an_old_guard_and_speaks_its_words() {
    let stage = Stage::new();
    let listener = listener(&stage);
    let guard = tokio::spawn({
        let run_dir = run_dir(&stage);
        async move { Guard::connect(&run_dir).await }
    });
    let mut old = Old::accepts(&listener).await;
    assert_eq!(old.is_asked().await["ask"], "hello", "which it passes over");
    assert_eq!(old.is_asked().await, serde_json::json!({"ask": "status"}));
    old.says(r#"{"say":"status","running":{"pid":4711,"data_dir":"/data/agent","docker_socket":null,"http":null}}"#).await;
    old.says(r#"{"say":"registration","result":{"Err":"denied"}}"#).await;
    let (guard, mut events) = guard.await.unwrap().unwrap();

    let running = guard.running().unwrap();
    assert_eq!((running.pid, running.id, running.up), (4711, StartId(0), false));
    let registration = events.recv().await;
    let denied = GuardEvent::Registration { id: StartId(0), result: Err(RegistrationFault::Denied) };
    assert_eq!(registration, Some(denied));

    // It knows no freezing: what there is, is frozen from here.
    guard.freeze(&place(&stage)).await.unwrap();

    let (mine, place) = (next(), place(&stage));
    let (stopped, ()) = tokio::join!(guard.stop(mine, &place, Duration::ZERO), async {
        assert_eq!(old.is_asked().await["ask"], "stop");
        old.says(r#"{"say":"stopped"}"#).await;
    });
    stopped.unwrap();
    assert_eq!(guard.running(), None);

    let again = start(&stage, PathBuf::from("/usr/bin/nomad"));
    let id = again.id;
    let (started, ()) = tokio::join!(guard.start(again), async {
        let asked = old.is_asked().await;
        assert_eq!(
            (&asked["ask"], &asked["data_dir"]),
            (&"start".into(), &stage.data().to_string_lossy().into())
        );
        old.says(r#"{"say":"started","pid":4712,"data_dir":"/data/agent","docker_socket":null,"http":null}"#)
            .await;
    });
    assert_eq!(started.unwrap().id, id);
    old.says(r#"{"say":"exited","code":1,"stderr_tail":"boom"}"#).await;
    let exited = events.recv().await;
    assert!(matches!(exited, Some(GuardEvent::Exited { id: of, code: Some(1), .. }) if of == id));

    let (refused, ()) = tokio::join!(guard.start(start(&stage, PathBuf::from("/x"))), async {
        old.is_asked().await;
        old.says(r#"{"say":"not_started","why":"busy"}"#).await;
    });
    assert_eq!(refused, Err(AgentFault::NoGuard("it holds another agent".to_owned())));
}

#[tokio::test]
async fn a_guard_that_is_slow_to_freeze_is_overtaken_by_nobody_and_one_that_is_gone_is_stood_in_for() {
    let mut stage = Stage::new();
    let listener = listener(&stage);
    let run_dir = run_dir(&stage);
    let guard = tokio::spawn(async move { Guard::connect(&run_dir).await });
    let mut slow = Old::accepts(&listener).await;
    slow.says(r#"{"say":"hello","newest":2,"oldest":1}"#).await;
    slow.says(r#"{"say":"status","running":null}"#).await;
    let (guard, _events) = guard.await.unwrap().unwrap();
    stage.executor(&stage.data(), "sleep 600; sleep 600");
    stage.until_tasks(1).await;

    assert_eq!(guard.freeze(&place(&stage)).await, Err(WorkFault::StillThere { left: 1 }));
    assert!(!stage.tasks().await.iter().any(|task| task.frozen), "two would come between each other");
    drop(slow);

    assert_eq!(guard.freeze(&place(&stage)).await, Ok(()));
    assert!(stage.tasks().await.iter().all(|task| task.frozen));
}

/// Speaks version 2 by hand.
async fn app(stage: &Stage) -> Old {
    let stream = UnixStream::connect(run_dir(stage).join("guard.sock")).await.unwrap();
    let (read, write) = stream.into_split();
    let mut app = Old { lines: BufReader::new(read).lines(), write };
    app.says(r#"{"ask":"hello","newest":2,"oldest":1}"#).await;
    assert_eq!(app.is_asked().await["say"], "hello");
    app
}

#[tokio::test]
async fn every_freeze_and_thaw_is_answered_to_whoever_asked_and_to_nobody_after_it() {
    let stage = Stage::new();
    let socket = stage.dir.path().join("docker.sock");
    // Each look takes a while.
    let _stuck = UnixListener::bind(&socket).unwrap();
    let place = serde_json::json!({"data_dir": stage.data(), "docker_socket": socket});
    let ask = |word: &str, number: u64| {
        serde_json::json!({"ask": word, "question": number, "place": place}).to_string()
    };
    let (_older, _events) = connect(&stage).await;

    let mut first = app(&stage).await;
    for (word, number) in [("freeze", 1), ("freeze", 2), ("thaw", 3)] {
        first.says(&ask(word, number)).await;
    }
    let mut answered = Vec::new();
    for _ in 0..3 {
        let answer = tokio::time::timeout(Duration::from_secs(20), first.is_asked()).await.unwrap();
        answered.push(answer["question"].as_u64().unwrap());
    }
    answered.sort_unstable();
    assert_eq!(answered, [1, 2, 3], "also the one that was overtaken");

    first.says(&ask("freeze", 4)).await;
    first.says(r#"{"ask":"status"}"#).await;
    assert_eq!(first.is_asked().await["say"], "status", "the look is under way");
    let mut second = app(&stage).await;
    second.says(&ask("thaw", 9)).await;
    assert_eq!(second.is_asked().await["question"], 9);
    second.says(r#"{"ask":"stop"}"#).await;
    assert_eq!(second.is_asked().await["say"], "not_stopped");
}

#[tokio::test]
async fn an_old_app_finds_its_agent_at_a_new_guard() {
    let stage = Stage::new();
    let (newer, _events) = connect(&stage).await;
    let agent = stage.script("nomad", "trap 'exit 1' TERM; while :; do sleep 0.05; done");
    let running = newer.start(start(&stage, agent.clone())).await.unwrap();

    let stream = UnixStream::connect(run_dir(&stage).join("guard.sock")).await.unwrap();
    let (read, write) = stream.into_split();
    let mut app = Old { lines: BufReader::new(read).lines(), write };
    app.says(r#"{"ask":"status"}"#).await;
    let status = app.is_asked().await;
    assert_eq!((&status["say"], &status["running"]["pid"]), (&"status".into(), &running.pid.into()));
    let data_dir = stage.data().display().to_string();
    let begin = serde_json::json!({"ask": "start", "program": agent, "args": [], "env": {}, "cwd": stage.dir.path(),
        "data_dir": data_dir, "docker_socket": null, "log": stage.dir.path().join("log"), "http": null});
    app.says(&begin.to_string()).await;
    let busy = app.is_asked().await;
    assert_eq!((&busy["say"], &busy["why"]), (&"not_started".into(), &"busy".into()));
    app.says(r#"{"ask":"stop"}"#).await;
    assert_eq!(app.is_asked().await["say"], "stopped");

    app.says(&begin.to_string()).await;
    let started = app.is_asked().await;
    assert_eq!((&started["say"], &started["data_dir"]), (&"started".into(), &data_dir.into()));
    app.says(r#"{"ask":"stop"}"#).await;
    assert_eq!(app.is_asked().await["say"], "stopped");
    assert_eq!(stage.ours().await, []);
}

#[tokio::test]
async fn a_guard_that_is_not_understood_is_asked_to_stop_and_go_and_a_new_one_takes_its_place() {
    let stage = Stage::new();
    let listener = listener(&stage);
    let socket = run_dir(&stage).join("guard.sock");
    let strange = tokio::spawn(async move {
        let mut strange = Old::accepts(&listener).await;
        strange.says(r#"{"say":"hello","newest":9,"oldest":8}"#).await;
        assert_eq!(strange.is_asked().await["ask"], "hello");
        assert_eq!(strange.is_asked().await["ask"], "status");
        assert_eq!(strange.is_asked().await, serde_json::json!({"ask": "stop"}));
        assert!(strange.lines.next_line().await.unwrap().is_none(), "and nobody holds it any more");
        std::fs::remove_file(socket).unwrap();
    });

    let (guard, _events) = connect(&stage).await;

    strange.await.unwrap();
    assert_eq!(guard.running(), None);
    stop(&stage, &guard).await.unwrap();
}

#[test]
fn two_speak_the_newest_that_both_know_or_nothing() {
    let versions = |newest, oldest| Versions { newest, oldest };

    assert_eq!(OURS.shared(versions(1, 1)), Some(1));
    assert_eq!(OURS.shared(OURS), Some(OURS.newest));
    assert_eq!(OURS.shared(versions(OURS.newest + 1, OURS.newest)), Some(OURS.newest));
    assert_eq!(OURS.shared(versions(OURS.newest + 2, OURS.newest + 1)), None);
}
