//! BOINC's client as a peer: it, too, lends a computer and waits for work. It gets a folder of its own and no project,
//! and asks nobody outside for anything.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::needs;
use crate::wait::until;
use crate::window::free_port;

const SETTINGS: &str = "<cc_config><options>\
    <no_info_fetch>1</no_info_fetch>\
    <skip_cpu_benchmarks>1</skip_cpu_benchmarks>\
    <dont_contact_ref_site>1</dont_contact_ref_site>\
    </options></cc_config>";

pub(super) struct Boinc {
    client: Child,
    pub(super) pid: u32,
    pub(super) name: String,
    _folder: TempDir,
}

impl Boinc {
    /// None where it is not installed.
    pub(super) async fn start() -> Result<Option<Self>> {
        if !needs::absent(&["boinc"]).is_empty() {
            return Ok(None);
        }
        let version = Command::new("boinc").arg("--version").output().await?;
        let name = format!("boinc-client {}", String::from_utf8_lossy(&version.stdout).trim());
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("cc_config.xml"), SETTINGS)?;
        let port = free_port()?;
        let client = Command::new("boinc")
            .args(["--allow_multiple_clients", "--no_gpus", "--gui_rpc_port", &port.to_string(), "--dir"])
            .arg(folder.path())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("boinc cannot be started")?;
        let pid = client.id().context("boinc ended at once")?;
        let answers = || async { Ok(TcpStream::connect(("127.0.0.1", port)).await.ok()) };
        until("boinc answers", Duration::from_secs(30), answers).await?;
        Ok(Some(Self { client, pid, name, _folder: folder }))
    }

    pub(super) async fn end(mut self) -> Result<()> {
        Ok(self.client.kill().await?)
    }
}
