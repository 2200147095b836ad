//! What of the host a container sees: its allocation's shared folder and its task's own two, as the driver mounts them.
//!
//! The engine follows a path when the container starts, and not when this looks at it. No job can change where these lead in
//! between: a container has `ALLOC/alloc`, `ALLOC/TASK/local` and `ALLOC/TASK/secrets`, and not what they lie in, so it cannot
//! rename or replace one. `ALLOC/alloc/logs` does lie in what a job may write; it is therefore mounted a second time, read
//! only, over itself in every container that has the folder around it, and the kernel lets nobody move what is mounted where
//! they are. Whoever starts the container looks once more all the same.

use std::path::{Component, Path, PathBuf};

use serde::Serialize;

use super::Refusal;
use super::image::is_own_folder;
use super::read::Fields;

/// Whose container it is, in Nomad's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) allocation: String,
    pub(crate) task: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Folders {
    binds: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mounts: Vec<Memory>,
    #[serde(skip)]
    sources: Vec<PathBuf>,
}

/// A folder that lies in memory.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Memory {
    r#type: &'static str,
    target: String,
    read_only: bool,
    tmpfs_options: Size,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Size {
    size_bytes: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<i64>,
}

/// Where the driver mounts each.
const SHARED: &str = "/alloc";
const LOGS: &str = "/alloc/logs";
const LOCAL: &str = "/local";
const SECRETS: &str = "/secrets";

impl Folders {
    /// Looks at the disk: a folder that is not there the engine would make, as root.
    pub(super) fn read(
        host: &mut Fields,
        owner: &Owner,
        data_dir: &Path,
        memory: i64,
    ) -> Result<Self, Refusal> {
        let asked = host.texts("Binds")?;
        let mounts = mounts(host, memory)?;
        let root = data_dir.join("alloc").canonicalize().map_err(|_| NOT_OWN)?;
        let own = own(owner);
        let (mut wanted, mut labelled) = ([false; 4], false);
        for bind in &asked {
            let (number, label) = which(bind, &own, &[&root, &data_dir.join("alloc")]).ok_or(NOT_OWN)?;
            wanted[number] = true;
            labelled |= label;
        }
        wanted[1] |= wanted[0];
        let (mut binds, mut sources) = (Vec::new(), Vec::new());
        for ((below, target), _) in own.iter().zip(wanted).filter(|(_, wanted)| *wanted) {
            let source = real(&root, below)?;
            let options = match (*target == LOGS, labelled) {
                (true, true) => ":ro,z",
                (true, false) => ":ro",
                (false, true) => ":z",
                (false, false) => "",
            };
            binds.push(format!("{}:{target}{options}", source.to_str().ok_or(NOT_OWN)?));
            sources.push(source);
        }
        Ok(Self { binds, mounts, sources })
    }

    pub(super) fn sources(&self) -> Vec<PathBuf> {
        self.sources.clone()
    }
}

const NOT_OWN: Refusal = Refusal::of("Binds");

fn own(owner: &Owner) -> [(PathBuf, &'static str); 4] {
    let allocation = Path::new(&owner.allocation);
    let (shared, task) = (allocation.join("alloc"), allocation.join(&owner.task));
    [
        (shared.clone(), SHARED),
        (shared.join("logs"), LOGS),
        (task.join("local"), LOCAL),
        (task.join("secrets"), SECRETS),
    ]
}

/// The number of the folder that is meant, and whether it is to be labelled for containers.
fn which(bind: &str, own: &[(PathBuf, &str)], roots: &[&Path]) -> Option<(usize, bool)> {
    let mut parts = bind.split(':');
    let (source, target, options) = (parts.next()?, parts.next()?, parts.next().unwrap_or_default());
    let number = own.iter().position(|(below, place)| {
        *place == target && roots.iter().any(|root| root.join(below).as_os_str() == source)
    })?;
    let mut labelled = false;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" if target == LOGS => {}
            "z" => labelled = true,
            _ => return None,
        }
    }
    parts.next().is_none().then_some((number, labelled))
}

/// Every part of the way is a folder, and none a link to one.
fn real(root: &Path, below: &Path) -> Result<PathBuf, Refusal> {
    let mut path = root.to_owned();
    for part in below.components() {
        let Component::Normal(part) = part else { return Err(NOT_OWN) };
        path.push(part);
        let is_folder = path.symlink_metadata().is_ok_and(|there| there.is_dir());
        if !is_folder {
            return Err(NOT_OWN);
        }
    }
    Ok(path)
}

/// In memory, and counted there. Nothing is mounted below what a job may change while another container starts.
fn mounts(host: &mut Fields, memory: i64) -> Result<Vec<Memory>, Refusal> {
    const NAME: &str = "Mounts";
    let mut mounts = Vec::new();
    for asked in host.list(NAME)? {
        let mut asked = Fields::inner(asked, NAME)?;
        let kind = asked.text("Type")?;
        let target = asked.text("Target")?;
        let read_only = asked.flag("ReadOnly")?;
        let mut options = asked.object("TmpfsOptions")?;
        let (size, mode) = (options.number("SizeBytes")?, options.number("Mode")?);
        options.done().and(asked.done()).map_err(|_| Refusal::of(NAME))?;
        let is_sound = kind == "tmpfs" && is_free(&target) && size >= 0 && (0..=0o7777).contains(&mode);
        if !is_sound || mounts.len() >= 16 {
            return Err(Refusal::of(NAME));
        }
        let size_bytes = if size == 0 { memory } else { size.min(memory) };
        let mode = (mode > 0).then_some(mode);
        mounts.push(Memory { r#type: "tmpfs", target, read_only, tmpfs_options: Size { size_bytes, mode } });
    }
    Ok(mounts)
}

fn is_free(target: &str) -> bool {
    let path = Path::new(target);
    let taken = [SHARED, LOCAL, SECRETS].iter().any(|own| path.starts_with(own));
    let is_whole = target.starts_with('/') && target.len() <= 1024 && path.parent().is_some();
    is_whole && !taken && is_own_folder(target) && !target.contains(':')
}
