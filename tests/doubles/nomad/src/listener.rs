//! TCP and TLS listeners for both kinds of agent. A handshake never holds up the next caller.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, http::HeaderMap};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::go;

pub(crate) async fn serve_plain<F, Fut>(tcp: TcpListener, serve: F)
where
    F: Fn(TcpStream) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    loop {
        if let Ok((stream, _)) = tcp.accept().await {
            tokio::spawn(serve(stream));
        }
    }
}

/// `failed` gets the reason of every handshake that did not end well.
pub(crate) async fn serve_tls<F, Fut>(
    tcp: TcpListener,
    config: Arc<ServerConfig>,
    serve: F,
    failed: impl Fn(String) + Clone + Send + 'static,
) where
    F: Fn(TlsStream<TcpStream>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let acceptor = TlsAcceptor::from(config);
    loop {
        let Ok((stream, _)) = tcp.accept().await else { continue };
        let (acceptor, serve, failed) = (acceptor.clone(), serve.clone(), failed.clone());
        tokio::spawn(async move {
            match acceptor.accept(stream).into_fallible().await {
                Ok(stream) => serve(stream).await,
                Err((error, stream)) => {
                    failed(error.to_string());
                    hang_up(stream).await;
                }
            }
        });
    }
}

/// Ends a refused connection so that the alert arrives: closing with unread bytes would reset it.
async fn hang_up(mut stream: TcpStream) {
    let rest = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
    };
    // A caller that does not hang up in its turn is dropped.
    _ = timeout(Duration::from_secs(2), rest).await;
}

pub(crate) async fn bind_http(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| {
        format!(
            "Error starting http server: 1 error occurred:\n\t* failed to start HTTP listener: listen tcp {address}: {}\n\n",
            go_bind(&error)
        )
    })
}

/// Serves until the process ends.
pub(crate) fn serve_http(tcp: TcpListener, tls: Option<Arc<ServerConfig>>, app: Router) {
    match tls {
        Some(config) => {
            let serve = move |stream| serve_one(app.clone(), stream);
            tokio::spawn(serve_tls(tcp, config, serve, |_| {}));
        }
        None => {
            let serve = move |stream| serve_one(app.clone(), stream);
            tokio::spawn(serve_plain(tcp, serve));
        }
    }
}

/// The token that a request carries, in either of the two places.
pub(crate) fn token(headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = || text("authorization").and_then(|value| value.strip_prefix("Bearer "));
    text("x-nomad-token").or_else(bearer).unwrap_or_default().trim().to_owned()
}

pub(crate) fn go_bind(error: &io::Error) -> String {
    format!("bind: {}", go::words(error))
}

async fn serve_one<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(app: Router, stream: S) {
    let service = TowerToHyperService::new(app);
    // A caller that breaks off is its own affair.
    _ = Builder::new(TokioExecutor::new()).http1_only().serve_connection(TokioIo::new(stream), service).await;
}
