use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::beside::{AtGate, Tell};
use super::gate::Gate;
use ionet_core::fault::EngineFault;

mod refusals;

/// An engine that says "asked", notes what it was asked (of a container also how it is described), and repeats in capitals what it
/// hears on a connection that it takes over.
struct Engine {
    dir: tempfile::TempDir,
    heard: Arc<Mutex<Vec<String>>>,
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
                    let refused = refusal.lock().unwrap().clone().filter(|_| !is_image(&request));
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
        Self { dir, heard, refuses }
    }

    fn gate(&self) -> (Gate, PathBuf) {
        self.gate_that_tells(Arc::new(|_| ()))
    }

    fn gate_that_tells(&self, tell: Tell) -> (Gate, PathBuf) {
        let socket = self.dir.path().join("engine.sock");
        let (real, data) = (self.dir.path().join("real.sock"), self.dir.path().join("data"));
        let cards = vec!["GPU-1".to_owned(), "GPU-2".to_owned()];
        let gate = Gate::open(socket.clone(), &real, &data, cards, tell);
        (gate.unwrap(), socket)
    }

    /// But for the gate's own questions.
    fn heard(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        heard.iter().filter(|asked| !asked.starts_with("GET /images/")).cloned().collect()
    }

    /// A container of this allocation with its folders, and with this in its `HostConfig`.
    fn asked(&self, allocation: &str, host: Value) -> Value {
        let mut asked = asked_for(&self.dir.path().join("data"), allocation);
        for (name, value) in host.as_object().unwrap() {
            asked["HostConfig"][name] = value.clone();
        }
        asked
    }

    fn create(&self, allocation: &str, host: Value) -> String {
        post("/v1.44/containers/create", &self.asked(allocation, host).to_string())
    }
}

/// As Nomad's driver asks for a plain container. Its folder is made.
pub(super) fn asked_for(data_dir: &Path, allocation: &str) -> Value {
    let folder = data_dir.join("alloc").join(allocation).join("alloc");
    let _ = std::fs::create_dir_all(folder.join("logs"));
    json!({
        "Image": "light",
        "Labels": {"com.hashicorp.nomad.alloc_id": allocation, "com.hashicorp.nomad.task_name": "work"},
        "HostConfig": {
            "Binds": [format!("{}:/alloc", folder.display())], "Memory": 64 << 20, "NetworkMode": "none",
        },
    })
}

fn is_image(request: &Request<Incoming>) -> bool {
    request.uri().path().starts_with("/images/")
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
        "/images/light/json" | "/v1.44/images/light/json" => {
            r#"{"Id":"sha256:1","Config":{"Labels":{"net.io.jobs":"1"}}}"#.to_owned()
        }
        "/images/owners/json" | "/v1.44/images/owners/json" => {
            r#"{"Id":"sha256:3","Config":{"Labels":{"a":"b"}}}"#.to_owned()
        }
        "/images/heavy/json" => {
            let much = "x".repeat(1024 * 1024);
            serde_json::json!({"Id": "sha256:2", "Config": {"Labels": {"net.io.jobs": much}}}).to_string()
        }
        "/containers/c0ffee/json" => r#"{"State":{"Running":true}}"#.to_owned(),
        _ if is_create(&request) && request.uri().query().is_some_and(|name| name.ends_with("-b1")) => {
            r#"{"Id":"beef","Warnings":[]}"#.to_owned()
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
async fn what_is_built_reaches_the_engine_and_what_is_refused_does_not() {
    let engine = Engine::start();
    let (_gate, socket) = engine.gate();

    let plain = say(&socket, &engine.create("a1", json!({"NetworkMode": "none"}))).await;
    let host = say(&socket, &engine.create("a1", json!({"NetworkMode": "host"}))).await;
    let garbled = say(&socket, &post("/v1.44/containers/create", "{")).await;
    let build = say(&socket, &post("/v1.44/build", "")).await;
    let stop = "POST /v1.44/containers/c0ffee/stop?t=1 HTTP/1.1\r\nhost: d\r\nx-planted: 1\r\nconnection: close\r\n\r\n";
    say(&socket, stop).await;

    assert!(plain.starts_with("HTTP/1.1 200") && plain.ends_with("\"Warnings\":[]}"), "{plain}");
    assert!(
        host.starts_with("HTTP/1.1 403") && host.contains("this PC does not allow NetworkMode"),
        "{host}"
    );
    assert!(garbled.starts_with("HTTP/1.1 403") && build.starts_with("HTTP/1.1 403"), "{garbled} {build}");
    let heard = engine.heard();
    let [create, stop] = heard.as_slice() else { panic!("{heard:?}") };
    // Under its task's name, of an image by its content, by a runtime that is named.
    let body = create.strip_prefix("POST /v1.44/containers/create?name=work-a1 ").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["Image"], &body["HostConfig"]["Runtime"]), (&json!("sha256:1"), &json!("runc")));
    assert_eq!(stop, "POST /v1.44/containers/c0ffee/stop?t=1");
}

/// The engine puts together what is said twice, and takes any letters for a name that are the same to it.
#[tokio::test]
async fn what_the_engine_would_read_otherwise_than_the_gate_never_reaches_it() {
    let engine = Engine::start();
    let (_gate, socket) = engine.gate();
    let plain = engine.asked("a1", json!({})).to_string();
    let host = |more: &str| plain.replacen("\"HostConfig\":{", &format!("\"HostConfig\":{{{more},"), 1);

    for body in [
        plain.replacen('{', r#"{"HostConfig":{"Privileged":true},"#, 1),
        host(r#""NetworkMode":"host""#),
        host(r#""\u0042inds":null"#),
        host("\"Networ\u{212a}Mode\":\"host\""),
        plain.replacen("HostConfig", "Ho\u{17f}tConfig", 1).replacen("none", "host", 1),
    ] {
        let answer = say(&socket, &post("/v1.44/containers/create", &body)).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{body}: {answer}");
    }
    let twice = r#"{"Cmd": ["sh"], "Privileged": true, "Privileged": false}"#;
    assert!(say(&socket, &post("/v1.44/containers/c0ffee/exec", twice)).await.starts_with("HTTP/1.1 403"));
    assert_eq!(engine.heard(), Vec::<String>::new());
}

#[tokio::test]
async fn a_container_that_is_described_anew_at_its_start_is_not_started() {
    let engine = Engine::start();
    let (_gate, socket) = engine.gate();
    let start = "/v1.44/containers/c0ffee/start";
    say(&socket, &engine.create("a1", json!({}))).await;

    for body in [r#"{"Privileged": true}"#, r#"{"Binds": ["/:/host"]}"#, "{}", "null", " "] {
        let answer = say(&socket, &post(start, body)).await;
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("none belongs"), "{body}: {answer}");
    }
    let without = format!("POST {start} HTTP/1.1\r\nhost: d\r\nconnection: close\r\n\r\n");
    for plain in [post(start, ""), without] {
        assert!(say(&socket, &plain).await.starts_with("HTTP/1.1 200"));
    }

    assert_eq!(engine.heard()[1..], [format!("POST {start}"), format!("POST {start}")]);
}

/// Between its description and its start a folder could become a link to somewhere else.
#[tokio::test]
async fn a_container_whose_folder_is_another_by_its_start_is_not_started_nor_one_of_somebody_else() {
    let engine = Engine::start();
    let (_gate, socket) = engine.gate();
    let start = |id: &str| post(&format!("/v1.44/containers/{id}/start"), "");
    say(&socket, &engine.create("a1", json!({}))).await;
    let folder = engine.dir.path().join("data/alloc/a1/alloc");

    std::fs::rename(&folder, folder.with_file_name("aside")).unwrap();
    std::os::unix::fs::symlink("/", &folder).unwrap();
    let moved = say(&socket, &start("c0ffee")).await;
    let somebodys = say(&socket, &start("deadbeef")).await;
    std::fs::remove_file(&folder).unwrap();
    std::fs::rename(folder.with_file_name("aside"), &folder).unwrap();
    let again = say(&socket, &start("c0ffee")).await;

    assert!(moved.starts_with("HTTP/1.1 403") && moved.contains("others by now"), "{moved}");
    assert!(somebodys.starts_with("HTTP/1.1 403") && somebodys.contains("not made for a job"), "{somebodys}");
    assert!(again.starts_with("HTTP/1.1 200"), "{again}");
}

/// A job's own words may name a card that the scheduler gave to another.
#[tokio::test]
async fn a_card_that_runs_one_allocations_work_is_not_another_ones_whatever_that_says() {
    let engine = Engine::start();
    let (_gate, socket) = engine.gate();
    let create = |allocation: &str, cards: &str| {
        let mut asked = engine.asked(allocation, json!({"Runtime": "nvidia"}));
        asked["Env"] = json!([format!("NVIDIA_VISIBLE_DEVICES={cards}")]);
        post("/v1.44/containers/create", &asked.to_string())
    };
    let start = |id: &str| post(&format!("/v1.44/containers/{id}/start"), "");
    assert!(say(&socket, &create("a1", "GPU-1")).await.starts_with("HTTP/1.1 200"));
    assert!(say(&socket, &start("c0ffee")).await.starts_with("HTTP/1.1 200"));

    say(&socket, &create("b1", "GPU-2,GPU-1")).await;
    let squats = say(&socket, &start("beef")).await;
    say(&socket, &create("b1", "GPU-2")).await;
    let beside = say(&socket, &start("beef")).await;
    say(&socket, &create("b1", "GPU-1")).await;
    say(&socket, "DELETE /v1.44/containers/c0ffee?force=1 HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
        .await;
    let after = say(&socket, &start("beef")).await;

    assert!(squats.starts_with("HTTP/1.1 403") && squats.contains("another job has"), "{squats}");
    assert!(beside.starts_with("HTTP/1.1 200"), "{beside}");
    assert!(after.starts_with("HTTP/1.1 200"), "{after}");
}

#[tokio::test]
async fn a_connection_that_the_engine_takes_over_is_joined_end_to_end() {
    let engine = Engine::start();
    let (_gate, socket) = engine.gate();
    let mut stream = UnixStream::connect(&socket).await.unwrap();

    let ask = "POST /v1.44/exec/e1/start HTTP/1.1\r\nhost: d\r\nconnection: Upgrade\r\nupgrade: tcp\r\ncontent-length: 2\r\n\r\n{}";
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
    let gate =
        Gate::open(socket.clone(), &dir.path().join("gone.sock"), dir.path(), Vec::new(), Arc::new(|_| ()))
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
        let mut asked = engine.asked("a1", json!({}));
        asked["Image"] = json!(image);
        post("/v1.44/containers/create", &asked.to_string())
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

/// Nobody's job asked for it: it may be the owner's work.
#[tokio::test]
async fn an_image_that_no_job_brought_is_none_to_a_job_and_is_neither_run_nor_renamed_nor_removed() {
    let engine = Engine::start();
    let (_gate, socket) = engine.gate();
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nhost: d\r\nconnection: close\r\n\r\n");
    let delete = "DELETE /v1.44/images/owners?force=1 HTTP/1.1\r\nhost: d\r\nconnection: close\r\n\r\n";
    let mut owners = engine.asked("a1", json!({}));
    owners["Image"] = json!("owners");

    let offered = say(&socket, &get("/v1.44/images/light/json")).await;
    let looked = say(&socket, &get("/v1.44/images/owners/json")).await;
    let run = say(&socket, &post("/v1.44/containers/create", &owners.to_string())).await;
    let removed = say(&socket, delete).await;

    assert!(offered.starts_with("HTTP/1.1 200") && offered.contains("sha256:1"), "{offered}");
    for answer in [looked, run, removed] {
        assert!(answer.starts_with("HTTP/1.1 404") && !answer.contains("sha256"), "{answer}");
    }
    let heard = engine.heard();
    assert!(!heard.iter().any(|asked| asked.contains("create") || asked.starts_with("DELETE")), "{heard:?}");
}

#[tokio::test]
async fn a_container_is_made_under_its_tasks_name_alone() {
    let engine = Engine::start();
    let (_gate, socket) = engine.gate();
    let asked = engine.asked("a1", json!({})).to_string();

    let own = say(&socket, &post("/v1.44/containers/create?name=work-a1", &asked)).await;
    let other = say(&socket, &post("/v1.44/containers/create?name=owners-db", &asked)).await;

    assert!(own.starts_with("HTTP/1.1 200") && other.starts_with("HTTP/1.1 403"), "{own} {other}");
}
