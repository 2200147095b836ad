use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::*;

const NVIDIA: &str = r#"{"ServerVersion":"29.0.0","OSType":"linux","Runtimes":{"runc":{},"nvidia":{}}}"#;

/// An engine that answers `/_ping` with the first and `/info` with the second, as often as it is asked.
fn plays(dir: &tempfile::TempDir, ping: &'static str, info: String) -> std::path::PathBuf {
    plays_on(dir, ping, Arc::new(Mutex::new(info)))
}

/// The same, whose facts may change; it is silent about empty ones.
fn plays_on(dir: &tempfile::TempDir, ping: &'static str, info: Arc<Mutex<String>>) -> std::path::PathBuf {
    let socket = dir.path().join("engine.sock");
    let _ = std::fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).await.unwrap();
            let text = String::from_utf8_lossy(&head[..length]).into_owned();
            let answer =
                if text.starts_with("GET /_ping") { ping.to_owned() } else { info.lock().unwrap().clone() };
            stream.write_all(answer.as_bytes()).await.unwrap();
            if answer.is_empty() {
                tokio::spawn(async move { stream.read(&mut [0]).await });
            }
        }
    });
    socket
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK";

fn with(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

async fn asked(info: &str, needs_card: bool) -> Result<EngineFacts, EngineFault> {
    let dir = tempfile::tempdir().unwrap();
    ask(&plays(&dir, OK, with(info)), needs_card).await
}

#[tokio::test]
async fn an_engine_that_gives_cards_by_the_runtime_that_jobs_ask_for_is_taken() {
    let by_default = r#"{"Runtimes":null,"DefaultRuntime":"nvidia","OSType":""}"#;
    let beside = r#"{"Runtimes":{"nvidia":null,"nvidia-cdi":{"path":"x"}},"DiscoveredDevices":[{"Source":"cdi","ID":"nvidia.com/gpu=0"}]}"#;

    for info in [NVIDIA, by_default, beside] {
        assert!(asked(info, true).await.unwrap().cards, "{info}");
    }
    assert_eq!(asked(NVIDIA, true).await.unwrap().version, "29.0.0");
}

#[tokio::test]
async fn an_engine_that_tells_files_apart_by_labels_is_known_by_its_options() {
    for (options, labels) in [
        (r#"["name=seccomp,profile=builtin","name=selinux","name=cgroupns"]"#, true),
        (r#"["name=apparmor","name=seccomp,profile=selinux"]"#, false),
        ("null", false),
        ("7", false),
    ] {
        let info = format!(r#"{{"Runtimes":{{"nvidia":{{}}}},"SecurityOptions":{options}}}"#);
        assert_eq!(asked(&info, true).await.unwrap().labels, labels, "{options}");
    }
}

/// Nomad's driver knows the runtime of one name, and neither CDI nor any other.
#[tokio::test]
async fn an_engine_that_knows_the_card_by_cdi_or_another_runtime_alone_takes_no_job_and_is_told_apart() {
    let otherwise = [
        r#"{"ServerVersion":"29.0.0","Runtimes":{"runc":{}},"DiscoveredDevices":[{"Source":"cdi","ID":"nvidia.com/gpu=0"}]}"#,
        r#"{"Runtimes":{"runc":null},"DiscoveredDevices":[{"ID":"nvidia.com/gpu=all"}]}"#,
        r#"{"Runtimes":{"runc":null,"nvidia-cdi":{"path":"x"}},"OSType":""}"#,
        r#"{"Runtimes":{"nvidia-container-runtime":{}},"DefaultRuntime":"runc"}"#,
        r#"{"Runtimes":{"runc":{}},"DefaultRuntime":"nvidia-legacy"}"#,
        r#"{"Runtimes":{"NVIDIA":{}}}"#,
    ];

    for info in otherwise {
        assert_eq!(asked(info, true).await, Err(EngineFault::NoCardRuntime), "{info}");
        assert!(!asked(info, false).await.unwrap().cards, "{info}");
    }
}

#[tokio::test]
async fn without_the_cards_runtime_no_job_that_needs_a_card_is_taken_and_others_are() {
    let plain = [
        r#"{"ServerVersion":"29.0.0","OSType":"linux","Runtimes":{"runc":{}}}"#,
        r#"{"Runtimes":null,"DefaultRuntime":7,"DiscoveredDevices":"none"}"#,
        r#"{"DiscoveredDevices":[{"Source":"cdi","ID":"amd.com/gpu=0"}]}"#,
        "{}",
    ];

    for info in plain {
        assert_eq!(asked(info, true).await, Err(EngineFault::NoCard), "{info}");
        assert!(!asked(info, false).await.unwrap().cards, "{info}");
    }
}

#[tokio::test]
async fn an_engine_that_sees_none_of_our_folders_or_runs_other_programs_is_said() {
    let snap = r#"{"DockerRootDir":"/var/snap/docker/common/var-lib-docker","Runtimes":{"nvidia":{}}}"#;
    let windows = r#"{"OSType":"windows","Runtimes":{"nvidia":{}}}"#;

    assert_eq!(asked(snap, true).await, Err(EngineFault::Confined));
    assert_eq!(asked(windows, true).await, Err(EngineFault::Foreign("windows".to_owned())));
    assert!(matches!(asked("<html>", true).await, Err(EngineFault::Foreign(_))));
    assert!(matches!(asked("[]", true).await, Err(EngineFault::Foreign(_))));
}

#[tokio::test]
async fn one_that_is_not_there_or_refuses_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    assert_eq!(ask(&socket, false).await, Err(EngineFault::Absent));
    drop(UnixListener::bind(&socket).unwrap());
    assert_eq!(ask(&socket, false).await, Err(EngineFault::Absent), "its socket outlived it");
    std::fs::write(dir.path().join("a file"), "x").unwrap();
    assert_eq!(ask(&dir.path().join("a file"), false).await, Err(EngineFault::Absent));

    let answers = [
        ("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", EngineFault::Refuses(500)),
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", EngineFault::NotPermitted),
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            EngineFault::Foreign("it knows no containers".to_owned()),
        ),
        ("SSH-2.0-OpenSSH_9.2\r\n", EngineFault::Foreign("no HTTP".to_owned())),
    ];
    for (ping, fault) in answers {
        assert_eq!(ask(&plays(&dir, ping, with(NVIDIA)), false).await, Err(fault));
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_accepts_and_never_answers_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let listener = UnixListener::bind(&socket).unwrap();

    assert_eq!(ask(&socket, false).await, Err(EngineFault::Silent));

    drop(listener);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_stopped_meanwhile_is_noticed_and_so_is_its_return() {
    let dir = tempfile::tempdir().unwrap();
    let socket = plays(&dir, OK, with(NVIDIA));
    let facts = ask(&socket, true).await;
    let mut watch = Watch::new(&socket, true, facts.clone());

    std::fs::rename(&socket, dir.path().join("stopped")).unwrap();
    assert_eq!(watch.changed().await, Err(EngineFault::Absent));

    std::fs::rename(dir.path().join("stopped"), &socket).unwrap();
    assert_eq!(watch.changed().await, facts);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_loses_the_cards_while_it_answers_is_noticed_and_so_is_their_return() {
    let dir = tempfile::tempdir().unwrap();
    let info = Arc::new(Mutex::new(with(NVIDIA)));
    let socket = plays_on(&dir, OK, Arc::clone(&info));
    let facts = ask(&socket, true).await;
    let mut watch = Watch::new(&socket, true, facts.clone());

    *info.lock().unwrap() = with(r#"{"ServerVersion":"29.0.0","Runtimes":{"runc":{}}}"#);
    assert_eq!(watch.changed().await, Err(EngineFault::NoCard));

    *info.lock().unwrap() = with(NVIDIA);
    assert_eq!(watch.changed().await, facts);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_only_too_busy_for_its_facts_keeps_those_that_are_known() {
    let dir = tempfile::tempdir().unwrap();
    let info = Arc::new(Mutex::new(with(NVIDIA)));
    let socket = plays_on(&dir, OK, Arc::clone(&info));
    let mut watch = Watch::new(&socket, true, ask(&socket, true).await);

    info.lock().unwrap().clear();
    let changed = tokio::time::timeout(LOOK_EVERY * 10, watch.changed()).await;

    assert!(changed.is_err(), "{changed:?}");
}

/// The engine leaves a container's devices to systemd, which knows a device by its number alone.
#[test]
fn cards_that_systemd_cannot_find_are_lost_by_what_runs_and_only_these() {
    let systemd = r#"{"Runtimes":{"nvidia":{}},"CgroupDriver":"systemd","CgroupVersion":"2"}"#;
    let loses = |info: &str, devices: &Path| {
        let info: Info = serde_json::from_str(info).unwrap();
        info.facts(false, devices).unwrap().loses_cards
    };
    let dir = tempfile::tempdir().unwrap();
    let devices = dir.path();
    std::fs::create_dir_all(devices.join("char")).unwrap();
    let node = |name: &str| std::os::unix::fs::symlink("/dev/null", devices.join(name)).unwrap();
    node("nvidia-modeset");
    std::fs::write(devices.join("nvidia7"), "no device").unwrap();
    assert!(!loses(systemd, devices), "no card");

    node("nvidia0");
    assert!(loses(systemd, devices));
    for otherwise in [
        r#"{"Runtimes":{"nvidia":{}},"CgroupDriver":"cgroupfs","CgroupVersion":"2"}"#,
        r#"{"Runtimes":{"nvidia":{}},"CgroupDriver":"systemd","CgroupVersion":"1"}"#,
        r#"{"Runtimes":{"nvidia":{}},"CgroupDriver":7}"#,
        r#"{"Runtimes":{"runc":{}},"CgroupDriver":"systemd","CgroupVersion":"2"}"#,
    ] {
        assert!(!loses(otherwise, devices), "{otherwise}");
    }

    // As `nvidia-ctk` links it; `/dev/null` has this number.
    std::os::unix::fs::symlink("../nvidia0", devices.join("char/1:3")).unwrap();
    assert!(!loses(systemd, devices));
    assert!(!loses(systemd, &devices.join("none")));
}
