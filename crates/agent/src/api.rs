//! What the agent tells without a token. Its health says nothing about the region: it is "HTTP listens".
//!
//! Guarded endpoints hang while the servers are away, so only health and metrics are asked, and never without a
//! limit.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::Method;
use serde::Deserialize;
use tokio::net::TcpStream;

use crate::http;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiFault {
    #[error("the agent does not listen")]
    NotUp,
    #[error("the agent took too long")]
    Slow,
    #[error("the agent's answer makes no sense")]
    Garbled,
}

/// What metrics tell about the node, as the agent itself sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Local {
    pub node_id: Option<String>,
    /// It has registered once since it started. It stays so when the servers vanish later.
    pub registered: bool,
    pub running: u32,
    pub pending: u32,
    /// Negative once the certificate has expired.
    pub certificate_seconds: Option<i64>,
}

/// Whether the agent's HTTP is up: any answer counts, since a bad one is about its servers.
pub async fn health(http: SocketAddr) -> Result<(), ApiFault> {
    get(http, "/v1/agent/health", Duration::from_secs(1)).await.map(|_| ())
}

pub async fn metrics(http: SocketAddr) -> Result<Local, ApiFault> {
    let answer = get(http, "/v1/metrics", Duration::from_secs(2)).await?;
    if answer.status != 200 {
        return Err(ApiFault::Garbled);
    }
    let metrics: Metrics = serde_json::from_slice(&answer.body).map_err(|_| ApiFault::Garbled)?;
    Ok(local(&metrics))
}

async fn get(to: SocketAddr, target: &str, within: Duration) -> Result<http::Answer, ApiFault> {
    let stream = tokio::time::timeout(within, TcpStream::connect(to))
        .await
        .map_err(|_| ApiFault::Slow)?
        .map_err(|_| ApiFault::NotUp)?;
    http::ask(stream, Method::GET, target, None, within).await.map_err(|fault| match fault {
        http::HttpFault::Slow => ApiFault::Slow,
        http::HttpFault::Broken => ApiFault::Garbled,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metrics {
    #[serde(default)]
    gauges: Vec<Gauge>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Gauge {
    name: String,
    value: f64,
    #[serde(default)]
    labels: Labels,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Labels {
    node_id: Option<String>,
    node_status: Option<String>,
}

impl Labels {
    fn is_ready(&self) -> bool {
        self.node_status.as_deref() == Some("ready")
    }
}

/// Around a change of status both label sets stand side by side for one interval: those of `ready` hold.
fn local(metrics: &Metrics) -> Local {
    let of = |name: &str| {
        let mut found = metrics.gauges.iter().filter(|gauge| gauge.name == name);
        let ready = found.clone().find(|gauge| gauge.labels.is_ready());
        ready.or(found.next()).map(|gauge| gauge.value)
    };
    Local {
        node_id: metrics.gauges.iter().find_map(|gauge| gauge.labels.node_id.clone()),
        registered: metrics.gauges.iter().any(|gauge| gauge.labels.is_ready()),
        running: of("nomad.client.allocations.running").unwrap_or_default() as u32,
        pending: of("nomad.client.allocations.pending").unwrap_or_default() as u32,
        certificate_seconds: of("nomad.agent.tls.cert.expiration_seconds").map(|value| value as i64),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers one request with these bytes.
    async fn answers(text: String) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            stream.write_all(text.as_bytes()).await.unwrap();
        });
        at
    }

    fn response(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }

    #[tokio::test]
    async fn metrics_tell_the_node_its_status_and_its_allocations() {
        let body = r#"{"Timestamp":"2026-11-22 20:16:50 +0000 UTC","Gauges":[
            {"Labels":{},"Name":"nomad.agent.tls.cert.expiration_seconds","Value":7772974},
            {"Labels":{"node_id":"254f1f16","node_status":"initializing"},"Name":"nomad.client.allocations.running","Value":0},
            {"Labels":{"node_id":"254f1f16","node_status":"ready"},"Name":"nomad.client.allocations.running","Value":1},
            {"Labels":{"node_id":"254f1f16","node_status":"initializing"},"Name":"nomad.client.allocations.pending","Value":1},
            {"Labels":{"node_id":"254f1f16","node_status":"ready"},"Name":"nomad.client.allocations.pending","Value":0}]}"#;
        let at = answers(response("200 OK", body)).await;

        let local = metrics(at).await.unwrap();

        assert_eq!(
            local,
            Local {
                node_id: Some("254f1f16".to_owned()),
                registered: true,
                running: 1,
                pending: 0,
                certificate_seconds: Some(7_772_974),
            }
        );
    }

    #[tokio::test]
    async fn health_is_up_also_when_it_complains_about_servers() {
        let at = answers(response("500 Internal Server Error", r#"{"client":{"ok":false}}"#)).await;

        assert_eq!(health(at).await, Ok(()));
    }

    #[tokio::test]
    async fn nobody_listening_and_garbage_are_told_apart() {
        // A free one could be another test's by now.
        let closed = SocketAddr::from(([127, 0, 0, 1], 1));
        assert_eq!(health(closed).await, Err(ApiFault::NotUp));

        let garbage = answers("SSH-2.0-OpenSSH\r\n".to_owned()).await;
        assert_eq!(metrics(garbage).await, Err(ApiFault::Garbled));
    }
}
