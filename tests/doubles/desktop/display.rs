//! The display: the one that is there, else a virtual one with a window manager.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

#[derive(Debug)]
pub struct Display {
    name: String,
    authority: Option<String>,
    // Dropped in this order: the window manager before its display.
    manager: Option<Child>,
    server: Option<Child>,
}

impl Display {
    /// `home`: where the window manager keeps what it keeps.
    pub async fn start(home: &Path) -> Result<Self> {
        match std::env::var("DISPLAY") {
            Ok(name) if !name.is_empty() => {
                let authority = std::env::var("XAUTHORITY").ok();
                Ok(Self { name, authority, manager: None, server: None })
            }
            Ok(_) | Err(_) => Self::virtual_one(home).await,
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn authority(&self) -> Option<String> {
        self.authority.clone()
    }

    pub fn is_virtual(&self) -> bool {
        self.server.is_some()
    }

    pub(super) async fn end(self) -> Result<()> {
        for mut child in [self.manager, self.server].into_iter().flatten() {
            child.kill().await?;
        }
        Ok(())
    }

    async fn virtual_one(home: &Path) -> Result<Self> {
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "1280x900x24", "-nolisten", "tcp", "-noreset"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("Xvfb cannot be started")?;
        let said = server.stdout.take().context("Xvfb has no output")?;
        let mut number = String::new();
        let mut said = BufReader::new(said);
        let line = said.read_line(&mut number);
        tokio::time::timeout(Duration::from_secs(20), line).await.context("Xvfb says nothing")??;
        let number = number.trim();
        ensure!(!number.is_empty(), "Xvfb ended at once");
        let name = format!(":{number}");
        // Windows are shown without one too, only bare.
        let manager = Command::new("openbox")
            .env("DISPLAY", &name)
            .env("HOME", home)
            .env("XDG_CACHE_HOME", home.join(".cache"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .ok();
        Ok(Self { name, authority: None, manager, server: Some(server) })
    }
}
