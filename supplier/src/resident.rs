//! Puts the resident program together, runs it, and takes it apart.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use ionet_cloud::{Cloud, Endpoints, IdentityFolder, Options, Secret};
use ionet_core::event::LogReport;
use ionet_core::target::AGREEMENT_VERSION;
use ionet_core::{Event, Intent, Signal, Snapshot};
use ionet_logbook::{Limits, Logbook};
use ionet_wire::paths::Folders;
use ionet_wire::server::{BindError, Server, Windows};
use ionet_words::Words;
use tokio::sync::{mpsc, watch};

use crate::commands;
use crate::desktop::{Desktop, Headless, Session};
use crate::effects::{self, Effects, Tools};
use crate::engine::Engine;

/// How to run.
#[derive(Default)]
pub struct Run {
    /// No tray, no window, no D-Bus, no keyring; logs go to standard output too.
    pub headless: bool,
    pub enrolment_token: Option<Secret<String>>,
    /// The owner agrees to the page by a flag, where no window can show it.
    pub agree: bool,
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// Torn down; `clean` when nothing of ours was left running.
    Quit { clean: bool },
    /// Another resident program was there first; it shows its window.
    AlreadyRunning,
}

/// How often the cards are asked while a window shows them.
const SAMPLED_EVERY: Duration = Duration::from_secs(2);

pub async fn run(run: Run, folders: Folders) -> Result<Ended> {
    let server = match Server::bind(&folders.socket()) {
        Ok(server) => server,
        Err(BindError::AlreadyRunning) => return Ok(Ended::AlreadyRunning),
        Err(error) => return Err(error.into()),
    };
    let logbook = Arc::new(Logbook::open(&folders.logs, limits())?);
    logbook.init(run.headless)?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        headless = run.headless,
        rehearsal = cfg!(feature = "rehearsal"),
        "supplier starts"
    );
    logbook.follow(effects::log_sources(&folders));

    let (events, queue) = mpsc::channel(256);
    let (intents, asked) = mpsc::channel(64);
    let (engine, snapshots) = Engine::new(queue);
    let windows = server.windows();
    let agree = run.agree;
    let tools = tools(run, &folders, &logbook, &windows, &snapshots, &intents)?;
    let effects = Effects::new(tools, events.clone());

    let serving = tokio::spawn(server.serve(snapshots.clone(), intents));
    tokio::spawn(forward(asked, events.clone()));
    tokio::spawn(terminated(events.clone()));
    tokio::spawn(shipped(logbook.report(), events.clone()));
    tokio::spawn(sampled(windows.count(), events.clone()));
    if agree {
        events.send(Event::Intent(Intent::Agree { version: AGREEMENT_VERSION })).await?;
    }
    engine.run(&effects).await;

    // What its watchers still have to say comes before the last word.
    let _ = serving.await;
    let clean = !commands::may_have_left(&snapshots.borrow());
    effects.farewell(clean);
    tracing::info!(clean, "supplier ends");
    Ok(Ended::Quit { clean })
}

fn tools(
    run: Run,
    folders: &Folders,
    logbook: &Arc<Logbook>,
    windows: &Windows,
    snapshots: &watch::Receiver<Snapshot>,
    intents: &mpsc::Sender<Intent>,
) -> Result<Tools> {
    let (cloud, identity) = cloud(folders, !run.headless)?;
    let desktop: Box<dyn Desktop> = if run.headless {
        Box::new(Headless)
    } else {
        Box::new(Session::start(windows.clone(), snapshots.clone(), intents.clone()))
    };
    Ok(Tools {
        folders: folders.clone(),
        cloud,
        identity,
        desktop,
        logbook: logbook.clone(),
        words: Words::of_this_desktop(),
        enrolment_token: run.enrolment_token,
        sessions: !run.headless,
    })
}

/// The door to the io.net side, by the addresses and the identity of this PC.
pub fn cloud(folders: &Folders, keyring: bool) -> Result<(Cloud, IdentityFolder)> {
    let endpoints = Endpoints::load(&endpoints_file(folders)?)
        .context("the addresses of io.net are missing: install the app again")?;
    let identity = IdentityFolder::new(folders.identity());
    let options = Options { keyring, rehearsal: cfg!(feature = "rehearsal"), ..Options::default() };
    Ok((Cloud::new(endpoints, identity.clone(), folders.session(), options)?, identity))
}

/// One file that packages ship beside the program. Only rehearsals may put their own in the settings folder.
fn endpoints_file(folders: &Folders) -> Result<PathBuf> {
    let own = folders.endpoints();
    if cfg!(feature = "rehearsal") && own.exists() {
        return Ok(own);
    }
    Ok(std::env::current_exe()?.with_file_name("endpoints.json"))
}

/// A rehearsal is over in minutes; its logs must have been shipped by then.
fn limits() -> Limits {
    let usual = Limits::default();
    if cfg!(feature = "rehearsal") { Limits { max_age: Duration::from_secs(15), ..usual } } else { usual }
}

async fn forward(mut asked: mpsc::Receiver<Intent>, events: mpsc::Sender<Event>) {
    while let Some(intent) = asked.recv().await {
        tracing::info!(?intent, "asked");
        if events.send(Event::Intent(intent)).await.is_err() {
            return;
        }
    }
}

async fn shipped(mut reports: watch::Receiver<LogReport>, events: mpsc::Sender<Event>) {
    while reports.changed().await.is_ok() {
        let report = reports.borrow_and_update().clone();
        if events.send(Event::Signal(Signal::Logs(report))).await.is_err() {
            return;
        }
    }
}

/// Live figures cost a question to the driver, so they are asked for only while somebody sees them.
async fn sampled(mut windows: watch::Receiver<usize>, events: mpsc::Sender<Event>) {
    while windows.wait_for(|count| *count > 0).await.is_ok() {
        let sampled =
            tokio::task::spawn_blocking(|| ionet_sensors::Gpus::open().and_then(|gpus| gpus.sample())).await;
        if let Ok(Ok(samples)) = sampled
            && events.send(Event::Signal(Signal::Gpu(samples))).await.is_err()
        {
            return;
        }
        tokio::time::sleep(SAMPLED_EVERY).await;
    }
}

#[cfg(unix)]
async fn terminated(events: mpsc::Sender<Event>) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::warn!("signals cannot be heard: end the app from its tray");
        return;
    };
    loop {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        let _ = events.send(Event::Signal(Signal::Terminate)).await;
    }
}

#[cfg(not(unix))]
async fn terminated(events: mpsc::Sender<Event>) {
    while tokio::signal::ctrl_c().await.is_ok() {
        let _ = events.send(Event::Signal(Signal::Terminate)).await;
    }
}
