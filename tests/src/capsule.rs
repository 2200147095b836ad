//! The capsule that a PC's jobs live in, as root sees it from outside.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::processes::{self, Process};

/// Said to an app that is to rehearse in a capsule.
pub const VARIABLE: &str = "IONET_CAPSULE";

/// Whoever holds the capsule whose sockets lie in that folder, and everybody in it.
pub fn processes(run: &Path) -> Vec<Process> {
    let all = processes::all();
    let option = format!("--run {}", run.display());
    let holder = all.iter().find(|one| one.command.contains("ionet-capsule serve") && one.command.contains(&option));
    let family = holder.map(|holder| processes::family(holder.pid, &all)).unwrap_or_default();
    all.into_iter().filter(|one| family.contains(&one.pid)).collect()
}

/// Where what those inside see lies, as long as they are there.
///
/// # Errors
/// There is no capsule.
pub fn root(run: &Path) -> Result<PathBuf> {
    let all = processes(run);
    let first = all.iter().find(|one| one.command.contains("ionet-capsule init")).context("no capsule is there")?;
    Ok(PathBuf::from(format!("/proc/{}/root", first.pid)))
}
