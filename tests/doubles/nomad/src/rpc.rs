//! What the double's client asks of the double's server on the RPC port: one call per mutual-TLS
//! connection, each side one frame of a length and JSON. The protocol is the double's own; method names,
//! errors and log lines are Nomad's.

use std::{io, net::ToSocketAddrs, sync::Arc, time::Duration};

use rustls::{ClientConfig, pki_types::ServerName};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::{
    go,
    model::{Alloc, Node, NodeStatus, TaskState},
    tls,
};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Call {
    /// `proof` is the node's identity, or on a first registration its introduction token, or nothing.
    Register {
        node: Box<Node>,
        proof: Option<String>,
    },
    UpdateStatus {
        node_id: String,
        secret_id: String,
        status: NodeStatus,
    },
    /// Answers when the node's allocations differ from `index`, or after `wait_ms`.
    ClientAllocs {
        node_id: String,
        secret_id: String,
        index: u64,
        wait_ms: u64,
    },
    UpdateAllocs {
        node_id: String,
        secret_id: String,
        updates: Vec<AllocUpdate>,
    },
    /// The node's own drain, asked for when the agent leaves.
    DrainSelf {
        node_id: String,
        secret_id: String,
        deadline: i64,
        ignore_system_jobs: bool,
    },
    IsDraining {
        node_id: String,
        secret_id: String,
    },
    /// What a bearer of this token may do; asked for the client's own HTTP endpoints.
    ResolveToken {
        token: String,
    },
    /// A request to the client's HTTP listener that the servers must answer.
    Http {
        method: String,
        target: String,
        token: String,
        body: Vec<u8>,
    },
}

impl Call {
    pub(crate) fn method(&self) -> &'static str {
        match self {
            Self::Register { .. } => "Node.Register",
            Self::UpdateStatus { .. } => "Node.UpdateStatus",
            Self::ClientAllocs { .. } => "Node.GetClientAllocs",
            Self::UpdateAllocs { .. } => "Node.UpdateAlloc",
            Self::DrainSelf { .. } => "Node.UpdateDrain",
            Self::IsDraining { .. } => "Node.GetNode",
            Self::ResolveToken { .. } => "ACL.ResolveToken",
            Self::Http { .. } => "HTTP",
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AllocUpdate {
    pub(crate) id: String,
    pub(crate) client_status: crate::model::ClientStatus,
    pub(crate) client_description: String,
    pub(crate) task_states: std::collections::BTreeMap<String, TaskState>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Beat { ttl_ms: u64, identity: Option<String>, eligible: bool, was_down: bool },
    Allocs { index: u64, allocs: Vec<Alloc> },
    Draining(bool),
    Rights(Rights),
    Http { status: u16, index: Option<u64>, content_type: String, body: Vec<u8> },
    Done,
    Refused(String),
}

/// The rights that guard the client's local endpoints.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Rights {
    pub(crate) agent_read: bool,
    pub(crate) node_read: bool,
    pub(crate) node_write: bool,
    pub(crate) read_job: bool,
}

#[derive(Debug)]
pub(crate) enum CallError {
    /// No answer came: the text is what Nomad's log would say.
    Unreachable(String),
    /// The server's TLS stack turned us away; Nomad logs this below the RPC layer.
    TurnedAway(String),
    /// The server answered and refused.
    Refused(String),
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(text) | Self::Refused(text) => write!(f, "rpc error: {text}"),
            Self::TurnedAway(_) => f.write_str("rpc error: EOF"),
        }
    }
}

/// Where and how to reach the servers.
#[derive(Clone)]
pub(crate) struct Dialler {
    pub(crate) server: String,
    pub(crate) region: String,
    /// `None` = plain TCP (`tls.rpc = false`).
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

impl Dialler {
    pub(crate) async fn call(&self, call: &Call, limit: Duration) -> Result<Reply, CallError> {
        match timeout(limit, self.exchange(call)).await {
            Ok(Ok(Reply::Refused(reason))) => Err(CallError::Refused(reason)),
            Ok(answer) => answer,
            Err(_) => Err(CallError::Unreachable("i/o deadline reached".into())),
        }
    }

    async fn exchange(&self, call: &Call) -> Result<Reply, CallError> {
        let lost = |what: String| CallError::Unreachable(format!("failed to get conn: {what}"));
        let address = self.server.to_socket_addrs().ok().and_then(|mut found| found.next());
        let Some(address) = address else {
            return Err(lost(format!("lookup {}: no such host", self.server)));
        };
        let tcp = TcpStream::connect(address).await.map_err(|e| lost(go_connect(&self.server, &e)))?;
        let Some(config) = &self.tls else { return converse(tcp, call).await };
        let asked = format!("server.{}.nomad", self.region);
        let name = ServerName::try_from(asked.clone()).map_err(|e| lost(e.to_string()))?;
        let connected = TlsConnector::from(config.clone()).connect(name, tcp).await;
        let stream = connected.map_err(|e| match tls_error(&e) {
            Some(error @ rustls::Error::AlertReceived(_)) => {
                CallError::TurnedAway(tls::go_words(error, &[], &asked))
            }
            Some(error) => lost(tls::go_words(error, &context_names(error), &asked)),
            None => lost(e.to_string()),
        })?;
        converse(stream, call).await
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, call: &Call) -> Result<Reply, CallError> {
    let answer = async {
        write_frame(&mut stream, call).await?;
        read_frame(&mut stream).await
    };
    answer.await.map_err(|e: io::Error| match tls_error(&e) {
        // With TLS 1.3 the server judges our certificate after we believe to be connected.
        Some(error @ rustls::Error::AlertReceived(_)) => CallError::TurnedAway(tls::go_words(error, &[], "")),
        Some(other) => CallError::Unreachable(tls::go_words(other, &[], "")),
        None => CallError::Unreachable(if e.kind() == io::ErrorKind::UnexpectedEof {
            "EOF".into()
        } else {
            e.to_string()
        }),
    })
}

pub(crate) async fn write_frame<S: AsyncWrite + Unpin, T: Serialize>(
    stream: &mut S,
    value: &T,
) -> io::Result<()> {
    let body = serde_json::to_vec(value)?;
    let length = u32::try_from(body.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(&body).await?;
    stream.flush().await
}

pub(crate) async fn read_frame<S: AsyncRead + Unpin, T: for<'a> Deserialize<'a>>(
    stream: &mut S,
) -> io::Result<T> {
    const LIMIT: usize = 64 << 20;
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let length = u32::from_be_bytes(length) as usize;
    if length > LIMIT {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(serde_json::from_slice(&body)?)
}

/// `{"IP": …, "Port": …, "Zone": ""}`, the form in which the log names a server.
pub(crate) fn server_field(server: &str) -> Value {
    let (host, port) = server.rsplit_once(':').unwrap_or((server, "0"));
    serde_json::json!({ "IP": host, "Port": port.parse::<u16>().unwrap_or(0), "Zone": "" })
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn context_names(error: &rustls::Error) -> Vec<String> {
    let rustls::Error::InvalidCertificate(rustls::CertificateError::NotValidForNameContext {
        presented, ..
    }) = error
    else {
        return Vec::new();
    };
    let plain = |name: &String| name.trim_start_matches("DnsName(\"").trim_end_matches("\")").to_owned();
    presented.iter().filter(|name| name.starts_with("DnsName")).map(plain).collect()
}

fn go_connect(server: &str, error: &io::Error) -> String {
    format!("dial tcp {server}: connect: {}", go::words(error))
}
