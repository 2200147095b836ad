//! A customer: whoever has Nomad's docker driver ask the engine for something. Between the two is the gate, which the capsule's own guard
//! opens for an agent; the agent is played, and does nothing. What came of a request the engine says, and never the gate.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::capsule::Held;
use crate::engine::Engine;

/// What lies in the agent's place.
pub(crate) const AGENT: &str = "#!/bin/sh\nexec sleep 86400\n";
const OPEN_WITHIN: Duration = Duration::from_secs(30);
const DATA: &str = "/data/agent";

/// Which the scheduler may give to jobs, and one that it may not.
pub(crate) const LENT: [&str; 2] = ["GPU-6c0d5d5e-lent-1", "GPU-6c0d5d5e-lent-2"];
pub(crate) const OWNERS_CARD: &str = "GPU-6c0d5d5e-owner";

/// Allocations of two customers.
pub(crate) const ALLOCATION: &str = "fedbb3b1-dae0-a47b-538b-62dec51212a9";
pub(crate) const ANOTHER: &str = "0a1b2c3d-0000-4000-8000-00000000cafe";

/// An image that any job may have, and one that is the owner's, with a word of theirs in it.
pub(crate) const OFFERED: &str = "offered:1";
pub(crate) const OWNERS: &str = "owners:1";
pub(crate) const OWNERS_WORD: &str = "zq7image";
/// Offered ones that ask for more themselves: a folder of the system's to begin in, all cards, a loader's variable.
pub(crate) const ASTRAY: &str = "astray:1";
pub(crate) const ALL_CARDS: &str = "allcards:1";
pub(crate) const LOADER: &str = "loader:1";
pub(crate) const WAITS: [&str; 4] = ["/walls", "inside", "listen", "8080"];

pub(crate) struct Customer {
    /// The guard ends what it holds when nobody speaks with it.
    _guard: Option<UnixStream>,
    /// The gate, or, where it is opened, the engine itself.
    asks: Engine,
    engine: Engine,
    version: String,
}

impl Customer {
    pub(crate) fn at_the_gate(capsule: &Held, engine: &Engine) -> Result<Self> {
        let guard = started(&capsule.run.join("guard.sock"))?;
        let gate = format!("/proc/{}/root/run/guard/engine.sock", capsule.init);
        Self::new(Some(guard), Engine::at(Path::new(&gate)), engine)
    }

    /// Nobody stands between them and the engine.
    pub(crate) fn past_the_gate(engine: &Engine) -> Result<Self> {
        Self::new(None, engine.clone(), engine)
    }

    fn new(guard: Option<UnixStream>, asks: Engine, engine: &Engine) -> Result<Self> {
        let said: Value = serde_json::from_slice(&engine.get("/version")?)?;
        let version = said["ApiVersion"].as_str().context("an engine without a version")?;
        let customer = Self { _guard: guard, asks, engine: engine.clone(), version: format!("/v{version}") };
        customer.stock()?;
        Ok(customer)
    }

    /// Images that others put into this engine.
    pub(crate) fn stock(&self) -> Result<()> {
        const FOR_JOBS: &str = "LABEL net.io.jobs=1";
        let base = self.engine.start(&WAITS, &[], &json!({"NetworkMode": "none"}))?;
        let owners = format!("ENV OWNER={OWNERS_WORD}");
        let made = [
            (OFFERED, &[FOR_JOBS][..]),
            (OWNERS, &[owners.as_str()]),
            (ASTRAY, &[FOR_JOBS, "WORKDIR /proc/self/fd/7"]),
            (ALL_CARDS, &[FOR_JOBS, "ENV NVIDIA_VISIBLE_DEVICES=all"]),
            (LOADER, &[FOR_JOBS, "ENV LD_PRELOAD=/own.so"]),
        ]
        .into_iter()
        .try_for_each(|(image, changes)| self.engine.commit(&base, image, changes));
        self.engine.remove(&base);
        made
    }

    /// As the driver asks for a plain container.
    pub(crate) fn plain(allocation: &str) -> Value {
        let own = format!("{DATA}/alloc/{allocation}");
        json!({
            "Image": OFFERED, "Cmd": WAITS, "Env": ["NOMAD_TASK_NAME=work"],
            "Labels": {"com.hashicorp.nomad.alloc_id": allocation, "com.hashicorp.nomad.task_name": "work"},
            "HostConfig": {
                "Binds": [format!("{own}/alloc:/alloc"), format!("{own}/work/local:/local")],
                "Memory": 64 << 20, "NetworkMode": "none",
            },
        })
    }

    /// Any request, in the version that the driver speaks.
    pub(crate) fn ask(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Result<Vec<u8>> {
        self.asks.ask(method, &format!("{}{path}", self.version), (kind, body))
    }

    /// Without a word on the version, which the path then has to say.
    pub(crate) fn ask_plainly(&self, method: &str, path: &str, body: &[u8]) -> Result<Vec<u8>> {
        self.asks.ask(method, path, ("application/json", body))
    }

    /// Gives the container's id.
    pub(crate) fn create(&self, allocation: &str, body: &str) -> Result<String> {
        let path = format!("/containers/create?name=work-{allocation}");
        let made = self.ask("POST", &path, "application/json", body.as_bytes())?;
        let made: Value = serde_json::from_slice(&made)?;
        Ok(made["Id"].as_str().context("a container without an id")?.to_owned())
    }

    pub(crate) fn start(&self, id: &str) -> Result<Vec<u8>> {
        self.ask("POST", &format!("/containers/{id}/start"), "application/json", b"")
    }

    /// Of a container that is asked for with these words and started: what the engine says of it at last, and what the customer heard.
    pub(crate) fn container(&self, body: &str) -> (Option<Value>, String) {
        let heard = self.create(ALLOCATION, body).and_then(|id| self.start(&id)).err();
        let made = self.engine.look(&format!("work-{ALLOCATION}")).ok();
        self.engine.remove(&format!("work-{ALLOCATION}"));
        (made, heard.as_ref().map_or_else(|| "it was started".to_owned(), reason))
    }
}

/// What lies in the places of an agent and of a card: in a folder with no word of the owner's in its name.
pub(crate) fn beside() -> Result<TempDir> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::Builder::new().prefix("walls-").tempdir()?;
    for (name, text) in [("agent", AGENT), ("played", "")] {
        let file = folder.path().join(name);
        fs::write(&file, text)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    }
    Ok(folder)
}

/// Has the guard start its agent, as the resident program does.
fn started(socket: &Path) -> Result<UnixStream> {
    let mut guard = UnixStream::connect(socket).context("the guard's door")?;
    guard.set_read_timeout(Some(OPEN_WITHIN))?;
    let start = json!({
        "ask": "start", "id": 1, "program": "/opt/ionet/nomad", "args": [], "env": {"PATH": "/usr/bin"}, "cwd": "/data",
        "cards": LENT, "data_dir": DATA, "docker_socket": "/run/engine.sock", "log": "/data/logs/last.txt", "http": null,
    });
    for line in [json!({"ask": "hello", "newest": 3, "oldest": 3}), start] {
        writeln!(guard, "{line}")?;
    }
    for line in BufReader::new(guard.try_clone()?).lines() {
        let said: Value = serde_json::from_str(&line?)?;
        ensure!(said["say"] != "not_started", "the guard starts no agent: {said}");
        if said["say"] == "started" {
            return Ok(guard);
        }
    }
    anyhow::bail!("the guard says nothing more")
}

/// Why a request came to nothing, in the words of whoever refused it.
pub(crate) fn reason(error: &anyhow::Error) -> String {
    let said = error.to_string();
    said.split_once("{\"message\":").map_or(said.as_str(), |(_, reason)| reason).chars().take(160).collect()
}

/// The folders that Nomad makes for each allocation, as a script of the capsule's root.
pub(crate) fn folders() -> String {
    [ALLOCATION, ANOTHER]
        .map(|allocation| {
            let own = format!("{DATA}/alloc/{allocation}");
            format!("mkdir -p {own}/alloc/logs {own}/work/local {own}/work/secrets\n")
        })
        .concat()
}
