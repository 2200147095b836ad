//! The double as a Nomad server: one server is the whole region and its own leader.

mod acl;
mod allocations;
pub(crate) mod answer;
mod events;
mod grants;
pub(crate) mod http;
mod intro;
mod jobs;
mod nodes;
pub(crate) mod request;
mod route;
mod rpc;
mod schedule;
mod store;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State as Extract,
    http::{HeaderMap, HeaderValue, Method, Response, Uri},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use self::store::Store;
use crate::{
    VERSION,
    config::{Config, Server},
    listener,
    log::Logger,
    model::{Node, NodeStatus},
    tls,
};

/// Everything that belongs to the one region this process serves.
pub(crate) struct Region {
    pub(crate) config: Config,
    plan: Server,
    store: Store,
    log: Logger,
    heartbeats: Mutex<BTreeMap<String, Instant>>,
}

/// Starts the listeners; returns once they listen. They run until the process ends.
pub(crate) async fn start(config: Config, plan: Server, log: Logger) -> Result<Arc<Region>, String> {
    let store = Store::open(&config.data_dir, plan.event_buffer_size)?;
    let region = Arc::new(Region { config, plan, store, log, heartbeats: Mutex::new(BTreeMap::new()) });
    region.expect_known_nodes();
    listen_rpc(&region).await?;
    listen_http(&region).await?;
    tokio::spawn(keep_time(region.clone()));
    region.log.info("nomad", "cluster leadership acquired", Value::Null);
    Ok(region)
}

impl Region {
    /// The next heartbeat is due within the answer plus the grace: 10 to 20 s by default, as in Nomad.
    fn reset_heartbeat(&self, node: &str) -> Duration {
        let least = self.plan.min_heartbeat_ttl;
        let ttl = least + least.mul_f64(rand::random::<f64>());
        self.due(node, ttl + self.plan.heartbeat_grace);
        ttl
    }

    fn forget(&self, node: &str) {
        self.heartbeats.lock().unwrap_or_else(PoisonError::into_inner).remove(node);
    }

    fn due(&self, node: &str, within: Duration) {
        let mut heartbeats = self.heartbeats.lock().unwrap_or_else(PoisonError::into_inner);
        heartbeats.insert(node.to_owned(), Instant::now() + within);
    }

    /// After a restart every node has the failover time to show itself.
    fn expect_known_nodes(&self) {
        let known: Vec<String> = self.store.read(|state| {
            let up = state.nodes.values().filter(|node| node.status != NodeStatus::Down);
            up.map(|node| node.id.clone()).collect()
        });
        for node in known {
            self.due(&node, self.plan.failover_heartbeat_ttl);
        }
    }

    fn silent_nodes(&self) -> Vec<String> {
        let now = Instant::now();
        let mut heartbeats = self.heartbeats.lock().unwrap_or_else(PoisonError::into_inner);
        let silent: Vec<String> =
            heartbeats.iter().filter(|(_, due)| **due <= now).map(|(id, _)| id.clone()).collect();
        heartbeats.retain(|_, due| *due > now);
        silent
    }

    fn log_denial(&self, node: &Node, denial: &intro::Denial) {
        let mut fields = json!({
            "enforcement_level": format!("{:?}", self.plan.enforcement).to_lowercase(),
            "node_id": node.id, "node_name": node.name, "node_pool": node.node_pool,
        });
        let message = match denial {
            intro::Denial::NoToken => "node registration without introduction token",
            intro::Denial::Invalid => "node registration introduction authentication failure",
            intro::Denial::Mismatch { name, pool } => {
                fields["claim_node_name"] = json!(name);
                fields["claim_node_pool"] = json!(pool);
                "node registration introduction claims mismatch"
            }
        };
        self.log.error("nomad.client", message, fields);
    }

    fn self_description(&self) -> Value {
        let Config { region, datacenter, name, data_dir, http_port, rpc_port, .. } = &self.config;
        json!({
            "config": {
                "Region": region, "Datacenter": datacenter, "NodeName": name, "DataDir": data_dir,
                "Ports": { "HTTP": http_port, "RPC": rpc_port, "Serf": 4648 },
                "Server": { "Enabled": true }, "Version": version(),
            },
            "member": { "Name": format!("{name}.{region}"), "Status": "alive", "Tags": { "role": "nomad", "region": region } },
            "stats": { "nomad": { "server": "true", "leader": "true" } },
        })
    }
}

/// The `Version` of `/v1/agent/self`, which says what this is.
pub(crate) fn version() -> Value {
    json!({
        "BuildDate": null, "Revision": "", "Version": VERSION, "VersionMetadata": "double", "VersionPrerelease": ""
    })
}

async fn keep_time(region: Arc<Region>) {
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    loop {
        tick.tick().await;
        for node in region.silent_nodes() {
            region.log.warn("nomad.heartbeat", "node TTL expired", json!({ "node_id": node }));
            region.store.write(|state| nodes::set_status(state, &node, NodeStatus::Down));
        }
        let (draining, due) = region.store.read(|state| {
            let draining = state.nodes.values().filter(|node| node.drain).map(|node| node.id.clone());
            (draining.collect::<Vec<_>>(), !state.reschedule_at.is_empty())
        });
        for node in draining {
            region.store.write(|state| nodes::advance_drain(state, &node));
        }
        if due {
            region.store.write(schedule::reschedule_due);
        }
    }
}

async fn listen_rpc(region: &Arc<Region>) -> Result<(), String> {
    let config = &region.config;
    let address = SocketAddr::new(config.address("rpc"), config.rpc_port);
    let tcp = TcpListener::bind(address).await.map_err(|e| {
        format!(
            "server setup failed: Failed to start RPC layer: listen tcp {address}: {}",
            listener::go_bind(&e)
        )
    })?;
    let region = region.clone();
    if !config.tls.rpc {
        let serve = move |stream| rpc::serve(region.clone(), stream);
        tokio::spawn(listener::serve_plain(tcp, serve));
        return Ok(());
    }
    let role = config.tls.verify_server_hostname.then_some(config.region.as_str());
    let tls = tls::server_config(&config.tls, true, role).map_err(|e| format!("server setup failed: {e}"))?;
    let log = region.log.clone();
    let failed = move |error: String| {
        log.warn("nomad.rpc", "failed TLS handshake", json!({ "error": error }));
    };
    let serve = move |stream| rpc::serve(region.clone(), stream);
    tokio::spawn(listener::serve_tls(tcp, Arc::new(tls), serve, failed));
    Ok(())
}

async fn listen_http(region: &Arc<Region>) -> Result<(), String> {
    let config = &region.config;
    let address = SocketAddr::new(config.address("http"), config.http_port);
    let tcp = listener::bind_http(address).await?;
    let app = Router::new().fallback(handle).with_state(region.clone());
    let tls = if config.tls.http {
        Some(Arc::new(tls::server_config(&config.tls, config.tls.verify_https_client, None)?))
    } else {
        None
    };
    listener::serve_http(tcp, tls, app);
    Ok(())
}

async fn handle(
    Extract(region): Extract<Arc<Region>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let token = listener::token(&headers);
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let request = request::Request::new(method, target, token, body);
    let mut response = if request.path == ["v1", "event", "stream"] {
        http::stream(region, &request).unwrap_or_else(|error| answer::response(Err(error)))
    } else {
        answer::response(http::answer(&region, &request).await)
    };
    let (name, value) = answer::DOUBLE_HEADER;
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}
