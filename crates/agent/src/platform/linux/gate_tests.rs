use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::beside::Tell;
use super::gate::Gate;
use super::processes::Containers;
use ionet_core::fault::EngineFault;

/// An engine that says "asked", notes what it was asked (of a container also how it is described), and repeats in capitals what it
/// hears on a connection that it takes over.
struct Engine {
    dir: tempfile::TempDir,
    heard: Arc<Mutex<Vec<String>>>,
    /// Which containers the gate knows of.
    made: Containers,
    /// With what it refuses all that follows.
    refuses: Arc<Mutex<Option<String>>>,
}

impl Engine {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("data/alloc")).unwrap();
        let listener = UnixListener::bind(dir.path().join("real.sock")).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let refuses = Arc::new(Mutex::new(None));
        let (notes, refusal) = (Arc::clone(&heard), Arc::clone(&refuses));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (notes, refusal) = (Arc::clone(&notes), Arc::clone(&refusal));
                let answer = service_fn(move |mut request: Request<Incoming>| {
                    let notes = Arc::clone(&notes);
                    let refused = refusal.lock().unwrap().clone();
                    async move {
                        let mut note = format!("{} {}", request.method(), request.uri());
                        if is_create(&request) {
                            let body = request.body_mut().collect().await.unwrap().to_bytes();
                            note = format!("{note} {}", String::from_utf8_lossy(&body));
                        }
                        notes.lock().unwrap().push(note);
                        Ok::<_, Infallible>(refused.map_or_else(|| answered(request), refusing))
                    }
                });
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), answer).with_upgrades());
            }
        });
        Self { dir, heard, made: Containers::default(), refuses }
    }

    fn gate(&self) -> (Gate, PathBuf) {
        self.gate_that_tells(Arc::new(|_| ()))
    }

    fn gate_that_tells(&self, tell: Tell) -> (Gate, PathBuf) {
        let socket = self.dir.path().join("engine.sock");
        let (real, data) = (self.dir.path().join("real.sock"), self.dir.path().join("data"));
        let gate = Gate::open(socket.clone(), &real, &data, Arc::clone(&self.made), tell);
        (gate.unwrap(), socket)
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

fn is_create(request: &Request<Incoming>) -> bool {
    request.uri().path().ends_with("/containers/create")
}

fn refusing(message: String) -> Response<Full<Bytes>> {
    let body = serde_json::json!({ "message": message }).to_string();
    Response::builder().status(500).body(Full::new(Bytes::from(body))).unwrap()
}

fn answered(mut request: Request<Incoming>) -> Response<Full<Bytes>> {
    let body = match request.uri().path() {
        "/images/light/json" => r#"{"Id":"sha256:1","Config":{"Labels":{"a":"b"}}}"#.to_owned(),
        "/images/heavy/json" => {
            let much = "x".repeat(1024 * 1024);
            serde_json::json!({"Id": "sha256:2", "Config": {"Labels": {"a": much}}}).to_string()
        }
        _ if is_create(&request) => r#"{"Id":"c0ffee","Warnings":[]}"#.to_owned(),
        _ => "asked".to_owned(),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    if request.headers().contains_key("upgrade") {
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert("upgrade", "tcp".parse().unwrap());
        response.headers_mut().insert("connection", "Upgrade".parse().unwrap());
        *response.body_mut() = Full::default();
        let taken = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut stream = TokioIo::new(taken.await.unwrap());
            let mut said = [0; 5];
            stream.read_exact(&mut said).await.unwrap();
            stream.write_all(&said.to_ascii_uppercase()).await.unwrap();
        });
    }
    response
}

/// Says these bytes to the gate; gives all that comes back until it closes.
pub(super) async fn say(socket: &Path, bytes: &str) -> String {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

pub(super) fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: d\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
}

#[tokio::test]
async fn what_is_admitted_reaches_the_engine_and_what_is_not_is_refused_with_its_reason() {
    let engine = Engine::start();
    let (_gate, socket) = engine.gate();
    let create = "/v1.41/containers/create?name=work";

    let plain = say(&socket, &post(create, r#"{"HostConfig": {"NetworkMode": "none"}}"#)).await;
    let host = say(&socket, &post(create, r#"{"HostConfig": {"NetworkMode": "host"}}"#)).await;
    let garbled = say(&socket, &post(create, "{")).await;
    let build = say(&socket, &post("/build", "")).await;

    assert!(plain.starts_with("HTTP/1.1 200") && plain.ends_with("\"Warnings\":[]}"), "{plain}");
    assert!(
        host.starts_with("HTTP/1.1 403") && host.contains("this PC does not allow NetworkMode"),
        "{host}"
    );
    assert!(garbled.starts_with("HTTP/1.1 403") && build.starts_with("HTTP/1.1 403"), "{garbled} {build}");
    // By a runtime that is named: the engine's default may be the card's.
    let passed_on = r#"{"HostConfig":{"NetworkMode":"none","Runtime":"runc"}}"#;
    assert_eq!(engine.heard(), [format!("POST {create} {passed_on}")]);
    let made: Vec<String> = engine.made.lock().unwrap().iter().cloned().collect();
    assert_eq!(made, ["c0ffee"], "found again without asking the engine");
}

/// The engine puts together what is said twice, and takes any letters for a name that are the same to it.
#[tokio::test]
async fn what_the_engine_would_read_otherwise_than_the_gate_never_reaches_it() {
    let engine = Engine::start();
    let (_gate, socket) = engine.gate();

    for body in [
        r#"{"HostConfig": {"NetworkMode": "host"}, "HostConfig": {"Memory": 1}}"#,
        r#"{"HostConfig": {"NetworkMode": "host", "NetworkMode": "none"}}"#,
        r#"{"HostConfig": {"Binds": ["/etc:/etc"], "\u0042inds": null}}"#,
        "{\"Ho\u{17f}tConfig\": {\"NetworkMode\": \"host\"}}",
        "{\"HostConfig\": {\"Networ\u{212a}Mode\": \"host\"}}",
    ] {
        let answer = say(&socket, &post("/v1.41/containers/create", body)).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{body}: {answer}");
    }
    let twice = r#"{"Cmd": ["sh"], "Privileged": true, "Privileged": false}"#;
    assert!(say(&socket, &post("/containers/c0ffee/exec", twice)).await.starts_with("HTTP/1.1 403"));
    assert_eq!(engine.heard(), Vec::<String>::new());
}

#[tokio::test]
async fn a_container_that_is_described_anew_at_its_start_is_not_started() {
    let engine = Engine::start();
    let (_gate, socket) = engine.gate();
    let start = "/v1.23/containers/c0ffee/start";

    for body in [r#"{"Privileged": true}"#, r#"{"Binds": ["/:/host"]}"#, "{}", "null", " "] {
        let answer = say(&socket, &post(start, body)).await;
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("described anew"), "{body}: {answer}");
    }
    let without = format!("POST {start} HTTP/1.1\r\nhost: d\r\nconnection: close\r\n\r\n");
    for plain in [post(start, ""), without] {
        assert!(say(&socket, &plain).await.starts_with("HTTP/1.1 200"));
    }

    assert_eq!(engine.heard(), [format!("POST {start}"), format!("POST {start}")]);
}

#[tokio::test]
async fn a_connection_that_the_engine_takes_over_is_joined_end_to_end() {
    let engine = Engine::start();
    let (_gate, socket) = engine.gate();
    let mut stream = UnixStream::connect(&socket).await.unwrap();

    let ask = "POST /exec/e1/start HTTP/1.1\r\nhost: d\r\nconnection: Upgrade\r\nupgrade: tcp\r\ncontent-length: 2\r\n\r\n{}";
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(b"hello").await.unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await.unwrap();

    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    assert_eq!(&answer, b"HELLO");
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_said_and_a_closed_gate_leaves_no_socket() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let gate = Gate::open(
        socket.clone(),
        &dir.path().join("gone.sock"),
        dir.path(),
        Containers::default(),
        Arc::new(|_| ()),
    )
    .unwrap();

    let answer = say(&socket, "GET /_ping HTTP/1.1\r\nhost: d\r\nconnection: close\r\n\r\n").await;
    drop(gate);

    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    assert!(!socket.exists());
}

/// An image's labels become those of each container that is made of it.
#[tokio::test]
async fn an_image_that_would_swell_the_engines_list_gets_no_container() {
    let engine = Engine::start();
    let (_gate, socket) = engine.gate();
    let create = |image: &str| {
        let asked = serde_json::json!({"Image": image, "HostConfig": {}}).to_string();
        post("/v1.41/containers/create", &asked)
    };

    let light = say(&socket, &create("light")).await;
    let heavy = say(&socket, &create("heavy")).await;
    let other = say(&socket, &create("light/json?x")).await;

    assert!(light.starts_with("HTTP/1.1 200"), "{light}");
    assert!(heavy.starts_with("HTTP/1.1 403") && heavy.contains("128 KiB"), "{heavy}");
    assert!(other.starts_with("HTTP/1.1 403"), "{other}");
    let made = engine.heard().into_iter().filter(|asked| asked.contains("/containers/create")).count();
    assert_eq!(made, 1);
}

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

/// The customer reads what was refused. The owner's log says by which rule, and repeats nothing that a job wrote.
#[tokio::test]
async fn a_refusal_tells_its_customer_what_was_refused_in_short_and_the_log_only_why() {
    let log = Log::default();
    let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_ansi(false);
    let _logging = tracing::subscriber::set_default(lines.with_writer(Mutex::new(log.clone())).finish());
    let engine = Engine::start();
    let (_gate, socket) = engine.gate();
    let host = |asked: &str| format!(r#"{{"HostConfig": {asked}}}"#);
    let long = "\u{1F9EA}\\\\".repeat(20_000);
    // Where another test without a log comes first to a line that is logged, that line is taken for one that nobody wants.
    say(&socket, &post("/v1.41/containers/create", &host(r#"{"NetworkMode": "first"}"#))).await;
    tracing::callsite::rebuild_interest_cache();
    log.0.lock().unwrap().clear();

    for (rule, asked) in [
        ("NetworkMode", host(r#"{"NetworkMode": "planted"}"#)),
        ("NetworkMode", host(r#"{"NetworkMode": {"planted": 1}}"#)),
        ("device", host(r#"{"Devices": [{"PathOnHost": "/dev/planted"}]}"#)),
        ("folder", host(r#"{"Binds": ["/planted:/x"]}"#)),
        ("folder", host(r#"{"Mounts": [{"Type": "bind", "Source": "/planted"}]}"#)),
        ("mounts", host(r#"{"Mounts": [{"Type": "planted"}]}"#)),
        ("capability", host(r#"{"CapAdd": ["planted"]}"#)),
        ("security option", host(r#"{"SecurityOpt": ["planted"]}"#)),
        ("Runtime", host(r#"{"Runtime": "planted"}"#)),
        (
            "network",
            r#"{"HostConfig": {}, "NetworkingConfig": {"EndpointsConfig": {"planted": {}}}}"#.to_owned(),
        ),
    ] {
        for asked in [asked.clone(), asked.replace("planted", &format!("planted{long}"))] {
            let answer = say(&socket, &post("/v1.41/containers/create", &asked)).await;
            let told = answer.to_lowercase();
            assert!(told.contains("planted") && told.contains(&rule.to_lowercase()), "{answer}");
            assert!(answer.len() < 1024, "{} bytes: {answer}", answer.len());
        }
        let logged = String::from_utf8(std::mem::take(&mut log.0.lock().unwrap())).unwrap();
        assert!(logged.contains(rule) && !logged.to_lowercase().contains("planted"), "{rule}: {logged}");
    }
    let answer = say(&socket, &post(&format!("/planted{}", "x".repeat(8_000)), "")).await;
    let logged = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(
        answer.contains("planted") && answer.len() < 1024 && !logged.contains("planted"),
        "{answer} {logged}"
    );
}

/// Of what the engine refuses a job for, the job hears all and this PC what is its own.
#[tokio::test]
async fn a_refusal_that_is_this_pcs_is_told_and_passed_on_as_it_came() {
    let engine = Engine::start();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let (_gate, socket) = engine.gate_that_tells(Arc::new(move |result| tell.send(result).unwrap()));
    let data = engine.dir.path().join("data");
    let folder = data.join("alloc/a1/alloc");
    say(&socket, &post("/build", "")).await;
    std::fs::create_dir_all(&folder).unwrap();
    let refuse = |message: &str| *engine.refuses.lock().unwrap() = Some(message.to_owned());
    let start = post("/v1.44/containers/c0ffee/start", "");

    let reason = format!("error while creating mount source path '{}': mkdir x: denied", folder.display());
    refuse(&reason);
    let answer = say(&socket, &start).await;
    assert!(answer.starts_with("HTTP/1.1 500") && answer.contains(&reason), "{answer}");
    let out_of_reach = EngineFault::FoldersOutOfReach(data.display().to_string());
    assert_eq!(told.recv().await, Some(Err(out_of_reach)));

    refuse("unknown or invalid runtime name: nvidia");
    say(&socket, &post("/v1.44/containers/create", r#"{"HostConfig": {"Runtime": "nvidia"}}"#)).await;
    assert_eq!(told.recv().await, Some(Err(EngineFault::NoCard)));

    for own in ["exec: \"nope\": executable file not found in $PATH", "No such image: nothing"] {
        refuse(&format!("unable to start container process: {own}"));
        say(&socket, &start).await;
    }
    refuse("unknown or invalid runtime name: nvidia");
    say(&socket, &post("/v1.44/images/create?fromImage=x", "")).await;
    *engine.refuses.lock().unwrap() = None;
    say(&socket, &start).await;
    assert_eq!(told.recv().await, Some(Ok(())), "nothing between");
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
    let create = |allocation: &str| {
        let labels = serde_json::json!({"com.hashicorp.nomad.alloc_id": allocation});
        let asked = serde_json::json!({"Labels": labels, "HostConfig": {}}).to_string();
        post("/v1.44/containers/create", &asked)
    };

    say(&socket, &create("ran")).await;
    say(&socket, &start).await;
    assert_eq!(told.recv().await, Some(Ok(())));
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
    assert_eq!(told.recv().await, Some(Err(EngineFault::NoCard)), "nothing before");

    let reason =
        format!("error while creating mount source path '{}': mkdir x: denied", folder("new").display());
    *engine.refuses.lock().unwrap() = Some(reason);
    say(&socket, &create("new")).await;
    assert_eq!(told.recv().await, Some(Err(EngineFault::FoldersOutOfReach(data.display().to_string()))));
}
