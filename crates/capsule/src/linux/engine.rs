//! The engine, as it is started inside.

use std::fs;
use std::io;
use std::process::{Command, Stdio};

use super::tools::find;
use crate::engine::{DATA, configuration};

const CONFIGURATION: &str = "/run/engine.json";
/// How it is started, once what it reads is written.
pub(super) fn prepared() -> io::Result<impl Fn() -> io::Result<Command>> {
    fs::create_dir_all(DATA)?;
    fs::write(CONFIGURATION, configuration().to_string())?;
    Ok(engine)
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
