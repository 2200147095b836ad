//! The listener: HTTPS that asks for a client certificate and hands a verified one to the handlers.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::Router;
use hyper_util::server::graceful::GracefulShutdown;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::config::ServerTls;
use crate::connections::Connections;
use crate::line::Line;

/// How long requests in progress may take after the listener was told to stop.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// A TLS configuration that accepts clients without a certificate, or with one from `trusted`, and no others.
///
/// The intermediates themselves are the anchors, not their root: a certificate that the root gave to a server is
/// nobody here.
pub(crate) fn server_config(
    tls: &ServerTls,
    trusted: &[CertificateDer<'static>],
) -> anyhow::Result<rustls::ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut anchors = RootCertStore::empty();
    for intermediate in trusted {
        anchors.add(intermediate.clone()).context("an intermediate cannot be an anchor")?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(anchors), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(&tls.certificate)?, key(&tls.key)?)
        .context("the server's certificate and key")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Serves until `shutdown`, then lets the requests in progress finish.
pub(crate) async fn serve(
    listener: TcpListener,
    config: rustls::ServerConfig,
    admission: Arc<Connections>,
    router: Router,
    shutdown: CancellationToken,
) {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let connections = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => match admission.admit(peer.ip().into(), Instant::now()) {
                Some(place) => {
                    let line = Line {
                        place,
                        acceptor: acceptor.clone(),
                        router: router.clone(),
                        watcher: connections.watcher(),
                        shutdown: shutdown.clone(),
                    };
                    tokio::spawn(line.serve(stream));
                }
                None => tracing::debug!("a connection too many was closed"),
            },
            // Out of descriptors, most likely: they come back as connections end.
            Err(error) => {
                tracing::warn!(error = %error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(LAST_REQUESTS, connections.shutdown()).await.is_err() {
        tracing::warn!("some requests were cut off at shutdown");
    }
}

fn certificates(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    found.with_context(|| format!("reading {}", file.display()))
}

fn key(file: &Path) -> anyhow::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(file).with_context(|| format!("reading {}", file.display()))
}
