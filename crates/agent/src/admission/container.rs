//! A container as it is built: every field that the engine is told stands here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::card::Card;
use super::folders::{Folders, Owner};
use super::image::{self, LISTED};
use super::limits::{Limits, Logs, Most};
use super::network::{Network, Nothing};
use super::powers::Powers;
use super::read::Fields;
use super::{Refusal, is_plain};

/// What the gate knows beside the request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'a> {
    pub(crate) data_dir: &'a Path,
    /// The graphics cards that a job may have, by their UUIDs.
    pub(crate) cards: &'a [String],
    pub(crate) most: Most,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Container {
    image: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cmd: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    entrypoint: Vec<String>,
    env: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    user: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    working_dir: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    hostname: String,
    tty: bool,
    open_stdin: bool,
    labels: BTreeMap<&'static str, String>,
    healthcheck: Healthcheck,
    exposed_ports: BTreeMap<String, Nothing>,
    host_config: Host,
    #[serde(skip)]
    owner: Owner,
    #[serde(skip)]
    cards: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Host {
    #[serde(flatten)]
    folders: Folders,
    #[serde(flatten)]
    limits: Limits,
    log_config: Logs,
    #[serde(flatten)]
    powers: Powers,
    #[serde(flatten)]
    network: Network,
    runtime: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    init: bool,
    readonly_rootfs: bool,
}

/// An image's would have the engine run its program as often as it likes. Nomad asks for none.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Healthcheck {
    test: [&'static str; 1],
}

const NO_HEALTHCHECK: Healthcheck = Healthcheck { test: ["NONE"] };

const ALLOCATION: &str = "com.hashicorp.nomad.alloc_id";
const TASK: &str = "com.hashicorp.nomad.task_name";
/// By its driver, over whatever a job wrote under the same name.
const OF_NOMAD: [&str; 4] =
    [ALLOCATION, TASK, "com.hashicorp.nomad.job_name", "com.hashicorp.nomad.task_group_name"];
/// That the gate built it, and by which rules.
const OURS: (&str, &str) = ("net.io.gate", "1");

impl Container {
    /// Looks at the disk for its folders.
    ///
    /// # Errors
    /// The first thing that it may not have.
    pub(crate) fn read(body: &[u8], rules: Rules<'_>) -> Result<Self, Refusal> {
        let mut asked = Fields::of(body)?;
        let mut host = asked.object("HostConfig")?;
        let (owner, labels) = labels(&mut asked)?;
        let card = Card::read(&mut host, asked.texts("Env")?, rules.cards)?;
        let limits = Limits::read(&mut host, rules.most)?;
        let container = Self {
            image: image_name(&mut asked)?,
            cmd: asked.texts("Cmd")?,
            entrypoint: asked.texts("Entrypoint")?,
            env: card.env,
            user: short(&mut asked, "User", 64)?,
            working_dir: working_dir(&mut asked)?,
            hostname: hostname(&mut asked)?,
            tty: asked.flag("Tty")?,
            open_stdin: asked.flag("OpenStdin")?,
            labels,
            healthcheck: healthcheck(&mut asked)?,
            exposed_ports: super::network::exposed(&mut asked)?,
            host_config: Host {
                folders: Folders::read(&mut host, &owner, rules.data_dir, limits.memory())?,
                log_config: Logs::read(&mut host)?,
                powers: Powers::read(&mut host)?,
                network: Network::read(&mut host, &mut asked)?,
                limits,
                runtime: card.runtime,
                init: host.flag("Init")?,
                readonly_rootfs: host.flag("ReadonlyRootfs")?,
            },
            owner,
            cards: card.ids,
        };
        host.done()?;
        asked.done()?;
        container.is_short()?;
        Ok(container)
    }

    /// As its driver asks for it.
    pub(crate) fn image(&self) -> &str {
        &self.image
    }

    /// Of this image, by its content: a name may mean another one before the container is made.
    ///
    /// # Errors
    /// The image would bring what a container may not have.
    pub(crate) fn made_of(self, id: &str, config: &Value) -> Result<Self, Refusal> {
        image::admit(config, self.host_config.runtime != super::card::PLAIN)?;
        Ok(Self { image: id.to_owned(), ..self })
    }

    /// Those that it is to have, by their ids.
    pub(crate) fn cards(&self) -> Vec<String> {
        self.cards.clone()
    }

    pub(crate) fn allocation(&self) -> &str {
        &self.owner.allocation
    }

    /// What the driver calls it: whoever has this name is this task's.
    pub(crate) fn name(&self) -> String {
        format!("{}-{}", self.owner.task, self.owner.allocation)
    }

    /// What of the host is mounted into it.
    pub(crate) fn sources(&self) -> Vec<PathBuf> {
        self.host_config.folders.sources()
    }

    pub(crate) fn written(&self) -> String {
        // Nothing in it has a name that is no text, so it can be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    fn is_short(&self) -> Result<(), Refusal> {
        let texts = [&self.cmd, &self.entrypoint].into_iter().flatten();
        let ports = self.exposed_ports.keys();
        let length: usize = texts.chain(ports).map(|text| text.len() + 8).sum();
        let rule = "a description of more than 128 KiB without its environment";
        if length > LISTED { Err(Refusal::of(rule)) } else { Ok(()) }
    }
}

/// A job's own are left out: the engine lists all of them, to whoever asks.
fn labels(asked: &mut Fields) -> Result<(Owner, BTreeMap<&'static str, String>), Refusal> {
    const TOO_LONG: usize = 512;
    let mut written = asked.object("Labels")?.entries();
    let mut labels = BTreeMap::from([(OURS.0, OURS.1.to_owned())]);
    for name in OF_NOMAD {
        let value = written.remove(name).unwrap_or_default();
        if let Some(value) = value.as_str().filter(|value| value.len() <= TOO_LONG) {
            labels.insert(name, value.to_owned());
        }
    }
    let part = |name: &str| labels.get(name).filter(|part| is_plain(part)).cloned();
    // A task of that name would have its folders within the shared one.
    let task = part(TASK).filter(|task| task != "alloc");
    let owner = part(ALLOCATION).zip(task).map(|(allocation, task)| Owner { allocation, task });
    let nobodys = Refusal::of("a container that is of no task of Nomad's");
    owner.map(|owner| (owner, labels)).ok_or(nobodys)
}

fn image_name(asked: &mut Fields) -> Result<String, Refusal> {
    let image = asked.text("Image")?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte);
    let is_sound = !image.is_empty() && image.len() <= image::LONGEST && !image.contains("..");
    if is_sound && image.bytes().all(plain) { Ok(image) } else { Err(Refusal::of("Image")) }
}

fn short(asked: &mut Fields, name: &'static str, longest: usize) -> Result<String, Refusal> {
    let text = asked.text(name)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-:".contains(&byte);
    if text.len() <= longest && text.bytes().all(plain) { Ok(text) } else { Err(Refusal::of(name)) }
}

fn hostname(asked: &mut Fields) -> Result<String, Refusal> {
    let name = asked.text("Hostname")?;
    let is_sound = name.is_empty() || name.len() <= 63 && is_plain(&name);
    if is_sound { Ok(name) } else { Err(Refusal::of("Hostname")) }
}

fn working_dir(asked: &mut Fields) -> Result<String, Refusal> {
    let folder = asked.text("WorkingDir")?;
    let is_own = folder.is_empty() || folder.starts_with('/') && image::is_own_folder(&folder);
    if is_own { Ok(folder) } else { Err(Refusal::of("WorkingDir")) }
}

/// The driver asks for this one or for none.
fn healthcheck(asked: &mut Fields) -> Result<Healthcheck, Refusal> {
    let mut healthcheck = asked.object("Healthcheck")?;
    let test = healthcheck.texts("Test")?;
    healthcheck.done()?;
    let is_none = test.is_empty() || test == NO_HEALTHCHECK.test;
    if is_none { Ok(NO_HEALTHCHECK) } else { Err(Refusal::of("Healthcheck")) }
}
