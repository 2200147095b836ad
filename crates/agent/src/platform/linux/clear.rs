//! Clears away what ended work has left: its mounts, its groups and its files.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ionet_core::fault::WorkFault;

use super::leftovers;
use super::processes::Scope;
use crate::disk::Call;
use crate::{introduction, state};

/// Millions of files take longer: what is left then is counted, and goes at the next sweep.
const FILES_WITHIN: Duration = Duration::from_secs(10);

/// Of all allocations, with what the agent knew of them.
pub(super) async fn all(scope: Scope) -> Result<(), WorkFault> {
    let cleared = tokio::task::spawn_blocking(move || on_disk(&scope));
    cleared.await.unwrap_or(Err(WorkFault::NotPermitted))
}

/// The files of one, beside an agent that runs. Whether nothing of it is left; what hangs with the disk stays as well.
pub(super) async fn one(data_dir: &Path, allocation: String) -> bool {
    let folder = data_dir.to_owned();
    let removed = tokio::task::spawn_blocking(move || {
        let scope = Scope::new(&folder);
        let there = scope.clone();
        scope.disk().tidy(move |call| {
            leftovers::remove_allocation(&there, &allocation, &|| {
                call.gets_on();
                true
            })
        })
    });
    matches!(removed.await, Ok(Some(true)))
}

/// What a disk that hangs keeps is said: it is there for the next sweep.
fn on_disk(scope: &Scope) -> Result<(), WorkFault> {
    let there = scope.clone();
    let cleared = scope.disk().clear(move |call| clear_in(&there, call));
    let all = || WorkFault::FilesLeft { left: scope.allocations().len().max(1) as u32 };
    cleared.unwrap_or_else(|| Err(all()))
}

/// Mounts first: nothing is removed through one.
fn clear_in(scope: &Scope, call: &Call) -> Result<(), WorkFault> {
    let unmounted = leftovers::unmount_all(scope);
    call.gets_on();
    leftovers::remove_groups(scope);
    call.gets_on();
    let until = Instant::now() + FILES_WITHIN;
    let left = leftovers::remove_allocations(scope, &|| {
        call.gets_on();
        Instant::now() < until
    });
    call.gets_on();
    // What keeps one does not keep the other.
    let forget = |data_dir: &PathBuf| (state::forget(data_dir), introduction::remove(data_dir));
    let forgot = scope.folders().last().is_none_or(|data_dir| matches!(forget(data_dir), (Ok(()), Ok(()))));
    match left {
        0 if !forgot => Err(WorkFault::FilesLeft { left: 1 }),
        0 if !unmounted => Err(WorkFault::NotPermitted),
        0 => Ok(()),
        left => Err(WorkFault::FilesLeft { left }),
    }
}
