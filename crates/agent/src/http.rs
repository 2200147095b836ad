//! One HTTP request over a stream that is already connected: to the agent's loopback port, to the container
//! engine's socket. Plain HTTP on this PC needs no TLS stack, no pool and no proxy.

use std::time::Duration;

#[cfg(target_os = "linux")]
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// More than any answer that is kept whole.
const LARGEST: usize = 16 * 1024 * 1024;

/// One that is passed on as it comes.
#[cfg(target_os = "linux")]
pub(crate) type Body = UnsyncBoxBody<Bytes, hyper::Error>;

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
    pub(crate) body: Vec<u8>,
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
    let mut body = Vec::new();
    let keep = |piece: &[u8]| {
        body.extend_from_slice(piece);
        body.len() <= LARGEST
    };
    let status = hear(stream, request(method, target, json)?, within, keep).await?;
    Ok(Answer { status, body })
}

/// The answer's status, once its body has been heard to its end. That comes piece by piece and may be of any length;
/// whoever hears it may have had enough.
pub(crate) async fn hear<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    within: Duration,
    each: impl FnMut(&[u8]) -> bool,
) -> Result<u16, HttpFault>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::time::timeout(within, exchange(stream, request, each)).await.map_err(|_| HttpFault::Slow)?
}

pub(crate) fn request(
    method: Method,
    target: &str,
    json: Option<String>,
) -> Result<Request<Full<Bytes>>, HttpFault> {
    Request::builder()
        .method(method)
        .uri(target)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(json.unwrap_or_default())))
        .map_err(|_| HttpFault::Broken)
}

async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    mut each: impl FnMut(&[u8]) -> bool,
) -> Result<u16, HttpFault>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |_| HttpFault::Broken;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let answered = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status().as_u16();
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(broken)?;
            if frame.data_ref().is_some_and(|piece| !each(piece)) {
                return Err(HttpFault::Broken);
            }
        }
        Ok(status)
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
