use std::io;
use std::path::Path;
use std::process::Command;

/// How a process group is asked to end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signal {
    Term,
    Kill,
}

/// No process groups here.
pub(crate) fn own_group(_command: &mut Command) {}

/// No process groups here: the stage is for Linux and macOS, and only type-checks elsewhere.
pub(crate) fn signal_group(_pid: u32, _signal: Signal) {}

/// The wait that follows reaps and returns.
pub(crate) fn wait_without_reaping(_pid: u32) {}

/// Returns at the first Ctrl-C.
pub async fn asked_to_end() {
    let _ = tokio::signal::ctrl_c().await;
}

/// No local sockets here.
pub(crate) fn connect(_socket: &Path) -> io::Result<std::net::TcpStream> {
    Err(io::ErrorKind::Unsupported.into())
}
