//! Leaving nothing: no process, container, mount, control group or job's file of ours.

use std::path::Path;
use std::time::Duration;

use ionet_core::fault::WorkFault;

use crate::platform;

/// Ends everything of ours, and removes the files of the jobs. Needs neither region, gateway nor agent, and waits for no
/// engine that does not answer.
///
/// Order, and why: the agent first, or it would start its tasks again; then tasks, by SIGTERM and as much time to leave
/// as `patience` gives them, then by SIGKILL; Nomad's helpers after them, so that the last lines of a log are written;
/// beside them containers; then mounts and control groups, which hold as long as a process is in them; then files, and
/// what Nomad has written down of its jobs.
///
/// # Errors
/// `StillThere` with what is left after all that, `NotPermitted` when something is left that this user may not end,
/// `EngineDown` when the engine's socket is there and does not answer, `FilesLeft` when nothing runs any more and files
/// could not be removed.
pub async fn sweep(data_dir: &Path, docker: Option<&Path>, patience: Duration) -> Result<(), WorkFault> {
    platform::work::sweep(data_dir, docker, patience).await
}
