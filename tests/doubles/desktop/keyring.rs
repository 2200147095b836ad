//! An unlocked keyring of our own: gnome-keyring on this desktop's bus, with a fresh home.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use zbus::zvariant::{ObjectPath, OwnedObjectPath, OwnedValue};

use super::bus::Bus;

const NAME: &str = "org.freedesktop.secrets";
const SERVICE: &str = "org.freedesktop.Secret.Service";
const ITEM: &str = "org.freedesktop.Secret.Item";

#[derive(Debug)]
pub struct Keyring {
    bus: zbus::Connection,
    daemon: Child,
}

/// Something that a program keeps here.
#[derive(Debug, Clone)]
pub struct Kept {
    pub label: String,
    pub attributes: HashMap<String, String>,
    /// The secret itself: for comparing, never for printing.
    pub secret: Vec<u8>,
}

impl Keyring {
    pub(super) async fn start(home: &Path, runtime: &Path, bus: &Bus) -> Result<Self> {
        let mut daemon = Command::new("gnome-keyring-daemon")
            .args(["--foreground", "--unlock", "--components=secrets"])
            .env("HOME", home)
            .env("XDG_RUNTIME_DIR", runtime)
            .env("XDG_DATA_HOME", home.join(".local/share"))
            .env("XDG_CONFIG_HOME", home.join(".config"))
            .env("DBUS_SESSION_BUS_ADDRESS", bus.address())
            .env_remove("DISPLAY")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("gnome-keyring-daemon cannot be started")?;
        let mut password = daemon.stdin.take().context("gnome-keyring-daemon takes no password")?;
        password.write_all(b"journey\n").await?;
        drop(password);
        let keyring = Self { bus: bus.connect().await?, daemon };
        let look = || async { keyring.is_unlocked().await.map(|open| open.then_some(())) };
        crate::wait::until("an unlocked keyring", Duration::from_secs(20), look).await?;
        Ok(keyring)
    }

    pub(super) async fn end(mut self) -> Result<()> {
        Ok(self.daemon.kill().await?)
    }

    /// Everything that was put here.
    pub async fn kept(&self) -> Result<Vec<Kept>> {
        let service = self.service().await?;
        let (_, session): (OwnedValue, OwnedObjectPath) =
            service.call("OpenSession", &("plain", zbus::zvariant::Value::from(""))).await?;
        let everything: HashMap<&str, &str> = HashMap::new();
        let (open, _locked): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) =
            service.call("SearchItems", &everything).await?;
        let mut kept = Vec::new();
        for path in open {
            let item = zbus::Proxy::new(&self.bus, NAME, path, ITEM).await?;
            let (secret,): ((OwnedObjectPath, Vec<u8>, Vec<u8>, String),) =
                item.call_method("GetSecret", &(&*session,)).await?.body().deserialize()?;
            kept.push(Kept {
                label: item.get_property("Label").await?,
                attributes: item.get_property("Attributes").await?,
                secret: secret.2,
            });
        }
        Ok(kept)
    }

    async fn is_unlocked(&self) -> Result<bool> {
        let collection: OwnedObjectPath = self.service().await?.call("ReadAlias", &("default",)).await?;
        if *collection == ObjectPath::try_from("/")? {
            return Ok(false);
        }
        let proxy =
            zbus::Proxy::new(&self.bus, NAME, collection, "org.freedesktop.Secret.Collection").await?;
        Ok(!proxy.get_property::<bool>("Locked").await?)
    }

    async fn service(&self) -> Result<zbus::Proxy<'static>> {
        Ok(zbus::Proxy::new(&self.bus, NAME, "/org/freedesktop/secrets", SERVICE).await?)
    }
}
