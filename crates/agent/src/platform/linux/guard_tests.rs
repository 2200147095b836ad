use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ionet_core::StartId;
use ionet_core::fault::{AgentFault, EngineFault, RegistrationFault, WorkFault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::UnboundedReceiver as Receiver;

use super::gate_tests::{asked_for, post, say};
use super::signals::{Signal, send};
use super::stage::{ALLOC, Stage, is_alive, until};
use super::{guard, guard_log, keeper, processes};
use crate::guard::{Guard, GuardEvent, Place, Running, Start, Waits, gate_socket};
use crate::program::OwnProgram;

/// Not a test of its own: the process that the scripts below start is this one, and it is the guard.
#[tokio::test]
async fn plays_the_guard() {
    let Some(run_dir) = std::env::var_os("IONET_TEST_GUARD") else { return };
    let waits = Waits { successor_ms: 1_500, grace_ms: 500, files_stay_ms: 100 };
    if keeper::keep(Path::new(&run_dir)).unwrap() {
        return;
    }
    guard_log::keep(&Path::new(&run_dir).with_file_name("guard.log"));
    guard::serve_with(Path::new(&run_dir), waits).await.unwrap();
}

/// What `ionet-supplier` is to the guard.
pub(super) fn program(stage: &Stage) -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let test = "platform::guard_tests::plays_the_guard";
    stage
        .script("supplier", &format!("IONET_TEST_GUARD=\"$3\" exec '{}' guard --exact {test}", exe.display()))
}

pub(super) async fn connect(stage: &Stage) -> (Guard, Receiver<GuardEvent>) {
    Guard::connect_or_spawn(&run_dir(stage), &OwnProgram::at(program(stage))).await.unwrap()
}

/// A number that is newer than all before it in this test run.
pub(super) fn next() -> StartId {
    static LAST: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    StartId(LAST.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1)
}

pub(super) fn place(stage: &Stage) -> Place {
    Place { data_dir: stage.data(), docker_socket: None }
}

pub(super) async fn stop(stage: &Stage, guard: &Guard) -> Result<(), WorkFault> {
    let stopped = guard.stop(next(), &place(stage), Duration::from_secs(2)).await;
    stopped.expect("a guard that is there")
}

pub(super) fn run_dir(stage: &Stage) -> PathBuf {
    stage.dir.path().join("run")
}

pub(super) fn start(stage: &Stage, program: PathBuf) -> Start {
    let env = BTreeMap::from([
        ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
        ("DATA".to_owned(), stage.data().display().to_string()),
        ("ALLOC".to_owned(), ALLOC.to_owned()),
    ]);
    Start {
        id: next(),
        program,
        args: vec!["agent".to_owned(), "-config".to_owned(), "agent.hcl".to_owned()],
        env,
        cwd: stage.dir.path().to_owned(),
        node: Some("d-test".to_owned()),
        introduction: None,
        files: BTreeMap::new(),
        cards: Vec::new(),
        place: place(stage),
        log: stage.dir.path().join("last-words.log"),
        agent_log: Some(stage.dir.path().join("client.log")),
        http: None,
    }
}

/// An executor with three processes as its task, and one that has left its session, its parent and its environment behind.
pub(super) const WORK: &str = r#"
sh -c 'sh -c "sleep 600 & sleep 600; true" & sh -c "env -i setsid /bin/sleep 601 &" & wait' &"#;

pub(super) fn agent(stage: &Stage) -> PathBuf {
    stage.script("nomad", &format!("env > env.txt; trap 'exit 1' TERM; {WORK}\nwhile :; do sleep 0.05; done"))
}

pub(super) async fn started(stage: &Stage, guard: &Guard) -> Running {
    let running = guard.start(start(stage, agent(stage))).await.unwrap();
    stage.until_tasks(4).await;
    running
}

pub(super) async fn until_nothing_is_left(stage: &Stage) {
    stage.until_unguarded().await;
    assert!(!run_dir(stage).join("guard.sock").exists());
}

#[tokio::test]
async fn an_agent_starts_in_a_clean_environment_and_stops_with_all_its_work() {
    let stage = Stage::new();
    let (guard, _events) = connect(&stage).await;

    let running = started(&stage, &guard).await;

    assert_eq!(guard.running(), Some(running.clone()));
    let env = fs::read_to_string(stage.dir.path().join("env.txt")).unwrap();
    let mut names: Vec<&str> = env.lines().filter_map(|line| line.split('=').next()).collect();
    names.retain(|name| !["PWD", "_", "OLDPWD", "SHLVL"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["ALLOC", "DATA", "PATH"]);

    stop(&stage, &guard).await.unwrap();

    assert!(!is_alive(running.pid));
    assert_eq!(guard.running(), None);
    assert_eq!(stage.ours().await, []);
    started(&stage, &guard).await;
    stop(&stage, &guard).await.unwrap();
}

#[tokio::test]
async fn what_the_guard_does_is_in_its_log() {
    let stage = Stage::new();
    let (guard, _events) = connect(&stage).await;
    started(&stage, &guard).await;
    stop(&stage, &guard).await.unwrap();

    let log = stage.dir.path().join("guard.log");
    let says = |word: &str| fs::read_to_string(&log).is_ok_and(|log| log.contains(word));
    until("its words", || says("the agent started") && says("the agent ended") && says("swept")).await;
}

#[tokio::test]
async fn an_agent_that_ends_by_itself_is_reported_with_its_last_words() {
    let stage = Stage::new();
    let (guard, mut events) = connect(&stage).await;
    let program = stage.script("nomad", "echo listening; echo boom >&2; exit 3");

    guard.start(start(&stage, program)).await.unwrap();

    let Some(GuardEvent::Exited { code, stderr_tail, .. }) = events.recv().await else { panic!("no exit") };
    assert_eq!(code, Some(3));
    assert!(stderr_tail.contains("boom"));
    let kept = stage.dir.path().join("last-words.log");
    until("its last words", || fs::read_to_string(&kept).is_ok_and(|kept| kept == stderr_tail)).await;
    assert_eq!(guard.running(), None);
}

#[tokio::test]
async fn an_agents_last_words_are_kept_without_secrets_and_without_a_tasks_command_line() {
    let stage = Stage::new();
    let (guard, mut events) = connect(&stage).await;
    let words = r#"echo 'HF_TOKEN=hf_0123456789abcdef' >&2
printf '{"@level":"error","@message":"failed","args":["--horse"],"command":"/bin/horse"}\n' >&2
printf 'and \033[31mred\033[0m\n' >&2; exit 3"#;
    let program = stage.script("nomad", &format!("echo listening; {words}"));

    guard.start(start(&stage, program)).await.unwrap();

    let Some(GuardEvent::Exited { stderr_tail, .. }) = events.recv().await else { panic!("no exit") };
    let file = stage.dir.path().join("last-words.log");
    until("its last words", || file.exists()).await;
    let kept = fs::read_to_string(file).unwrap();
    for words in [stderr_tail, kept] {
        assert!(!words.contains("hf_") && !words.contains("horse") && !words.contains('\u{1b}'), "{words}");
        assert!(words.contains("about a job") && words.contains("and red"), "{words}");
    }
}

/// Says again and again whether the region takes it in, as its file `word` has it.
const TELLING: &str = r#"trap 'exit 1' TERM
while :; do cat word; sleep 0.02; done"#;

#[tokio::test]
async fn what_the_agent_says_of_its_registration_is_told_when_it_changes_and_to_a_successor() {
    let refused = r#"{"@message":"yamux: Failed to read header: remote error: tls: bad certificate"}"#;
    let taken_in = r#"{"@message":"node registration complete"}"#;
    let stage = Stage::new();
    let say = |line: &str| {
        fs::write(stage.dir.path().join("next"), format!("{line}\n")).unwrap();
        fs::rename(stage.dir.path().join("next"), stage.dir.path().join("word")).unwrap();
    };
    let told = |id, result| Some(GuardEvent::Registration { id, result });
    say(refused);
    let (guard, mut events) = connect(&stage).await;

    let id = guard.start(start(&stage, stage.script("nomad", TELLING))).await.unwrap().id;

    assert_eq!(events.recv().await, told(id, Err(RegistrationFault::CertificateRefused)));
    say(taken_in);
    assert_eq!(events.recv().await, told(id, Ok(())));
    drop(guard);
    let (successor, mut events) = connect(&stage).await;
    assert_eq!(successor.running().unwrap().id, id);
    assert_eq!(events.recv().await, told(id, Ok(())));
    stop(&stage, &successor).await.unwrap();
}

#[tokio::test]
async fn a_program_that_cannot_be_started_has_its_typed_fault() {
    let stage = Stage::new();
    let (guard, _events) = connect(&stage).await;
    let plain = stage.dir.path().join("plain");
    fs::write(&plain, "text").unwrap();

    let missing = guard.start(start(&stage, stage.dir.path().join("gone"))).await;
    let refused = guard.start(start(&stage, plain.clone())).await;

    assert_eq!(missing, Err(AgentFault::Missing));
    assert_eq!(refused, Err(AgentFault::NotExecutable(plain.display().to_string())));
    started(&stage, &guard).await;
    stop(&stage, &guard).await.unwrap();
}

#[tokio::test]
async fn an_agent_that_ends_before_its_http_answers_has_failed_to_start() {
    let stage = Stage::new();
    let (guard, mut events) = connect(&stage).await;
    let text = r#"printf '{"@module":"agent","@message":"Error starting http server: bind: address already in use"}\n'; exit 1"#;
    let mut taken = start(&stage, stage.script("nomad", text));
    // Nobody listens there, nor will.
    taken.http = Some(([127, 0, 0, 1], 1).into());

    assert_eq!(guard.start(taken).await, Err(AgentFault::PortInUse));

    assert!(events.try_recv().is_err());
}

#[tokio::test]
async fn a_real_nomad_without_its_certificate_or_with_its_port_taken_says_so() {
    let Some(nomad) = std::env::var_os(crate::find::VARIABLE).map(PathBuf::from) else {
        eprintln!("skipped: needs NOMAD=/path");
        return;
    };
    if crate::find::version(&nomad).await.unwrap().double {
        eprintln!("skipped: needs NOMAD=/path of a real Nomad");
        return;
    }
    let stage = Stage::new();
    let (guard, _events) = connect(&stage).await;
    let plan = plan(&stage);
    let taken = std::net::TcpListener::bind(plan.ports.http_address()).unwrap();
    let file = stage.dir.path().join("agent.hcl");
    let with = |text: String| {
        fs::write(&file, text).unwrap();
        let args = vec!["agent".to_owned(), "-config".to_owned(), file.display().to_string()];
        Start { args, ..start(&stage, nomad.clone()) }
    };
    let mut start = with(crate::config::render(&plan));
    start.http = Some(crate::ports::free().unwrap().http_address());

    let no_certificate = guard.start(start).await;
    let text = crate::config::render(&plan);
    let (head, tls) = text.split_once("tls {").unwrap();
    let (_, rest) = tls.split_once("telemetry {").unwrap();
    let mut start = with(format!("{head}telemetry {{{rest}"));
    start.http = Some(crate::ports::free().unwrap().http_address());
    let port_taken = guard.start(start).await;

    assert!(
        matches!(&no_certificate, Err(AgentFault::CertificateUnreadable(why)) if why.contains(".pem")),
        "{no_certificate:?}"
    );
    assert_eq!(port_taken, Err(AgentFault::PortInUse));
    drop(taken);
    stop(&stage, &guard).await.unwrap();
}

fn plan(stage: &Stage) -> crate::Plan {
    let logs = stage.dir.path().join("logs");
    fs::create_dir_all(&logs).unwrap();
    crate::Plan {
        name: "d-1".to_owned(),
        region: "eu".to_owned(),
        datacenter: "home".to_owned(),
        node_pool: "gamers".to_owned(),
        servers: vec!["127.0.0.1:1".to_owned()],
        data_dir: stage.data(),
        log_dir: logs,
        ca_file: stage.dir.path().join("ca.pem"),
        cert_file: stage.dir.path().join("chain.pem"),
        key_file: stage.dir.path().join("key.pem"),
        ports: crate::ports::free().unwrap(),
        tags: BTreeMap::new(),
        drivers: crate::Drivers::production(
            stage.dir.path().join("docker.sock"),
            crate::guard::gate_socket(&run_dir(stage)),
        ),
        plugins: stage.dir.path().join("plugins"),
        cards: Default::default(),
    }
}

#[tokio::test]
async fn the_tasks_of_a_crashed_agent_are_left_for_the_next_one_and_swept_by_a_stop() {
    let stage = Stage::new();
    let (guard, mut events) = connect(&stage).await;
    let running = started(&stage, &guard).await;
    let tasks = stage.tasks().await;

    send(&processes::row(running.pid as i32).unwrap(), Signal::KILL);
    assert!(matches!(events.recv().await, Some(GuardEvent::Exited { code: None, .. })));

    assert!(tasks.iter().all(|task| is_alive(task.pid)));
    let again = stage.script("nomad", "trap 'exit 1' TERM; while :; do sleep 0.05; done");
    guard.start(start(&stage, again)).await.unwrap();
    assert!(tasks.iter().all(|task| is_alive(task.pid)));
    stop(&stage, &guard).await.unwrap();
    assert!(!tasks.iter().any(|task| is_alive(task.pid)));
    assert_eq!(stage.ours().await, []);
}

#[tokio::test]
async fn an_agent_that_does_not_obey_is_killed_with_all_its_work() {
    let stage = Stage::new();
    let (guard, _events) = connect(&stage).await;
    let text = format!("trap '' TERM INT; {WORK}\nwhile :; do sleep 0.05; done");
    let running = guard.start(start(&stage, stage.script("nomad", &text))).await.unwrap();
    stage.until_tasks(4).await;

    stop(&stage, &guard).await.unwrap();

    assert!(!is_alive(running.pid));
    assert_eq!(stage.ours().await, []);
}

/// The engine tells its reasons to the agent alone; the guard reads them on the way.
#[tokio::test]
async fn an_engine_that_refuses_jobs_for_what_is_this_pcs_is_told_and_told_again_to_a_newcomer() {
    let stage = Stage::new();
    let (guard, mut events) = connect(&stage).await;
    let socket = stage.dir.path().join("docker.sock");
    let engine = tokio::net::UnixListener::bind(&socket).unwrap();
    let refusing = tokio::spawn(async move {
        let image = ("200 OK", r#"{"Id":"sha256:1","Config":{"Labels":{"net.io.jobs":"1"}}}"#);
        let refusal = ("400 Bad Request", r#"{"message":"unknown or invalid runtime name: nvidia"}"#);
        while let Ok((mut stream, _)) = engine.accept().await {
            let mut asked = Vec::new();
            let is_whole = |asked: &[u8]| match asked.starts_with(b"GET") {
                true => asked.ends_with(b"\r\n\r\n"),
                false => asked.ends_with(b"}"),
            };
            while !is_whole(&asked) {
                let read = stream.read_buf(&mut asked).await;
                assert!(read.is_ok_and(|length| length > 0));
            }
            let (status, body) = if asked.starts_with(b"GET") { image } else { refusal };
            let length = body.len();
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let place = Place { docker_socket: Some(socket), ..place(&stage) };
    let start = Start { place, ..start(&stage, agent(&stage)) };
    let id = start.id;
    guard.start(start).await.unwrap();

    let asked = asked_for(&stage.data(), ALLOC).to_string();
    say(&gate_socket(&run_dir(&stage)), &post("/v1.44/containers/create", &asked)).await;

    let told = GuardEvent::Containers { id, result: Err(EngineFault::NoCard) };
    assert_eq!(events.recv().await, Some(told.clone()));
    let (newer, mut events) = connect(&stage).await;
    assert_eq!(events.recv().await, Some(told));
    refusing.abort();
    stop(&stage, &newer).await.unwrap();
}

#[tokio::test]
async fn what_an_agent_reads_can_come_with_its_start_and_is_its_owners_alone() {
    let stage = Stage::new();
    let (guard, _events) = connect(&stage).await;
    let key = stage.dir.path().join("keys/device-key.pem");
    let files = BTreeMap::from([(key.clone(), "a key".to_owned())]);

    guard.start(Start { files, ..start(&stage, agent(&stage)) }).await.unwrap();

    assert_eq!(fs::read_to_string(&key).unwrap(), "a key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    stop(&stage, &guard).await.unwrap();
}
