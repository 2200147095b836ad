use std::io;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, WaitId, WaitIdOptions};

#[cfg(target_os = "linux")]
#[path = "parent_death_linux.rs"]
mod parent_death;
#[cfg(not(target_os = "linux"))]
#[path = "parent_death_elsewhere.rs"]
mod parent_death;

/// How a process group is asked to end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signal {
    Term,
    Kill,
}

/// The child leads a process group of its own, so that Ctrl-C in a terminal does not reach it; on Linux the kernel ends it when the thread
/// that spawns it ends.
pub(crate) fn own_group(command: &mut Command) {
    command.process_group(0);
    parent_death::follow(command);
}

/// Signals the whole group led by `pid`. A group that is gone already is no error.
pub(crate) fn signal_group(pid: u32, signal: Signal) {
    let signal = match signal {
        Signal::Term => rustix::process::Signal::TERM,
        Signal::Kill => rustix::process::Signal::KILL,
    };
    if let Some(group) = as_pid(pid) {
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

/// Returns once the child has ended, leaving it a zombie: its process id, and so its group's id, cannot be given to a stranger meanwhile.
pub(crate) fn wait_without_reaping(pid: u32) {
    let Some(pid) = as_pid(pid) else { return };
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while let Err(rustix::io::Errno::INTR) = rustix::process::waitid(WaitId::Pid(pid), ended) {}
}

/// Returns at the first SIGINT, SIGTERM or SIGHUP.
pub async fn asked_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hang_up)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::hangup()))
    else {
        return;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
}

fn as_pid(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

/// A connection to whoever listens at this path.
pub(crate) fn connect(socket: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(socket)
}
