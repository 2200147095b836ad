//! The container engine, asked before an agent starts and watched while it runs: Nomad registers a node all the same
//! where jobs cannot run, and then none ever comes.

use std::io;
use std::path::Path;
use std::time::Duration;

use hyper::Method;
use ionet_core::fault::EngineFault;
use rustix::fs::{FileType, major, minor, stat};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep_until};

use crate::http::{self, Answer, HttpFault};

/// For one answer. A busy engine takes its time for its facts.
const ANSWERS_WITHIN: Duration = Duration::from_secs(4);

const LOOK_EVERY: Duration = Duration::from_secs(30);
/// After a bad look, and until the next good one.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineFacts {
    /// As it says it; empty where it does not.
    pub version: String,
    /// A container can be given an NVIDIA card by the runtime that Nomad's driver asks for.
    pub cards: bool,
    /// It keeps containers from files without a label of theirs, as with SELinux.
    pub labels: bool,
    /// systemd keeps a container's devices for it and cannot find a card's: when units are loaded anew, the card is gone from
    /// what runs.
    pub loses_cards: bool,
}

/// Where systemd looks for a device is below it.
const DEVICES: &str = "/dev";

/// Asks the engine whether a job can run in it.
///
/// # Errors
/// Why none can; `NoCard` and `NoCardRuntime` only where a card is needed.
pub async fn ask(socket: &Path, needs_card: bool) -> Result<EngineFacts, EngineFault> {
    ping(socket).await?;
    facts(socket, needs_card).await
}

async fn facts(socket: &Path, needs_card: bool) -> Result<EngineFacts, EngineFault> {
    let answer = get(socket, "/info").await?;
    let senseless = |_| EngineFault::Foreign("its facts make no sense".to_owned());
    let facts: Map<String, Value> = serde_json::from_slice(&answer.body).map_err(senseless)?;
    let info: Info = serde_json::from_value(facts.into()).map_err(senseless)?;
    info.facts(needs_card, Path::new(DEVICES))
}

/// Looks after an engine while an agent uses it.
#[derive(Debug)]
pub struct Watch<'a> {
    socket: &'a Path,
    needs_card: bool,
    last: Result<EngineFacts, EngineFault>,
    next: Instant,
}

impl<'a> Watch<'a> {
    /// `last` is what was found when it was asked before the agent started.
    pub fn new(socket: &'a Path, needs_card: bool, last: Result<EngineFacts, EngineFault>) -> Self {
        Self { socket, needs_card, next: Instant::now() + pause(&last), last }
    }

    /// The next change: gone, or back, or with other facts. A fault is looked at twice before it is one. May be
    /// dropped at any time.
    pub async fn changed(&mut self) -> Result<EngineFacts, EngineFault> {
        let mut doubted = false;
        loop {
            sleep_until(self.next).await;
            let now = self.look().await;
            self.next = Instant::now() + pause(&now);
            let news = now != self.last;
            if news && (doubted || now.is_ok()) {
                self.last = now.clone();
                return now;
            }
            doubted = news;
        }
    }

    /// Its facts each time: it may have been restarted between two looks, with other ones. One that answers and is too
    /// busy for those has the old ones.
    async fn look(&self) -> Result<EngineFacts, EngineFault> {
        ping(self.socket).await?;
        match (facts(self.socket, self.needs_card).await, &self.last) {
            (Err(EngineFault::Silent), Ok(known)) => Ok(known.clone()),
            (now, _) => now,
        }
    }
}

fn pause(last: &Result<EngineFacts, EngineFault>) -> Duration {
    if last.is_ok() { LOOK_EVERY } else { LOOK_AGAIN }
}

async fn ping(socket: &Path) -> Result<(), EngineFault> {
    get(socket, "/_ping").await.map(|_| ())
}

async fn get(socket: &Path, target: &str) -> Result<Answer, EngineFault> {
    let connected = tokio::time::timeout(ANSWERS_WITHIN, UnixStream::connect(socket)).await;
    let stream = connected.map_err(|_| EngineFault::Silent)?.map_err(|error| {
        // Otherwise there is no socket, a dead one, or some other file.
        let denied = error.kind() == io::ErrorKind::PermissionDenied;
        if denied { EngineFault::NotPermitted } else { EngineFault::Absent }
    })?;
    let answer = http::ask(stream, Method::GET, target, None, ANSWERS_WITHIN).await;
    let answer = answer.map_err(|fault| match fault {
        HttpFault::Slow => EngineFault::Silent,
        HttpFault::Broken => EngineFault::Foreign("no HTTP".to_owned()),
    })?;
    match answer.status {
        200..=299 => Ok(answer),
        401 | 403 => Err(EngineFault::NotPermitted),
        404 => Err(EngineFault::Foreign("it knows no containers".to_owned())),
        status => Err(EngineFault::Refuses(status)),
    }
}

/// What is read of an engine's facts. Engines leave out, and fill with nothing, whatever they like.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Info {
    #[serde(deserialize_with = "lenient")]
    server_version: Option<String>,
    #[serde(rename = "OSType", deserialize_with = "lenient")]
    system: Option<String>,
    #[serde(deserialize_with = "lenient")]
    docker_root_dir: Option<String>,
    #[serde(deserialize_with = "lenient")]
    runtimes: Option<Map<String, Value>>,
    #[serde(deserialize_with = "lenient")]
    default_runtime: Option<String>,
    #[serde(deserialize_with = "lenient")]
    security_options: Option<Vec<String>>,
    #[serde(deserialize_with = "lenient")]
    cgroup_driver: Option<String>,
    #[serde(deserialize_with = "lenient")]
    cgroup_version: Option<String>,
    #[serde(deserialize_with = "lenient")]
    discovered_devices: Option<Vec<Device>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Device {
    #[serde(rename = "Source", alias = "source", deserialize_with = "lenient")]
    source: Option<String>,
    #[serde(rename = "ID", alias = "Id", alias = "id", deserialize_with = "lenient")]
    id: Option<String>,
}

impl Info {
    fn facts(self, needs_card: bool, devices: &Path) -> Result<EngineFacts, EngineFault> {
        if let Some(system) = self.system.as_deref().filter(|system| *system != "linux" && !system.is_empty())
        {
            return Err(EngineFault::Foreign(system.chars().take(40).collect()));
        }
        if self.docker_root_dir.as_deref().is_some_and(|root| root.starts_with("/var/snap/")) {
            return Err(EngineFault::Confined);
        }
        let cards = self.names().any(|name| name == CARD_RUNTIME);
        if needs_card && !cards {
            return Err(if self.knows_cards() { EngineFault::NoCardRuntime } else { EngineFault::NoCard });
        }
        let mut options = self.security_options.iter().flatten();
        let labels = options.any(|option| option.split(',').any(|part| part == "name=selinux"));
        let by_systemd = self.cgroup_driver.as_deref() == Some("systemd");
        let by_bpf = self.cgroup_version.as_deref() == Some("2");
        let loses_cards = cards && by_systemd && by_bpf && is_any_card_unlinked(devices);
        Ok(EngineFacts { version: self.server_version.unwrap_or_default(), cards, labels, loses_cards })
    }

    /// Of all its runtimes.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.runtimes.iter().flat_map(Map::keys).chain(&self.default_runtime).map(String::as_str)
    }

    /// In some way, be it one that no job can ask for.
    fn knows_cards(&self) -> bool {
        let mut devices = self.discovered_devices.iter().flatten();
        let by_cdi = devices.any(|device| {
            let nvidia = device.id.as_deref().is_some_and(|id| id.starts_with("nvidia.com/gpu"));
            nvidia && device.source.as_deref().is_none_or(|source| source == "cdi")
        });
        by_cdi || self.names().any(|name| name.to_ascii_lowercase().starts_with("nvidia"))
    }
}

/// Whether what a container needs of a card is there and has no link by its number (`char/195:0`), which systemd knows it by.
fn is_any_card_unlinked(devices: &Path) -> bool {
    let nodes = std::fs::read_dir(devices).into_iter().flatten().flatten();
    let mut nodes = nodes.filter(|node| {
        let name = node.file_name();
        let name = name.to_string_lossy();
        let number = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
        name == "nvidiactl" || name == "nvidia-uvm" || name.strip_prefix("nvidia").is_some_and(number)
    });
    nodes.any(|node| {
        let Ok(seen) = stat(node.path()) else { return false };
        let link = format!("{}:{}", major(seen.st_rdev), minor(seen.st_rdev));
        let is_device = FileType::from_raw_mode(seen.st_mode) == FileType::CharacterDevice;
        is_device && !devices.join("char").join(link).exists()
    })
}

/// What Nomad's docker driver gives a card by, and nothing else: see `allow_runtimes` in the agent's configuration.
const CARD_RUNTIME: &str = "nvidia";

/// A field of another kind than is known counts as absent.
fn lenient<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::de::DeserializeOwned,
{
    let value = Value::deserialize(from)?;
    Ok(serde_json::from_value(value).ok())
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
