//! What jobs need of this PC is looked at as long as an agent runs: the container engine, and the disk that their files lie on.

use std::sync::Arc;
use std::time::Duration;

use ionet_agent::{disk, engine};
use ionet_core::event::EngineSeen;
use ionet_core::fault::AgentFault;
use ionet_core::{Signal, StartId};

use super::plan;
use crate::effects::{Shared, lock};
use crate::runners::Runner;

/// A disk that fills up or fails takes no job for longer than this.
const DISK_EVERY: Duration = Duration::from_secs(60);

impl Shared {
    /// None where jobs need no engine: in a rehearsal that runs them as plain processes.
    pub(super) async fn ask_the_engine(&self) -> Result<Option<engine::EngineFacts>, AgentFault> {
        match self.agent.world.engine() {
            Some(socket) => engine::ask(&socket, true).await.map(Some).map_err(AgentFault::Engine),
            None => Ok(None),
        }
    }

    /// For this start, until the agent is stopped. The engine's facts are asked for where none are given.
    pub(super) fn look_after_what_jobs_need(
        self: &Arc<Self>,
        id: StartId,
        facts: Option<engine::EngineFacts>,
    ) {
        let engine = self.watch_the_engine(id, facts);
        *lock(&self.agent.watches) = engine.into_iter().chain([self.watch_the_disk(id)]).collect();
    }

    fn watch_the_engine(self: &Arc<Self>, id: StartId, facts: Option<engine::EngineFacts>) -> Option<Runner> {
        let socket = self.agent.world.engine()?;
        let shared = self.clone();
        Some(self.tools.runners.start("engine", move || {
            let (shared, socket, facts) = (shared.clone(), socket.clone(), facts.clone());
            async move {
                let last = match facts {
                    Some(facts) => Ok(facts),
                    None => engine::ask(&socket, true).await,
                };
                // Of an agent that an earlier life started, nobody knows: then they are those of the first look.
                let mut started_for = None;
                let mut seen = move |facts: &engine::EngineFacts| EngineSeen {
                    other_labels: *started_for.get_or_insert(facts.labels) != facts.labels,
                    loses_cards: facts.loses_cards,
                };
                shared
                    .tell(Signal::Engine { id, result: last.as_ref().map(&mut seen).map_err(Clone::clone) })
                    .await;
                let mut watch = engine::Watch::new(&socket, true, last);
                loop {
                    let now = watch.changed().await;
                    if let Err(fault) = &now {
                        tracing::warn!(%fault, "jobs cannot run in the container engine");
                    }
                    shared
                        .tell(Signal::Engine {
                            id,
                            result: now.as_ref().map(&mut seen).map_err(Clone::clone),
                        })
                        .await;
                }
            }
        }))
    }

    fn watch_the_disk(self: &Arc<Self>, id: StartId) -> Runner {
        let shared = self.clone();
        self.tools.runners.start("jobs' disk", move || {
            let shared = shared.clone();
            async move {
                let drive = shared.agent.world.drive().to_owned();
                let mut last = Ok(());
                loop {
                    tokio::time::sleep(DISK_EVERY).await;
                    let now = plan::written(disk::try_out(&drive).await);
                    if now != last {
                        if let Err(fault) = &now {
                            tracing::warn!(%fault, "jobs' files have no place");
                        }
                        shared.tell(Signal::JobsDisk { id, result: now.clone() }).await;
                        last = now;
                    }
                }
            }
        })
    }
}
