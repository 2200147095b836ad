//! The gate and what is asked of an engine, held to a real one: that of `./dev test`, on a socket of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty};
use hyper::{Method, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::gate::Gate;
use super::images::{self, Images};
use super::stage::{ALLOC, Stage};
use crate::http;

/// What `ionet-stage engine` holds: a static busybox.
const IMAGE: &str = "ionet-example:1";

const SOON: Duration = Duration::from_secs(30);

/// None, and said, where `./dev test` started no engine: that takes root.
pub(super) fn engine() -> Option<PathBuf> {
    let socket = std::env::var_os("IONET_TEST_ENGINE").map(PathBuf::from);
    if socket.is_none() {
        println!("skipped: needs root to start a container engine, and ./dev test, which does");
    }
    socket
}

async fn ask(socket: &Path, method: Method, target: &str, body: Value) -> (u16, Value) {
    let stream = UnixStream::connect(socket).await.unwrap();
    let body = (!body.is_null()).then(|| body.to_string());
    let answer = http::ask(stream, method, target, body, SOON).await.unwrap();
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or(Value::String(text)))
}

/// A container as Nomad's docker driver asks for one, with `folder` as its allocation's, for a task that no other test has.
fn asked(folder: &Path, script: &str) -> Value {
    static TASKS: AtomicU32 = AtomicU32::new(0);
    let task = format!("work-{}-{}", std::process::id(), TASKS.fetch_add(1, Ordering::SeqCst));
    json!({
        "Image": IMAGE,
        "Cmd": ["/bin/sh", "-c", script],
        "Labels": {"com.hashicorp.nomad.alloc_id": ALLOC, "com.hashicorp.nomad.task_name": task},
        "HostConfig": {
            "NetworkMode": "none",
            "Binds": [format!("{}:/alloc", folder.display())],
            "Memory": 64 << 20,
            "PidsLimit": 64,
        },
    })
}

/// Made and started through `socket`. Gone with the test, whatever it came to.
struct Container {
    engine: PathBuf,
    id: String,
}

impl Container {
    async fn start(engine: &Path, socket: &Path, asked: &Value) -> Self {
        let (status, made) = ask(socket, Method::POST, "/v1.41/containers/create", asked.clone()).await;
        assert_eq!(status, 201, "{made}");
        let container = Self { engine: engine.to_owned(), id: made["Id"].as_str().unwrap().to_owned() };
        let started = container.verb(socket, "start").await;
        assert_eq!(started.0, 204, "{}", started.1);
        container
    }

    async fn verb(&self, socket: &Path, verb: &str) -> (u16, Value) {
        ask(socket, Method::POST, &format!("/v1.41/containers/{}/{verb}", self.id), Value::Null).await
    }

    /// What the engine says of it; none when it knows no such container.
    async fn seen(&self) -> Option<Value> {
        let target = format!("/containers/{}/json", self.id);
        let (status, seen) = ask(&self.engine, Method::GET, &target, Value::Null).await;
        (status == 200).then_some(seen)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        use std::io::{Read, Write};
        let request = format!("DELETE /containers/{}?force=1 HTTP/1.0\r\nHost: e\r\n\r\n", self.id);
        if let Ok(mut stream) = std::os::unix::net::UnixStream::connect(&self.engine) {
            let _ = stream.write_all(request.as_bytes());
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
}

fn gate(stage: &Stage, engine: &Path) -> (Gate, PathBuf) {
    let socket = stage.dir.path().join("gate.sock");
    let gate = Gate::open(socket.clone(), engine, &stage.data(), Vec::new(), Arc::new(|_| ()));
    (gate.unwrap(), socket)
}

fn allocation(stage: &Stage) -> PathBuf {
    stage.data().join("alloc").join(ALLOC).join("alloc")
}

#[tokio::test]
async fn a_real_engine_runs_what_the_gate_admits_and_never_hears_of_what_it_refuses() {
    let Some(engine) = engine() else { return };
    let stage = Stage::new();
    let (_gate, socket) = gate(&stage, &engine);
    let honest = asked(&allocation(&stage), "echo from the container > /alloc/word");
    let mut refused = Vec::new();

    for (field, value) in [
        ("NetworkMode", json!("host")),
        ("Privileged", json!(true)),
        ("Binds", json!(["/etc:/etc"])),
        ("Devices", json!([{"PathOnHost": "/dev/kmsg"}])),
        ("SecurityOpt", json!(["seccomp=unconfined"])),
        ("PidMode", json!("host")),
    ] {
        let mut greedy = honest.clone();
        greedy["HostConfig"][field] = value;
        let name = format!("greedy-{}-{field}", std::process::id());
        greedy["Labels"]["com.hashicorp.nomad.task_name"] = json!(name);
        let (status, said) = ask(&socket, Method::POST, "/v1.41/containers/create", greedy).await;
        let known = format!("/containers/{name}-{ALLOC}/json");
        let (known, _) = ask(&engine, Method::GET, &known, Value::Null).await;
        refused.push((field, status, known, said["message"] == format!("this PC does not allow {field}")));
    }
    let container = Container::start(&engine, &socket, &honest).await;
    let (_, ended) = container.verb(&socket, "wait").await;

    let expected = ["NetworkMode", "Privileged", "Binds", "Devices", "SecurityOpt", "PidMode"];
    assert_eq!(refused, expected.map(|field| (field, 403, 404, true)));
    assert_eq!(ended["StatusCode"], 0, "{ended}");
    assert_eq!(std::fs::read_to_string(allocation(&stage).join("word")).unwrap(), "from the container\n");
}

/// Makes calls of the kernel as no library would, and says what came of each.
const PROBE: &str = r#"
static long call(long number, long one, long two, long three) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(one), "S"(two), "d"(three) : "rcx", "r11", "memory");
    return result;
}
static void say(const char *name, long result) {
    char line[64]; int length = 0;
    while (*name) line[length++] = *name++;
    line[length++] = '=';
    if (result >= 0) { line[length++] = 'y'; } else {
        long error = -result;
        if (error >= 10) line[length++] = '0' + error / 10;
        line[length++] = '0' + error % 10;
    }
    line[length++] = '\n';
    call(1, 1, (long)line, length);
}
__attribute__((used)) void begin(long *stack) {
    if (stack[0] > 1) {
        if (((char *)stack[2])[0] == 'x') { call(0x40000000 + 39, 0, 0, 0); }
        else { long result; __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory"); }
        call(60, 0, 0, 0);
    }
    say("unix", call(41, 1, 1, 0));
    say("tcp", call(41, 2, 1, 6));
    say("udp6", call(41, 10, 2, 17));
    say("route", call(41, 16, 3, 0));
    say("audit", call(41, 16, 3, 9));
    say("sctp", call(41, 2, 1, 132));
    say("packet", call(41, 17, 3, 0));
    say("alg", call(41, 38, 5, 0));
    say("vsock", call(41, 40, 1, 0));
    say("rxrpc", call(41, 33, 2, 0));
    say("unshare", call(272, 0x10000000, 0, 0));
    say("clone", call(56, 0x10000000 | 17, 0, 0));
    say("clone3", call(435, 0, 0, 0));
    say("mount", call(165, 0, 0, 0));
    say("keyctl", call(250, 0, 0, 0));
    say("bpf", call(321, 0, 0, 0));
    say("userfaultfd", call(323, 0, 0, 0));
    say("io_uring", call(425, 1, 0, 0));
    say("perf", call(298, 0, 0, 0));
    say("ptrace", call(101, 0, 0, 0));
    say("setns", call(308, 0, 0, 0));
    call(60, 0, 0, 0);
}
__asm__(".globl _start\n_start: mov %rsp, %rdi\nand $-16, %rsp\ncall begin\n");
"#;

/// None on another architecture, whose numbers are others.
fn probe(folder: &Path) -> Option<()> {
    if !cfg!(target_arch = "x86_64") {
        return None;
    }
    let (source, program) = (folder.join("probe.c"), folder.join("probe"));
    std::fs::write(&source, PROBE).unwrap();
    let mut compiler = std::process::Command::new("cc");
    compiler.args(["-nostdlib", "-static", "-O1", "-fno-stack-protector", "-o"]).arg(program).arg(source);
    assert!(compiler.status().unwrap().success());
    Some(())
}

/// Each of these layers by itself, in a real container: what the profile, the limits and the powers come to.
#[tokio::test]
async fn in_a_real_container_that_the_gate_built_the_kernel_gives_what_programs_need_and_nothing_else() {
    let Some(engine) = engine() else { return };
    let stage = Stage::new();
    let (_gate, socket) = gate(&stage, &engine);
    let folder = allocation(&stage);
    let Some(()) = probe(&folder) else { return };
    let script = "exec > /alloc/said 2>/dev/null
        /alloc/probe
        (/alloc/probe 32); echo 32bit=$?
        (/alloc/probe x); echo x32=$?
        busybox mount -t tmpfs x /mnt; echo mount=$?
        busybox ping -c 1 127.0.0.1 >/dev/null; echo ping=$?
        busybox rm -f /alloc/logs/x /proc/sys/kernel/x; busybox touch /alloc/logs/x; echo logs=$?
        busybox mv /alloc/logs /alloc/other; echo moved=$?
        busybox mknod /alloc/null c 1 3; echo device=$?
        busybox chown 7:7 /alloc/probe && echo chown=0
        busybox grep -E '^(NoNewPrivs|CapEff|CapBnd|Seccomp):' /proc/self/status
        (i=0; while [ $i -lt 500 ]; do sleep 600 & i=$((i+1)); done); echo bomb=$?
        kill -9 -1";

    let container = Container::start(&engine, &socket, &asked(&folder, script)).await;
    container.verb(&socket, "wait").await;
    let said = std::fs::read_to_string(folder.join("said")).unwrap();
    let seen = container.seen().await.unwrap();

    let expected = "unix=y tcp=y udp6=y route=y audit=1 sctp=1 packet=1 alg=1 vsock=1 rxrpc=1 unshare=1 clone=1 clone3=38 \
        mount=1 keyctl=1 bpf=1 userfaultfd=1 io_uring=1 perf=1 ptrace=1 setns=1 32bit=159 x32=159 mount=1 ping=1 logs=1 \
        moved=1 device=1 chown=0 CapEff:000000000004\
05fb CapBnd:00000000000405fb NoNewPrivs:1 Seccomp:2 bomb=2";
    let words =
        |text: &str| text.replace('\t', "").split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&said), words(expected), "{said}");
    let host = &seen["HostConfig"];
    for (limit, value) in [("Memory", 64 << 20), ("MemorySwap", 64 << 20), ("PidsLimit", 64)] {
        assert_eq!(host[limit], value, "{limit}");
    }
    assert_eq!(host["LogConfig"]["Config"], json!({"max-file": "2", "max-size": "2m"}));
    assert!(host["MaskedPaths"].as_array().is_some_and(|masked| !masked.is_empty()), "{host}");
}

#[tokio::test]
async fn a_program_run_in_a_real_container_is_spoken_with_through_the_gate() {
    let Some(engine) = engine() else { return };
    let stage = Stage::new();
    let (_gate, socket) = gate(&stage, &engine);
    let container = Container::start(&engine, &socket, &asked(&allocation(&stage), "sleep 600")).await;
    let program = json!({
        "Cmd": ["/bin/sh", "-c", "read word; echo got $word"],
        "AttachStdin": true, "AttachStdout": true, "Tty": true,
    });
    let target = format!("/v1.41/containers/{}/exec", container.id);
    let (status, made) = ask(&socket, Method::POST, &target, program).await;
    assert_eq!(status, 201, "{made}");

    let mut stream = UnixStream::connect(&socket).await.unwrap();
    let body = r#"{"Detach":false,"Tty":true}"#;
    let request = format!(
        "POST /v1.41/exec/{}/start HTTP/1.1\r\nhost: d\r\nconnection: Upgrade\r\nupgrade: tcp\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        made["Id"].as_str().unwrap(),
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.write_all(b"hello\n").await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(SOON, stream.read_to_end(&mut answer)).await;

    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(read.is_ok() && answer.starts_with("HTTP/1.1 101"), "{answer}");
    assert!(answer.contains("got hello"), "{answer}");
}

/// What a job brought is untagged, and gone where that was its last name; the owner's is never noted.
#[tokio::test]
async fn in_a_real_engine_an_image_that_a_job_brought_goes_and_the_one_that_was_there_stays() {
    let Some(engine) = engine() else { return };
    let stage = Stage::new();
    let images = Images::of(&engine, &stage.data());
    let brought = format!("ionet-brought-{}", std::process::id());
    let is_there = async |name: &str| {
        ask(&engine, Method::GET, &format!("/images/{name}:1/json"), Value::Null).await.0 == 200
    };

    let brings = images.pull(format!("{brought}:1")).await.unwrap();
    assert!(images.pull(IMAGE.to_owned()).await.is_err());
    let tagged = format!("/images/{IMAGE}/tag?repo={brought}&tag=1");
    assert_eq!(ask(&engine, Method::POST, &tagged, Value::Null).await.0, 201);
    let ended = Empty::new().map_err(|never| match never {}).boxed_unsync();
    images.watch(brings, Response::new(ended)).into_body().collect().await.unwrap();
    let deadline = Instant::now() + SOON;
    // While another test's container is there, none is collected.
    while images::collect(&stage.data(), &engine, Duration::ZERO).await != 1 {
        assert!(Instant::now() < deadline, "it was never collected");
    }

    assert!(!is_there(&brought).await && is_there("ionet-example").await);
}
