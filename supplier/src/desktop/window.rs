//! The window: a program of its own, beside this one. It reaches this program over the wire; nothing holds it.

use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const WINDOW: &str = "ionet-supplier-window";

/// Starts the window's program.
pub fn spawn() -> io::Result<()> {
    let mut child =
        Command::new(program()?).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    // Somebody has to take note of its end, or it stays in the process table as long as this program lives.
    std::thread::Builder::new().name("window".to_owned()).spawn(move || match child.wait() {
        Ok(status) => tracing::debug!(%status, "window closed"),
        Err(error) => tracing::warn!(%error, "window lost"),
    })?;
    Ok(())
}

fn program() -> io::Result<PathBuf> {
    let beside = std::env::current_exe()?.with_file_name(format!("{WINDOW}{}", std::env::consts::EXE_SUFFIX));
    if beside.exists() {
        Ok(beside)
    } else {
        Err(io::Error::new(io::ErrorKind::NotFound, format!("{} is missing", beside.display())))
    }
}
