//! The Nomad agent under the guard: started, frozen, thawed, stopped. Everything carries the start that it belongs to.

mod plan;
mod watches;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ionet_agent::guard::{Guard, GuardEvent, HoldId};
use ionet_agent::{disk, find, introduction, startup, teardown, workloads};
use ionet_core::effect::Agent;
use ionet_core::fault::{AgentFault, CloudFault, WorkFault};
use ionet_core::{Outcome, Signal, StartId};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Shared, lock, unsaid};
use crate::runners::Runner;

/// A start waits this long for the gateway's introduction; the core tries again later.
const INTRODUCED_WITHIN: Duration = Duration::from_secs(10);

/// A turn of the logbook's is bounded in bytes; a disk may be slow. The owner waits for it.
const TAKEN_OVER_WITHIN: Duration = Duration::from_millis(500);

#[derive(Default)]
pub(super) struct Room {
    held: Mutex<Option<Held>>,
    /// Calls off the start under way.
    starting: Mutex<CancellationToken>,
    /// One guard is spawned at a time.
    spawning: tokio::sync::Mutex<()>,
    /// The freeze of what an earlier life left, while it is under way.
    freezing: Mutex<Option<JoinHandle<()>>>,
    /// Look after what jobs need while an agent runs.
    watches: Mutex<Vec<Runner>>,
}

#[derive(Clone)]
struct Held {
    guard: Arc<Guard>,
    /// The start that was asked of it last.
    id: StartId,
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
                self.hold(guard, events, running.id);
                self.look_after_what_jobs_need(None);
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
        if let Some(guard) = self.guard() {
            guard.reload().await;
        }
    }

    async fn start(self: &Arc<Self>, id: StartId, tags: BTreeMap<String, String>) -> Result<(), AgentFault> {
        let found = find::agent(&self.tools.program).await?;
        let engine = self.ask_the_engine().await?;
        let plan = self.plan(tags, engine.as_ref())?;
        let token = timeout(INTRODUCED_WITHIN, self.tools.cloud.introduction())
            .await
            .unwrap_or(Err(CloudFault::Slow))
            .map_err(AgentFault::NoIntroduction)?;
        let place = self.place();
        let data_dir = place.data_dir.clone();
        let prepared = plan::Prepared { id, program: found.program, plan, place, token };
        let config_file = self.tools.folders.agent_config();
        let start = plan::written(disk::change(&data_dir, move || prepared.write(&config_file)).await)?;
        let guard = self.ensure_guard(id).await?;
        let started = guard.start(start).await;
        // Read once, at the start: the file has no further use, whatever came of it.
        let folder = data_dir.clone();
        let _ = disk::change(&data_dir, move || introduction::remove(&folder)).await;
        let running = started?;
        let (version, double) = (&found.version.number, found.version.double);
        tracing::info!(id = id.0, pid = running.pid, %version, double, "agent started");
        self.look_after_what_jobs_need(engine);
        Ok(())
    }

    async fn freeze(&self) -> Result<(), WorkFault> {
        let place = self.place();
        let frozen = match self.guard() {
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
        match self.guard() {
            Some(guard) => guard.thaw(&place).await,
            None => workloads::thaw(&place.data_dir, place.docker_socket.as_deref()).await,
        }
    }

    /// Stops the agent through its guard; where there is none, clears away whatever is there all the same. Jobs' files go
    /// with it: what they hold is taken over first.
    async fn stop(&self, id: StartId, patience: Duration) -> Result<(), WorkFault> {
        lock(&self.agent.watches).clear();
        let place = self.place();
        let held = lock(&self.agent.held).take();
        let stopped = match held {
            Some(Held { guard, .. }) => {
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

    fn guard(&self) -> Option<Arc<Guard>> {
        lock(&self.agent.held).as_ref().map(|held| held.guard.clone())
    }

    async fn ensure_guard(self: &Arc<Self>, id: StartId) -> Result<Arc<Guard>, AgentFault> {
        let _one = self.agent.spawning.lock().await;
        if let Some(held) = &mut *lock(&self.agent.held) {
            held.id = id;
            return Ok(held.guard.clone());
        }
        let run_dir = self.guard_run.clone();
        let (guard, events) = Guard::connect_or_spawn(&run_dir, &self.tools.program).await?;
        Ok(self.hold(guard, events, id))
    }

    fn hold(
        self: &Arc<Self>,
        guard: Guard,
        events: UnboundedReceiver<GuardEvent>,
        id: StartId,
    ) -> Arc<Guard> {
        let guard = Arc::new(guard);
        *lock(&self.agent.held) = Some(Held { guard: guard.clone(), id });
        tokio::spawn(self.clone().listen(events));
        guard
    }

    async fn listen(self: Arc<Self>, mut events: UnboundedReceiver<GuardEvent>) {
        while let Some(event) = events.recv().await {
            match event {
                GuardEvent::Started(running) => self.tell(Signal::AgentUp { id: running.id }).await,
                GuardEvent::Registration { id, result } => {
                    match &result {
                        Ok(()) => tracing::info!("the region has taken the agent in"),
                        Err(fault) => tracing::warn!(%fault, "the region does not take the agent in"),
                    }
                    self.tell(Signal::Registration { id, result }).await;
                }
                GuardEvent::Exited { id, code, stderr_tail } => {
                    self.exited(id, startup::fault(code, &stderr_tail)).await;
                }
                GuardEvent::Containers { id, result } => {
                    if let Err(fault) = &result {
                        tracing::warn!(%fault, "the container engine refuses jobs");
                    }
                    self.tell(Signal::Containers { id, result }).await;
                }
                GuardEvent::FilesLeft { left, .. } => {
                    tracing::warn!(left, "files of ended jobs could not be removed");
                    self.tell(Signal::FilesLeft { left }).await;
                }
                GuardEvent::Lost(hold) => {
                    if let Some(id) = self.forget(hold) {
                        self.exited(id, AgentFault::NoGuard("it went away".to_owned())).await;
                    }
                }
            }
        }
    }

    async fn exited(&self, id: StartId, fault: AgentFault) {
        tracing::warn!(id = id.0, %fault, "agent ended by itself");
        self.tell(Signal::AgentExited { id, fault }).await;
    }

    /// Forgets a guard that is gone, if it is the one that is held: another may have taken its place.
    fn forget(&self, hold: HoldId) -> Option<StartId> {
        let mut held = lock(&self.agent.held);
        held.take_if(|held| held.guard.id() == hold).map(|held| held.id)
    }
}

fn not_stopped(id: StartId) -> Outcome {
    Outcome::AgentStopped { id, result: Err(WorkFault::NotPermitted) }
}
