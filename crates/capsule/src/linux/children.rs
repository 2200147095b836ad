//! Those whom the first process inside has started, and those who have lost their parent to it.

use std::io;
use std::process::Command;

use rustix::process::{Pid, PidfdFlags, WaitOptions, pidfd_open, wait};
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{SignalKind, signal};

/// Takes in whoever has ended. Comes back only with what cannot be mended.
pub(super) async fn reap() -> io::Error {
    let mut ended = match signal(SignalKind::child()) {
        Ok(ended) => ended,
        Err(error) => return error,
    };
    loop {
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        ended.recv().await;
    }
}

/// Starts it, and waits until it has ended: its handle tells, whoever takes it in.
pub(super) async fn end_of(command: &mut Command) -> io::Result<()> {
    let child = command.spawn()?;
    let pid = Pid::from_raw(child.id() as i32).ok_or(io::ErrorKind::NotFound)?;
    let handle = pidfd_open(pid, PidfdFlags::empty())?;
    // SAFETY: an owned descriptor is open, and the same, for as long as it is registered.
    let ended = unsafe { AsyncFd::register(handle) }?;
    ended.readable().await.map(drop)
}
