//! The engine, as it is started inside.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::engine::{DATA, configuration};
use crate::inside::PLAYED;
use crate::linux::tools::find;

const CONFIGURATION: &str = "/run/engine.json";

/// How it is started, once what it reads is written.
pub(crate) fn prepared() -> io::Result<impl Fn() -> io::Result<Command>> {
    fs::create_dir_all(DATA)?;
    fs::write(CONFIGURATION, configuration(cards().as_deref()).to_string())?;
    Ok(engine)
}

/// What starts a container with a card: NVIDIA's own, where it is installed. A rehearsal's card is played, and takes nothing more than any
/// other container.
fn cards() -> Option<PathBuf> {
    let played = || Path::new(PLAYED).exists().then(|| find("runc").ok()).flatten();
    find("nvidia-container-runtime").ok().or_else(played)
}

fn engine() -> io::Result<Command> {
    let mut engine = Command::new(find("dockerd").map_err(io::Error::other)?);
    engine
        .args(["--config-file", CONFIGURATION])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/usr/libexec/docker:/usr/local/sbin:/usr/local/bin")
        .env("HOME", "/root")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    Ok(engine)
}
