//! Is the other end the same user? Where the system cannot say, the socket's own access list has to.

use interprocess::local_socket::tokio::Stream;

use crate::WireError;

#[cfg(unix)]
#[path = "peer/unix.rs"]
mod platform;
#[cfg(not(unix))]
#[path = "peer/windows.rs"]
mod platform;

pub(crate) fn check(stream: &Stream) -> Result<(), WireError> {
    platform::check(stream)
}
