//! The guard's process: what it becomes at its start, and its hold on its folder.

use std::fs;
use std::io;
use std::path::Path;

use ionet_core::fault::AgentFault;
use ionet_private::Lock;
use rustix::process::{getpid, set_child_subreaper, setsid};
use tokio::signal::unix::{SignalKind, signal};

use super::gate::listen;
use super::guard_log;
use super::guard_side::GuardSide;
use super::news::Signals;
use super::socket::socket;
use crate::files;
use crate::supervisor::Waits;

/// Is the guard of this folder until nothing is left to guard, and says what it does in that log. See [`serve_with`].
///
/// # Errors
/// `NoGuard` when another one holds the folder or it cannot be used.
pub async fn serve(run_dir: &Path, log: Option<&Path>) -> Result<(), AgentFault> {
    let log = log.map(guard_log::keep);
    let served = serve_with(run_dir, Waits::default()).await;
    if let Err(fault) = &served {
        tracing::error!(%fault, "no guard");
    }
    if let Some(log) = log {
        log.written().await;
    }
    served
}

/// The same with other waits and without a log. The calling process becomes the guard: it leaves its session and takes
/// in every process that loses its parent below it, so that nothing an agent starts can slip away.
///
/// # Errors
/// As above.
pub async fn serve_with(run_dir: &Path, waits: Waits) -> Result<(), AgentFault> {
    let cannot = |error: io::Error| AgentFault::NoGuard(error.to_string());
    // Refused to the leader of a group: somebody started the guard by hand, from a shell.
    let _ = setsid();
    set_child_subreaper(Some(getpid())).map_err(|error| cannot(error.into()))?;
    files::private_folder(run_dir).map_err(cannot)?;
    // One guard per folder: the lock ends with the process.
    let _alone = Lock::take(&run_dir.join("guard.lock")).map_err(|error| cannot(io::Error::other(error)))?;
    let listener = listen(&socket(run_dir)).map_err(cannot)?;
    let signals = Signals {
        terminate: signal(SignalKind::terminate()).map_err(cannot)?,
        interrupt: signal(SignalKind::interrupt()).map_err(cannot)?,
        child: signal(SignalKind::child()).map_err(cannot)?,
    };
    let mut guard = GuardSide::new(run_dir, listener, signals, waits);
    guard.run().await;
    let _ = fs::remove_file(socket(run_dir));
    Ok(())
}
