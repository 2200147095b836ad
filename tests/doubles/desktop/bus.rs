//! A session bus of our own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

#[derive(Debug)]
pub struct Bus {
    address: String,
    folder: PathBuf,
    daemon: Child,
}

impl Bus {
    /// `folder` becomes `XDG_RUNTIME_DIR`; the bus's socket lies in it.
    pub async fn start(folder: &Path) -> Result<Self> {
        let config = folder.join("bus.conf");
        std::fs::write(&config, configuration(&folder.join("bus")))?;
        let mut daemon = Command::new("dbus-daemon")
            .args(["--nofork", "--nopidfile", "--print-address=1"])
            .arg(format!("--config-file={}", config.display()))
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .env("XDG_RUNTIME_DIR", folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("dbus-daemon cannot be started")?;
        let said = daemon.stdout.take().context("dbus-daemon has no output")?;
        let mut address = String::new();
        let mut said = BufReader::new(said);
        let line = said.read_line(&mut address);
        tokio::time::timeout(Duration::from_secs(20), line).await.context("dbus-daemon says nothing")??;
        let address = address.trim().to_owned();
        ensure!(!address.is_empty(), "dbus-daemon ended at once");
        Ok(Self { address, folder: folder.to_owned(), daemon })
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns when it is gone: a signal alone leaves a process to be seen for a while.
    pub(super) async fn end(mut self) -> Result<()> {
        Ok(self.daemon.kill().await?)
    }

    pub async fn connect(&self) -> Result<zbus::Connection> {
        Ok(zbus::connection::Builder::address(self.address())?.build().await?)
    }
}

/// A session bus that starts no services: the system's own keyring or portal would answer in place of ours.
fn configuration(socket: &Path) -> String {
    format!(
        r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#,
        socket.display()
    )
}
