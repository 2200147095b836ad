//! A desktop for one app and nobody else: its own session bus with a tray host, notifications and an unlocked
//! keyring on it, its own display, and a "system browser" that hands over what it was asked to open.

pub mod browser;
pub mod bus;
pub mod display;
pub mod keyring;
pub mod notifications;
pub mod tray;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use browser::Browser;
use bus::Bus;
use display::Display;
use keyring::Keyring;
use notifications::Notifications;
use tray::Tray;

#[derive(Debug)]
pub struct Desktop {
    pub tray: Tray,
    pub notifications: Notifications,
    pub keyring: Keyring,
    pub browser: Browser,
    display: Display,
    bus: Bus,
    home: PathBuf,
}

impl Desktop {
    /// Everything below `folder`, which should be short: sockets lie in it.
    pub async fn start(folder: &Path) -> Result<Self> {
        let home = folder.join("home");
        let runtime = folder.join("run");
        for made in [&home, &runtime] {
            ionet_wire::paths::private_folder(made)?;
        }
        let bus = Bus::start(&runtime).await.context("the session bus")?;
        let connection = bus.connect().await?;
        let tray = Tray::start(&connection).await.context("the tray host")?;
        let notifications = Notifications::start(&connection).await.context("notifications")?;
        let keyring = Keyring::start(&home, &runtime, &bus).await.context("the keyring")?;
        let browser = Browser::install(folder)?;
        let display = Display::start(&home).await.context("the display")?;
        Ok(Self { tray, notifications, keyring, browser, display, bus, home })
    }

    /// Ends every program of it, and returns when they are gone.
    pub async fn end(self) -> Result<()> {
        let Self { tray, notifications, keyring, browser: _, display, bus, home: _ } = self;
        drop((tray, notifications));
        keyring.end().await?;
        display.end().await?;
        bus.end().await
    }

    /// The whole environment of a program on this desktop; nothing of the caller's own gets in.
    pub fn environment(&self) -> Vec<(String, String)> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let mut environment = vec![
            ("HOME", text(&self.home)),
            ("XDG_RUNTIME_DIR", text(self.bus.folder())),
            ("XDG_CONFIG_HOME", text(&self.home.join(".config"))),
            ("XDG_DATA_HOME", text(&self.home.join(".local/share"))),
            ("XDG_STATE_HOME", text(&self.home.join(".local/state"))),
            ("XDG_CACHE_HOME", text(&self.home.join(".cache"))),
            ("XDG_SESSION_TYPE", "x11".to_owned()),
            ("DBUS_SESSION_BUS_ADDRESS", self.bus.address().to_owned()),
            ("DISPLAY", self.display.name().to_owned()),
            ("BROWSER", text(&self.browser.program())),
            ("PATH", format!("{}:{system}", text(self.browser.folder()))),
            ("LANG", "C.UTF-8".to_owned()),
            ("NO_AT_BRIDGE", "1".to_owned()),
        ];
        environment.extend(self.display.authority().map(|file| ("XAUTHORITY", file)));
        environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
