//! The capsule that a PC's jobs live in, as root sees it from outside.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ionet_wire::paths::Folders;

use crate::processes::{self, Process};

/// Said to an app that is to rehearse in a capsule.
pub const VARIABLE: &str = "IONET_CAPSULE";

/// Whoever holds the capsule whose sockets lie in that folder, and everybody in it.
pub fn processes(run: &Path) -> Vec<Process> {
    let all = processes::all();
    let option = format!("--run {}", run.display());
    let holder =
        all.iter().find(|one| one.command.contains("ionet-capsule serve") && one.command.contains(&option));
    let family = holder.map(|holder| processes::family(holder.pid, &all)).unwrap_or_default();
    all.into_iter().filter(|one| family.contains(&one.pid)).collect()
}

/// Where what those inside see lies, as long as they are there.
///
/// # Errors
/// There is no capsule.
pub fn root(run: &Path) -> Result<PathBuf> {
    let all = processes(run);
    let first =
        all.iter().find(|one| one.command.contains("ionet-capsule init")).context("no capsule is there")?;
    Ok(PathBuf::from(format!("/proc/{}/root", first.pid)))
}

/// What there is of this PC's capsule, its processes aside: control groups, devices of its disk, sockets.
pub fn left(folders: &Folders) -> Vec<PathBuf> {
    let found =
        groups(&folders.capsule_name()).into_iter().chain(devices(&folders.capsule().join("disk.img")));
    found.chain(sockets(&folders.guard_run())).collect()
}

/// In every hierarchy: on version 2 that is one, at the top.
fn groups(name: &str) -> Vec<PathBuf> {
    let top = Path::new("/sys/fs/cgroup");
    let tops = below(top).into_iter().chain([top.to_owned()]);
    tops.map(|top| top.join(format!("ionet-{name}"))).filter(|group| group.exists()).collect()
}

fn devices(image: &Path) -> Vec<PathBuf> {
    let has = |device: &PathBuf| {
        let file = fs::read_to_string(device.join("loop/backing_file")).unwrap_or_default();
        file.starts_with(&*image.to_string_lossy())
    };
    below(Path::new("/sys/block")).into_iter().filter(has).collect()
}

fn sockets(folder: &Path) -> Vec<PathBuf> {
    let is_socket =
        |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    below(folder).into_iter().filter(is_socket).collect()
}

fn below(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
