//! That the last word wins at a real guard: starts that are slow, given up, replaced or called off; work that is frozen
//! and what starts meanwhile; files of jobs.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ionet_core::StartId;
use ionet_core::fault::AgentFault;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::beside::{Beside, Done};
use super::guard_tests::{WORK, connect, next, place, start, started, stop};
use super::stage::{ALLOC, Stage, is_alive, until};
use crate::guard::{GuardEvent, Start};

/// Nobody listens there, nor will.
fn nowhere() -> Option<SocketAddr> {
    Some(SocketAddr::from(([127, 0, 0, 1], 1)))
}

/// An agent that never comes up.
fn slow(stage: &Stage, text: &str) -> Start {
    let slow = stage.script("nomad", &format!("trap 'exit 1' TERM; {text}\nwhile :; do sleep 0.05; done"));
    Start { http: nowhere(), ..start(stage, slow) }
}

/// Whatever is asked, it is answered.
async fn comes_up(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    }
}

#[tokio::test]
async fn a_start_that_was_given_up_and_comes_up_late_is_told_and_can_be_taken_over() {
    let stage = Stage::new();
    let (guard, mut events) = connect(&stage).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let slow = Start { http: Some(listener.local_addr().unwrap()), ..slow(&stage, "") };
    let id = slow.id;

    assert!(tokio::time::timeout(Duration::from_millis(300), guard.start(slow)).await.is_err());
    assert!(events.try_recv().is_err());
    tokio::spawn(comes_up(listener));

    let Some(GuardEvent::Started(running)) = events.recv().await else { panic!("not told") };
    assert_eq!(running.id, id);
    assert_eq!(guard.running(), Some(running));
    stop(&stage, &guard).await.unwrap();
}

#[tokio::test]
async fn a_stop_goes_through_at_once_while_a_start_is_waited_for() {
    let stage = Stage::new();
    let (guard, mut events) = connect(&stage).await;
    let slow = slow(&stage, "touch there");

    let stopping = async {
        until("the agent's process", || stage.dir.path().join("there").exists()).await;
        stop(&stage, &guard).await
    };
    let (started, stopped) = tokio::join!(guard.start(slow), stopping);

    assert_eq!(started, Err(AgentFault::CalledOff));
    assert_eq!(stopped, Ok(()));
    assert_eq!(stage.ours().await, []);
    assert!(events.try_recv().is_err(), "a start that was called off is no news");
}

#[tokio::test]
async fn a_newer_start_ends_the_older_agent_and_leaves_its_tasks_to_the_new_one() {
    let stage = Stage::new();
    let (guard, mut events) = connect(&stage).await;
    let (older, first) = (guard.running(), started(&stage, &guard).await);
    assert_eq!(older, None);
    let tasks = stage.tasks().await;

    let again = stage.script("nomad", "trap 'exit 1' TERM; while :; do sleep 0.05; done");
    let second = guard.start(start(&stage, again)).await.unwrap();

    assert!(second.id > first.id && !is_alive(first.pid) && is_alive(second.pid));
    assert!(tasks.iter().all(|task| is_alive(task.pid)));
    assert!(events.try_recv().is_err(), "the older one's end was asked for");
    stop(&stage, &guard).await.unwrap();
}

#[tokio::test]
async fn an_older_start_that_is_heard_late_does_not_begin() {
    let stage = Stage::new();
    let (guard, _events) = connect(&stage).await;
    let late = start(&stage, stage.script("late", "touch began; sleep 600"));
    let newest = next();
    guard.stop(newest, &place(&stage), Duration::ZERO).await.unwrap().unwrap();

    assert_eq!(guard.start(late).await, Err(AgentFault::Held { id: newest }));

    assert!(!stage.dir.path().join("began").exists());
}

/// Starts another task whenever it is told to, as the end of an image's pull would.
const STARTING_MORE: &str = r#"trap 'exit 1' TERM
n=0
while :; do
  if [ -e go ]; then
    rm go; n=$((n + 1))
    sh -c 'sh -c "while :; do echo x >> $0; /bin/sleep 0.02; done"; true' "ticks-$n" &
    touch "gone-$n"
  fi
  /bin/sleep 0.02
done"#;

#[tokio::test]
async fn what_starts_while_all_is_frozen_is_frozen_too_until_a_thaw() {
    let stage = Stage::new();
    let (guard, _events) = connect(&stage).await;
    let file = |name: &str| stage.dir.path().join(name);
    let slow = Start { http: nowhere(), ..start(&stage, stage.script("nomad", STARTING_MORE)) };
    let given_up = tokio::time::timeout(Duration::from_millis(300), guard.start(slow)).await;
    assert!(given_up.is_err(), "it is still starting");
    fs::write(file("go"), "").unwrap();
    until("a task", || file("ticks-1").exists()).await;

    guard.freeze().await.unwrap();
    fs::write(file("go"), "").unwrap();
    until("another task", || file("gone-2").exists()).await;

    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let tasks = stage.tasks().await;
        if tasks.len() >= 2 && tasks.iter().all(|task| task.frozen) {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{tasks:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let length = |name: &str| fs::metadata(file(name)).map_or(0, |file| file.len());
    let stood = length("ticks-1");
    guard.thaw().await.unwrap();
    until("ticks", || length("ticks-1") > stood && length("ticks-2") > 0).await;
    stop(&stage, &guard).await.unwrap();
    assert_eq!(stage.ours().await, []);
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one scene from its beginning to its end")]
async fn after_a_stop_no_word_of_a_job_is_left_on_the_disk() {
    let words: Vec<String> = (0..50).map(|number| format!("planted-{number}-word")).collect();
    let stage = Stage::new();
    let (guard, mut events) = connect(&stage).await;
    let allocation = stage.data().join("alloc").join(ALLOC);
    let plants = [
        "alloc/logs/t.stdout.0",
        "alloc/logs/t.stderr.0",
        "alloc/data/result",
        "alloc/tmp/x",
        "t/local/template.env",
        "t/local/artifact.tar",
        "t/secrets/token",
        "t/private/key",
        "t/tmp/x",
        "t/executor.out",
    ];
    for (number, plant) in plants.iter().enumerate() {
        let file = allocation.join(plant);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, &words[number]).unwrap();
    }
    fs::create_dir_all(allocation.join(&words[10])).unwrap();
    fs::write(allocation.join(&words[10]).join(&words[11]), &words[12]).unwrap();
    std::os::unix::fs::symlink(&words[13], allocation.join("t/local/link")).unwrap();
    fs::create_dir_all(stage.data().join("alloc_mounts").join(ALLOC).join(&words[14])).unwrap();
    fs::create_dir_all(stage.data().join("client")).unwrap();
    fs::write(stage.data().join("client/state.db"), words[15..25].join(" ")).unwrap();
    fs::write(stage.data().join("client/state.db.backup"), &words[25]).unwrap();
    let modules = [
        "client.alloc_runner.task_runner",
        "client.driver_mgr.raw_exec",
        "client.driver_mgr.docker",
        "client",
    ];
    let lines: Vec<String> = words[26..].iter().enumerate().map(|(number, word)| {
        let field = ["error", "msg", "task", "driver_cfg", "image_name", "path"][number % 6];
        let module = modules[number % 4];
        serde_json::json!({"@level": "error", "@message": "Task event", "@module": module, "alloc_id": ALLOC, field: word})
            .to_string()
    }).collect();
    fs::write(stage.dir.path().join("lines"), lines.join("\n") + "\n").unwrap();
    let agent = stage.script(
        "nomad",
        "cat lines; rm lines; trap 'exit 1' TERM; while [ ! -e end ]; do sleep 0.02; done; exit 3",
    );
    guard.start(start(&stage, agent)).await.unwrap();
    until("the agent's words", || {
        fs::read_to_string(stage.dir.path().join("client.log"))
            .is_ok_and(|log| log.lines().count() == lines.len())
    })
    .await;
    fs::write(stage.dir.path().join("end"), "").unwrap();
    let Some(GuardEvent::Exited { stderr_tail, .. }) = events.recv().await else { panic!("no exit") };
    assert!(!words.iter().any(|word| stderr_tail.contains(word)));

    stop(&stage, &guard).await.unwrap();

    until("the last words", || stage.dir.path().join("last-words.log").exists()).await;
    let left = found(stage.dir.path(), &words);
    assert_eq!(left, Vec::<PathBuf>::new());
}

#[tokio::test]
async fn the_files_of_a_job_that_has_ended_go_while_the_agent_runs_on() {
    let stage = Stage::new();
    let (guard, _events) = connect(&stage).await;
    let folder = stage.data().join("alloc").join(ALLOC);
    let ended = serde_json::json!({"@message": "marking allocation for GC", "@module": "client.gc", "alloc_id": ALLOC});
    let text = format!("echo '{ended}'; trap 'exit 1' TERM; while :; do sleep 0.05; done");
    assert!(folder.exists());

    guard.start(start(&stage, stage.script("nomad", &text))).await.unwrap();

    until("the folder's end", || !folder.exists()).await;
    stop(&stage, &guard).await.unwrap();
}

/// The agent of now may be another one.
#[tokio::test]
async fn files_that_stay_are_told_of_the_start_whose_job_left_them() {
    let stage = Stage::new();
    let folder = stage.data().join("alloc");
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "no folder").unwrap();
    let (beside, mut done) = Beside::new();

    beside.remove_later(StartId(4), stage.data(), ALLOC.to_owned(), Duration::ZERO);

    let left = tokio::time::timeout(Duration::from_secs(20), done.recv()).await.unwrap();
    assert!(matches!(left, Some(Done::FilesLeft(StartId(4), 1))));
}

/// Files that hold one of the words, or are named with one.
fn found(folder: &std::path::Path, words: &[String]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let named = words.iter().any(|word| entry.file_name().to_string_lossy().contains(word.as_str()));
        let kind = entry.file_type().unwrap();
        let holds = kind.is_file() && {
            let bytes = fs::read(&path).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            words.iter().any(|word| text.contains(word.as_str()))
        };
        if named || holds {
            found.push(path.clone());
        }
        if kind.is_dir() {
            found.extend(self::found(&path, words));
        }
    }
    found
}

#[tokio::test]
async fn damaged_state_goes_with_the_jobs_that_no_agent_can_take_over_and_the_next_start_begins_anew() {
    let words = ["planted-in-the-state".to_owned()];
    let stage = Stage::new();
    let (guard, mut events) = connect(&stage).await;
    fs::create_dir_all(stage.data().join("client")).unwrap();
    fs::write(stage.data().join("client/state.db"), &words[0]).unwrap();
    let text = format!(
        r#"[ -e agent/client/state.db ] && {{ {WORK}
echo "==> Error starting agent: client setup failed: failed to initialize client: failed to open state database: failed to create state database: invalid database" >&2; exit 1; }}
trap 'exit 1' TERM; while :; do sleep 0.05; done"#
    );
    let first = Start { http: nowhere(), ..start(&stage, stage.script("nomad", &text)) };

    assert_eq!(guard.start(first).await, Err(AgentFault::StateDamaged));
    let next = guard.start(start(&stage, stage.dir.path().join("nomad"))).await.unwrap();

    let there = async {
        while !stage.ours().await.iter().any(|process| process.pid == next.pid) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), there).await.unwrap();
    assert!(stage.tasks().await.is_empty());
    assert_eq!(found(&stage.data(), &words), Vec::<PathBuf>::new(), "no copy of it either");
    assert!(events.try_recv().is_err());
    stop(&stage, &guard).await.unwrap();
}

/// Not a test of its own: the program that the next one upgrades while it runs. Its working folder is to be its own.
#[tokio::test]
async fn plays_the_upgraded() {
    let Some(way) = std::env::var_os("IONET_TEST_UPGRADED") else { return };
    let own = crate::own_program().unwrap();
    let upgraded =
        std::process::Command::new("/bin/sh").arg("-ec").arg(way).arg("sh").arg(own.path()).status();
    assert!(upgraded.unwrap().success());

    let again = std::process::Command::new(own.to_run()).args(["--list"]).output().unwrap();

    assert!(again.status.success() && String::from_utf8_lossy(&again.stdout).contains("plays_the_upgraded"));
    fs::write("went on", "").unwrap();
}

/// As package managers, updaters and people do it; the guard of a running app is of that app's version, whatever lies in
/// its place.
#[tokio::test]
async fn a_program_that_was_replaced_by_an_upgrade_still_starts_its_guard() {
    const NEXT: &str =
        "printf '#!/bin/sh\necho another version\n' >\"$1.new\"; chmod 755 \"$1.new\"; mv \"$1.new\" \"$1\"";
    for way in [
        NEXT.to_owned(),
        "rm \"$1\"".to_owned(),
        "mv \"$1\" \"$1.old\"".to_owned(),
        format!("mv \"$1\" \"$1.old\"; {NEXT}"),
        "mv \"${1%/*}\" \"${1%/*} of yesterday\"".to_owned(),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join("bin/ionet-supplier");
        fs::create_dir(dir.path().join("bin")).unwrap();
        // By another process: see the stage's scripts.
        let copied =
            std::process::Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&copy).status();
        assert!(copied.unwrap().success());

        let status = std::process::Command::new(&copy)
            .args(["--exact", "platform::last_word_tests::plays_the_upgraded"])
            .env("IONET_TEST_UPGRADED", &way)
            .current_dir(dir.path())
            .stdout(std::process::Stdio::null())
            .status();

        assert!(status.unwrap().success(), "{way}");
        assert!(dir.path().join("went on").exists(), "{way}");
    }
}

/// It is a secret, and whoever reads the disk later could join the region with it.
#[tokio::test]
async fn an_introduction_goes_once_it_was_read_and_with_an_agent_that_ends_before() {
    let stage = Stage::new();
    let (guard, _events) = connect(&stage).await;
    let file = stage.data().join("client/intro_token.jwt");
    let introduced =
        |program, http| Start { introduction: Some("a token".to_owned()), http, ..start(&stage, program) };

    let read = stage.script("nomad-read", &format!("cat {} > read.txt; sleep 600", file.display()));
    guard.start(introduced(read, None)).await.unwrap();
    until("the token to go", || !file.exists()).await;

    let ends = stage.script("nomad-ends", "exit 1");
    assert!(guard.start(introduced(ends, nowhere())).await.is_err());
    until("the token to go", || !file.exists()).await;

    let missing = stage.dir.path().join("nowhere");
    assert_eq!(guard.start(introduced(missing, None)).await, Err(AgentFault::Missing));
    until("the token to go", || !file.exists()).await;
    stop(&stage, &guard).await.unwrap();
}
