//! Where a guard is spoken with, and who may.

use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use tokio::net::UnixStream;

pub(super) fn socket(run_dir: &Path) -> PathBuf {
    run_dir.join("guard.sock")
}

/// Whether this user's program is at the other end, or root's, who may do with this user's what he likes anyway: the system's
/// service. [`ionet_private::SocketId`] asks that too, but its streams cannot be closed in one direction, and so a hold on a
/// guard is let go of.
pub(super) fn is_ours(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == geteuid().as_raw() || peer.uid() == 0)
}
