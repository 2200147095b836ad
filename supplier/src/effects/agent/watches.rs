//! What jobs need of this PC is looked at as long as an agent runs: the container engine, and the disk that their files lie on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ionet_agent::{disk, engine};
use ionet_capsule::place::Counted;
use ionet_core::event::EngineSeen;
use ionet_core::fault::AgentFault;
use ionet_core::time::Gigabytes;
use ionet_core::wall::{CapsuleUse, Wall};
use ionet_core::{Bytes, Signal, StartId};

use super::plan;
use crate::clock;
use crate::effects::{Shared, lock};
use crate::runners::Runner;

/// A disk that fills up or fails takes no job for longer than this.
const DISK_EVERY: Duration = Duration::from_secs(60);
/// One takes eight seconds at most, and a wall is waited for thirty.
const TRIES: usize = 3;
/// Who makes room and looks again has it told by then.
const FREE_EVERY: Duration = Duration::from_secs(10);
const FREE_WITHIN: Duration = Duration::from_secs(5);
/// As often as live figures are shown.
const USE_EVERY: Duration = Duration::from_secs(2);

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
        let (engine, capsule) = (self.watch_the_engine(id, facts), self.watch_the_capsule(id));
        let watches = engine.into_iter().chain(capsule).chain([self.watch_the_disk(id)]);
        *lock(&self.agent.watches) = watches.collect();
    }

    /// Tries its wall once, before a job is there, then tells what it takes while somebody sees it.
    fn watch_the_capsule(self: &Arc<Self>, id: StartId) -> Option<Runner> {
        self.agent.world.capsule.as_ref()?;
        let shared = self.clone();
        Some(self.tools.runners.start("capsule", move || {
            let shared = shared.clone();
            async move {
                shared.try_the_wall(id).await;
                // How large its disk is, the owner is told also when no window is open.
                shared.tell_what_it_takes(id).await;
                let mut wanted = shared.tools.wanting_figures.clone();
                while wanted.wait_for(|windows| *windows > 0).await.is_ok() {
                    shared.tell_what_it_takes(id).await;
                    tokio::time::sleep(USE_EVERY).await;
                }
            }
        }))
    }

    async fn try_the_wall(&self, id: StartId) {
        let Some(capsule) = &self.agent.world.capsule else { return };
        // Of an agent that is taken over at a start, the region's servers may not be read yet: then that line stays untried.
        let servers = self.enrolled().map(|enrolled| enrolled.servers).unwrap_or_default();
        // Nobody tells of it where that fails, which is seen to where a wall is waited for.
        for _ in 0..TRIES {
            match capsule.holder.probe(servers.clone()).await {
                Ok(saw) => {
                    let cards = self.cards().await;
                    return self
                        .tell(Signal::Wall { id, wall: Wall { at: clock::wall(), saw, cards } })
                        .await;
                }
                Err(fault) => tracing::warn!(%fault, "the wall around jobs could not be tried"),
            }
        }
    }

    async fn tell_what_it_takes(&self, id: StartId) {
        let Some(capsule) = &self.agent.world.capsule else { return };
        let Ok(used) = capsule.holder.used().await else { return };
        let Counted { sent, received, refused } = used.counted;
        let used = CapsuleUse {
            at: clock::wall(),
            sent: Bytes(sent),
            received: Bytes(received),
            refused,
            disk_used: used.disk.map(|(taken, _)| Bytes(taken)),
            disk_size: used.disk.map(|(_, size)| Bytes(size)),
            memory: Bytes(used.memory),
        };
        self.tell(Signal::Capsule { id, used }).await;
    }

    /// As long as the program: the owner chooses what jobs get also while none run.
    pub(in crate::effects) fn watch_the_drive(self: &Arc<Self>) {
        let shared = self.clone();
        let watched = self.tools.runners.start("jobs' drive", move || {
            let shared = shared.clone();
            async move {
                let Some(folder) = shared.drive() else { return };
                let mut last = None;
                loop {
                    let now = free(&folder).await;
                    if now != last {
                        shared.tell(Signal::JobsDrive { free: now }).await;
                        last = now;
                    }
                    tokio::time::sleep(FREE_EVERY).await;
                }
            }
        });
        watched.for_ever();
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
                    let mut now = plan::written(disk::try_out(&drive).await);
                    if let (Ok(()), Some(capsule)) = (&now, &shared.agent.world.capsule) {
                        now = capsule.has_room().await;
                    }
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

/// On the drive that this folder is on, or is going to be. None where that does not say.
async fn free(folder: &Path) -> Option<Gigabytes> {
    let above = folder.parent().map(Path::to_owned);
    let places: Vec<PathBuf> = [Some(folder.to_owned()), above].into_iter().flatten().collect();
    disk::read(folder, FREE_WITHIN, move || places.iter().find_map(|place| free_at(place))).await?
}

#[cfg(unix)]
fn free_at(place: &Path) -> Option<Gigabytes> {
    let drive = rustix::fs::statvfs(place).ok()?;
    Some(Bytes(drive.f_bavail * drive.f_frsize).gigabytes())
}

/// There are no capsules yet where this is asked.
#[cfg(not(unix))]
fn free_at(_place: &Path) -> Option<Gigabytes> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_free_is_told_of_the_drive_also_before_the_folder_is_there() {
        let there = tempfile::tempdir().unwrap();
        let drive = rustix::fs::statvfs(there.path()).unwrap();
        let whole = u32::try_from((drive.f_blocks * drive.f_frsize) >> 30).unwrap();

        for folder in [there.path().to_owned(), there.path().join("capsule")] {
            let free = free(&folder).await.unwrap();
            assert!(free <= Gigabytes(whole), "{free:?} of {whole}");
        }
        assert_eq!(free(&there.path().join("no/such")).await, None);
    }
}
