//! The client's own HTTP listener.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State as Extract,
    http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Agent, fingerprint};
use crate::{
    model::{rfc3339_now, unix_nanos},
    rpc::{Call, CallError, Reply, Rights},
    server::{
        answer::{Answer, ApiError, DOUBLE_HEADER, response},
        request::Request,
        version,
    },
};

/// How long tokens and policies are cached, in nanoseconds, as Nomad reports it.
const TTL: u64 = 30_000_000_000;

pub(super) fn router(agent: Arc<Agent>) -> Router {
    Router::new().fallback(handle).with_state(agent)
}

async fn handle(
    Extract(agent): Extract<Arc<Agent>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let token = crate::listener::token(&headers);
    let request = Request::new(method.clone(), target, token.clone(), body.clone());
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    let mut answer = match (&method, path.as_slice()) {
        (_, ["v1", "metrics"]) if request.query("format") == Some("prometheus") => {
            Response::new(Body::from(super::metrics::prometheus(&agent)))
        }
        (_, ["v1", "metrics"]) => response(Ok(Answer::json(super::metrics::json_text(&agent)))),
        (&Method::GET, ["v1", "agent", "health"]) => response(health(&agent, &request)),
        (_, ["v1", "agent" | "client", ..]) => response(agent.guarded(&request, &path).await),
        (_, ["v1", "nodes" | "node" | "allocations" | "allocation" | "jobs" | "job", ..])
        | (_, ["v1", "status" | "regions" | "acl" | "evaluation", ..]) => {
            agent
                .hand_on(Call::Http {
                    method: method.to_string(),
                    target: target.into(),
                    token,
                    body: body.to_vec(),
                })
                .await
        }
        _ => response(Err(ApiError::new(404, ""))),
    };
    let (name, value) = DOUBLE_HEADER;
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
    answer
}

/// Good as soon as a server address is configured, whether or not any server answers.
fn health(agent: &Agent, request: &Request) -> Result<Answer, ApiError> {
    if request.query("type") == Some("server") {
        return Err(ApiError::new(500, r#"{"server":{"ok":false,"message":"server not enabled"}}"#));
    }
    if agent.plan.servers.is_empty() {
        return Err(ApiError::new(500, r#"{"client":{"ok":false,"message":"no known servers"}}"#));
    }
    Ok(Answer::json(json!({ "client": { "ok": true, "message": "ok" } })))
}

impl Agent {
    /// Endpoints of the agent itself. With ACL on, the servers must say what the token may do.
    async fn guarded(&self, request: &Request, path: &[&str]) -> Result<Answer, ApiError> {
        if request.method == Method::PUT && path == ["v1", "client", "metadata"] {
            return Err(ApiError::invalid_method());
        }
        let rights = self.rights(&request.token).await?;
        let needs = |right: bool| if right { Ok(()) } else { Err(ApiError::denied()) };
        match (&request.method, path) {
            (&Method::GET, ["v1", "agent", "self"]) => {
                needs(rights.agent_read)?;
                Ok(Answer::json(self.self_description()))
            }
            (&Method::GET, ["v1", "agent", "servers"]) => {
                needs(rights.agent_read)?;
                Ok(Answer::json(json!(self.plan.servers)))
            }
            (&Method::GET, ["v1", "client", "stats"]) => {
                needs(rights.node_read)?;
                Ok(Answer::json(self.stats()))
            }
            (&Method::GET, ["v1", "client", "metadata"]) => {
                needs(rights.node_read)?;
                Ok(Answer::json(self.metadata()))
            }
            (&Method::POST, ["v1", "client", "metadata"]) => {
                needs(rights.node_write)?;
                self.change_metadata(&request.json()?)
            }
            (_, ["v1", "client", "gc"]) => {
                needs(rights.node_write)?;
                Ok(Answer::empty())
            }
            (&Method::GET, ["v1", "client", "allocation", id, "stats"]) => {
                needs(rights.read_job)?;
                self.alloc_stats(id)
            }
            _ => Err(ApiError::new(404, "")),
        }
    }

    /// Hangs while no server answers, as the real agent does.
    async fn rights(&self, token: &str) -> Result<Rights, ApiError> {
        if !self.config.acl_enabled {
            return Ok(Rights { agent_read: true, node_read: true, node_write: true, read_job: true });
        }
        loop {
            match self.call(Call::ResolveToken { token: token.into() }, Duration::from_secs(30)).await {
                Ok(Reply::Rights(rights)) => return Ok(rights),
                Ok(_) | Err(CallError::Refused(_)) => return Err(ApiError::denied()),
                Err(CallError::Unreachable(_) | CallError::TurnedAway(_)) => {
                    sleep(Duration::from_secs(1)).await
                }
            }
        }
    }

    /// Gives a request to the servers; hangs while none answers.
    async fn hand_on(&self, call: Call) -> Response<Body> {
        let Ok(call) = serde_json::to_value(&call) else {
            return response(Err(ApiError::new(500, "not a request")));
        };
        while let Ok(copy) = serde_json::from_value(call.clone()) {
            match self.call(copy, Duration::from_secs(660)).await {
                Ok(Reply::Http { status, index, content_type, body }) => {
                    return from_servers(status, index, &content_type, body);
                }
                Ok(_) => break,
                Err(CallError::Refused(reason)) => return response(Err(ApiError::new(500, reason))),
                Err(CallError::Unreachable(_) | CallError::TurnedAway(_)) => {
                    sleep(Duration::from_secs(1)).await
                }
            }
        }
        response(Err(ApiError::new(500, "no answer")))
    }

    /// Prints the introduction token in clear, as the real agent does to who may read the agent.
    #[expect(clippy::too_many_lines, reason = "one document, as the real agent gives it")]
    fn self_description(&self) -> Value {
        let config = &self.config;
        let node = self.node();
        let address = |service: &str| config.address(service).to_string();
        let client = json!({
            "AllocDir": "", "Drain": self.plan.drain_on_shutdown.as_ref().map(|drain| json!({
                "Deadline": format!("{}s", drain.deadline.as_secs_f64()), "Force": false,
                "IgnoreSystemJobs": drain.ignore_system_jobs,
            })),
            "Enabled": true, "GCMaxAllocs": 50, "IntroToken": self.intro_token.clone().unwrap_or_default(),
            "MaxDynamicPort": 32_000, "MaxKillTimeout": format!("{}s", self.plan.max_kill_timeout.as_secs_f64()),
            "Meta": self.plan.meta, "MinDynamicPort": 20_000, "NetworkInterface": "lo",
            "NodeClass": self.plan.node_class, "NodePool": self.plan.node_pool, "Options": self.plan.options,
            "Servers": self.plan.servers, "StateDir": "",
        });
        json!({
            "config": {
                "ACL": {
                    "Enabled": config.acl_enabled, "PolicyTTL": TTL, "ReplicationToken": "", "RoleTTL": TTL,
                    "TokenMaxExpirationTTL": 0, "TokenMinExpirationTTL": 0, "TokenTTL": TTL,
                },
                "Addresses": { "HTTP": address("http"), "RPC": address("rpc"), "Serf": address("serf") },
                "AdvertiseAddrs": {
                    "HTTP": config.advertised("http"), "RPC": config.advertised("rpc"),
                    "Serf": config.advertised("serf"),
                },
                "BindAddr": config.bind_addr.to_string(), "Client": client, "DataDir": config.data_dir,
                "Datacenter": config.datacenter, "LeaveOnInt": config.leave_on_interrupt,
                "LeaveOnTerm": config.leave_on_terminate,
                "LogFile": config.log.file.as_ref().map(|file| file.display().to_string()).unwrap_or_default(),
                "LogJson": config.log.json, "LogLevel": "INFO", "NodeName": config.name,
                "Ports": { "HTTP": config.http_port, "RPC": config.rpc_port, "Serf": 4648 },
                "Region": config.region,
                "TLSConfig": {
                    "CAFile": config.tls.ca_file, "CertFile": config.tls.cert_file, "Checksum": "",
                    "EnableHTTP": config.tls.http, "EnableRPC": config.tls.rpc, "KeyFile": config.tls.key_file,
                    "KeyLoader": {}, "RPCUpgradeMode": false, "TLSCipherSuites": "", "TLSMinVersion": "",
                    "VerifyHTTPSClient": config.tls.verify_https_client,
                    "VerifyServerHostname": config.tls.verify_server_hostname,
                },
                "Version": version(),
            },
            "member": {
                "Addr": null, "DelegateCur": 0, "DelegateMax": 0, "DelegateMin": 0, "Name": "", "Port": 0,
                "ProtocolCur": 0, "ProtocolMax": 0, "ProtocolMin": 0, "Status": "none", "Tags": null,
            },
            "stats": {
                "client": {
                    "node_id": node.id, "known_servers": self.plan.servers.join(","),
                    "num_allocations": self.runners().len().to_string(),
                    "last_heartbeat": self.last_beat().map_or_else(String::new, |ago| format!("{}s", ago.as_secs_f64())),
                    "heartbeat_ttl": format!("{}ms", self.ttl_ms.load(std::sync::atomic::Ordering::Relaxed)),
                },
                "runtime": {
                    "arch": std::env::consts::ARCH, "cpu_count": fingerprint::cores().to_string(),
                    "goroutines": "0", "kernel.name": std::env::consts::OS,
                    "max_procs": fingerprint::cores().to_string(), "version": "double",
                },
            },
        })
    }

    fn stats(&self) -> Value {
        let total = fingerprint::memory_bytes();
        json!({
            "AllocDirStats": null, "CPU": [], "CPUTicksConsumed": 0.0, "DeviceStats": null, "DiskStats": [],
            "Memory": { "Available": total, "Free": total, "Total": total, "Used": 0 },
            "Timestamp": unix_nanos(), "Uptime": self.started.elapsed().as_secs(),
        })
    }

    fn metadata(&self) -> Value {
        json!({ "Meta": self.node().meta, "Dynamic": self.data.meta(), "Static": self.plan.meta })
    }

    /// What is set here goes before the configuration, also after a restart.
    fn change_metadata(&self, asked: &Value) -> Result<Answer, ApiError> {
        let changes: BTreeMap<String, Option<String>> =
            serde_json::from_value(asked["Meta"].clone()).map_err(|e| ApiError::new(400, e.to_string()))?;
        let part = |part: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        };
        if let Some(bad) = changes.keys().find(|key| !key.split('.').all(part)) {
            let message = format!("{bad:?} is invalid; metadata keys must be valid dotted hcl identifiers");
            return Err(ApiError::new(400, message));
        }
        let mut meta = self.data.meta();
        meta.extend(changes);
        self.data.keep_meta(&meta);
        self.apply_dynamic_meta();
        Ok(Answer::json(self.metadata()))
    }

    fn alloc_stats(&self, id: &str) -> Result<Answer, ApiError> {
        let runners = self.runners();
        let runner =
            runners.get(id).ok_or_else(|| ApiError::new(404, format!("Unknown allocation {id:?}")))?;
        let usage = json!({ "CpuStats": { "Percent": 0.0 }, "MemoryStats": { "RSS": 0 } });
        let tasks: BTreeMap<String, Value> =
            runner.tasks().into_iter().map(|(name, _)| (name, json!({ "ResourceUsage": usage }))).collect();
        Ok(Answer::json(
            json!({ "ResourceUsage": usage, "Tasks": tasks, "Timestamp": unix_nanos(), "At": rfc3339_now() }),
        ))
    }
}

fn from_servers(status: u16, index: Option<u64>, content_type: &str, body: Vec<u8>) -> Response<Body> {
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    if let Ok(value) = HeaderValue::from_str(content_type) {
        answer.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    if let Some(index) = index {
        answer.headers_mut().insert("x-nomad-index", HeaderValue::from(index));
    }
    answer
}
