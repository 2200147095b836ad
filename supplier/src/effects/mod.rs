//! Core's effects, carried out: one file a room, each arm a call into a crate below.

mod account;
mod agent;
mod desktop;
mod identity;
mod logs;
mod region;
mod settings;
mod work;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ionet_agent::OwnProgram;
use ionet_cloud::{Cloud, Secret};
use ionet_core::{Effect, Event, Outcome, Signal};
use ionet_logbook::{Logbook, Shipper};
use ionet_sensors::Cards;
use ionet_wire::paths::Folders;
use ionet_words::Words;
use tokio::sync::{Notify, mpsc, watch};

use crate::desktop::Desktop;
use crate::runners::Runners;
use crate::turns::Perform;

pub use logs::sources as log_sources;

/// What the effects act with.
pub struct Tools {
    pub program: OwnProgram,
    pub folders: Folders,
    pub cloud: Cloud,
    pub cards: Arc<Cards>,
    pub desktop: Box<dyn Desktop>,
    pub logbook: Arc<Logbook>,
    pub words: Words,
    pub runners: Runners,
    /// How many windows show live figures.
    pub wanting_figures: watch::Receiver<usize>,
    /// Given on the command line: enrols this PC without an account's session.
    pub enrolment_token: Option<Secret<String>>,
    /// Whether somebody could be signed in here at all.
    pub sessions: bool,
}

#[derive(Clone)]
pub struct Effects {
    shared: Arc<Shared>,
}

struct Shared {
    tools: Tools,
    shipper: Shipper<logs::Bucket>,
    events: mpsc::Sender<Event>,
    agent: agent::Room,
    signing_in: account::Room,
    saving: settings::Room,
    /// There is a new certificate: whoever refused the last one is asked again at once.
    renewed: Notify,
    /// Whether the gateway's last word names a job that holds this PC.
    live_jobs: watch::Sender<bool>,
}

impl Effects {
    pub fn new(tools: Tools, events: mpsc::Sender<Event>) -> Self {
        let shipper = tools.logbook.shipper(logs::Bucket::new(tools.cloud.clone()));
        let agent = agent::Room::of(&tools, events.clone());
        let shared = Shared {
            tools,
            shipper,
            events,
            agent,
            signing_in: account::Room::default(),
            saving: settings::Room::default(),
            renewed: Notify::new(),
            live_jobs: watch::Sender::new(true),
        };
        let shared = Arc::new(shared);
        shared.watch_the_drive();
        Self { shared }
    }

    /// The last word to the owner: whether anything of ours is left.
    pub fn farewell(&self, clean: bool) {
        let (title, body) = self.shared.tools.words.farewell(clean);
        self.shared.tools.desktop.notify(&title, &body);
    }
}

impl Perform for Effects {
    fn perform(&self, effect: Effect) {
        let shared = &self.shared;
        match effect {
            Effect::Settings(deed) => {
                let broken_off = settings::broken_off(&deed, shared.this_program());
                shared.run(broken_off, shared.clone().settings(deed));
            }
            Effect::Account(deed) => shared.account(deed),
            Effect::Identity(deed) => shared.run(identity::broken_off(deed), shared.clone().identity(deed)),
            Effect::Agent(deed) => shared.agent(deed),
            Effect::Work(deed) => shared.run(work::broken_off(deed), shared.clone().work(deed)),
            Effect::Region(deed) => shared.region(deed),
            Effect::Logs(deed) => shared.run(logs::broken_off(deed), shared.clone().logs(deed)),
            Effect::Desktop(deed) => shared.desktop(deed),
            // The loop ends itself.
            Effect::Exit => {}
        }
    }
}

impl Shared {
    /// Runs an effect beside the loop. The core waits for every outcome, so one that breaks off has one too.
    fn run(self: &Arc<Self>, broken_off: Outcome, effect: impl Future<Output = Outcome> + Send + 'static) {
        let events = self.events.clone();
        tokio::spawn(async move {
            let outcome = tokio::spawn(effect).await.unwrap_or_else(|error| {
                tracing::error!(%error, "an effect broke off");
                broken_off
            });
            // Nobody listens any more only when the program is ending.
            let _ = events.send(Event::Outcome(outcome)).await;
        });
    }

    async fn tell(&self, signal: Signal) {
        let _ = self.events.send(Event::Signal(signal)).await;
    }
}

/// Why, where nobody can know why.
fn unsaid() -> String {
    "a fault of the app's own".to_owned()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
