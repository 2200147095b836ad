//! Signals to exactly the process that was seen, never to a later one with its number.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};

pub(crate) use rustix::process::Signal;

use super::processes::{self, Row};

/// A hold on one process. While it is open, its number means that process or nobody.
#[derive(Debug)]
pub(crate) struct Handle {
    fd: OwnedFd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    Yes,
    /// It is gone already.
    Gone,
    /// Another user's, or the kernel has no pidfds.
    Refused,
}

impl Handle {
    /// None when the process is gone, or cannot be held.
    pub(crate) fn of(row: &Row) -> Option<Self> {
        let fd = pidfd_open(Pid::from_raw(row.pid)?, PidfdFlags::empty()).ok()?;
        let now = processes::row(row.pid)?;
        (now.started == row.started).then_some(Self { fd })
    }

    pub(crate) fn send(&self, signal: Signal) -> Sent {
        match pidfd_send_signal(&self.fd, signal) {
            Ok(()) => Sent::Yes,
            Err(Errno::SRCH) => Sent::Gone,
            Err(_) => Sent::Refused,
        }
    }
}

pub(crate) fn send(row: &Row, signal: Signal) -> Sent {
    Handle::of(row).map_or(Sent::Gone, |handle| handle.send(signal))
}

/// Whether all of them have ended in time. A process that nobody has reaped yet has ended.
pub(crate) fn all_gone(handles: &[Handle], within: Duration) -> bool {
    let deadline = Instant::now() + within;
    for handle in handles {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::from_borrowed_fd(handle.fd.as_fd(), PollFlags::IN)];
        let wait = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        if !matches!(poll(&mut fds, Some(&wait)), Ok(1)) {
            return false;
        }
    }
    true
}
