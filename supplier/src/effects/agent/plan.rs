//! What the agent is told: its plan, its introduction and its environment.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use ionet_agent::config::{self, Drivers, Plan};
use ionet_agent::engine::EngineFacts;
use ionet_agent::guard::{Place, Start, gate_socket};
use ionet_agent::{find, introduction, ports, state};
use ionet_cloud::Secret;
use ionet_core::StartId;
use ionet_core::fault::{AgentFault, CloudFault};
use ionet_private::Trouble;

use crate::effects::Shared;

impl Shared {
    pub(super) fn plan(
        &self,
        tags: BTreeMap<String, String>,
        cards: BTreeSet<String>,
        engine: Option<&EngineFacts>,
    ) -> Result<Plan, AgentFault> {
        let enrolled =
            self.tools.cloud.enrolled().ok_or(AgentFault::NoIntroduction(CloudFault::CertificateRefused))?;
        let ports = ports::free().map_err(|_| AgentFault::PortInUse)?;
        Ok(Plan {
            name: enrolled.device,
            region: enrolled.region,
            datacenter: enrolled.datacenter,
            node_pool: enrolled.node_pool,
            servers: enrolled.servers,
            data_dir: self.tools.folders.agent_data(),
            log_dir: self.tools.folders.agent_logs(),
            ca_file: enrolled.ca,
            cert_file: enrolled.chain,
            key_file: enrolled.key,
            ports,
            tags,
            drivers: self.drivers().with_labels(engine.is_some_and(|facts| facts.labels)),
            plugins: self.tools.folders.agent_plugins(),
            // What the engine cannot give is not offered.
            cards: if engine.is_none_or(|facts| facts.cards) { cards } else { BTreeSet::new() },
        })
    }

    /// The cards that this PC has now, by their ids: one fact for the scheduler and for the gate.
    pub(super) async fn cards(&self) -> BTreeSet<String> {
        let cards = self.tools.cards.clone();
        let looked = tokio::task::spawn_blocking(move || cards.gpus()).await;
        let gpus = looked.ok().and_then(Result::ok).map(|(gpus, _)| gpus).unwrap_or_default();
        gpus.into_iter().map(|gpu| gpu.uuid).collect()
    }

    /// Where what is ours lies and runs.
    pub(super) fn place(&self) -> Place {
        Place {
            data_dir: self.tools.folders.agent_data(),
            docker_socket: self.drivers().docker_socket().map(ToOwned::to_owned),
        }
    }

    fn drivers(&self) -> Drivers {
        drivers(gate_socket(&self.guard_run))
    }
}

/// What jobs may be. A rehearsal runs them as plain processes, unless it is told to rehearse containers too.
#[cfg(feature = "rehearsal")]
fn drivers(gate: PathBuf) -> Drivers {
    match std::env::var_os("IONET_ENGINE") {
        Some(engine) => Drivers::production(engine, gate),
        None => Drivers::rehearsal(),
    }
}

#[cfg(not(feature = "rehearsal"))]
fn drivers(gate: PathBuf) -> Drivers {
    Drivers::production("/var/run/docker.sock", gate)
}

/// All that a start is made of.
pub(super) struct Prepared {
    pub(super) id: StartId,
    pub(super) program: PathBuf,
    pub(super) card_plugin: PathBuf,
    pub(super) plan: Plan,
    pub(super) place: Place,
    pub(super) token: Secret<String>,
}

impl Prepared {
    /// Writes what the agent reads at its start.
    pub(super) fn write(self, config_file: &Path) -> io::Result<Start> {
        let plan = self.plan;
        for folder in [&plan.data_dir, &plan.log_dir] {
            ionet_private::folder(folder)?;
        }
        find::place_card_plugin(&self.card_plugin, &plan.plugins)?;
        state::belong_to(&plan.data_dir, &plan.name)?;
        introduction::place(&plan.data_dir, self.token.reveal())?;
        ionet_private::replace(config_file, config::render(&plan).as_bytes())?;
        // A clean environment: nothing of the owner's session reaches the agent, and so no job.
        let env = [
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
            ("HOME", plan.data_dir.display().to_string()),
            ("LANG", "C.UTF-8".to_owned()),
        ];
        Ok(Start {
            id: self.id,
            program: self.program,
            args: vec!["agent".to_owned(), "-config".to_owned(), config_file.display().to_string()],
            env: env.into_iter().chain(played()).map(|(name, value)| (name.to_owned(), value)).collect(),
            cwd: plan.data_dir.clone(),
            files: BTreeMap::new(),
            cards: plan.cards.iter().cloned().collect(),
            place: self.place,
            log: plan.log_dir.join("last-words.txt"),
            agent_log: Some(plan.log_file()),
            http: Some(plan.ports.http_address()),
        })
    }
}

/// Where a rehearsal's card is played: what gives jobs their cards sees the same one as the app.
#[cfg(feature = "rehearsal")]
fn played() -> impl Iterator<Item = (&'static str, String)> {
    let names = ["LD_LIBRARY_PATH", "IONET_NVML_SCRIPT"];
    names.into_iter().filter_map(|name| Some((name, std::env::var(name).ok()?)))
}

#[cfg(not(feature = "rehearsal"))]
fn played() -> impl Iterator<Item = (&'static str, String)> {
    std::iter::empty()
}

/// What the disk says of it, or that it says nothing.
pub(super) fn written<T>(answer: Option<io::Result<T>>) -> Result<T, AgentFault> {
    let silent = || AgentFault::FolderUnwritable("the disk does not answer".to_owned());
    answer.ok_or_else(silent)?.map_err(|error| {
        let full = Trouble::of(&error) == Trouble::Full;
        if full { AgentFault::DiskFull } else { AgentFault::FolderUnwritable(error.to_string()) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_disk_does_not_take_at_a_start_is_no_fault_of_the_plan() {
        let told = |kind| written::<()>(Some(Err(io::Error::from(kind)))).unwrap_err();
        assert_eq!(told(io::ErrorKind::StorageFull), AgentFault::DiskFull);
        assert_eq!(told(io::ErrorKind::QuotaExceeded), AgentFault::DiskFull);
        for fault in [told(io::ErrorKind::ReadOnlyFilesystem), written::<()>(None).unwrap_err()] {
            assert!(matches!(fault, AgentFault::FolderUnwritable(_)));
        }
    }
}
