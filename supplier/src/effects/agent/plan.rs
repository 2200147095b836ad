//! What the agent is told: its plan, its introduction and its environment.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use ionet_agent::config::{self, Drivers, Plan};
use ionet_agent::find::Found;
use ionet_agent::guard::{Place, Start, gate_socket};
use ionet_agent::{introduction, ports, state};
use ionet_core::StartId;
use ionet_core::fault::{AgentFault, CloudFault};
use ionet_wire::paths::Folders;

use crate::effects::Shared;

impl Shared {
    pub(super) fn plan(&self, tags: BTreeMap<String, String>) -> Result<Plan, AgentFault> {
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
            drivers: self.drivers(),
        })
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

/// Writes what the agent reads at its start.
pub(super) fn prepare(
    id: StartId,
    found: &Found,
    plan: &Plan,
    place: Place,
    folders: &Folders,
    token: &str,
) -> io::Result<Start> {
    for folder in [&plan.data_dir, &plan.log_dir] {
        ionet_private::folder(folder)?;
    }
    state::belong_to(&plan.data_dir, &plan.name)?;
    introduction::place(&plan.data_dir, token)?;
    let config_file = folders.agent_config();
    ionet_private::replace(&config_file, config::render(plan).as_bytes())?;
    // A clean environment: nothing of the owner's session reaches the agent, and so no job.
    let env = [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ("HOME", plan.data_dir.display().to_string()),
        ("LANG", "C.UTF-8".to_owned()),
    ];
    Ok(Start {
        id,
        program: found.program.clone(),
        args: vec!["agent".to_owned(), "-config".to_owned(), config_file.display().to_string()],
        env: env.map(|(name, value)| (name.to_owned(), value)).into(),
        cwd: plan.data_dir.clone(),
        place,
        log: plan.log_dir.join("last-words.txt"),
        agent_log: Some(plan.log_file()),
        http: Some(plan.ports.http_address()),
    })
}
