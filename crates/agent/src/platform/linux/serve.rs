//! The guard's process.

use std::fs;
use std::io;
use std::path::Path;

use ionet_core::fault::AgentFault;
use ionet_private::Lock;
use tokio::signal::unix::{SignalKind, signal};

use super::gate::listen;
use super::guard_log;
use super::guard_side::GuardSide;
use super::keeper::lock_of_guard;
use super::news::Signals;
use super::socket::socket;
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

/// The same with other waits and without a log. The calling process is kept: see [`super::keeper::keep`].
///
/// # Errors
/// As above.
pub async fn serve_with(run_dir: &Path, waits: Waits) -> Result<(), AgentFault> {
    let cannot = |error: io::Error| AgentFault::NoGuard(error.to_string());
    // One whose keeper was killed may be at its end still.
    let _alone = Lock::take(&lock_of_guard(run_dir)).map_err(|error| cannot(io::Error::other(error)))?;
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
