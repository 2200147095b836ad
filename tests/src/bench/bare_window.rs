//! A Tauri window with one empty page: what a window costs before anything is in it.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::process::Command;

use super::{Peer, cost};
use crate::processes;
use crate::wait::until_seen;
use crate::world::World;

const PROGRAM: &str = "ionet-bare-window";

/// None where it is not built.
pub(super) async fn pss(world: &World, rest: Duration) -> Result<Option<Peer>> {
    let program = world.pc.program(PROGRAM);
    if !program.is_file() {
        return Ok(None);
    }
    let mut window = Command::new(program)
        .env_clear()
        .envs(world.pc.environment())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let pid = window.id().context("the bare window ended at once")?;
    let family = || processes::family(pid, &processes::all());
    until_seen("the bare window's web view", world.patience, || Ok((family().len() > 2).then_some(())))
        .await?;
    tokio::time::sleep(rest).await;
    let value = cost::pss(&family())? as f64;
    window.kill().await?;
    Ok(Some(Peer { name: "a bare Tauri window".to_owned(), value }))
}
