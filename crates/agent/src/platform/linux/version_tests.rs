//! Guards and resident programs of different ages, spoken by hand.

use std::time::Duration;

use ionet_core::fault::WorkFault;
use ionet_private::Lock;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};

use super::guard_tests::{connect, run_dir, stop};
use super::protocol::{OURS, Versions};
use super::stage::Stage;
use crate::guard::Guard;

/// One side of a conversation: what it hears, and what it says.
struct Other {
    lines: Lines<BufReader<OwnedReadHalf>>,
    write: OwnedWriteHalf,
}

impl Other {
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

fn hello(version: u32) -> String {
    serde_json::json!({"say": "hello", "newest": version, "oldest": version}).to_string()
}

fn listener(stage: &Stage) -> UnixListener {
    std::fs::create_dir_all(run_dir(stage)).unwrap();
    UnixListener::bind(run_dir(stage).join("guard.sock")).unwrap()
}

#[tokio::test]
async fn a_guard_that_is_slow_to_freeze_is_said_and_with_one_that_is_gone_nothing_runs() {
    let stage = Stage::new();
    let listener = listener(&stage);
    let run_dir = run_dir(&stage);
    let guard = tokio::spawn(async move { Guard::connect(&run_dir).await });
    let mut slow = Other::accepts(&listener).await;
    slow.says(&hello(OURS.newest)).await;
    slow.says(r#"{"say":"status","running":null}"#).await;
    let (guard, _events) = guard.await.unwrap().unwrap();

    assert_eq!(guard.freeze().await, Err(WorkFault::StillThere { left: 1 }));
    drop(slow);

    assert_eq!(guard.freeze().await, Ok(()));
}

/// Speaks by hand.
async fn app(stage: &Stage) -> Other {
    let stream = UnixStream::connect(run_dir(stage).join("guard.sock")).await.unwrap();
    let (read, write) = stream.into_split();
    let mut app = Other { lines: BufReader::new(read).lines(), write };
    app.says(&serde_json::json!({"ask": "hello", "newest": OURS.newest, "oldest": OURS.oldest}).to_string())
        .await;
    assert_eq!(app.is_asked().await["say"], "hello");
    app
}

#[tokio::test]
async fn every_freeze_and_thaw_is_answered_to_whoever_asked_and_to_nobody_after_it() {
    let stage = Stage::new();
    let ask = |word: &str, number: u64| serde_json::json!({"ask": word, "question": number}).to_string();
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
    let mut second = app(&stage).await;
    second.says(&ask("thaw", 9)).await;
    assert_eq!(second.is_asked().await["question"], 9);
    second.says(r#"{"ask":"stop"}"#).await;
    assert_eq!(second.is_asked().await["say"], "stopped");
}

/// One that says another version, and one from before there were any.
#[tokio::test]
async fn a_guard_that_is_not_understood_is_asked_to_stop_and_go_and_a_new_one_takes_its_place() {
    let stage = Stage::new();
    let listener = listener(&stage);
    let socket = run_dir(&stage).join("guard.sock");
    // As long as it is there it has the folder, like any guard.
    let alone = Lock::take(&run_dir(&stage).join("guard.lock")).unwrap();
    let strange = tokio::spawn(async move {
        for said in [hello(OURS.newest + 5), r#"{"say":"status","running":null}"#.to_owned()] {
            let mut strange = Other::accepts(&listener).await;
            strange.says(&said).await;
            assert_eq!(strange.is_asked().await["ask"], "hello");
            assert_eq!(strange.is_asked().await["ask"], "status");
            assert_eq!(strange.is_asked().await, serde_json::json!({"ask": "stop"}));
            assert!(strange.lines.next_line().await.unwrap().is_none(), "and nobody holds it any more");
        }
        std::fs::remove_file(socket).unwrap();
        drop(alone);
    });

    let (guard, _events) = connect(&stage).await;

    strange.await.unwrap();
    assert_eq!(guard.running(), None);
    stop(&stage, &guard).await.unwrap();
}

#[test]
fn two_speak_the_newest_that_both_know_or_nothing() {
    let versions = |newest, oldest| Versions { newest, oldest };

    assert_eq!(OURS.shared(versions(OURS.oldest - 1, 1)), None);
    assert_eq!(OURS.shared(OURS), Some(OURS.newest));
    assert_eq!(OURS.shared(versions(OURS.newest + 1, OURS.newest)), Some(OURS.newest));
    assert_eq!(OURS.shared(versions(OURS.newest + 2, OURS.newest + 1)), None);
}
