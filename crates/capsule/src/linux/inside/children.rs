//! Those whom the first process inside has started, and those who have lost their parent to it.

use std::io;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, WaitOptions, pidfd_open, wait};
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

/// Takes in whoever has ended. Comes back only with what cannot be mended.
pub(crate) async fn reap() -> io::Error {
    let mut ended = match signal(SignalKind::child()) {
        Ok(ended) => ended,
        Err(error) => return error,
    };
    loop {
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        ended.recv().await;
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Whoever lived as long as this did not fail at its start.
const BEGUN: Duration = Duration::from_secs(5);

/// Starts it, and again when it has ended: at growing intervals as long as it ends soon. Comes back only with what cannot be mended.
pub(crate) async fn keep(started: impl Fn() -> io::Result<Command>) -> io::Error {
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = Instant::now();
        let ended = match started() {
            Ok(mut command) => end_of(&mut command).await,
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            return error;
        }
        if begun.elapsed() >= BEGUN {
            pause = FIRST_PAUSE;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Starts it, and waits until it has ended: its handle tells, whoever takes it in.
async fn end_of(command: &mut Command) -> io::Result<()> {
    let child = command.spawn()?;
    let pid = Pid::from_raw(child.id() as i32).ok_or(io::ErrorKind::NotFound)?;
    let handle = pidfd_open(pid, PidfdFlags::empty())?;
    // SAFETY: an owned descriptor is open, and the same, for as long as it is registered.
    let ended = unsafe { AsyncFd::register(handle) }?;
    ended.readable().await.map(drop)
}
