//! Leaving nothing where no guard is there that would: no container, no mount, no job's file. Nobody of a guard's outlives it and its keeper.

use std::path::Path;

use ionet_core::fault::WorkFault;

use crate::platform;

/// Waits until the guard of that folder and all who came from it have ended, and removes what is left of its jobs in that data folder.
///
/// # Errors
/// `StillThere` when they do not end in time, `FilesLeft` when files could not be removed.
pub async fn after_guard(run_dir: &Path, data_dir: &Path) -> Result<(), WorkFault> {
    platform::keeper::after_guard(run_dir, data_dir).await
}

/// In a new world: removes what an earlier one has left, the containers of that engine and the files of their jobs.
///
/// # Errors
/// `EngineDown` when the engine does not answer, `StillThere` and `FilesLeft` with what it has not removed.
pub async fn in_new_world(data_dir: &Path, engine: &Path) -> Result<(), WorkFault> {
    platform::work::in_new_world(data_dir, engine).await
}
