use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ionet_core::fault::WorkFault;
use rustix::process::{Pid, getpriority_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::containers::Pausing;
use super::processes::Scope;
use super::stage::{ALLOC, Stage, is_alive, until};
use super::work;
use crate::introduction;
use crate::teardown;
use crate::workloads::{Role, count, freeze, thaw};

async fn sweep(data_dir: &Path, docker: Option<&Path>) -> Result<(), WorkFault> {
    teardown::sweep(data_dir, docker, Duration::from_secs(2)).await
}

/// A tree that never stops starting processes: the race that a freeze must win.
const RESTLESS: &str = r#"
sh -c 'while :; do sh -c "echo x >> ticks; sleep 0.01"; done' &
sh -c 'while :; do sh -c "echo y >> ticks; sleep 0.01"; done' &
wait"#;

fn ticks(stage: &Stage) -> u64 {
    fs::metadata(stage.dir.path().join("executor-0/ticks")).map_or(0, |file| file.len())
}

#[tokio::test]
async fn freezing_stops_a_whole_restless_tree_and_thawing_lets_it_go_on_at_the_lowest_priority() {
    let mut stage = Stage::new();
    let executor = stage.executor(&stage.data(), RESTLESS);
    until("ticks", || ticks(&stage) > 10).await;

    freeze(&stage.data(), None).await.unwrap();

    let frozen = stage.ours().await;
    let stood = ticks(&stage);
    assert!(frozen.iter().all(|process| process.frozen == (process.role == Role::Task)), "{frozen:?}");
    assert!(frozen.iter().any(|process| process.pid == executor && process.role == Role::Executor));
    assert!(frozen.iter().all(|process| process.alloc_id.as_deref() == Some(ALLOC)));
    let stands = stage.ours().await;
    assert_eq!((&stands, ticks(&stage)), (&frozen, stood), "nobody came, went or went on");

    thaw(&stage.data(), None).await.unwrap();

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
    stage.executor(&stage.data(), &format!("{restless} & {restless} & wait"));
    until("ticks", || ticks(&stage) > 10).await;

    for _ in 0..60 {
        freeze(&stage.data(), None).await.unwrap();
        let (frozen, stood) = (stage.ours().await, ticks(&stage));
        assert!(frozen.iter().all(|process| process.frozen == (process.role == Role::Task)), "{frozen:?}");
        assert_eq!((stage.ours().await, ticks(&stage)), (frozen, stood), "nobody came, went or went on");
        thaw(&stage.data(), None).await.unwrap();
        until("more ticks", || ticks(&stage) > stood).await;
    }
}

/// What a process says of itself outranks neither its parents nor where it runs.
#[tokio::test]
async fn a_job_that_says_it_is_nomads_executor_log_collector_or_agent_is_frozen_like_any_other() {
    let mut stage = Stage::new();
    let data = stage.data();
    let executor = stage.executor(
        &data,
        &format!(
            "mkdir sub; cd sub; for name in executor agent logmon; do echo 'sleep 600; true' > $name
            IONET_AGENT=17:99:{data} sh $name \"$1\" & done
            env -i IONET_AGENT=17:99:{data} sleep 600 & wait",
            data = data.display()
        ),
    );
    stage.until_tasks(7).await;

    freeze(&data, None).await.unwrap();

    let ours = stage.ours().await;
    let going: Vec<_> = ours.iter().filter(|process| !process.frozen).map(|process| process.pid).collect();
    assert_eq!(going, [executor], "{ours:?}");
}

/// Nor does a job say who is a guard: whatever runs below one that is known by nothing else is ours.
#[tokio::test]
async fn a_process_that_calls_another_its_guard_makes_nothing_of_that_ones_ours() {
    let mut stage = Stage::new();
    let liar = "IONET_AGENT=\"$$:$(cut -d' ' -f22 /proc/$$/stat):$1\" sleep 600 & sleep 600; true";
    let data = stage.data().display().to_string();
    stage.plugin("somebodys", &[&data], liar);
    until("the liar", || {
        let members = super::processes::members(&super::processes::Scope::new(&stage.data()));
        !members.unwrap().is_empty()
    })
    .await;

    assert_eq!(stage.tasks().await, []);
}

#[tokio::test]
async fn a_sweep_leaves_nothing_of_ours_and_everything_of_others() {
    let mut stage = Stage::new();
    let other_folder = stage.dir.path().join("agent2");
    let log = stage.data().join("alloc").join(ALLOC).join("alloc/logs/.t.stdout.fifo");
    let stubborn =
        stage.executor(&stage.data(), "trap '' TERM; sh -c 'trap \"\" TERM; sleep 600; sleep 600'");
    let logmon = stage.plugin("logmon", &[], &format!("exec 5>'{}'; sleep 600", log.display()));
    let other = stage.executor(&other_folder, "sleep 600");
    let other_logmon = stage.plugin("logmon", &[], "while :; do sleep 0.05; done");
    stage.until_tasks(2).await;
    until("the log's file", || log.exists()).await;
    freeze(&stage.data(), None).await.unwrap();

    sweep(&stage.data(), None).await.unwrap();

    assert_eq!(count(&stage.data(), None).await, Ok(0));
    assert!(!is_alive(stubborn) && !is_alive(logmon));
    assert!(is_alive(other) && is_alive(other_logmon));
    sweep(&other_folder, None).await.unwrap();
    assert!(!is_alive(other));
}

#[tokio::test]
async fn a_task_that_obeys_has_time_to_leave() {
    let mut stage = Stage::new();
    let text = "sh -c 'trap \"echo bye > bye; exit\" TERM; while :; do sleep 0.05; done'; true";
    stage.executor(&stage.data(), text);
    stage.until_tasks(2).await;
    freeze(&stage.data(), None).await.unwrap();

    sweep(&stage.data(), None).await.unwrap();

    assert_eq!(fs::read_to_string(stage.dir.path().join("executor-0/bye")).unwrap(), "bye\n");
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

    sweep(&stage.data(), None).await.unwrap();

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

    assert_eq!(sweep(&stage.data(), None).await, Err(WorkFault::FilesLeft { left: 1 }));

    let left: Vec<_> = fs::read_dir(&client).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["state.db.1"]);
    assert_eq!(fs::read_dir(stage.data().join("alloc")).unwrap().count(), 0);
}

/// Knows three containers: one of ours, one of another Nomad's, one that is nobody's job.
pub(super) struct FakeEngine {
    states: Arc<Mutex<Vec<(&'static str, String)>>>,
    asked: Arc<Mutex<Vec<String>>>,
    /// It pauses nothing.
    refuses: Arc<Mutex<bool>>,
    /// It takes so long for each answer.
    takes: Arc<Mutex<Duration>>,
}

impl FakeEngine {
    pub(super) fn start(stage: &Stage) -> Self {
        let states = ["ours", "theirs"].map(|id| (id, "running".to_owned()));
        let engine = Self {
            states: Arc::new(Mutex::new(states.to_vec())),
            asked: Arc::default(),
            refuses: Arc::default(),
            takes: Arc::default(),
        };
        let (refuses, takes) = (Arc::clone(&engine.refuses), Arc::clone(&engine.takes));
        let listener = UnixListener::bind(stage.dir.path().join("docker.sock")).unwrap();
        let (states, asked) = (Arc::clone(&engine.states), Arc::clone(&engine.asked));
        let ours = stage.data().join("alloc").join(ALLOC).join("alloc");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = vec![0; 8192];
                let Ok(length) = stream.read(&mut head).await else { continue };
                let text = String::from_utf8_lossy(&head[..length]).into_owned();
                let line = text.lines().next().unwrap_or_default().to_owned();
                let takes = *takes.lock().unwrap();
                tokio::time::sleep(takes).await;
                if line.contains("/pause") && *refuses.lock().unwrap() {
                    let no = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\n{}";
                    let _ = stream.write_all(no.as_bytes()).await;
                    continue;
                }
                let body = answer(&line, &mut states.lock().unwrap(), &ours);
                asked.lock().unwrap().push(line);
                let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                // Whoever asked may have given up.
                let _ = stream.write_all(reply.as_bytes()).await;
            }
        });
        engine
    }

    fn state(&self, id: &str) -> Option<String> {
        let states = self.states.lock().unwrap();
        states.iter().find(|(name, _)| *name == id).map(|(_, state)| state.clone())
    }
}

fn answer(line: &str, states: &mut Vec<(&'static str, String)>, ours: &std::path::Path) -> String {
    let to = |verb: &str| match verb {
        "pause" => Some("paused"),
        "unpause" => Some("running"),
        "stop" => Some("exited"),
        _ => None,
    };
    let target = line.split(' ').nth(1).unwrap_or_default();
    let mut parts = target.trim_start_matches("/containers/").split(['/', '?']);
    let id = parts.next().unwrap_or_default();
    if id == "json" {
        let list: Vec<_> = states
            .iter()
            .map(|(id, state)| {
                let source = if *id == "ours" { ours } else { std::path::Path::new("/var/nomad/alloc/x") };
                serde_json::json!({"Id": id, "State": state, "Mounts": [{"Type": "bind", "Source": source}]})
            })
            .collect();
        return serde_json::to_string(&list).unwrap();
    }
    if line.starts_with("DELETE") {
        states.retain(|(name, _)| *name != id);
    } else if let Some(state) = parts.next().and_then(to) {
        states.iter_mut().filter(|(name, _)| *name == id).for_each(|entry| entry.1 = state.to_owned());
    }
    "{}".to_owned()
}

#[tokio::test]
async fn containers_of_ours_are_paused_let_go_slowly_and_removed_and_others_left_alone() {
    let stage = Stage::new();
    let engine = FakeEngine::start(&stage);
    let socket = stage.dir.path().join("docker.sock");
    let docker = Some(socket.as_path());

    freeze(&stage.data(), docker).await.unwrap();
    assert_eq!(engine.state("ours").as_deref(), Some("paused"));
    thaw(&stage.data(), docker).await.unwrap();
    assert_eq!(engine.state("ours").as_deref(), Some("running"));
    freeze(&stage.data(), docker).await.unwrap();
    assert_eq!(count(&stage.data(), docker).await, Ok(1));
    sweep(&stage.data(), docker).await.unwrap();

    assert_eq!(engine.state("ours"), None);
    assert_eq!(engine.state("theirs").as_deref(), Some("running"));
    let asked = engine.asked.lock().unwrap().clone();
    let at = |verb: &str| asked.iter().rposition(|line| line.contains(verb)).unwrap();
    assert!(at("/update") < at("/unpause"));
    assert!(at("/unpause") < at("/stop?t=2") && at("/stop?t=2") < at("DELETE"));
    assert!(!asked.iter().any(|line| line.contains("/theirs/")));
}

#[tokio::test]
async fn an_engine_that_is_not_there_holds_nothing_and_one_that_does_not_answer_is_a_fault() {
    let stage = Stage::new();
    let socket = stage.dir.path().join("docker.sock");

    assert_eq!(sweep(&stage.data(), Some(&socket)).await, Ok(()));

    drop(UnixListener::bind(&socket).unwrap());
    assert_eq!(freeze(&stage.data(), Some(&socket)).await, Err(WorkFault::EngineDown));
    assert_eq!(sweep(&stage.data(), Some(&socket)).await, Err(WorkFault::EngineDown));
}

#[tokio::test]
async fn an_engine_that_accepts_and_never_answers_holds_up_neither_a_freeze_nor_a_sweep() {
    let mut stage = Stage::new();
    let socket = stage.dir.path().join("docker.sock");
    let stuck = UnixListener::bind(&socket).unwrap();
    let stubborn = stage.executor(&stage.data(), "trap '' TERM; sleep 600; sleep 600");
    stage.until_tasks(1).await;

    assert_eq!(freeze(&stage.data(), Some(&socket)).await, Err(WorkFault::EngineDown));
    assert!(stage.tasks().await.iter().all(|task| task.frozen));
    let swept = teardown::sweep(&stage.data(), Some(&socket), Duration::ZERO).await;
    assert_eq!(swept, Err(WorkFault::EngineDown));

    assert!(!is_alive(stubborn));
    assert_eq!(stage.ours().await, []);
    drop(stuck);
}

#[tokio::test]
async fn an_engine_that_refuses_to_pause_is_told_from_one_that_is_silent() {
    let stage = Stage::new();
    let engine = FakeEngine::start(&stage);
    engine.states.lock().unwrap()[0].1 = "running".to_owned();
    *engine.refuses.lock().unwrap() = true;

    let socket = stage.dir.path().join("docker.sock");

    assert_eq!(freeze(&stage.data(), Some(&socket)).await, Err(WorkFault::StillThere { left: 1 }));
    assert_eq!(sweep(&stage.data(), Some(&socket)).await, Ok(()), "it is ended all the same");
}

#[tokio::test]
async fn an_engine_that_is_slower_than_a_look_is_asked_on_until_nothing_of_ours_runs() {
    let stage = Stage::new();
    let engine = FakeEngine::start(&stage);
    *engine.takes.lock().unwrap() = Duration::from_millis(700);
    let (scope, socket) = (Scope::new(&stage.data()), stage.dir.path().join("docker.sock"));
    let pausing = Pausing::default();
    let look = || work::freeze_once(scope.clone(), Some(&socket), &pausing, Arc::default());

    let (_, first) = look().await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while look().await.1.is_err() {
        assert!(Instant::now() < deadline, "{:?}", engine.asked.lock().unwrap());
    }

    assert_eq!(first, Err(WorkFault::EngineDown), "it is said meanwhile");
    assert_eq!(engine.state("ours").as_deref(), Some("paused"));
    assert_eq!(engine.state("theirs").as_deref(), Some("running"));
}

#[tokio::test]
async fn what_an_engine_answers_late_pauses_nothing_any_more_once_the_work_is_let_go() {
    let stage = Stage::new();
    let engine = FakeEngine::start(&stage);
    *engine.takes.lock().unwrap() = Duration::from_millis(700);
    let (scope, socket) = (Scope::new(&stage.data()), stage.dir.path().join("docker.sock"));
    let pausing = Pausing::default();

    let (_, looked) = work::freeze_once(scope, Some(&socket), &pausing, Arc::default()).await;
    pausing.end();
    *engine.takes.lock().unwrap() = Duration::ZERO;
    // It hears one asker after the other: the first waits for what was asked before, the second for what came of that.
    for _ in 0..2 {
        assert_eq!(count(&stage.data(), Some(&socket)).await, Ok(1));
    }

    assert_eq!(looked, Err(WorkFault::EngineDown));
    assert_eq!(engine.state("ours").as_deref(), Some("running"));
}
