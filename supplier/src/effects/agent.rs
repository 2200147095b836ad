//! The Nomad agent under the guard: started, frozen, thawed, stopped. Everything carries the start that it belongs to.

mod hold;
mod plan;
mod watches;
mod world;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ionet_agent::guard::Guard;
use ionet_agent::{disk, find, teardown};
use ionet_cloud::Enrolled;
use ionet_core::effect::Agent;
use ionet_core::fault::{AgentFault, CloudFault, WorkFault};
use ionet_core::share::Share;
use ionet_core::{Event, Outcome, StartId};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::hold::Hold;
pub(super) use self::world::door_to_logs;
use self::world::{Capsule, Programs, World};
use super::{Shared, Tools, lock, unsaid};
use crate::runners::Runner;

/// A start waits this long for the gateway's introduction; the core tries again later.
const INTRODUCED_WITHIN: Duration = Duration::from_secs(10);

/// A turn of the logbook's is bounded in bytes; a disk may be slow. The owner waits for it.
const TAKEN_OVER_WITHIN: Duration = Duration::from_millis(500);

/// A guard in a capsule is there once its engine is: on a slow disk that takes its time.
const GUARDED_WITHIN: Duration = Duration::from_secs(40);

/// Beside its jobs' own time, for an agent that lets go. What an engine has not taken away by then goes before the capsule's next start.
const LEAVES_WITHIN: Duration = Duration::from_millis(250);

pub(super) struct Room {
    world: World,
    hold: Arc<Hold>,
    /// Calls off the start under way.
    starting: Mutex<CancellationToken>,
    /// One guard is spawned at a time.
    spawning: tokio::sync::Mutex<()>,
    /// The freeze of what an earlier life left, while it is under way.
    freezing: Mutex<Option<JoinHandle<()>>>,
    /// Look after what jobs need while an agent runs.
    watches: Mutex<Vec<Runner>>,
}

impl Room {
    pub(super) fn of(tools: &Tools, events: mpsc::Sender<Event>) -> Self {
        Self {
            world: World::of(&tools.folders, &tools.program),
            hold: Arc::new(Hold::new(tools.runners.clone(), events)),
            starting: Mutex::default(),
            spawning: tokio::sync::Mutex::default(),
            freezing: Mutex::default(),
            watches: Mutex::default(),
        }
    }
}

impl Shared {
    pub(super) fn agent(self: &Arc<Self>, deed: Agent) {
        let shared = self.clone();
        match deed {
            Agent::Start { id, tags, share } => {
                let called_off = CancellationToken::new();
                *lock(&self.agent.starting) = called_off.clone();
                let broken_off = Outcome::AgentStarted { id, result: Err(AgentFault::NoGuard(unsaid())) };
                self.run(broken_off, async move {
                    let result = tokio::select! {
                        started = shared.start(id, tags, share) => started,
                        () = called_off.cancelled() => Err(AgentFault::CalledOff),
                    };
                    // Whoever has called it off sees to that.
                    if !matches!(result, Ok(()) | Err(AgentFault::CalledOff)) {
                        shared.leave_idle().await;
                    }
                    Outcome::AgentStarted { id, result }
                });
            }
            Agent::Freeze { id } => {
                let broken_off = Outcome::Frozen { id, result: Err(WorkFault::NotPermitted) };
                self.run(broken_off, async move { Outcome::Frozen { id, result: shared.freeze().await } });
            }
            Agent::FreezeEarlier => {
                let freezing = tokio::spawn(async move { drop(shared.freeze().await) });
                *lock(&self.agent.freezing) = Some(freezing);
            }
            Agent::Thaw { id } => {
                let broken_off = Outcome::Thawed { id, result: Err(WorkFault::NotPermitted) };
                self.run(broken_off, async move { Outcome::Thawed { id, result: shared.thaw().await } });
            }
            Agent::Stop { id, patience_ms } => {
                lock(&self.agent.starting).cancel();
                let patience = Duration::from_millis(patience_ms);
                self.run(not_stopped(id), async move {
                    Outcome::AgentStopped { id, result: shared.stop(id, patience).await }
                });
            }
        }
    }

    /// The agent that an earlier life's guard still holds; else what that life left is cleared away.
    pub(super) async fn earlier_life(self: &Arc<Self>) -> (Option<StartId>, Option<WorkFault>) {
        if let Some((guard, events)) = Guard::connect(&self.agent.world.run).await {
            if let Some(running) = guard.running() {
                tracing::info!(id = running.id.0, "the agent of an earlier start is taken over");
                self.agent.hold.take(guard, events, running.id);
                self.look_after_what_jobs_need(running.id, None);
                return (Some(running.id), None);
            }
            guard.let_go().await;
        }
        // Nobody is left to ask it to leave: it is ended where it stands.
        let swept = self.sweep().await;
        if let Err(fault) = &swept {
            tracing::warn!(%fault, "an earlier life left something behind");
        }
        (None, swept.err())
    }

    /// The folder of the jobs' disk, where the app's own holder has it. Where a system's service does, nobody says.
    fn drive(&self) -> Option<PathBuf> {
        let world = &self.agent.world;
        let own = world.run == self.tools.folders.guard_run();
        (own && self.lives_in_a_capsule()).then(|| world.drive().to_owned())
    }

    pub(super) fn lives_in_a_capsule(&self) -> bool {
        self.agent.world.capsule.is_some()
    }

    /// A running agent reads its new certificate when it is told to.
    pub(super) async fn reload_agent(&self) {
        let (Some(guard), Ok(enrolled)) = (self.agent.hold.guard(), self.enrolled()) else { return };
        match self.certificate(&enrolled).await {
            Ok(files) => guard.reload(files).await,
            Err(fault) => tracing::warn!(%fault, "the agent gets no new certificate"),
        }
    }

    async fn start(
        self: &Arc<Self>,
        id: StartId,
        tags: BTreeMap<String, String>,
        share: Share,
    ) -> Result<(), AgentFault> {
        let found = find::agent(&self.tools.program).await?;
        let card_plugin = find::card_plugin(&self.tools.program)?;
        let programs = Programs { agent: found.program, card_plugin };
        let enrolled = self.enrolled()?;
        let introduced = timeout(INTRODUCED_WITHIN, self.tools.cloud.introduction());
        let (guard, introduction) =
            tokio::join!(self.ensure_guard(id, &programs, &enrolled, share), introduced);
        let guard = guard?;
        let introduction =
            introduction.unwrap_or(Err(CloudFault::Slow)).map_err(AgentFault::NoIntroduction)?;
        let engine = self.ask_the_engine().await?;
        let layout = self.layout(&programs);
        let plan = self.plan(&enrolled, &layout, tags, self.cards().await, engine.as_ref())?;
        if self.agent.world.capsule.is_none() {
            // In a capsule it lies there already.
            let plugins = plan.plugins.clone();
            let place = move || find::place_card_plugin(&programs.card_plugin, &plugins);
            plan::written(disk::change(&layout.data_dir, place).await)?;
        }
        let certificate = self.certificate(&enrolled).await?;
        let place = self.agent.world.place();
        let start = plan::Prepared { id, layout, plan, place, certificate, introduction }.start();
        let started = guard.start(start).await;
        if matches!(started, Ok(_) | Err(AgentFault::Slow)) {
            // One that comes up late needs it too.
            self.look_after_what_jobs_need(id, engine);
        }
        let running = started?;
        let (version, double) = (&found.version.number, found.version.double);
        tracing::info!(id = id.0, pid = running.pid, %version, double, "agent started");
        Ok(())
    }

    /// A start that came to nothing leaves no capsule open: one without an agent and without jobs ends when nobody speaks with its guard.
    async fn leave_idle(&self) {
        let Some(capsule) = &self.agent.world.capsule else { return };
        if capsule.holder.used().await.is_ok_and(|used| used.jobs == 0)
            && let Some(guard) = self.agent.hold.let_go_of_idle()
        {
            guard.let_go().await;
        }
    }

    async fn freeze(&self) -> Result<(), WorkFault> {
        let frozen = match &self.agent.world.capsule {
            Some(capsule) => capsule.freeze().await,
            None => match self.guard_or_earlier().await {
                Some(guard) => guard.freeze().await,
                None => Ok(()),
            },
        };
        if let Err(fault) = &frozen {
            tracing::warn!(%fault, "not all work could be frozen: it is ended all the same");
        }
        frozen
    }

    async fn thaw(&self) -> Result<(), WorkFault> {
        // What it would still freeze nobody would thaw. It has an end of its own.
        let freezing = lock(&self.agent.freezing).take();
        if let Some(freezing) = freezing {
            let _ = freezing.await;
        }
        match &self.agent.world.capsule {
            Some(capsule) => capsule.thaw().await,
            None => match self.guard_or_earlier().await {
                Some(guard) => guard.thaw().await,
                None => Ok(()),
            },
        }
    }

    /// The guard that is held, or one that an earlier life has left: without either nothing runs that is not in a capsule.
    async fn guard_or_earlier(&self) -> Option<Arc<Guard>> {
        match self.agent.hold.guard() {
            Some(guard) => Some(guard),
            None => Guard::connect(&self.agent.world.run).await.map(|(guard, _)| Arc::new(guard)),
        }
    }

    /// Stops the agent through its guard, and ends the world that it lives in; where there is no guard, clears away whatever is there
    /// all the same. Jobs' files go with it: what they hold is taken over first.
    async fn stop(&self, id: StartId, patience: Duration) -> Result<(), WorkFault> {
        lock(&self.agent.watches).clear();
        let place = self.agent.world.place();
        let guard = match (self.agent.hold.let_go(), &self.agent.world.capsule) {
            (None, None) => self.guard_or_earlier().await,
            (held, _) => held,
        };
        let stopped = match guard {
            Some(guard) => {
                self.take_over_logs().await;
                let stopped = match &self.agent.world.capsule {
                    Some(capsule) => Some(self.leave(capsule, &guard, id, patience).await),
                    None => guard.stop(id, &place, patience).await,
                };
                guard.let_go().await;
                match stopped {
                    Some(stopped) => stopped,
                    None => self.sweep().await,
                }
            }
            None => self.sweep().await,
        };
        match &stopped {
            Ok(()) => tracing::info!("agent stopped, nothing is left running"),
            Err(fault) => tracing::warn!(%fault, "agent stopped"),
        }
        stopped
    }

    /// Jobs have their time to leave, and the agent its own. Whoever is still there then ends with the capsule. Where they have none, all
    /// end at once, and nothing that stood still runs again.
    async fn leave(
        &self,
        capsule: &Capsule,
        guard: &Guard,
        id: StartId,
        patience: Duration,
    ) -> Result<(), WorkFault> {
        if patience.is_zero() {
            return capsule.end().await;
        }
        // Whoever is frozen hears nobody who asks them to leave.
        let _ = capsule.thaw().await;
        let place = self.agent.world.place();
        match timeout(patience + LEAVES_WITHIN, guard.stop(id, &place, patience)).await {
            Ok(Some(Ok(()))) => {}
            Ok(Some(Err(fault))) => tracing::warn!(%fault, "not all left by themselves"),
            Ok(None) => tracing::warn!("the guard is gone"),
            Err(_) => tracing::warn!("not all left in their time"),
        }
        capsule.end().await
    }

    async fn sweep(&self) -> Result<(), WorkFault> {
        self.take_over_logs().await;
        let world = &self.agent.world;
        match &world.capsule {
            Some(capsule) => capsule.end().await,
            None => teardown::after_guard(&world.run, &world.place().data_dir).await,
        }
    }

    /// As far as one turn goes. A disk that hangs holds no stop up.
    async fn take_over_logs(&self) {
        let logbook = self.tools.logbook.clone();
        let taken_over = move || logbook.take_over();
        let _ = disk::read(self.agent.world.drive(), TAKEN_OVER_WITHIN, taken_over).await;
    }

    async fn ensure_guard(
        &self,
        id: StartId,
        programs: &Programs,
        enrolled: &Enrolled,
        share: Share,
    ) -> Result<Arc<Guard>, AgentFault> {
        let _one = self.agent.spawning.lock().await;
        let hold = &self.agent.hold;
        if let Some(guard) = hold.again(id) {
            return Ok(guard);
        }
        let (guard, said) = match &self.agent.world.capsule {
            Some(capsule) => {
                capsule.open(programs, &enrolled.servers, share).await?;
                Guard::reached(&self.agent.world.run, GUARDED_WITHIN).await?
            }
            None => Guard::connect_or_spawn(&self.agent.world.run, &self.tools.program).await?,
        };
        Ok(hold.take(guard, said, id))
    }
}

fn not_stopped(id: StartId) -> Outcome {
    Outcome::AgentStopped { id, result: Err(WorkFault::NotPermitted) }
}
