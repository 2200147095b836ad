//! HTTP clients that share one TLS stack.

use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Identity, Response};
use tokio::sync::OnceCell;

use crate::options::Options;
use crate::secret::Secret;

/// Answers of the gateway and of the identity provider are small; more than this is not one.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// rustls with ring, for every client of this process. Someone else may have been first.
pub(crate) fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// For the gateway: its root and no other where one is given, and this PC's certificate where there is one.
///
/// HTTP/1.1: in TLS 1.3 the refusal of a client's certificate arrives after the handshake, and HTTP/2's errors forget
/// what ended the connection.
pub(crate) fn gateway_client(
    options: &Options,
    ca_pem: Option<&str>,
    identity: Option<&Secret<String>>,
) -> reqwest::Result<Client> {
    let mut builder = bare(options).http1_only();
    if let Some(pem) = ca_pem {
        builder = builder.tls_certs_only(Certificate::from_pem_bundle(pem.as_bytes())?);
    }
    if let Some(pem) = identity {
        builder = builder.identity(Identity::from_pem(pem.reveal().as_bytes())?);
    }
    builder.build()
}

/// For the identity provider and the object store: it trusts the operating system's store, and the gateway's root too.
/// Reading that store takes longer than the rest of a start, so it waits for the first question. Cheap to clone; all clones
/// are one.
#[derive(Clone)]
pub(crate) struct OpenClient(Arc<Unmade>);

struct Unmade {
    make: Box<dyn Fn() -> reqwest::Result<Client> + Send + Sync>,
    client: OnceCell<Client>,
}

impl OpenClient {
    pub(crate) fn new(options: &Options, ca_pem: Option<&str>) -> Self {
        let (options, ca_pem) = (options.clone(), ca_pem.map(str::to_owned));
        Self::made_by(move || open_client(&options, ca_pem.as_deref()))
    }

    pub(crate) fn made_by(make: impl Fn() -> reqwest::Result<Client> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Unmade { make: Box::new(make), client: OnceCell::new() }))
    }

    /// # Errors
    /// As long as this PC has no trust store.
    pub(crate) async fn get(&self) -> reqwest::Result<Client> {
        let made = self.0.client.get_or_try_init(async || {
            let unmade = self.0.clone();
            let making = tokio::task::spawn_blocking(move || (unmade.make)());
            // It breaks off only with the program.
            making.await.unwrap_or_else(|_| (self.0.make)())
        });
        made.await.cloned()
    }
}

fn open_client(options: &Options, ca_pem: Option<&str>) -> reqwest::Result<Client> {
    let Some(pem) = ca_pem else { return bare(options).build() };
    let own = Certificate::from_pem_bundle(pem.as_bytes())?;
    // A bare machine has no trust store to add to.
    bare(options).tls_certs_merge(own.clone()).build().or_else(|_| bare(options).tls_certs_only(own).build())
}

/// No redirects: an address that changes under way is not one of the endpoints. The system's proxy and no other.
pub(crate) fn bare(options: &Options) -> ClientBuilder {
    let builder = Client::builder()
        .user_agent(options.user_agent.clone())
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(options.connect_timeout)
        .timeout(options.answer_timeout)
        .tcp_keepalive(Duration::from_secs(20));
    match options.proxy.of_client() {
        Some(proxy) => builder.proxy(proxy),
        None => builder,
    }
}

/// The body, unless it is longer than anything that could be meant.
pub(crate) async fn body_of(mut response: Response) -> reqwest::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}
