//! The double as a Nomad client agent: registers, beats, runs what the servers place here.

mod data;
#[cfg_attr(not(target_os = "linux"), path = "no_devices.rs")]
mod devices;
pub(crate) mod fingerprint;
mod http;
mod leave;
mod metrics;
pub(crate) mod raw_exec;
mod runner;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};

pub(crate) use self::leave::Left;
use self::{
    data::{Data, KeptAlloc, Registration},
    devices::{Changes, Devices},
    runner::Runner,
};
use crate::{
    config::{Client, Config},
    listener,
    log::Logger,
    model::{Alloc, DesiredStatus, Node, NodeStatus},
    rpc::{AllocUpdate, Call, CallError, Dialler, Reply, server_field},
    tls,
};

const RPC_LIMIT: Duration = Duration::from_secs(30);
const REGISTER_AGAIN: Duration = Duration::from_secs(15);
const FIRST_BEAT: Duration = Duration::from_secs(10);
const ALLOC_WAIT: Duration = Duration::from_secs(60);

pub(crate) struct Agent {
    config: Config,
    plan: Client,
    log: Logger,
    data: Data,
    node: Mutex<Node>,
    dialler: Mutex<Dialler>,
    registration: Mutex<Registration>,
    intro_token: Option<String>,
    registered: watch::Sender<bool>,
    eligible: AtomicBool,
    ttl_ms: AtomicU64,
    last_beat: Mutex<Option<Instant>>,
    runners: Mutex<BTreeMap<String, Runner>>,
    devices: Option<Devices>,
    updates: mpsc::UnboundedSender<AllocUpdate>,
    started: Instant,
    _lock: std::fs::File,
}

/// Starts the client part, then its HTTP listener; returns once it listens.
#[expect(clippy::too_many_lines, reason = "one agent, field by field")]
pub(crate) async fn start(config: Config, plan: Client, log: Logger) -> Result<Arc<Agent>, String> {
    let data = Data::new(&config.data_dir)?;
    let devices = Devices::start(&config.plugin_dir(), &plan.plugins, &log).await?;
    log.info("client", "using state directory", json!({ "state_dir": data.dir() }));
    let (data, lock) = tokio::task::spawn_blocking(move || data.lock().map(|lock| (data, lock)))
        .await
        .map_err(|e| e.to_string())??;
    let dialler = dialler(&config, &plan)?;
    fingerprint::aws(&plan)?;
    let mut node = fingerprint::node(&config, &plan, data.id("client-id")?, data.id("secret-id")?);
    let changes = match &devices {
        Some(devices) => Some(devices.tell(&mut node).await?),
        None => None,
    };
    let (updates, incoming) = mpsc::unbounded_channel();
    let env_token = std::env::var("NOMAD_CLIENT_INTRO_TOKEN").ok().filter(|token| !token.is_empty());
    let agent = Arc::new(Agent {
        intro_token: env_token.or_else(|| data.intro_token()),
        registration: Mutex::new(data.registration()),
        node: Mutex::new(node),
        dialler: Mutex::new(dialler),
        registered: watch::channel(false).0,
        eligible: AtomicBool::new(true),
        ttl_ms: AtomicU64::new(0),
        last_beat: Mutex::new(None),
        runners: Mutex::default(),
        devices,
        updates,
        started: Instant::now(),
        _lock: lock,
        config,
        plan,
        log,
        data,
    });
    agent.apply_dynamic_meta();
    agent.log.info("client", "started client", json!({ "node_id": agent.node().id }));
    agent.restore();
    agent.run(incoming, changes);
    let address = SocketAddr::new(agent.config.address("http"), agent.config.http_port);
    let tcp = listener::bind_http(address).await?;
    listener::serve_http(tcp, None, http::router(agent.clone()));
    Ok(agent)
}

impl Agent {
    fn run(self: &Arc<Self>, updates: mpsc::UnboundedReceiver<AllocUpdate>, changes: Option<Changes>) {
        tokio::spawn(self.clone().stay_registered());
        tokio::spawn(self.clone().watch_allocs());
        tokio::spawn(self.clone().send_updates(updates));
        if let Some(changes) = changes {
            tokio::spawn(self.clone().watch_devices(changes));
        }
    }

    /// Takes the certificate files anew; the next call to a server uses them.
    pub(crate) fn reload(&self) {
        match dialler(&self.config, &self.plan) {
            Ok(fresh) => {
                *self.dialler.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
                self.log.info("agent", "reloading HTTP server with new TLS configuration", Value::Null);
            }
            Err(reason) => self.log.error("agent", "failed to reload the config", json!({ "error": reason })),
        }
    }

    fn node(&self) -> Node {
        self.node.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn runners(&self) -> MutexGuard<'_, BTreeMap<String, Runner>> {
        self.runners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_registered(&self) -> bool {
        *self.registered.borrow()
    }

    fn last_beat(&self) -> Option<Duration> {
        self.last_beat.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.elapsed())
    }

    fn apply_dynamic_meta(&self) {
        let mut node = self.node.lock().unwrap_or_else(PoisonError::into_inner);
        node.meta = self.plan.meta.clone();
        for (key, value) in self.data.meta() {
            match value {
                Some(value) => node.meta.insert(key, value),
                None => node.meta.remove(&key),
            };
        }
    }

    async fn call(&self, call: Call, limit: Duration) -> Result<Reply, CallError> {
        let dialler = self.dialler.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let answer = dialler.call(&call, limit).await;
        if let Err(error) = &answer {
            if let CallError::TurnedAway(words) = error {
                let message = format!("yamux: Failed to read header: {words}");
                self.log.error("client", &message, Value::Null);
            }
            let server = server_field(&dialler.server);
            let fields = json!({ "error": error.to_string(), "rpc": call.method(), "server": server });
            self.log.error("client.rpc", "error performing RPC to server", fields.clone());
            if matches!(call, Call::Register { .. }) {
                let message = "error performing RPC to server which is not safe to automatically retry";
                self.log.error("client.rpc", message, fields);
            }
        }
        answer
    }

    /// Registers, then beats; registers again whenever the servers no longer know the node.
    async fn stay_registered(self: Arc<Self>) {
        loop {
            let was_down = self.register().await;
            if was_down {
                // A node that was down waits for its first staggered heartbeat.
                sleep(FIRST_BEAT.mul_f64(rand::random())).await;
            }
            self.beat().await;
        }
    }

    async fn register(&self) -> bool {
        loop {
            let node = Box::new(self.node());
            let proof = self.proof();
            match self.call(Call::Register { node, proof }, RPC_LIMIT).await {
                Ok(Reply::Beat { ttl_ms, identity, eligible, was_down }) => {
                    self.keep_registration(Registration { has_registered: true, identity });
                    self.beaten(ttl_ms, eligible);
                    if !was_down {
                        // A node that the servers know as up is ready with its registration.
                        self.update_status().await.ok();
                    }
                    self.log.info("client", "node registration complete", Value::Null);
                    return was_down;
                }
                Ok(_) => {}
                Err(error) => {
                    if matches!(error, CallError::Refused(_)) && self.intro_token.is_none() {
                        // What is kept here is worthless: start anew with the next introduction.
                        self.keep_registration(Registration::default());
                    }
                    self.log.error("client", "error registering", json!({ "error": error.to_string() }));
                }
            }
            sleep(REGISTER_AGAIN.mul_f64(1.0 + rand::random::<f64>())).await;
        }
    }

    /// The identity of an earlier registration goes before any introduction token.
    fn proof(&self) -> Option<String> {
        let registration = self.registration.lock().unwrap_or_else(PoisonError::into_inner);
        if registration.has_registered { registration.identity.clone() } else { self.intro_token.clone() }
    }

    fn keep_registration(&self, registration: Registration) {
        self.data.keep_registration(&registration);
        *self.registration.lock().unwrap_or_else(PoisonError::into_inner) = registration;
    }

    fn beaten(&self, ttl_ms: u64, eligible: bool) {
        self.ttl_ms.store(ttl_ms, Ordering::Relaxed);
        self.eligible.store(eligible, Ordering::Relaxed);
        *self.last_beat.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    async fn update_status(&self) -> Result<(), CallError> {
        let Node { id: node_id, secret_id, .. } = self.node();
        let call = Call::UpdateStatus { node_id, secret_id, status: NodeStatus::Ready };
        if let Reply::Beat { ttl_ms, eligible, .. } = self.call(call, RPC_LIMIT).await? {
            self.beaten(ttl_ms, eligible);
            self.node.lock().unwrap_or_else(PoisonError::into_inner).status = NodeStatus::Ready;
            self.registered.send_replace(true);
        }
        Ok(())
    }

    /// Returns when the servers have forgotten the node.
    async fn beat(&self) {
        loop {
            let wait = match self.update_status().await {
                Ok(()) => Duration::from_millis(self.ttl_ms.load(Ordering::Relaxed)),
                Err(CallError::Refused(reason)) if reason == "node not found" => {
                    self.log.info("client", "re-registering node", Value::Null);
                    return;
                }
                Err(error) => {
                    let wait = Duration::from_secs(1).mul_f64(1.0 + rand::random::<f64>());
                    let fields = json!({ "error": error.to_string(), "period": u64::try_from(wait.as_nanos()).unwrap_or(0) });
                    self.log.error("client", "error heartbeating. retrying", fields);
                    wait
                }
            };
            sleep(wait).await;
        }
    }

    /// Goes on with what ran when the agent last ended.
    fn restore(self: &Arc<Self>) {
        for kept in self.data.allocs() {
            if kept.tasks.values().any(|task| task.state.state != "dead") {
                let id = kept.alloc.id.clone();
                let runner = Runner::spawn(self.clone(), kept);
                self.runners().insert(id, runner);
            }
        }
    }

    /// Registers anew with each change.
    async fn watch_devices(self: Arc<Self>, mut changes: Changes) {
        let mut ready = self.registered.subscribe();
        _ = ready.wait_for(|registered| *registered).await;
        while let Some(devices) = changes.next().await {
            fingerprint::tell_devices(&mut self.node.lock().unwrap_or_else(PoisonError::into_inner), devices);
            self.register().await;
        }
    }

    async fn watch_allocs(self: Arc<Self>) {
        let mut ready = self.registered.subscribe();
        // The sender lives as long as the agent.
        _ = ready.wait_for(|registered| *registered).await;
        let mut index = 0;
        loop {
            let Node { id: node_id, secret_id, .. } = self.node();
            let wait_ms = u64::try_from(ALLOC_WAIT.as_millis()).unwrap_or(u64::MAX);
            let call = Call::ClientAllocs { node_id, secret_id, index, wait_ms };
            match self.call(call, ALLOC_WAIT + RPC_LIMIT).await {
                Ok(Reply::Allocs { index: now, allocs }) => {
                    index = now;
                    allocs.into_iter().for_each(|alloc| self.apply(alloc));
                }
                Ok(_) => {}
                Err(_) => sleep(Duration::from_secs(2)).await,
            }
        }
    }

    fn apply(self: &Arc<Self>, alloc: Alloc) {
        let mut runners = self.runners();
        match runners.get(&alloc.id) {
            Some(runner) if alloc.desired_status == DesiredStatus::Stop => runner.stop(),
            Some(_) => {}
            None if alloc.desired_status == DesiredStatus::Run && !alloc.client_status.is_terminal() => {
                let id = alloc.id.clone();
                let kept = KeptAlloc { alloc, tasks: BTreeMap::new() };
                runners.insert(id, Runner::spawn(self.clone(), kept));
            }
            None => {}
        }
    }

    async fn send_updates(self: Arc<Self>, mut incoming: mpsc::UnboundedReceiver<AllocUpdate>) {
        let mut ready = self.registered.subscribe();
        _ = ready.wait_for(|registered| *registered).await;
        while let Some(first) = incoming.recv().await {
            // Changes that come together travel together.
            sleep(Duration::from_millis(200)).await;
            let mut newest = BTreeMap::from([(first.id.clone(), first)]);
            while let Ok(update) = incoming.try_recv() {
                newest.insert(update.id.clone(), update);
            }
            let updates: Vec<AllocUpdate> = newest.into_values().collect();
            self.deliver(updates).await;
        }
    }

    async fn deliver(&self, updates: Vec<AllocUpdate>) {
        let Node { id: node_id, secret_id, .. } = self.node();
        let call = Call::UpdateAllocs { node_id, secret_id, updates };
        let Ok(call) = serde_json::to_value(&call) else { return };
        while let Ok(copy) = serde_json::from_value(call.clone()) {
            if self.call(copy, RPC_LIMIT).await.is_ok() {
                return;
            }
            sleep(Duration::from_secs(1)).await;
        }
    }
}

fn dialler(config: &Config, plan: &Client) -> Result<Dialler, String> {
    let tls = if config.tls.rpc {
        Some(Arc::new(tls::client_config(&config.tls).map_err(|e| format!("client setup failed: {e}"))?))
    } else {
        None
    };
    let server = plan.servers.first().cloned().unwrap_or_default();
    Ok(Dialler { server, region: config.region.clone(), tls })
}
