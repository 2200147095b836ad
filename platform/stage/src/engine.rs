//! A container engine of the stage's own: Debian's `dockerd` on its own socket and folders. The user's Docker is never touched.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::child::{self, Child};

/// The image of `jobs/example-docker.json`.
pub const IMAGE: &str = "ionet-example:1";

const READY: Duration = Duration::from_secs(60);
/// It ends its containers first.
const GRACE: Duration = Duration::from_secs(20);
const BUSYBOX: &str = "/bin/busybox";

/// How to reach the engine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EngineFacts {
    /// `unix:///…/engine.sock`, as `DOCKER_HOST` and Nomad's `endpoint` want it.
    pub host: String,
    pub image: String,
}

/// A running engine that holds the example's image. Dropping it ends the engine and its containers.
#[derive(Debug)]
pub(crate) struct Engine {
    facts: EngineFacts,
    child: Child,
    /// Sockets have short names only, so they do not lie in the stage's folder.
    _run: TempDir,
}

impl Engine {
    /// Starts `dockerd` (as root) with its data in `dir` and makes the image from the machine's own static busybox.
    pub(crate) async fn start(dir: &Path) -> Result<Self> {
        if !Path::new(BUSYBOX).is_file() {
            bail!("{BUSYBOX} is not there: install busybox-static");
        }
        std::fs::create_dir_all(dir)?;
        let run = tempfile::Builder::new().prefix("ionet-engine-").tempdir()?;
        let host = format!("unix://{}", run.path().join("engine.sock").display());

        let mut command = child::clean_command(Path::new("dockerd"), dir);
        command.args(["--host", &host, "--bridge", "none", "--iptables=false", "--ip-masq=false"]);
        command.args(["--shutdown-timeout", "1"]);
        command.arg("--data-root").arg(dir.join("data"));
        command.arg("--exec-root").arg(run.path().join("exec"));
        command.arg("--pidfile").arg(run.path().join("engine.pid"));
        let child =
            Child::spawn("engine", command, &dir.join("engine.log")).context("is docker.io installed?")?;
        let child = child.with_grace(GRACE);
        let answers = || docker(&host).arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        child.wait_until(READY, async || answers().ok()?.success().then_some(())).await?;

        make_image(&host, dir)?;
        Ok(Self { facts: EngineFacts { host, image: IMAGE.to_owned() }, child, _run: run })
    }

    pub(crate) fn facts(&self) -> &EngineFacts {
        &self.facts
    }

    /// The ids of all its containers, whatever their state.
    pub(crate) fn containers(&self) -> Result<Vec<String>> {
        let listed = docker(&self.facts.host).args(["ps", "--all", "--quiet"]).output()?;
        anyhow::ensure!(listed.status.success(), "the engine does not list its containers");
        Ok(String::from_utf8_lossy(&listed.stdout).split_whitespace().map(str::to_owned).collect())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.pid()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // A container that ignores its stop signal would hold the engine for ten seconds, or outlive it.
        let Ok(listed) = docker(&self.facts.host).args(["ps", "--quiet"]).output() else { return };
        let running = String::from_utf8_lossy(&listed.stdout).into_owned();
        let ids: Vec<&str> = running.split_whitespace().collect();
        if !ids.is_empty() {
            let _ = docker(&self.facts.host).arg("kill").args(ids).stdout(Stdio::null()).status();
        }
    }
}

/// A root file system of one static program and its name `sh`.
fn make_image(host: &str, dir: &Path) -> Result<()> {
    let bin: PathBuf = dir.join("image/bin");
    std::fs::create_dir_all(&bin)?;
    for name in ["busybox", "sh", "sleep", "echo"] {
        std::fs::copy(BUSYBOX, bin.join(name))?;
    }
    let archive = dir.join("image.tar");
    let packed =
        Command::new("tar").arg("-C").arg(dir.join("image")).arg("-cf").arg(&archive).arg(".").status()?;
    let imported = docker(host).arg("import").arg(&archive).arg(IMAGE).stdout(Stdio::null()).status()?;
    if !packed.success() || !imported.success() {
        bail!("the image cannot be made: tar {packed}, docker import {imported}");
    }
    Ok(())
}

fn docker(host: &str) -> Command {
    let mut command = Command::new("docker");
    command.env_remove("DOCKER_CONTEXT").args(["--host", host]);
    command
}
