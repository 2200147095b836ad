//! No subcommand: start the resident program if it isn't running, then show the window.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use ionet_core::Intent;
use ionet_wire::WireError;
use ionet_wire::client::Client;
use ionet_wire::message::Kind;
use ionet_wire::paths::Folders;

/// How long a resident program may take until it answers. It takes a fraction of a second; a broken one ends.
const PATIENCE: Duration = Duration::from_secs(20);

/// A question to a socket that is not there costs nothing.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

pub async fn open(folders: &Folders) -> Result<()> {
    let mut client = match Client::connect(&folders.meeting(), Kind::Command).await {
        Ok(client) => client,
        Err(error) if is_coming_or_going(&error) => return start(folders).await,
        Err(error) => return Err(error.into()),
    };
    show_by(&mut client).await
}

async fn show_by(client: &mut Client) -> Result<()> {
    client.next().await.context("the app went away")?;
    client.send(Intent::Open).await.context("the app went away")
}

/// Shows the window of the resident program that is there, or just coming up; starts none. One that is just going
/// away is let go.
pub async fn show(folders: &Folders) -> Result<()> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut look_again = tokio::time::interval(LOOK_AGAIN);
    loop {
        look_again.tick().await;
        match Client::connect(&folders.meeting(), Kind::Command).await {
            Ok(mut client) => return show_by(&mut client).await,
            Err(error) if is_coming_or_going(&error) && tokio::time::Instant::now() < deadline => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// An app that begins or ends may hang up before it has greeted.
fn is_coming_or_going(error: &WireError) -> bool {
    matches!(error, WireError::NobodyThere(_) | WireError::Closed)
}

/// Starts the resident program, detached from this terminal, and waits until it answers with its window.
async fn start(folders: &Folders) -> Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("run").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    detach(&mut command);
    let mut resident = command.spawn().context("the app could not be started")?;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut look_again = tokio::time::interval(LOOK_AGAIN);
    loop {
        look_again.tick().await;
        match Client::connect(&folders.meeting(), Kind::Command).await {
            // It may come as far as its socket, and no further.
            Ok(mut client) => match show_by(&mut client).await {
                Ok(()) => return Ok(()),
                Err(error) => tracing::debug!(%error, "the app does not answer yet"),
            },
            Err(error) if is_coming_or_going(&error) => {}
            Err(error) => return Err(error.into()),
        }
        // Another start may have been faster: then ours ends with success, and the other's socket is there soon.
        if let Some(status) = resident.try_wait()?
            && !status.success()
        {
            bail!(
                "the app ended at once ({status}). `ionet-supplier run` says why here, and its log in {}",
                folders.logs.display()
            );
        }
        if tokio::time::Instant::now() > deadline {
            bail!(
                "the app did not answer within {} s; its log is in {}",
                PATIENCE.as_secs(),
                folders.logs.display()
            );
        }
    }
}

#[cfg(unix)]
fn detach(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    command.process_group(0);
}

#[cfg(windows)]
fn detach(command: &mut Command) {
    use std::os::windows::process::CommandExt as _;
    const DETACHED_PROCESS: u32 = 0x0000_0008;
    command.creation_flags(DETACHED_PROCESS);
}
