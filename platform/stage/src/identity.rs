//! The demo's identity provider: `platform/identity` as a Node process.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::child::{self, Child};

const READY: Duration = Duration::from_secs(30);

/// The provider; it may be stopped and started again at the same address, with keys and sessions kept.
#[derive(Debug)]
pub(crate) struct Identity {
    program: PathBuf,
    dir: PathBuf,
    access_token_life: Option<Duration>,
    announced: Option<Announced>,
    child: Option<Child>,
}

#[derive(Debug, Clone, Deserialize)]
struct Announced {
    issuer: String,
    port: u16,
}

impl Identity {
    /// Starts `server.mjs` of `folder`; ready when it has announced its issuer.
    pub(crate) async fn start(
        folder: &Path,
        dir: &Path,
        access_token_life: Option<Duration>,
    ) -> Result<Self> {
        if !folder.join("node_modules").is_dir() {
            bail!("{0} has no node_modules: run `npm ci` in {0}", folder.display());
        }
        ionet_private::folder(dir)?;
        let program = folder.join("server.mjs");
        let mut identity =
            Self { program, dir: dir.to_owned(), access_token_life, announced: None, child: None };
        identity.resume().await?;
        Ok(identity)
    }

    pub(crate) async fn resume(&mut self) -> Result<()> {
        if self.child.is_some() {
            return Ok(());
        }
        let ready_file = self.dir.join("ready.json");
        // One of an earlier start must not be taken for this one's.
        let _ = std::fs::remove_file(&ready_file);
        let child = Child::spawn("identity", self.command(&ready_file), &self.dir.join("identity.log"))
            .context("is Node installed?")?;
        let announced: Announced = child
            .wait_until(READY, async || serde_json::from_slice(&std::fs::read(&ready_file).ok()?).ok())
            .await?;
        self.announced = Some(announced);
        self.child = Some(child);
        Ok(())
    }

    pub(crate) fn stop(&mut self) {
        self.child = None;
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::pid)
    }

    pub(crate) fn issuer(&self) -> &str {
        self.announced.as_ref().map_or("", |announced| &announced.issuer)
    }

    fn command(&self, ready_file: &Path) -> std::process::Command {
        let port = self.announced.as_ref().map_or(0, |announced| announced.port);
        let mut command = child::clean_command(Path::new("node"), &self.dir);
        command.arg(&self.program).args(["--port", &port.to_string()]);
        command.arg("--keep").arg(self.dir.join("kept"));
        command.arg("--ready-file").arg(ready_file);
        if let Some(life) = self.access_token_life {
            command.args(["--access-token-ttl", &life.as_secs().max(1).to_string()]);
        }
        command
    }
}
