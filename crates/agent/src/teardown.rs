//! Leaving nothing: no process, container, mount or control group of ours.

use std::path::Path;

use ionet_core::fault::WorkFault;

use crate::platform;

/// Ends everything of ours. Needs neither region, gateway nor agent.
///
/// Order, and why: the agent first, or it would start its tasks again; then tasks, by SIGTERM and two seconds to
/// leave (the promise that `max_kill_timeout` makes), then by SIGKILL; Nomad's helpers after them, so that the last
/// lines of a log are written; then containers; then mounts and control groups, which hold as long as a process is in
/// them.
///
/// # Errors
/// `StillThere` with what is left after all that, `NotPermitted` when something is left that this user may not end,
/// `EngineDown` when the engine's socket is there and does not answer.
pub async fn sweep(data_dir: &Path, docker: Option<&Path>) -> Result<(), WorkFault> {
    platform::work::sweep(data_dir, docker).await
}
