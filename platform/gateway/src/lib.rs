//! The supplier gateway: what stands between suppliers' PCs and the io.net region.
//!
//! It alone holds a Nomad token and the bucket's keys. PCs enrol by an account, then speak to it by mTLS with the
//! certificate that it gave them. It introduces their nodes, controls them, meters their work and grants their uploads.

mod access_token;
mod accounts;
mod ca;
mod clock;
pub mod config;
mod connections;
mod csr;
mod descriptors;
mod devices;
mod earnings;
mod extract;
mod http;
mod issuer;
mod leaf;
pub mod ledger;
mod limits;
mod line;
mod metering;
mod nodes;
mod nomad;
mod polls;
mod problem;
mod prune;
mod queue;
mod store;
mod tasks;
mod tls;
mod uploads;
mod wanted;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::body::Bytes;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use crate::ca::{AuthorityError, CertificateAuthority, EmbeddedAuthority, Issued, Order};
pub use crate::config::Config;
pub use crate::http::openapi;

/// Everything that the handlers and the tasks beside them share.
pub(crate) struct Gateway {
    config: Config,
    store: store::Store,
    accounts: accounts::Accounts,
    authority: Box<dyn CertificateAuthority>,
    nomad: nomad::Nomad,
    uploads: uploads::Uploads,
    changes: watch::Changes,
    region: metering::Hearing,
    panics: tasks::Panics,
    /// Calls whoever keeps nodes as they are wanted.
    keep: Notify,
    bringing: wanted::Bringing,
    limits: limits::Limits,
    polls: polls::Polls,
    history: queue::Queue,
    /// The OpenAPI document, rendered.
    document: Bytes,
    shutdown: CancellationToken,
}

pub(crate) type Shared = Arc<Gateway>;

/// Runs a gateway with the embedded authority until `shutdown`, then ends requests, metering and database in order.
///
/// Fails when something that the configuration names cannot be read; the region and the issuer may come later.
pub async fn serve(config: Config, listener: TcpListener, shutdown: CancellationToken) -> anyhow::Result<()> {
    let authority = Box::new(EmbeddedAuthority::load(&config.devices)?);
    serve_with(config, authority, listener, shutdown).await
}

/// The same with another certificate authority.
pub async fn serve_with(
    config: Config,
    authority: Box<dyn CertificateAuthority>,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    // An error means that it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    config.check()?;
    let tls = tls::server_config(&config.tls, authority.trusted())?;
    let connections = connections::Connections::new(&config.limits, descriptors::limit());
    let gateway = Gateway::open(config, authority, shutdown.clone()).await?;
    let tasks = start_tasks(&gateway);
    tracing::info!(address = %listener.local_addr()?, region = gateway.config.region.name, "the gateway listens");
    tls::serve(listener, tls, connections, http::router(Arc::clone(&gateway)), shutdown).await;
    tasks.wait().await;
    gateway.store.close().await;
    tracing::info!("the gateway has ended");
    Ok(())
}

impl Gateway {
    async fn open(
        config: Config,
        authority: Box<dyn CertificateAuthority>,
        shutdown: CancellationToken,
    ) -> anyhow::Result<Shared> {
        Ok(Arc::new(Self {
            store: store::Store::open(&config.database_url).await?,
            accounts: accounts::Accounts::new(&config.accounts)?,
            authority,
            nomad: nomad::Nomad::new(&config.region).context("the region's HTTP API")?,
            uploads: uploads::Uploads::new(&config.s3).context("the bucket")?,
            changes: watch::Changes::new(),
            region: metering::Hearing::default(),
            panics: tasks::Panics::default(),
            keep: Notify::new(),
            bringing: wanted::Bringing::default(),
            limits: limits::Limits::new(&config.limits, Duration::from_secs(config.devices.lifetime_s)),
            polls: polls::Polls::default(),
            history: queue::Queue::new(),
            document: http::rendered(&config.public_url)?,
            shutdown,
            config,
        }))
    }
}

/// What goes on beside the requests.
fn start_tasks(gateway: &Shared) -> TaskTracker {
    let tasks = TaskTracker::new();
    spawn(&tasks, "metering", gateway, metering::run, metering::missed);
    spawn(&tasks, "keeping nodes as they are wanted", gateway, wanted::keep, |_| {});
    spawn(&tasks, "pruning", gateway, prune::run, |_| {});
    tasks.close();
    tasks
}

fn spawn<F: Future<Output = ()> + Send + 'static>(
    tasks: &TaskTracker,
    name: &'static str,
    gateway: &Shared,
    run: impl Fn(Shared) -> F + Send + Sync + 'static,
    broken: impl Fn(&Shared) + Send + Sync + 'static,
) {
    let gateway = Arc::clone(gateway);
    tasks.spawn(async move {
        let broken = || {
            gateway.panics.note();
            broken(&gateway);
        };
        tasks::keep_running(name, gateway.shutdown.clone(), || run(Arc::clone(&gateway)), broken).await;
    });
}

/// Marks a device as lost on an operator's word. A running gateway on the same database notices within seconds.
pub async fn report_lost(config: &Config, device: &str) -> anyhow::Result<()> {
    let store = store::Store::open(&config.database_url).await?;
    let found = store.mark_lost(None, device, clock::now_ms()).await?;
    store.close().await;
    anyhow::ensure!(found, "there is no device {device}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use ionet_gateway_api::path;
    use tower::Service as _;

    use super::*;

    /// Nobody enrols here.
    struct NoAuthority;

    #[async_trait::async_trait]
    impl CertificateAuthority for NoAuthority {
        async fn issue(&self, _: Order) -> Result<Issued, AuthorityError> {
            unreachable!()
        }

        fn root_pem(&self) -> &str {
            unreachable!()
        }

        fn trusted(&self) -> &[rustls::pki_types::CertificateDer<'static>] {
            unreachable!()
        }
    }

    /// A gateway without its listener and its tasks.
    async fn gateway(folder: &std::path::Path) -> Shared {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut config: Config = toml::from_str(include_str!("../gateway.example.toml")).unwrap();
        config.database_url = format!("sqlite://{}", folder.join("gateway.db").display());
        (config.region.ca, config.region.certificate, config.region.key) = (None, None, None);
        let secret = folder.join("secret");
        std::fs::write(&secret, "secret").unwrap();
        (config.s3.access_key_file, config.s3.secret_key_file) = (secret.clone(), secret);
        Gateway::open(config, Box::new(NoAuthority), CancellationToken::new()).await.unwrap()
    }

    async fn health(gateway: &Shared) -> StatusCode {
        let request = Request::get(path::HEALTH).body(Body::empty()).unwrap();
        http::router(Arc::clone(gateway)).call(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn a_gateway_one_of_whose_tasks_breaks_says_that_it_is_not_well() {
        let folder = tempfile::tempdir().unwrap();
        let gateway = gateway(folder.path()).await;
        let before = health(&gateway).await;

        let (tasks, ending) = (TaskTracker::new(), gateway.shutdown.clone());
        spawn(&tasks, "test", &gateway, async |_| panic!("broken"), move |_| ending.cancel());
        tasks.close();
        tasks.wait().await;

        assert_eq!((before, health(&gateway).await), (StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE));
    }
}
