//! The app's window through WebDriver: the same program that the app opens, started under WebKitWebDriver.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;
use serde::de::DeserializeOwned;
use serde_json::json;
use thirtyfour::{By, Capabilities, WebDriver};
use tokio::process::{Child, Command};

use crate::pc::Pc;
use crate::processes::{self, Process};
use crate::wait::{until, until_seen};

/// How long a page may take to open.
const OPENING: Duration = Duration::from_secs(60);

/// How long a script in the page may take.
const SCRIPT: Duration = Duration::from_secs(120);

/// How long a closed window's processes may take to go.
const CLOSING: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub struct Window {
    session: WebDriver,
    driver: Child,
}

impl Window {
    pub async fn open(pc: &Pc) -> Result<Self> {
        Self::open_with(pc, &[]).await
    }

    /// The window that plays this scene of `ui/src/backend/scenes.ts`.
    pub async fn open_scene(pc: &Pc, scene: &str) -> Result<Self> {
        Self::open_with(pc, &["--scene", scene]).await
    }

    async fn open_with(pc: &Pc, arguments: &[&str]) -> Result<Self> {
        // Somebody else of this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let port = free_port()?;
        let driver = Command::new("WebKitWebDriver")
            .arg(format!("--port={port}"))
            .env_clear()
            .envs(pc.environment())
            .env("TAURI_WEBVIEW_AUTOMATION", "true")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(pc.log_file("webdriver.log")?)
            .kill_on_drop(true)
            .spawn()
            .context("WebKitWebDriver cannot be started")?;
        let address = format!("http://127.0.0.1:{port}");
        let look = || async {
            let open = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok();
            Ok(open.then_some(()))
        };
        until("WebKitWebDriver", Duration::from_secs(20), look).await?;
        let mut wanted = Capabilities::new();
        let program = pc.program("ionet-supplier-window");
        wanted.set("webkitgtk:browserOptions", json!({"binary": program, "args": arguments}))?;
        let session = tokio::time::timeout(OPENING, WebDriver::new(&address, wanted))
            .await
            .context("the window did not open under WebDriver")??;
        Ok(Self { session, driver })
    }

    /// The process that everything of this window descends from.
    pub fn driver_pid(&self) -> Option<u32> {
        self.driver.id()
    }

    /// The phase that the page shows, as the core names it.
    pub async fn phase(&self) -> Result<String> {
        let shown = self.session.find(By::Css("[data-phase]")).await?;
        shown.attr("data-phase").await?.context("no phase is shown")
    }

    /// Waits until the page shows one of `phases`; gives all its words then.
    pub async fn shows(&self, phases: &[&str], patience: Duration) -> Result<String> {
        until(&format!("the window shows {}", phases.join(" or ")), patience, || async {
            let phase = self.phase().await?;
            let text = self.text().await?;
            ensure!(phases.contains(&phase.as_str()), "it shows {phase}: {}", short(&text));
            Ok(Some(text))
        })
        .await
    }

    /// Waits until the page says `wanted`; gives the line it stands on.
    pub async fn says(&self, wanted: &str, patience: Duration) -> Result<String> {
        until(&format!("the window says {wanted:?}"), patience, || async {
            let text = self.text().await?;
            let line = text.lines().find(|line| line.contains(wanted));
            let line = line.with_context(|| format!("it says {}", short(&text)))?;
            Ok(Some(line.trim().to_owned()))
        })
        .await
    }

    /// Everything that can be read on the page.
    pub async fn text(&self) -> Result<String> {
        let answer = self.session.execute("return document.body.innerText", Vec::new()).await?;
        Ok(answer.convert()?)
    }

    /// What the element of this name says, as soon as it says something.
    pub async fn field(&self, name: &str, patience: Duration) -> Result<String> {
        until(&format!("the window shows {name}"), patience, || async {
            let text = self.session.find(field(name)).await?.text().await?;
            let text = text.trim().to_owned();
            Ok((!text.is_empty()).then_some(text))
        })
        .await
    }

    /// An attribute of the element of this name, as soon as it has one that `wanted` accepts.
    pub async fn attribute(
        &self,
        name: &str,
        attribute: &str,
        patience: Duration,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<String> {
        until(&format!("the window's {name} with the right {attribute}"), patience, || async {
            let value = self.session.find(field(name)).await?.attr(attribute).await?.unwrap_or_default();
            ensure!(wanted(&value), "it is {value:?}");
            Ok(Some(value))
        })
        .await
    }

    /// Presses the button of this name as soon as it can be pressed; gives its words.
    pub async fn press(&self, name: &str, patience: Duration) -> Result<String> {
        until(&format!("the button {name}"), patience, || async {
            let button = self.session.find(field(name)).await?;
            ensure!(button.is_enabled().await?, "it cannot be pressed now");
            let words = button.text().await?;
            button.click().await?;
            Ok(Some(words))
        })
        .await
    }

    /// What a script in the page gives to its last argument, within two minutes. `{"error": …}` is one.
    pub async fn run<T: DeserializeOwned>(&self, script: &str) -> Result<T> {
        self.session.set_script_timeout(SCRIPT).await?;
        let given = self.session.execute_async(script, Vec::new()).await?;
        if let Some(error) = given.json().get("error") {
            bail!("the page says {error}");
        }
        Ok(given.convert()?)
    }

    /// A picture of the page, PNG.
    pub async fn picture(&self) -> Result<Vec<u8>> {
        Ok(self.session.screenshot_as_png().await?)
    }

    /// Closes the window; its processes and its driver are gone then.
    pub async fn close(mut self) -> Result<()> {
        let driver = self.driver.id();
        let mut family = driver.map(|pid| processes::family(pid, &processes::all())).unwrap_or_default();
        family.retain(|pid| Some(*pid) != driver);
        // The program may have ended by itself, and its session with it.
        let _ = tokio::time::timeout(CLOSING, self.session.quit()).await;
        // The driver ends the program after it has answered, so it must not go first.
        let closed = gone(&family).await;
        self.driver.kill().await?;
        if closed.is_err() {
            for pid in family {
                // One that ended meanwhile is what we want.
                let _ = processes::signal(pid, Signal::KILL);
            }
        }
        closed
    }
}

async fn gone(family: &[u32]) -> Result<()> {
    let alive = |pid: &u32| Process::read(*pid).is_some_and(|process| process.is_alive());
    let look = || Ok((!family.iter().any(alive)).then_some(()));
    until_seen("the window's processes end", CLOSING, look).await
}

fn field(name: &str) -> By {
    By::Css(format!("[data-testid=\"{name}\"]"))
}

/// The first words of a page, on one line.
fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(300).collect()
}

/// A port that nobody has. Until it is taken another may take it: whoever gets it is asked for an answer.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// The process that draws the page of that window, once it is there.
pub async fn web_view(window: u32, patience: Duration) -> Result<Process> {
    until_seen("the window's web view", patience, || {
        let all = processes::all();
        let family = processes::family(window, &all);
        let draws = |one: &Process| family.contains(&one.pid) && one.name() == "WebKitWebProcess";
        Ok(all.into_iter().find(draws))
    })
    .await
}
