//! One end of a conversation over a socket of this PC's, whose waits all have an end.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, connect};

#[derive(Debug)]
pub(crate) struct Line(UnixStream);

impl Line {
    /// Waits for nobody: where too many wait already, there is none.
    pub(crate) fn to(socket: &Path) -> io::Result<Self> {
        let ours = unconnected()?;
        connect(&ours, &SocketAddrUnix::new(socket)?)?;
        Self::over(UnixStream::from(ours))
    }

    pub(crate) fn over(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self(stream))
    }

    /// All of it, or the line is of no use any more.
    pub(crate) fn read(&mut self, mut into: &mut [u8], until: Instant) -> io::Result<()> {
        while !into.is_empty() {
            match self.0.read(into) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => into = &mut into[read..],
                Err(error) => self.wait(error, PollFlags::IN, until)?,
            }
            in_time(until)?;
        }
        Ok(())
    }

    /// The same the other way.
    pub(crate) fn write(&mut self, mut from: &[u8], until: Instant) -> io::Result<()> {
        while !from.is_empty() {
            match self.0.write(from) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => from = &from[written..],
                Err(error) => self.wait(error, PollFlags::OUT, until)?,
            }
            in_time(until)?;
        }
        Ok(())
    }

    /// Nothing has come, not even the end.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready == 0)
    }

    fn wait(&self, error: io::Error, what: PollFlags, until: Instant) -> io::Result<()> {
        if error.kind() == io::ErrorKind::Interrupted {
            return Ok(());
        }
        if error.kind() != io::ErrorKind::WouldBlock {
            return Err(error);
        }
        let left = Timespec::try_from(left(until)).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&self.0, what)], Some(&left)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

/// Also whoever says something again and again has an end.
fn in_time(until: Instant) -> io::Result<()> {
    if left(until).is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
}

#[cfg(target_os = "linux")]
fn unconnected() -> io::Result<OwnedFd> {
    use rustix::net::{SocketFlags, socket_with};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

#[cfg(not(target_os = "linux"))]
fn unconnected() -> io::Result<OwnedFd> {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}
