//! A container engine for tests: Debian's `dockerd` and `containerd` on their own sockets and folders. The machine's own engine
//! is never asked, and its settings are never read. Also what every engine needs for the example: its image.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use tempfile::TempDir;

use crate::child::{self, Child};
use crate::ground::take_over;
use crate::platform;

/// The image of `jobs/example-docker.json`.
const IMAGE: &str = "ionet-example:1";

const READY: Duration = Duration::from_secs(60);
/// It ends its containers first.
const GRACE: Duration = Duration::from_secs(20);
const BUSYBOX: &str = "/bin/busybox";

/// A running engine that holds the example's image. Dropping it ends the engine and its containers.
#[must_use]
#[derive(Debug)]
pub struct Engine {
    socket: PathBuf,
    _dockerd: Child,
    /// Ends after the engine that asks it.
    _containerd: Child,
    /// Sockets have short names only, so they do not lie in its folder.
    _run: TempDir,
    /// Held as long as the engine stands.
    _lock: File,
}

impl Engine {
    /// An engine without a stage, in a folder of its own: made when absent, emptied when an earlier one left it. Only root may start it.
    ///
    /// # Errors
    /// It does not come up, or the folder is somebody else's.
    pub async fn alone(dir: &Path) -> Result<Self> {
        let (dir, lock) = take_over(dir)?;
        Self::start(&dir.join("engine"), lock).await
    }

    async fn start(dir: &Path, lock: File) -> Result<Self> {
        if !Path::new(BUSYBOX).is_file() {
            bail!("{BUSYBOX} is not there: install busybox-static");
        }
        fs::create_dir_all(dir)?;
        let run = tempfile::Builder::new().prefix("ionet-engine-").tempdir()?;
        let containerd = start_containerd(dir, run.path()).await?;
        let socket = run.path().join("engine.sock");
        let mut command = child::clean_command(Path::new("dockerd"), dir);
        fs::write(dir.join("daemon.json"), "{}")?;
        command.arg("--config-file").arg(dir.join("daemon.json"));
        command.args(["--host", &host(&socket), "--bridge", "none", "--iptables=false", "--ip-masq=false"]);
        command.args(["--shutdown-timeout", "1"]);
        // A card's double needs nothing of a card's runtime but its name: what asks an engine for it finds it.
        command.args(["--add-runtime", "nvidia=runc"]);
        command.arg("--containerd").arg(containerd_socket(run.path()));
        command.arg("--data-root").arg(dir.join("data"));
        command.arg("--exec-root").arg(run.path().join("exec"));
        command.arg("--pidfile").arg(run.path().join("engine.pid"));
        let child =
            Child::spawn("engine", command, &dir.join("engine.log")).context("is docker.io installed?")?;
        let child = child.with_grace(GRACE);
        child.wait_until(READY, async || ask(&socket, "GET", "/_ping", NOTHING).ok().map(drop)).await?;

        make_image(&socket, dir)?;
        Ok(Self { socket, _dockerd: child, _containerd: containerd, _run: run, _lock: lock })
    }

    /// `unix:///…/engine.sock`, as `DOCKER_HOST` wants it.
    pub fn host(&self) -> String {
        host(&self.socket)
    }

    fn list(&self, path: &str) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Container {
            id: String,
        }
        let listed: Vec<Container> = serde_json::from_slice(&ask(&self.socket, "GET", path, NOTHING)?)?;
        Ok(listed.into_iter().map(|container| container.id).collect())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // A container that ignores its stop signal would hold the engine for ten seconds, or outlive it.
        for id in self.list("/containers/json").unwrap_or_default() {
            let _ = ask(&self.socket, "POST", &format!("/containers/{id}/kill"), NOTHING);
        }
    }
}

/// Its own: `dockerd` would take the machine's, where one runs.
async fn start_containerd(dir: &Path, run: &Path) -> Result<Child> {
    let config = dir.join("containerd.toml");
    fs::write(&config, "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n")?;
    let socket = containerd_socket(run);
    let mut command = child::clean_command(Path::new("containerd"), dir);
    command.arg("--config").arg(config).arg("--address").arg(&socket);
    command.arg("--root").arg(dir.join("containerd")).arg("--state").arg(run.join("containerd"));
    let child = Child::spawn("containerd", command, &dir.join("containerd.log"))
        .context("is docker.io installed?")?;
    child.wait_until(READY, async || platform::connect(&socket).ok().map(drop)).await?;
    Ok(child)
}

fn host(socket: &Path) -> String {
    format!("unix://{}", socket.display())
}

fn containerd_socket(run: &Path) -> PathBuf {
    run.join("containerd.sock")
}

/// Puts the example's image into an engine, for jobs.
///
/// # Errors
/// The engine does not take it.
pub fn offer_example(socket: &Path) -> Result<()> {
    make_image(socket, tempfile::tempdir()?.path())
}

/// A root file system of one static program and its name `sh`.
fn make_image(socket: &Path, dir: &Path) -> Result<()> {
    let bin: PathBuf = dir.join("image/bin");
    fs::create_dir_all(&bin)?;
    for name in ["busybox", "sh", "sleep", "echo"] {
        fs::copy(BUSYBOX, bin.join(name))?;
    }
    let archive = dir.join("image.tar");
    let packed =
        Command::new("tar").arg("-C").arg(dir.join("image")).arg("-cf").arg(&archive).arg(".").status()?;
    anyhow::ensure!(packed.success(), "the image cannot be packed: tar {packed}");
    let (name, tag) = IMAGE.split_once(':').unwrap_or((IMAGE, "latest"));
    // For jobs, though none brought it.
    let path = format!("/images/create?fromSrc=-&repo={name}&tag={tag}&changes=LABEL%20net.io.jobs=1");
    let told = ask(socket, "POST", &path, ("application/x-tar", &fs::read(&archive)?))?;
    // It answers 200 before it has looked.
    let told = String::from_utf8_lossy(&told);
    anyhow::ensure!(!told.contains("errorDetail"), "the image cannot be made: {told}");
    Ok(())
}

/// One question to an engine, with a body of some kind. In HTTP 1.0, where the end of the answer is the end of the connection.
fn ask(socket: &Path, method: &str, path: &str, (kind, body): (&str, &[u8])) -> Result<Vec<u8>> {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: engine\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    );
    let mut stream = platform::connect(socket)?;
    stream.write_all(&[head.as_bytes(), body].concat())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").context("half an answer")?;
    let body = answer.split_off(end + 4);
    let status = String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap_or_default().to_owned();
    if !status.starts_with('2') {
        bail!("the engine answers {status} to {method} {path}: {}", String::from_utf8_lossy(&body));
    }
    Ok(body)
}

const NOTHING: (&str, &[u8]) = ("application/json", &[]);

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    /// A container that ignores every signal it can; gives the process that it is.
    fn run(engine: &Engine) -> u64 {
        let asked = serde_json::json!({
            "Image": IMAGE, "Cmd": ["/bin/sh", "-c", "trap '' TERM; sleep 600"],
            "HostConfig": {"NetworkMode": "none"},
        });
        let told = |method, path: &str, body: &str| -> serde_json::Value {
            let told = ask(&engine.socket, method, path, ("application/json", body.as_bytes())).unwrap();
            serde_json::from_slice(&told).unwrap_or_default()
        };
        let made = told("POST", "/containers/create", &asked.to_string());
        let path = format!("/containers/{}", made["Id"].as_str().unwrap());
        told("POST", &format!("{path}/start"), "");
        told("GET", &format!("{path}/json"), "")["State"]["Pid"].as_u64().unwrap()
    }

    #[tokio::test]
    async fn an_engine_of_its_own_ends_with_everything_that_runs_in_it() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root to start a container engine");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::alone(dir.path()).await.unwrap();
        let second = Engine::alone(dir.path()).await;
        let task = run(&engine);
        let alive = |pid: u64| Path::new(&format!("/proc/{pid}")).exists();
        let all = [task, engine._dockerd.pid().into(), engine._containerd.pid().into()];

        assert!(second.unwrap_err().to_string().contains("another stage runs"));
        assert_eq!(engine.list("/containers/json?all=1").unwrap().len(), 1);
        assert!(all.iter().all(|&pid| alive(pid)));
        drop(engine);

        assert!(!all.iter().any(|&pid| alive(pid)), "{all:?}");
    }
}
