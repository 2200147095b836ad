//! What a container writes is its user's, often root's, and nothing that this user may remove. The engine that let it be
//! written removes it: in a container of our own that has those folders, this system's `rm`, and nothing else.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ionet_core::fault::WorkFault;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::engine::Engine;
use super::leftovers;
use super::processes::Scope;
use crate::disk;

/// An engine makes and starts a container in half a second.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);
/// Millions of files take longer: the rest goes at the next sweep.
const REMOVED_WITHIN: Duration = Duration::from_secs(8);
const FOUND_WITHIN: Duration = Duration::from_secs(1);

/// Nothing is in it: what runs in its container comes from this system.
const IMAGE: &str = "ionet-supplier-nothing:1";

/// Where systems keep programs and what those need.
const SYSTEM: [&str; 5] = ["/bin", "/lib", "/lib64", "/nix", "/usr"];

/// Empties what is left of one allocation, or of all. Whether it was tried: what is gone, its caller looks for.
///
/// # Errors
/// `EngineDown` where it is silent or does not do it, `NotPermitted` where it does not speak with this user.
pub(super) async fn remove(
    scope: &Scope,
    docker: Option<&Path>,
    allocation: Option<&str>,
) -> Result<bool, WorkFault> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
    let Some(engine) = Engine::at(docker, ANSWERED_WITHIN) else { return Ok(false) };
    let Some(data_dir) = scope.folders().last() else { return Ok(false) };
    let (there, which) = (scope.clone(), allocation.map(str::to_owned));
    let look = move || (leftovers::folders(&there, which.as_deref()), remover());
    let found = disk::read(data_dir, FOUND_WITHIN, look).await;
    let Some((folders, Some(remover))) = found else { return Ok(false) };
    if folders.is_empty() {
        return Ok(false);
    }
    let _turn = ONE_AT_A_TIME.lock().await;
    engine.run(IMAGE, &asked(&remover, &folders), REMOVED_WITHIN).await.map(|()| true)
}

/// `rm`, in the folder where it really is: its own name says what it does.
fn remover() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let known = ["/usr/bin", "/bin", "/run/current-system/sw/bin"].map(PathBuf::from);
    let folders = known.into_iter().chain(std::env::split_paths(&path));
    let programs = folders.filter_map(|folder| Some(folder.canonicalize().ok()?.join("rm")));
    let mut within = programs.filter(|program| SYSTEM.iter().any(|part| program.starts_with(part)));
    within.find(|program| program.is_file())
}

fn asked(remover: &Path, folders: &[PathBuf]) -> Value {
    let places = (0..folders.len()).map(|number| format!("/gone/{number}"));
    let command = [remover.to_string_lossy().into_owned(), "-rf".to_owned(), "--".to_owned()];
    let command: Vec<String> = command.into_iter().chain(places.clone()).collect();
    let system = SYSTEM.iter().filter_map(|part| Some((Path::new(part).canonicalize().ok()?, part)));
    let mut mounts: Vec<Value> = system.map(|(source, part)| mount(&source, part, true)).collect();
    mounts.extend(folders.iter().zip(places).map(|(folder, place)| mount(folder, &place, false)));
    let label = folders.first().and_then(|folder| folder.file_name()).map(|name| name.to_string_lossy());
    json!({
        "Image": IMAGE,
        "Cmd": command,
        "User": "0:0",
        // A sweep finds it like any other of ours.
        "Labels": {super::engine::LABEL: label},
        "NetworkDisabled": true,
        "HostConfig": {
            "Mounts": mounts,
            "NetworkMode": "none",
            "ReadonlyRootfs": true,
            "CapDrop": ["ALL"],
            "CapAdd": ["DAC_OVERRIDE", "FOWNER"],
            // A system that labels its files lets a container reach none of its programs.
            "SecurityOpt": ["no-new-privileges", "label=disable"],
            "PidsLimit": 16,
        },
    })
}

/// Of what is mounted below, nothing goes in.
fn mount(source: &Path, target: &str, read_only: bool) -> Value {
    json!({
        "Type": "bind",
        "Source": source,
        "Target": target,
        "ReadOnly": read_only,
        "BindOptions": {"NonRecursive": true},
    })
}

#[cfg(test)]
#[path = "foreign_files_tests.rs"]
mod tests;
