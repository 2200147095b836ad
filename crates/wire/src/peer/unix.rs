use interprocess::local_socket::tokio::Stream;
use interprocess::local_socket::traits::StreamCommon as _;

use crate::WireError;

pub(super) fn check(stream: &Stream) -> Result<(), WireError> {
    let theirs = stream.peer_creds()?.euid();
    let ours = rustix::process::geteuid().as_raw();
    if theirs == Some(ours) { Ok(()) } else { Err(WireError::Stranger) }
}
