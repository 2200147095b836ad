//! Keeps the engine running inside.

use std::fs;
use std::io;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::time::sleep;

use super::children::end_of;
use super::tools::find;
use crate::engine::{DATA, configuration};

const CONFIGURATION: &str = "/run/engine.json";
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Starts the engine, and starts it again at growing intervals when it ends. Comes back only with what cannot be mended in here.
pub(super) async fn keep() -> io::Error {
    match kept().await {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

async fn kept() -> io::Result<std::convert::Infallible> {
    fs::create_dir_all(DATA)?;
    fs::write(CONFIGURATION, configuration().to_string())?;
    let mut pause = FIRST_PAUSE;
    loop {
        end_of(&mut engine()?).await?;
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
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
