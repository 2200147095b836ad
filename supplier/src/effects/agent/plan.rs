//! What the agent is told: its plan, its introduction and its environment.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

use ionet_agent::config::{self, Plan};
use ionet_agent::disk;
use ionet_agent::engine::EngineFacts;
use ionet_agent::guard::Start;
use ionet_agent::ports;
use ionet_capsule::inside;
use ionet_cloud::{Enrolled, Secret};
use ionet_core::StartId;
use ionet_core::fault::{AgentFault, CloudFault};
use ionet_private::Trouble;

use super::world::Programs;
use crate::effects::Shared;

/// The names of what the agent reads, beside each other.
const CONFIGURATION: &str = "agent.hcl";
const CA: &str = "ca.pem";
const CHAIN: &str = "chain.pem";
const KEY: &str = "device-key.pem";

/// Where things lie, as the agent sees it.
pub(super) struct Layout {
    program: PathBuf,
    pub(super) data_dir: PathBuf,
    log_dir: PathBuf,
    plugins: PathBuf,
    /// What the agent reads.
    read: PathBuf,
}

impl Shared {
    pub(super) fn enrolled(&self) -> Result<Enrolled, AgentFault> {
        let none = AgentFault::NoIntroduction(CloudFault::CertificateRefused);
        self.tools.cloud.enrolled().ok_or(none)
    }

    pub(super) fn layout(&self, programs: &Programs) -> Layout {
        let folders = &self.tools.folders;
        if self.agent.world.capsule.is_some() {
            return Layout {
                program: inside::AGENT.into(),
                data_dir: inside::AGENT_DATA.into(),
                log_dir: inside::LOGS.into(),
                plugins: inside::PLUGINS.into(),
                read: self.read_by_the_agent(),
            };
        }
        Layout {
            program: programs.agent.clone(),
            data_dir: folders.agent_data(),
            log_dir: folders.agent_logs(),
            plugins: folders.agent_plugins(),
            read: self.read_by_the_agent(),
        }
    }

    /// The folder of what the agent reads, as it sees it.
    fn read_by_the_agent(&self) -> PathBuf {
        match self.agent.world.capsule {
            Some(_) => inside::CONFIGURATION.into(),
            None => self.tools.folders.agent_configuration(),
        }
    }

    pub(super) fn plan(
        &self,
        enrolled: &Enrolled,
        layout: &Layout,
        tags: BTreeMap<String, String>,
        cards: BTreeSet<String>,
        engine: Option<&EngineFacts>,
    ) -> Result<Plan, AgentFault> {
        let ports = ports::free().map_err(|_| AgentFault::PortInUse)?;
        Ok(Plan {
            name: enrolled.device.clone(),
            region: enrolled.region.clone(),
            datacenter: enrolled.datacenter.clone(),
            node_pool: enrolled.node_pool.clone(),
            servers: enrolled.servers.clone(),
            data_dir: layout.data_dir.clone(),
            log_dir: layout.log_dir.clone(),
            ca_file: layout.read.join(CA),
            cert_file: layout.read.join(CHAIN),
            key_file: layout.read.join(KEY),
            ports,
            tags,
            drivers: self.agent.world.drivers().with_labels(engine.is_some_and(|facts| facts.labels)),
            plugins: layout.plugins.clone(),
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

    /// This PC's certificate and key, as they are now, where the agent reads them.
    pub(super) async fn certificate(
        &self,
        enrolled: &Enrolled,
    ) -> Result<BTreeMap<PathBuf, String>, AgentFault> {
        let folder = self.read_by_the_agent();
        let files = [(CA, &enrolled.ca), (CHAIN, &enrolled.chain), (KEY, &enrolled.key)];
        let files = files.map(|(name, file)| (folder.join(name), file.clone()));
        let read = move || {
            let read = files.into_iter().map(|(to, from)| Ok((to, std::fs::read_to_string(from)?)));
            read.collect::<io::Result<BTreeMap<_, _>>>()
        };
        let unreadable = |why: &str| AgentFault::CertificateUnreadable(why.to_owned());
        let read = disk::read(&self.tools.folders.identity(), READ_WITHIN, read).await;
        read.ok_or_else(|| unreadable("the disk does not answer"))?
            .map_err(|error| unreadable(&error.to_string()))
    }
}

/// A disk that sleeps takes its time to turn.
const READ_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

/// All that a start is made of.
pub(super) struct Prepared {
    pub(super) id: StartId,
    pub(super) layout: Layout,
    pub(super) plan: Plan,
    pub(super) place: ionet_agent::Place,
    pub(super) certificate: BTreeMap<PathBuf, String>,
    pub(super) introduction: Secret<String>,
}

impl Prepared {
    pub(super) fn start(self) -> Start {
        let (plan, configuration) = (self.plan, self.layout.read.join(CONFIGURATION));
        let mut files = self.certificate;
        files.insert(configuration.clone(), config::render(&plan));
        // A clean environment: nothing of the owner's session reaches the agent, and so no job.
        let env = [
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
            ("HOME", plan.data_dir.display().to_string()),
            ("LANG", "C.UTF-8".to_owned()),
        ];
        let played = played(self.place.docker_socket.is_some());
        Start {
            id: self.id,
            program: self.layout.program,
            args: vec!["agent".to_owned(), "-config".to_owned(), configuration.display().to_string()],
            env: env.into_iter().chain(played).map(|(name, value)| (name.to_owned(), value)).collect(),
            cwd: plan.data_dir.clone(),
            node: Some(plan.name.clone()),
            introduction: Some(self.introduction.reveal().clone()),
            files,
            cards: plan.cards.iter().cloned().collect(),
            place: self.place,
            log: plan.log_dir.join("last-words.txt"),
            agent_log: Some(plan.log_file()),
            http: Some(plan.ports.http_address()),
        }
    }
}

/// Where a rehearsal's card is played: what gives jobs their cards sees the same one as the app.
#[cfg(feature = "rehearsal")]
fn played(inside_capsule: bool) -> impl Iterator<Item = (&'static str, String)> {
    let names = [
        ("LD_LIBRARY_PATH", inside::PLAYED.to_owned()),
        ("IONET_NVML_SCRIPT", format!("{}/script", inside::PLAYED)),
    ];
    names.into_iter().filter_map(move |(name, there)| {
        let here = std::env::var(name).ok()?;
        Some((name, if inside_capsule { there } else { here }))
    })
}

#[cfg(not(feature = "rehearsal"))]
fn played(_inside_capsule: bool) -> impl Iterator<Item = (&'static str, String)> {
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
