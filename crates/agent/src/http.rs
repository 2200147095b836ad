//! One HTTP request over a stream that is already connected: to the agent's loopback port, to the container
//! engine's socket. Plain HTTP on this PC needs no TLS stack, no pool and no proxy.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// More than any answer that is read here.
const LARGEST: usize = 16 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpFault {
    #[error("no answer in time")]
    Slow,
    #[error("the connection broke or the answer was no HTTP")]
    Broken,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

pub(crate) async fn ask<S>(
    stream: S,
    method: Method,
    target: &str,
    json: Option<String>,
    within: Duration,
) -> Result<Answer, HttpFault>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::time::timeout(within, exchange(stream, method, target, json)).await.map_err(|_| HttpFault::Slow)?
}

async fn exchange<S>(
    stream: S,
    method: Method,
    target: &str,
    json: Option<String>,
) -> Result<Answer, HttpFault>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |_| HttpFault::Broken;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(json.unwrap_or_default())))
        .map_err(|_| HttpFault::Broken)?;
    let answered = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        Ok(Answer { status, body: body.map_err(|_| HttpFault::Broken)?.to_bytes() })
    };
    // The connection is driven beside the request, and dropped with it: nothing is left behind on a timeout.
    let driven = async {
        let _ = connection.await;
        std::future::pending().await
    };
    tokio::select! {
        answer = answered => answer,
        never = driven => never,
    }
}
