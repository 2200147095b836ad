//! A Tauri window with one empty page: what a window costs before anything is in it.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::process::Command;

use super::{Peer, cost};
use crate::processes;
use crate::window::web_view;
use crate::world::World;

const PROGRAM: &str = "ionet-bare-window";

pub(super) async fn pss(world: &World, rest: Duration) -> Result<Peer> {
    let mut window = Command::new(world.pc.program(PROGRAM))
        .env_clear()
        .envs(world.pc.environment())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("the bare window cannot be started")?;
    let pid = window.id().context("the bare window ended at once")?;
    web_view(pid, world.patience).await?;
    tokio::time::sleep(rest).await;
    let value = cost::pss(&processes::family(pid, &processes::all()))? as f64;
    window.kill().await?;
    Ok(Peer { name: "a bare Tauri window".to_owned(), value })
}
