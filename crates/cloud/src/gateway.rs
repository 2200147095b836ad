//! The gateway's HTTP client. It asks once: whoever wants to ask again knows whether that is harmless.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use ionet_core::fault::{CloudFault, LogFault};
use ionet_gateway_api::{UploadGrant, path};
use reqwest::{Body, Client, Method, RequestBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::cloud::Options;
use crate::explain::{self, Cut};
use crate::http::{self, Skew};
use crate::secret::Secret;

/// A clock that is off by more than this is wrong enough to fail certificates.
const WRONG_CLOCK_MS: u64 = 5 * 60 * 1000;

/// Ten gigabytes at home take a while; a connection that stands still is cut long before.
const UPLOAD_LIMIT: Duration = Duration::from_secs(3600);

pub(crate) struct Gateway {
    base: Url,
    ca_pem: Option<String>,
    options: Options,
    /// Without this PC's certificate.
    plain: Client,
    /// With it; made when first needed, and again after each new certificate.
    device: RwLock<Option<Client>>,
    open: Client,
    skew: Skew,
}

/// One request.
#[derive(Clone)]
pub(crate) struct Ask {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    bearer: Option<Secret<String>>,
    body: Option<Vec<u8>>,
    patience: Option<Duration>,
}

impl Ask {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), query: Vec::new(), bearer: None, body: None, patience: None }
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    pub(crate) fn bearer(mut self, token: Secret<String>) -> Self {
        self.bearer = Some(token);
        self
    }

    pub(crate) fn body(mut self, body: &impl Serialize) -> Result<Self, CloudFault> {
        self.body = Some(serde_json::to_vec(body).map_err(|_| CloudFault::Garbled)?);
        Ok(self)
    }

    pub(crate) fn query(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    pub(crate) fn patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }
}

impl Gateway {
    pub(crate) fn new(
        base: Url,
        ca_pem: Option<String>,
        options: Options,
        open: Client,
        skew: Skew,
    ) -> reqwest::Result<Self> {
        let plain = http::gateway_client(&options, ca_pem.as_deref(), None)?;
        Ok(Self { base, ca_pem, options, plain, device: RwLock::new(None), open, skew })
    }

    /// For accounts and for nobody.
    pub(crate) fn plain(&self) -> Client {
        self.plain.clone()
    }

    /// For this device. `identity` is asked only when there is no client yet.
    pub(crate) fn device(
        &self,
        identity: impl FnOnce() -> Option<Secret<String>>,
    ) -> Result<Client, CloudFault> {
        if let Some(client) = self.device.read().unwrap_or_else(PoisonError::into_inner).clone() {
            return Ok(client);
        }
        let identity = identity().ok_or(CloudFault::CertificateRefused)?;
        let client = http::gateway_client(&self.options, self.ca_pem.as_deref(), Some(&identity))
            .map_err(|_| CloudFault::CertificateRefused)?;
        *self.device.write().unwrap_or_else(PoisonError::into_inner) = Some(client.clone());
        Ok(client)
    }

    /// The certificate has changed.
    pub(crate) fn forget_device(&self) {
        *self.device.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// An answer with a body.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, client: &Client, ask: Ask) -> Result<T, CloudFault> {
        read(&self.send(client, ask).await?)
    }

    /// Uses an upload grant.
    pub(crate) async fn put(&self, grant: &UploadGrant, body: Body) -> Result<(), LogFault> {
        let mut request = self.open.put(&grant.url).timeout(UPLOAD_LIMIT).body(body);
        for (name, value) in &grant.headers {
            if !name.eq_ignore_ascii_case("host") {
                request = request.header(name, value);
            }
        }
        let answer = request.send().await.map_err(|_| LogFault::Unreachable)?;
        if answer.status().is_success() { Ok(()) } else { Err(LogFault::Refused(answer.status().as_u16())) }
    }

    /// The clock's error, when it is large enough to matter. Asks the gateway for the time.
    pub(crate) async fn wrong_clock(&self) -> Option<CloudFault> {
        let client = http::clock_client(&self.options).ok()?;
        let url = self.base.join(path::HEALTH).ok()?;
        let answer = client.get(url).send().await.ok()?;
        clock_fault(self.skew.learn(answer.headers())?)
    }

    /// The body of an answer that says yes.
    pub(crate) async fn send(&self, client: &Client, ask: Ask) -> Result<Vec<u8>, CloudFault> {
        let url = self.base.join(&ask.path).map_err(|_| CloudFault::Garbled)?;
        let answer = match request(client, url, ask).send().await {
            Ok(answer) => answer,
            Err(error) => return Err(self.fault_of(&error).await),
        };
        let skew = self.skew.learn(answer.headers());
        let status = answer.status();
        let body = match http::body_of(answer).await {
            Ok(body) => body.ok_or(CloudFault::Garbled)?,
            Err(error) => return Err(self.fault_of(&error).await),
        };
        if status.is_success() {
            return Ok(body);
        }
        let fault = explain::refusal(status, &body);
        if fault == CloudFault::CertificateRefused {
            return Err(skew.and_then(clock_fault).unwrap_or(fault));
        }
        Err(fault)
    }

    async fn fault_of(&self, error: &reqwest::Error) -> CloudFault {
        // The address is one of the endpoints, and what went wrong is no secret.
        tracing::debug!(%error, "no answer from the gateway");
        match explain::cut(error) {
            Cut::NoWay => CloudFault::NoNetwork,
            Cut::Refused => CloudFault::Unavailable(None),
            Cut::Slow => CloudFault::Slow,
            Cut::Their | Cut::Nonsense => CloudFault::Garbled,
            Cut::TheirDates => self.wrong_clock().await.unwrap_or(CloudFault::Unavailable(None)),
            Cut::Ours => self.wrong_clock().await.unwrap_or(CloudFault::CertificateRefused),
            Cut::Unsaid if self.has_address().await => CloudFault::Unavailable(None),
            Cut::Unsaid => CloudFault::NoNetwork,
        }
    }

    /// A name that leads nowhere is how a missing network shows first.
    async fn has_address(&self) -> bool {
        let host = self.base.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let port = self.base.port_or_known_default().unwrap_or(443);
        tokio::net::lookup_host((host, port)).await.is_ok_and(|mut found| found.next().is_some())
    }
}

pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, CloudFault> {
    serde_json::from_slice(body).map_err(|_| CloudFault::Garbled)
}

fn request(client: &Client, url: Url, ask: Ask) -> RequestBuilder {
    let mut request = client.request(ask.method, url);
    if !ask.query.is_empty() {
        request = request.query(&ask.query);
    }
    if let Some(token) = ask.bearer {
        request = request.bearer_auth(token.reveal());
    }
    if let Some(body) = ask.body {
        request = request.header(reqwest::header::CONTENT_TYPE, "application/json").body(body);
    }
    match ask.patience {
        Some(patience) => request.timeout(patience),
        None => request,
    }
}

fn clock_fault(skew_ms: i64) -> Option<CloudFault> {
    (skew_ms.unsigned_abs() > WRONG_CLOCK_MS).then_some(CloudFault::ClockWrong { skew_ms })
}
