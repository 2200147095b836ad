//! Clears away what ended work has left: its mounts and its files.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ionet_core::fault::WorkFault;

use super::leftovers;
use crate::disk::{Call, Disk};
use crate::{introduction, state};

/// Millions of files take longer: what is left then is counted, and goes at the next sweep.
const FILES_WITHIN: Duration = Duration::from_secs(10);

/// Of all allocations, with what the agent knew of them. What a disk that hangs keeps is said: it is there for the next sweep.
pub(super) async fn all(data_dir: &Path) -> Result<(), WorkFault> {
    let (disk, folder) = (Disk::of(data_dir), data_dir.to_owned());
    let cleared = tokio::task::spawn_blocking(move || disk.clear(move |call| clear_in(&folder, call)));
    cleared.await.ok().flatten().unwrap_or(Err(WorkFault::FilesLeft { left: 1 }))
}

/// The files of one, beside an agent that runs. Whether nothing of it is left; what hangs with the disk stays as well.
pub(super) async fn one(data_dir: &Path, allocation: String) -> bool {
    let (disk, folder) = (Disk::of(data_dir), data_dir.to_owned());
    let removed = tokio::task::spawn_blocking(move || {
        disk.tidy(move |call| {
            leftovers::remove_allocation(&real(&folder), &allocation, &|| {
                call.gets_on();
                true
            })
        })
    });
    matches!(removed.await, Ok(Some(true)))
}

/// Mounts first: nothing is removed through one.
fn clear_in(data_dir: &Path, call: &Call) -> Result<(), WorkFault> {
    let data_dir = real(data_dir);
    let unmounted = leftovers::unmount_all(&data_dir);
    call.gets_on();
    let until = Instant::now() + FILES_WITHIN;
    let left = leftovers::remove_allocations(&data_dir, &|| {
        call.gets_on();
        Instant::now() < until
    });
    call.gets_on();
    // What keeps one does not keep the other.
    let forgot = matches!((state::forget(&data_dir), introduction::remove(&data_dir)), (Ok(()), Ok(())));
    match left {
        0 if !forgot => Err(WorkFault::FilesLeft { left: 1 }),
        0 if !unmounted => Err(WorkFault::NotPermitted),
        0 => Ok(()),
        left => Err(WorkFault::FilesLeft { left }),
    }
}

/// Where the files are.
fn real(data_dir: &Path) -> PathBuf {
    data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_owned())
}
