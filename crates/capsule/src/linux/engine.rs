//! Keeps the engine running inside, and takes in whoever loses their parent: a first process is everybody's last.

use std::fs;
use std::io;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, WaitOptions, wait};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use super::way;
use crate::engine::{DATA, configuration};

const CONFIGURATION: &str = "/run/engine.json";
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Starts the engine, and starts it again at growing intervals when it ends. Comes back only with what cannot be mended in here.
pub(super) async fn keep() -> io::Error {
    match kept().await {
        Ok(never) => never,
        Err(error) => error,
    }
}

async fn kept() -> io::Result<io::Error> {
    let mut children = signal(SignalKind::child())?;
    fs::create_dir_all(DATA)?;
    fs::write(CONFIGURATION, configuration().to_string())?;
    let mut engine = Some(start()?);
    let mut pause = FIRST_PAUSE;
    let mut again = Instant::now();
    loop {
        tokio::select! {
            _ = children.recv() => {
                if reap(engine) {
                    engine = None;
                    again = Instant::now() + pause;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
            () = sleep_until(again), if engine.is_none() => engine = Some(start()?),
        }
    }
}

fn start() -> io::Result<Pid> {
    let program = way::find("dockerd").map_err(io::Error::other)?;
    let child = Command::new(program)
        .args(["--config-file", CONFIGURATION])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/usr/libexec/docker:/usr/local/sbin:/usr/local/bin")
        .env("HOME", "/root")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    Pid::from_raw(child.id() as i32).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Whether the engine was among those who have ended.
fn reap(engine: Option<Pid>) -> bool {
    let mut ended = false;
    while let Ok(Some((pid, _))) = wait(WaitOptions::NOHANG) {
        ended |= Some(pid) == engine;
    }
    ended
}
