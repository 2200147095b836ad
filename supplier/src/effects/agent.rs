//! The Nomad agent under the guard: started, frozen, thawed, stopped. Everything carries the start that it belongs to.

mod hold;
mod plan;
mod watches;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ionet_agent::guard::Guard;
use ionet_agent::{disk, find, introduction, teardown, workloads};
use ionet_core::effect::Agent;
use ionet_core::fault::{AgentFault, CloudFault, WorkFault};
use ionet_core::{Event, Outcome, StartId};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::hold::Hold;
use super::{Shared, lock, unsaid};
use crate::runners::{Runner, Runners};

/// A start waits this long for the gateway's introduction; the core tries again later.
const INTRODUCED_WITHIN: Duration = Duration::from_secs(10);

/// A turn of the logbook's is bounded in bytes; a disk may be slow. The owner waits for it.
const TAKEN_OVER_WITHIN: Duration = Duration::from_millis(500);

pub(super) struct Room {
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
    pub(super) fn new(runners: Runners, events: mpsc::Sender<Event>) -> Self {
        Self {
            hold: Arc::new(Hold::new(runners, events)),
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
            Agent::Start { id, tags } => {
                let called_off = CancellationToken::new();
                *lock(&self.agent.starting) = called_off.clone();
                let broken_off = Outcome::AgentStarted { id, result: Err(AgentFault::NoGuard(unsaid())) };
                self.run(broken_off, async move {
                    let result = tokio::select! {
                        started = shared.start(id, tags) => started,
                        () = called_off.cancelled() => Err(AgentFault::CalledOff),
                    };
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
        if let Some((guard, events)) = Guard::connect(&self.guard_run).await {
            if let Some(running) = guard.running() {
                tracing::info!(id = running.id.0, "the agent of an earlier start is taken over");
                self.agent.hold.take(guard, events, running.id);
                self.look_after_what_jobs_need(running.id, None);
                return (Some(running.id), None);
            }
            guard.let_go().await;
        }
        // Nobody is left to ask it to leave: it is ended where it stands.
        let swept = self.sweep(Duration::ZERO).await;
        if let Err(fault) = &swept {
            tracing::warn!(%fault, "an earlier life left something behind");
        }
        (None, swept.err())
    }

    pub(super) async fn reload_agent(&self) {
        if let Some(guard) = self.agent.hold.guard() {
            guard.reload().await;
        }
    }

    async fn start(self: &Arc<Self>, id: StartId, tags: BTreeMap<String, String>) -> Result<(), AgentFault> {
        let found = find::agent(&self.tools.program).await?;
        let card_plugin = find::card_plugin(&self.tools.program)?;
        let engine = self.ask_the_engine().await?;
        let plan = self.plan(tags, self.cards().await, engine.as_ref())?;
        let token = timeout(INTRODUCED_WITHIN, self.tools.cloud.introduction())
            .await
            .unwrap_or(Err(CloudFault::Slow))
            .map_err(AgentFault::NoIntroduction)?;
        let place = self.place();
        let data_dir = place.data_dir.clone();
        let prepared = plan::Prepared { id, program: found.program, card_plugin, plan, place, token };
        let config_file = self.tools.folders.agent_config();
        let start = plan::written(disk::change(&data_dir, move || prepared.write(&config_file)).await)?;
        let guard = self.ensure_guard(id).await?;
        let started = guard.start(start).await;
        // Read once, at the start: the file has no further use, whatever came of it.
        let folder = data_dir.clone();
        let _ = disk::change(&data_dir, move || introduction::remove(&folder)).await;
        if matches!(started, Ok(_) | Err(AgentFault::Slow)) {
            // One that comes up late needs it too.
            self.look_after_what_jobs_need(id, engine);
        }
        let running = started?;
        let (version, double) = (&found.version.number, found.version.double);
        tracing::info!(id = id.0, pid = running.pid, %version, double, "agent started");
        Ok(())
    }

    async fn freeze(&self) -> Result<(), WorkFault> {
        let place = self.place();
        let frozen = match self.agent.hold.guard() {
            Some(guard) => guard.freeze(&place).await,
            None => workloads::freeze(&place.data_dir, place.docker_socket.as_deref()).await,
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
        let place = self.place();
        match self.agent.hold.guard() {
            Some(guard) => guard.thaw(&place).await,
            None => workloads::thaw(&place.data_dir, place.docker_socket.as_deref()).await,
        }
    }

    /// Stops the agent through its guard; where there is none, clears away whatever is there all the same. Jobs' files go
    /// with it: what they hold is taken over first.
    async fn stop(&self, id: StartId, patience: Duration) -> Result<(), WorkFault> {
        lock(&self.agent.watches).clear();
        let place = self.place();
        let stopped = match self.agent.hold.let_go() {
            Some(guard) => {
                self.take_over_logs().await;
                let stopped = guard.stop(id, &place, patience).await;
                guard.let_go().await;
                stopped
            }
            None => self.sweep(patience).await,
        };
        match &stopped {
            Ok(()) => tracing::info!("agent stopped, nothing is left running"),
            Err(fault) => tracing::warn!(%fault, "agent stopped"),
        }
        stopped
    }

    async fn sweep(&self, patience: Duration) -> Result<(), WorkFault> {
        self.take_over_logs().await;
        let place = self.place();
        teardown::sweep(&place.data_dir, place.docker_socket.as_deref(), patience).await
    }

    /// As far as one turn goes. A disk that hangs holds no stop up.
    async fn take_over_logs(&self) {
        let logbook = self.tools.logbook.clone();
        let taken_over = move || logbook.take_over();
        let _ = disk::read(&self.place().data_dir, TAKEN_OVER_WITHIN, taken_over).await;
    }

    async fn ensure_guard(&self, id: StartId) -> Result<Arc<Guard>, AgentFault> {
        let _one = self.agent.spawning.lock().await;
        let hold = &self.agent.hold;
        if let Some(guard) = hold.again(id) {
            return Ok(guard);
        }
        let (guard, said) = Guard::connect_or_spawn(&self.guard_run, &self.tools.program).await?;
        Ok(hold.take(guard, said, id))
    }
}

fn not_stopped(id: StartId) -> Outcome {
    Outcome::AgentStopped { id, result: Err(WorkFault::NotPermitted) }
}
