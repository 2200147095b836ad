//! Whom a refusal is told, and what is said in it.

use super::super::guard_tests::{agent, connect, place, run_dir, start, stop};
use super::super::stage::Stage;
use super::*;
use crate::guard::{GuardEvent, Place, Start, gate_socket};

/// What this thread logs meanwhile.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A job can have its driver put a file of the owner's into what it asks for.
#[tokio::test]
async fn a_refusal_tells_by_its_name_what_was_refused_and_repeats_nothing_that_was_asked() {
    let log = Log::default();
    let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_ansi(false);
    let _logging = tracing::subscriber::set_default(lines.with_writer(Mutex::new(log.clone())).finish());
    let engine = Engine::start();
    let (_gate, socket) = engine.gate();
    let long = "\u{1F9EA}\\\\".repeat(20_000);
    // Where another test without a log comes first to a line that is logged, that line is taken for one that nobody wants.
    say(&socket, &engine.create("a1", json!({"NetworkMode": "first"}))).await;
    tracing::callsite::rebuild_interest_cache();
    log.0.lock().unwrap().clear();

    for (field, value) in [
        ("NetworkMode", json!("planted")),
        ("NetworkMode", json!({"planted": 1})),
        ("Devices", json!([{"PathOnHost": "/dev/planted"}])),
        ("Binds", json!(["/planted:/x"])),
        ("Mounts", json!([{"Type": "bind", "Source": "/planted"}])),
        ("Mounts", json!([{"planted": "planted"}])),
        ("CapAdd", json!(["planted"])),
        ("SecurityOpt", json!(["seccomp={\"planted\":1}"])),
        ("Runtime", json!("planted")),
        ("Sysctls", json!({"planted": "1"})),
        ("FromTheFuture", json!("planted")),
        ("LogConfig", json!({"Config": {"planted": "planted"}})),
        ("PortBindings", json!({"planted": [{"planted": "planted"}]})),
    ] {
        let asked = engine.asked("a1", json!({ field: value })).to_string();
        for asked in [asked.clone(), asked.replace("planted", &format!("planted{long}"))] {
            let answer = say(&socket, &post("/v1.44/containers/create", &asked)).await;
            let told = answer.to_lowercase();
            assert!(!told.contains("planted") && told.contains(&field.to_lowercase()), "{field}: {answer}");
            assert!(answer.len() < 1024, "{} bytes: {answer}", answer.len());
        }
        let logged = String::from_utf8(std::mem::take(&mut log.0.lock().unwrap())).unwrap();
        assert!(logged.contains(field) && !logged.to_lowercase().contains("planted"), "{field}: {logged}");
    }
    let answer = say(&socket, &post(&format!("/planted{}", "x".repeat(8_000)), "")).await;
    let logged = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(answer.starts_with("HTTP/1.1 403") && !answer.contains("planted"), "{answer}");
    assert!(!logged.contains("planted"), "{logged}");
}

#[tokio::test]
async fn each_refusal_of_a_job_is_told_by_its_rule_and_no_request_that_passes() {
    let engine = Engine::start();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let (_gate, socket) = engine.gate_that_tells(Arc::new(move |at_gate| tell.send(at_gate).unwrap()));

    say(&socket, &engine.create("a1", json!({"NetworkMode": "planted"}))).await;
    say(&socket, &engine.create("a1", json!({}))).await;
    say(&socket, &engine.create("a1", json!({"Planted field": "planted"}))).await;

    for rule in ["NetworkMode", "a field that nobody knows"] {
        assert_eq!(told.recv().await, Some(AtGate::Refused(rule.into())));
    }
    assert!(told.try_recv().is_err(), "nothing beside");
}

/// Of what the engine refuses a job for, the job hears all and this PC what is its own.
#[tokio::test]
async fn a_refusal_that_is_this_pcs_is_told_and_passed_on_as_it_came() {
    let engine = Engine::start();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let (_gate, socket) = engine.gate_that_tells(Arc::new(move |result| tell.send(result).unwrap()));
    let data = engine.dir.path().join("data");
    let folder = data.join("alloc/a1/alloc");
    say(&socket, &engine.create("a2", json!({}))).await;
    std::fs::create_dir_all(&folder).unwrap();
    let refuse = |message: &str| *engine.refuses.lock().unwrap() = Some(message.to_owned());
    let start = post("/v1.44/containers/c0ffee/start", "");

    let reason = format!("error while creating mount source path '{}': mkdir x: denied", folder.display());
    refuse(&reason);
    let answer = say(&socket, &start).await;
    assert!(answer.starts_with("HTTP/1.1 500") && answer.contains(&reason), "{answer}");
    let out_of_reach = EngineFault::FoldersOutOfReach(data.display().to_string());
    assert_eq!(told.recv().await, Some(AtGate::Engine(Err(out_of_reach))));

    refuse("unknown or invalid runtime name: nvidia");
    say(&socket, &engine.create("a2", json!({"Runtime": "nvidia"}))).await;
    assert_eq!(told.recv().await, Some(AtGate::Engine(Err(EngineFault::NoCard))));

    for own in ["exec: \"nope\": executable file not found in $PATH", "No such image: nothing"] {
        refuse(&format!("unable to start container process: {own}"));
        say(&socket, &start).await;
    }
    refuse("unknown or invalid runtime name: nvidia");
    say(&socket, &post("/v1.44/images/create?fromImage=x", "")).await;
    *engine.refuses.lock().unwrap() = None;
    say(&socket, &start).await;
    assert_eq!(told.recv().await, Some(AtGate::Engine(Ok(()))), "nothing between");
}

/// What runs in an allocation can spoil its folders, and so bring such a refusal about.
#[tokio::test]
async fn folders_of_an_allocation_that_has_run_are_not_what_an_engine_cannot_reach() {
    let engine = Engine::start();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let data = engine.dir.path().join("data");
    let folder = |allocation: &str| data.join("alloc").join(allocation).join("alloc");
    std::fs::create_dir_all(folder("earlier")).unwrap();
    let (_gate, socket) = engine.gate_that_tells(Arc::new(move |result| tell.send(result).unwrap()));
    let start = post("/v1.44/containers/c0ffee/start", "");
    let create = |allocation: &str| engine.create(allocation, json!({}));

    say(&socket, &create("ran")).await;
    say(&socket, &start).await;
    assert_eq!(told.recv().await, Some(AtGate::Engine(Ok(()))));
    for allocation in ["ran", "new"] {
        std::fs::create_dir_all(folder(allocation)).unwrap();
    }
    for allocation in ["ran", "earlier"] {
        let reason = format!(
            "error while creating mount source path '{}': mkdir x: denied",
            folder(allocation).display()
        );
        *engine.refuses.lock().unwrap() = Some(reason);
        say(&socket, &create(allocation)).await;
    }
    // In the order in which they came.
    *engine.refuses.lock().unwrap() = Some("unknown or invalid runtime name: nvidia".to_owned());
    say(&socket, &create("ran")).await;
    assert_eq!(told.recv().await, Some(AtGate::Engine(Err(EngineFault::NoCard))), "nothing before");

    let reason =
        format!("error while creating mount source path '{}': mkdir x: denied", folder("new").display());
    *engine.refuses.lock().unwrap() = Some(reason);
    say(&socket, &create("new")).await;
    assert_eq!(
        told.recv().await,
        Some(AtGate::Engine(Err(EngineFault::FoldersOutOfReach(data.display().to_string()))))
    );
}

/// Whoever holds the guard later is told as well, and of no refusal twice.
#[tokio::test]
async fn what_jobs_were_refused_is_counted_by_the_guard_and_told_again_to_a_newcomer() {
    let (stage, engine) = (Stage::new(), Engine::start());
    let (guard, mut events) = connect(&stage).await;
    let place = Place { docker_socket: Some(engine.dir.path().join("real.sock")), ..place(&stage) };
    let start = Start { place, ..start(&stage, agent(&stage)) };
    let asked_of = start.id;
    guard.start(start).await.unwrap();
    let mut asked = asked_for(&stage.data(), "a1");
    asked["HostConfig"]["NetworkMode"] = json!("planted");

    for _ in 0..3 {
        say(&gate_socket(&run_dir(&stage)), &post("/v1.44/containers/create", &asked.to_string())).await;
    }

    let mut count = 0;
    while count < 3 {
        let Some(GuardEvent::Refused { id, refusals }) = events.recv().await else { panic!("no refusal") };
        assert!((id, &*refusals.what) == (asked_of, "NetworkMode") && refusals.count > count, "{refusals:?}");
        count = refusals.count;
    }
    let (newer, mut events) = connect(&stage).await;
    let told = events.recv().await;
    assert!(matches!(told, Some(GuardEvent::Refused { refusals, .. }) if refusals.count == 3));
    let _ = stop(&stage, &newer).await;
}
