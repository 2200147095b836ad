//! The capsule's engine, asked directly: whoever breaks the gate can ask it for anything.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

/// The image that attackers are in: this program, and the system's own to bind.
pub(crate) const IMAGE: &str = "attacker:1";
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub(crate) struct Engine {
    socket: PathBuf,
}

/// What a program inside said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: i64,
    pub(crate) text: String,
}

impl Said {
    fn did_not_begin(&self) -> bool {
        self.status == 126 && self.text.starts_with("OCI runtime exec failed")
    }

    /// Ended by its alarm, as an engine puts that.
    pub(crate) fn stood_still(&self) -> bool {
        self.status == 128 + i64::from(libc::SIGALRM)
    }
}

impl Engine {
    pub(crate) fn at(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    pub(crate) fn answers(&self) -> bool {
        self.ask("GET", "/_ping", NOTHING).is_ok()
    }

    /// The archive becomes the image.
    pub(crate) fn load(&self, archive: &[u8]) -> Result<()> {
        let (name, tag) = IMAGE.split_once(':').unwrap_or((IMAGE, "latest"));
        let path = format!("/images/create?fromSrc=-&repo={name}&tag={tag}");
        let told = self.ask("POST", &path, ("application/x-tar", archive))?;
        let told = String::from_utf8_lossy(&told).into_owned();
        ensure!(!told.contains("errorDetail"), "the image cannot be made: {told}");
        Ok(())
    }

    /// Starts a container and gives its id. `host` is what the gate would have to allow.
    pub(crate) fn start(&self, command: &[&str], env: &[String], host: &Value) -> Result<String> {
        self.start_in("/", command, env, host)
    }

    pub(crate) fn start_in(
        &self,
        folder: &str,
        command: &[&str],
        env: &[String],
        host: &Value,
    ) -> Result<String> {
        let mut host = host.clone();
        let binds = host["Binds"].as_array().cloned().unwrap_or_default();
        host["Binds"] = Value::Array([vec![json!("/usr:/usr:ro")], binds].concat());
        let asked = json!({
            "Image": IMAGE, "Cmd": command, "Env": env, "HostConfig": host,
            "ExposedPorts": {"8080/tcp": {}}, "WorkingDir": folder,
        });
        let made = self.tell("/containers/create", &asked)?;
        let id = made["Id"].as_str().context("a container without an id")?.to_owned();
        let started = self.tell(&format!("/containers/{id}/start"), &json!({}));
        if started.is_err() {
            self.remove(&id);
        }
        started.map(|_| id)
    }

    pub(crate) fn look(&self, id: &str) -> Result<Value> {
        Ok(serde_json::from_slice(&self.ask("GET", &format!("/containers/{id}/json"), NOTHING)?)?)
    }

    pub(crate) fn lives(&self, id: &str) -> bool {
        self.look(id).is_ok_and(|seen| seen["State"]["Running"] == true)
    }

    /// Where the engine's runtime did not come so far as to begin it, it is begun once more: that says nothing of the deed.
    pub(crate) fn exec(&self, id: &str, command: &[&str]) -> Result<Said> {
        let said = self.exec_once(id, command)?;
        if said.did_not_begin() { self.exec_once(id, command) } else { Ok(said) }
    }

    fn exec_once(&self, id: &str, command: &[&str]) -> Result<Said> {
        let asked = json!({"AttachStdout": true, "AttachStderr": true, "Tty": true, "Cmd": command});
        let made = self.tell(&format!("/containers/{id}/exec"), &asked)?;
        let exec = made["Id"].as_str().context("an exec without an id")?.to_owned();
        let start = json!({"Detach": false, "Tty": true}).to_string();
        let text =
            self.ask("POST", &format!("/exec/{exec}/start"), ("application/json", start.as_bytes()))?;
        let ended: Value =
            serde_json::from_slice(&self.ask("GET", &format!("/exec/{exec}/json"), NOTHING)?)?;
        let text = String::from_utf8_lossy(&text).replace("\r\n", "\n");
        Ok(Said { status: ended["ExitCode"].as_i64().unwrap_or(-1), text })
    }

    pub(crate) fn remove(&self, id: &str) {
        let _ = self.ask("DELETE", &format!("/containers/{id}?force=1&v=1"), NOTHING);
    }

    fn tell(&self, path: &str, what: &Value) -> Result<Value> {
        let told = self.ask("POST", path, ("application/json", what.to_string().as_bytes()))?;
        Ok(serde_json::from_slice(&told).unwrap_or_default())
    }

    pub(crate) fn get(&self, path: &str) -> Result<Vec<u8>> {
        self.ask("GET", path, NOTHING)
    }

    /// What it keeps at that place goes, if there is anything.
    pub(crate) fn forget(&self, path: &str) {
        let _ = self.ask("DELETE", path, NOTHING);
    }

    /// An image that is like the container, with these changes.
    pub(crate) fn commit(&self, container: &str, image: &str, changes: &[&str]) -> Result<()> {
        let (name, tag) = image.split_once(':').unwrap_or((image, "latest"));
        let spelled = |change: &&str| format!("&changes={}", change.replace(' ', "%20").replace('=', "%3D"));
        let changes: String = changes.iter().map(spelled).collect();
        let path = format!("/commit?container={container}&repo={name}&tag={tag}&pause=0{changes}");
        self.ask("POST", &path, ("application/json", b"{}")).map(drop)
    }

    pub(crate) fn tag(&self, image: &str, other: &str) -> Result<()> {
        let (name, tag) = other.split_once(':').unwrap_or((other, "latest"));
        self.ask("POST", &format!("/images/{image}/tag?repo={name}&tag={tag}"), NOTHING).map(drop)
    }

    /// In HTTP 1.0, where the end of the answer is the end of the connection.
    pub(crate) fn ask(&self, method: &str, path: &str, (kind, body): (&str, &[u8])) -> Result<Vec<u8>> {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: engine\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
        );
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).with_context(|| format!("{method} {path}"))?;
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").context("half an answer")?;
        let body = answer.split_off(end + 4);
        let head = String::from_utf8_lossy(&answer);
        if !head.split(' ').nth(1).is_some_and(|status| status.starts_with('2')) {
            bail!("the engine answers to {method} {path}: {}", String::from_utf8_lossy(&body).trim());
        }
        Ok(body)
    }
}

const NOTHING: (&str, &[u8]) = ("application/json", &[]);
