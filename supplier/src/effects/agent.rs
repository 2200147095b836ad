//! Starting and stopping the Nomad agent under the guard.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ionet_agent::config::{self, Drivers, Plan};
use ionet_agent::guard::{Guard, GuardEvent, Start, gate_socket};
use ionet_agent::{find, introduction, ports, startup, teardown};
use ionet_core::fault::{AgentFault, CloudFault, WorkFault};
use ionet_core::{Event, Signal};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Shared;

/// A start waits this long for the gateway's introduction; the core tries again later.
const INTRODUCED_WITHIN: Duration = Duration::from_secs(10);

impl Shared {
    /// Takes over the agent of an earlier life, if its guard still holds one.
    pub(super) async fn adopt_agent(self: &Arc<Self>) -> bool {
        let Some((guard, events)) = Guard::connect(&self.tools.folders.guard_run()).await else {
            return false;
        };
        let running = guard.running().is_some();
        if running {
            tracing::info!("the agent of an earlier start is taken over");
        }
        self.hold(guard, events).await;
        running
    }

    pub(super) async fn start_agent(
        self: &Arc<Self>,
        tags: BTreeMap<String, String>,
    ) -> Result<(), AgentFault> {
        let program = find::agent_binary()?;
        let version = find::version(&program).await?;
        let plan = self.plan(tags)?;
        let token = timeout(INTRODUCED_WITHIN, self.tools.cloud.introduction())
            .await
            .unwrap_or(Err(CloudFault::Slow))
            .map_err(AgentFault::NoIntroduction)?;
        let config_file = self.tools.folders.agent_config();
        let prepared = prepare(&plan, &config_file, token.reveal());
        prepared.map_err(|error| AgentFault::BadPlan(error.to_string()))?;
        self.ensure_guard().await?;
        let held = self.guard.lock().await;
        let guard = held.as_ref().ok_or_else(|| AgentFault::NoGuard("it went away".to_owned()))?;
        let started = guard.start(start(&program, &config_file, &plan)).await;
        // Read once, at the start: the file has no further use, whatever came of it.
        let _ = introduction::remove(&plan.data_dir);
        let running = started?;
        tracing::info!(pid = running.pid, version = version.number, double = version.double, "agent started");
        Ok(())
    }

    /// Stops the agent through its guard, and clears away whatever is there all the same.
    pub(super) async fn stop_agent(&self) -> Result<(), WorkFault> {
        let data_dir = self.agent_data();
        let mut held = self.guard.lock().await;
        let stopped = match held.take() {
            Some(guard) => {
                let stopped = guard.stop().await;
                guard.let_go().await;
                stopped
            }
            None => Ok(()),
        };
        let swept = teardown::sweep(&data_dir, self.engine().as_deref()).await;
        if let Err(error) = introduction::remove(&data_dir) {
            tracing::warn!(%error, "the introduction token's file stays");
        }
        let result = stopped.and(swept);
        match &result {
            Ok(()) => tracing::info!("agent stopped, nothing is left running"),
            Err(fault) => tracing::warn!(%fault, "agent stopped"),
        }
        result
    }

    pub(super) async fn readmit(&self) -> Result<(), WorkFault> {
        let stopped = self.stop_agent().await;
        if let Err(error) = introduction::forget_identity(&self.agent_data()) {
            tracing::warn!(%error, "the agent's node identity stays");
        }
        stopped
    }

    fn plan(&self, tags: BTreeMap<String, String>) -> Result<Plan, AgentFault> {
        let enrolled =
            self.tools.cloud.enrolled().ok_or(AgentFault::NoIntroduction(CloudFault::CertificateRefused))?;
        let ports = ports::free().map_err(|_| AgentFault::PortInUse)?;
        Ok(Plan {
            name: enrolled.device,
            region: enrolled.region,
            datacenter: enrolled.datacenter,
            node_pool: enrolled.node_pool,
            servers: enrolled.servers,
            data_dir: self.agent_data(),
            log_dir: self.tools.folders.agent_logs(),
            ca_file: enrolled.ca,
            cert_file: enrolled.chain,
            key_file: enrolled.key,
            ports,
            tags,
            drivers: self.drivers(),
        })
    }

    fn drivers(&self) -> Drivers {
        drivers(gate_socket(&self.tools.folders.guard_run()))
    }

    /// The container engine that jobs run in; none in a rehearsal that runs them as plain processes.
    pub(super) fn engine(&self) -> Option<PathBuf> {
        self.drivers().docker_socket().map(ToOwned::to_owned)
    }

    async fn ensure_guard(self: &Arc<Self>) -> Result<(), AgentFault> {
        if self.guard.lock().await.is_some() {
            return Ok(());
        }
        let program = std::env::current_exe().map_err(|error| AgentFault::NoGuard(error.to_string()))?;
        let (guard, events) = Guard::connect_or_spawn(&self.tools.folders.guard_run(), &program).await?;
        self.hold(guard, events).await;
        Ok(())
    }

    async fn hold(self: &Arc<Self>, guard: Guard, events: mpsc::Receiver<GuardEvent>) {
        *self.guard.lock().await = Some(guard);
        tokio::spawn(self.clone().listen(events));
    }

    async fn listen(self: Arc<Self>, mut events: mpsc::Receiver<GuardEvent>) {
        while let Some(event) = events.recv().await {
            let fault = match event {
                GuardEvent::Registration(result) => {
                    match &result {
                        Ok(()) => tracing::info!("the region has taken the agent in"),
                        Err(fault) => tracing::warn!(%fault, "the region does not take the agent in"),
                    }
                    self.send(Event::Signal(Signal::Registration(result))).await;
                    continue;
                }
                GuardEvent::Exited { code, stderr_tail } => startup::fault(code, &stderr_tail),
                GuardEvent::Lost => {
                    *self.guard.lock().await = None;
                    AgentFault::NoGuard("it went away".to_owned())
                }
            };
            tracing::warn!(%fault, "agent ended by itself");
            self.send(Event::Signal(Signal::AgentExited { fault })).await;
        }
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

fn prepare(plan: &Plan, config_file: &Path, token: &str) -> std::io::Result<()> {
    for folder in [&plan.data_dir, &plan.log_dir] {
        ionet_wire::paths::private_folder(folder)?;
    }
    introduction::place(&plan.data_dir, token)?;
    let folder = config_file.parent().unwrap_or(Path::new("."));
    let mut beside = tempfile::NamedTempFile::new_in(folder)?;
    beside.write_all(config::render(plan).as_bytes())?;
    beside.persist(config_file).map_err(|error| error.error)?;
    Ok(())
}

/// A clean environment: nothing of the owner's session reaches the agent, and so no job.
fn start(program: &Path, config_file: &Path, plan: &Plan) -> Start {
    let env = [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ("HOME", plan.data_dir.display().to_string()),
        ("LANG", "C.UTF-8".to_owned()),
    ];
    Start {
        program: program.to_owned(),
        args: vec!["agent".to_owned(), "-config".to_owned(), config_file.display().to_string()],
        env: env.map(|(name, value)| (name.to_owned(), value)).into(),
        cwd: plan.data_dir.clone(),
        data_dir: plan.data_dir.clone(),
        docker_socket: plan.drivers.docker_socket().map(ToOwned::to_owned),
        log: plan.log_dir.join("last-words.txt"),
        http: Some(plan.ports.http_address()),
    }
}
