//! Puts the resident program together, runs it, and takes it apart.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use ionet_cloud::{Cloud, Endpoints, IdentityFolder, Options, Secret};
use ionet_core::event::LogReport;
use ionet_core::hardware::Figures;
use ionet_core::target::AGREEMENT_VERSION;
use ionet_core::wall::CapsuleUse;
use ionet_core::{Event, Intent, Signal, Snapshot};
use ionet_logbook::{Limits, Logbook};
use ionet_sensors::{Cards, Search};
use ionet_wire::paths::Folders;
use ionet_wire::server::{Asked, BindError, Served, Server, Windows};
use ionet_words::Words;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::timeout;

use crate::desktop::{Desktop, Headless, Session, Shown};
use crate::effects::{self, Effects, Tools};
use crate::questions;
use crate::runners::{Runner, Runners};
use crate::turns::Turns;

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

/// Watchers are let go of well within it.
const LAST_WORD_WITHIN: Duration = Duration::from_secs(3);

pub async fn run(run: Run, folders: Folders) -> Result<Ended> {
    let server = match Server::bind(&folders.meeting()) {
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
    let (questions, asks) = mpsc::channel(16);
    let (figures, shown_figures) = watch::channel(None);
    let (turns, snapshots) = Turns::new(queue);
    let windows = server.windows();
    let agree = run.agree;
    let tools = tools(run, &folders, &logbook, &windows, &snapshots, &intents, &events)?;
    let live = Live { used: turns.used(), shown: figures.into() };
    follow(&tools, &windows, live, events.clone());
    let served = Served { snapshots: snapshots.clone(), figures: shown_figures, intents, questions };
    let watchers = attend(&tools, server, served, Heard { asked, asks }, &events);
    let effects = Effects::new(tools, events.clone());
    if agree {
        events.send(Event::Intent(Intent::Agree { version: AGREEMENT_VERSION })).await?;
    }
    turns.run(&effects).await;

    // What its watchers still have to say comes before the last word.
    let _ = timeout(LAST_WORD_WITHIN, watchers.ended()).await;
    let clean = !snapshots.borrow().may_run;
    effects.farewell(clean);
    tracing::info!(clean, "supplier ends");
    Ok(Ended::Quit { clean })
}

/// What the watchers want and ask.
struct Heard {
    asked: mpsc::Receiver<Intent>,
    asks: mpsc::Receiver<Asked>,
}

/// Serves whoever watches, and takes in what they want and ask. What breaks off goes on with the same socket and the same
/// queues. What comes back ends with the last snapshot.
fn attend(
    tools: &Tools,
    server: Server,
    served: Served,
    heard: Heard,
    events: &mpsc::Sender<Event>,
) -> Runner {
    let runners = &tools.runners;
    let (asked, told) = (Arc::new(Mutex::new(heard.asked)), events.clone());
    runners.start("intents", move || forward(asked.clone(), told.clone())).for_ever();
    let (asks, cloud, told) = (Arc::new(Mutex::new(heard.asks)), tools.cloud.clone(), events.clone());
    runners
        .start("questions", move || questions::answer(cloud.clone(), asks.clone(), told.clone()))
        .for_ever();
    let server = Arc::new(Mutex::new(server));
    runners.start("watchers", move || serve(server.clone(), served.clone()))
}

/// What is noticed as long as the program runs.
fn follow(tools: &Tools, windows: &Windows, live: Live, events: mpsc::Sender<Event>) {
    let runners = &tools.runners;
    let ends = events.clone();
    runners.start("termination", move || terminated(ends.clone())).for_ever();
    let (reports, told) = (tools.logbook.report(), events);
    runners.start("log report", move || shipped(reports.clone(), told.clone())).for_ever();
    let (cards, wanted) = (tools.cards.clone(), windows.wanting_figures());
    runners.start("figures", move || sampled(cards.clone(), wanted.clone(), live.clone())).for_ever();
}

fn tools(
    run: Run,
    folders: &Folders,
    logbook: &Arc<Logbook>,
    windows: &Windows,
    snapshots: &watch::Receiver<Snapshot>,
    intents: &mpsc::Sender<Intent>,
    events: &mpsc::Sender<Event>,
) -> Result<Tools> {
    let program = ionet_agent::own_program()?;
    let runners = Runners::new(events.clone());
    let cloud = cloud(folders, !run.headless)
        .inspect_err(|error| tracing::error!(error = format!("{error:#}"), "supplier cannot start"))?;
    let desktop: Box<dyn Desktop> = if run.headless {
        Box::new(Headless)
    } else {
        let shown =
            Shown { windows: windows.clone(), snapshots: snapshots.clone(), intents: intents.clone() };
        Box::new(Session::start(&program, shown, &runners, events.clone()))
    };
    Ok(Tools {
        program,
        folders: folders.clone(),
        cloud,
        cards: Arc::new(Cards::new(Search::default())),
        desktop,
        logbook: logbook.clone(),
        words: Words::of_this_desktop(),
        runners,
        wanting_figures: windows.wanting_figures(),
        enrolment_token: run.enrolment_token,
        sessions: !run.headless,
    })
}

/// The door to the io.net side, by the addresses and the identity of this PC.
pub fn cloud(folders: &Folders, keyring: bool) -> Result<Cloud> {
    let file = endpoints_file(folders)?;
    let endpoints = Endpoints::load(&file).with_context(|| {
        format!("the addresses of io.net in {} cannot be used: install the app again", file.display())
    })?;
    let identity = IdentityFolder::new(folders.identity());
    let options = Options { keyring, rehearsal: cfg!(feature = "rehearsal"), ..Options::default() };
    Ok(Cloud::new(endpoints, identity, folders.session(), options)?)
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

async fn serve(server: Arc<Mutex<Server>>, served: Served) {
    server.lock().await.serve(served).await;
}

async fn forward(asked: Arc<Mutex<mpsc::Receiver<Intent>>>, events: mpsc::Sender<Event>) {
    let mut asked = asked.lock().await;
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

/// Where live figures come together, and where they go.
#[derive(Clone)]
struct Live {
    used: watch::Receiver<Option<CapsuleUse>>,
    shown: Arc<watch::Sender<Option<Figures>>>,
}

/// What can be told of the one waits for nothing of the other.
fn together(cards: Option<Figures>, capsule: Option<CapsuleUse>) -> Option<Figures> {
    let alone = |used: &CapsuleUse| Figures { at: used.at, ..Figures::default() };
    let figures = cards.or_else(|| capsule.as_ref().map(alone))?;
    Some(Figures { capsule, ..figures })
}

/// Live figures cost a question to the driver, so they are asked for only while somebody sees them. What could not be read is
/// not shown as live.
async fn sampled(cards: Arc<Cards>, mut wanted: watch::Receiver<usize>, live: Live) {
    while wanted.wait_for(|count| *count > 0).await.is_ok() {
        let asked = cards.clone();
        let read = tokio::task::spawn_blocking(move || asked.figures()).await;
        live.shown.send_replace(together(read.ok().and_then(Result::ok), live.used.borrow().clone()));
        tokio::select! {
            () = tokio::time::sleep(SAMPLED_EVERY) => {}
            nobody = wanted.wait_for(|count| *count == 0) => if nobody.is_err() { return },
        }
    }
}

#[cfg(unix)]
async fn terminated(events: mpsc::Sender<Event>) {
    use tokio::signal::unix::{SignalKind, signal};
    let heard = |kind| signal(kind).inspect_err(|error| tracing::warn!(%error, "a signal cannot be heard"));
    // A terminal that is closed hangs up on what was started in it: the app ends as it does for the other two.
    let (Ok(mut term), Ok(mut int), Ok(mut hangup)) =
        (heard(SignalKind::terminate()), heard(SignalKind::interrupt()), heard(SignalKind::hangup()))
    else {
        return;
    };
    loop {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
            _ = hangup.recv() => {}
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

#[cfg(test)]
mod tests {
    use ionet_core::UnixMs;

    use super::*;

    #[test]
    fn what_jobs_take_is_told_with_the_cards_figures_and_without_them() {
        let used = CapsuleUse { at: UnixMs(3), ..CapsuleUse::default() };
        let cards = Figures { at: UnixMs(5), ..Figures::default() };

        assert_eq!(together(None, None), None);
        assert_eq!(together(Some(cards.clone()), None), Some(cards.clone()));
        let both = Figures { capsule: Some(used.clone()), ..cards.clone() };
        assert_eq!(together(Some(cards), Some(used.clone())), Some(both));
        let alone = Figures { at: UnixMs(3), gpus: vec![], capsule: Some(used.clone()) };
        assert_eq!(together(None, Some(used)), Some(alone));
    }
}
