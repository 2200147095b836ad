//! One connection, from its handshake to its end. At every point there is a time after which a silent client is left.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::connections::Place;
use crate::limits::Address;

/// The head of a request, in bytes.
const HEAD: usize = 32 * 1024;
/// Requests at one time on one HTTP/2 connection.
const STREAMS: u32 = 32;

/// The client certificate of a connection, DER, verified to come from one of our intermediates. It may have expired
/// since the connection began.
#[derive(Debug, Clone)]
pub(crate) struct Peer(pub(crate) Arc<[u8]>);

/// What serves one connection.
pub(crate) struct Line {
    pub(crate) place: Place,
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) router: Router,
    pub(crate) watcher: Watcher,
    pub(crate) shutdown: CancellationToken,
}

impl Line {
    /// Serves until the client or the gateway ends it, or the client is silent for too long.
    pub(crate) async fn serve(mut self, stream: TcpStream) {
        // Answers are written whole; none has to wait for more.
        let _ = stream.set_nodelay(true);
        let patience = Duration::from_secs(self.place.limits().handshake_s);
        let handshake = tokio::time::timeout(patience, self.acceptor.accept(stream));
        let stream = tokio::select! {
            done = handshake => match done {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return tracing::debug!(error = %error, "a TLS handshake failed"),
                Err(_) => return tracing::debug!("a TLS handshake took too long"),
            },
            () = self.shutdown.cancelled() => return,
        };
        self.place.shaken();
        if let Err(error) = self.answer(stream).await {
            tracing::debug!(error = %error, "a connection ended badly");
        }
    }

    async fn answer(self, stream: TlsStream<TcpStream>) -> hyper::Result<()> {
        let limits = self.place.limits();
        let (head, idle_for) = (Duration::from_secs(limits.head_s), Duration::from_secs(limits.idle_s));
        let session = stream.get_ref().1;
        let leaf = session.peer_certificates().and_then(|chain| chain.first());
        let peer = leaf.map(|leaf| Peer(Arc::from(leaf.as_ref())));
        let caller = Caller { address: self.place.address, peer, router: self.router };
        let is_http2 = session.alpn_protocol() == Some(b"h2");
        let requests = watch::Sender::new(0);
        let idle = idle(requests.subscribe(), head, idle_for);
        let service = service_fn(move |request| {
            let (caller, under_way) = (caller.clone(), UnderWay::new(&requests));
            async move {
                let _under_way = under_way;
                Ok::<_, Infallible>(caller.ask(request).await)
            }
        });
        // By what the handshake agreed on, and not by a look at the first bytes, for which a client could let us wait.
        if is_http2 {
            let serving = http2().serve_connection(TokioIo::new(stream), service);
            until_idle(self.watcher.watch(serving), idle).await
        } else {
            let serving = http1(head).serve_connection(TokioIo::new(stream), service);
            until_idle(self.watcher.watch(serving), idle).await
        }
    }
}

fn http1(head: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(HEAD);
    builder
}

fn http2() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(30))
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD as u32);
    builder
}

/// Serves a connection to its end, or until nothing has been asked on it for too long.
async fn until_idle(
    serving: impl Future<Output = hyper::Result<()>>,
    idle: impl Future<Output = ()>,
) -> hyper::Result<()> {
    tokio::select! {
        ended = serving => ended,
        () = idle => {
            tracing::debug!("a connection on which nothing was asked was closed");
            Ok(())
        }
    }
}

/// Ends when no first request has come in time, or none has been under way for too long. The client may be sending one
/// byte after the other all the while: what is not a whole head of a request is none.
async fn idle(mut requests: watch::Receiver<usize>, first: Duration, idle_for: Duration) {
    let mut patience = first;
    loop {
        let under_way = *requests.borrow_and_update() > 0;
        if under_way {
            let _ = requests.changed().await;
        } else if tokio::time::timeout(patience, requests.changed()).await.is_err() {
            return;
        }
        patience = idle_for;
    }
}

/// A request is under way on a connection.
struct UnderWay(watch::Sender<usize>);

impl UnderWay {
    fn new(requests: &watch::Sender<usize>) -> Self {
        requests.send_modify(|count| *count += 1);
        Self(requests.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Who is at the other end of a connection, and where what it asks is answered.
#[derive(Clone)]
struct Caller {
    address: Address,
    peer: Option<Peer>,
    router: Router,
}

impl Caller {
    async fn ask(self, request: Request<Incoming>) -> axum::response::Response {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.address);
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(peer);
        }
        match self.router.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}
