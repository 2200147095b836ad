//! Who answers for logs inside: a small process that reads the agent's and its jobs', and nothing else of the capsule's.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use ionet_foreign::{Roots, serve};

use crate::inside::{AGENT_DATA, LOGS};
use crate::linux::moat::root;
use crate::linux::tools::ended;

/// Where it listens, inside.
pub(crate) const SOCKET: &str = "/run/files.sock";

/// How it is started.
pub(crate) fn again() -> io::Result<Command> {
    let mut files = Command::new(root::PROGRAM);
    files.arg("files").env_clear().stdin(Stdio::null()).stdout(Stdio::null());
    Ok(files)
}

/// The whole life of this process.
pub fn run() -> ExitCode {
    ended("files", answer().map(|never| match never {}))
}

fn answer() -> io::Result<Infallible> {
    // An earlier one was ended by force.
    let _ = fs::remove_file(SOCKET);
    let listener = UnixListener::bind(SOCKET)?;
    fs::set_permissions(SOCKET, fs::Permissions::from_mode(0o600))?;
    serve(&listener, &Roots { agent: LOGS.into(), allocations: Path::new(AGENT_DATA).join("alloc") })
}
