//! The gateway's HTTP client. It asks once: whoever wants to ask again knows whether that is harmless.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use ionet_core::fault::CloudFault;
use ionet_gateway_api::path;
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::clock::Skew;
use crate::explain::{self, Cut};
use crate::http;
use crate::options::Options;
use crate::probe::{self, Seen};
use crate::secret::Secret;

/// A clock that is off by more than this is wrong enough to fail certificates.
const WRONG_CLOCK_MS: u64 = 5 * 60 * 1000;

pub(crate) struct Gateway {
    base: Url,
    ca_pem: Option<String>,
    options: Options,
    /// Without this PC's certificate.
    plain: Client,
    /// With it; made when first needed, and again after each new certificate.
    device: RwLock<Option<Client>>,
    skew: Skew,
}

/// An answer, whatever it says.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body of one that says yes.
    pub(crate) fn agreed(self) -> Result<Vec<u8>, CloudFault> {
        if self.status.is_success() {
            return Ok(self.body);
        }
        let fault = explain::refusal(self.status, &self.headers, &self.body);
        if fault == CloudFault::CertificateRefused {
            return Err(Skew::of(&self.headers).and_then(clock_fault).unwrap_or(fault));
        }
        Err(fault)
    }
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
        skew: Skew,
    ) -> reqwest::Result<Self> {
        let plain = http::gateway_client(&options, ca_pem.as_deref(), None)?;
        Ok(Self { base, ca_pem, options, plain, device: RwLock::new(None), skew })
    }

    /// For accounts and for nobody.
    pub(crate) fn plain(&self) -> Client {
        self.plain.clone()
    }

    /// For this device, if its client is made already.
    pub(crate) fn device(&self) -> Option<Client> {
        self.device.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For this device, from now on.
    pub(crate) fn be_device(&self, identity: &Secret<String>) -> Result<Client, CloudFault> {
        let client = http::gateway_client(&self.options, self.ca_pem.as_deref(), Some(identity))
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

    /// The body of an answer that says yes.
    pub(crate) async fn send(&self, client: &Client, ask: Ask) -> Result<Vec<u8>, CloudFault> {
        self.answer(client, ask).await?.agreed()
    }

    /// Whatever the gateway answers.
    pub(crate) async fn answer(&self, client: &Client, ask: Ask) -> Result<Answer, CloudFault> {
        let url = self.base.join(&ask.path).map_err(|_| CloudFault::Garbled)?;
        self.options.proxy.learn(&url).await;
        let answer = match request(client, url, ask).send().await {
            Ok(answer) => answer,
            Err(error) => return Err(self.fault_of(&error).await),
        };
        let (status, headers) = (answer.status(), answer.headers().clone());
        self.skew.learn(&headers);
        match http::body_of(answer).await {
            Ok(body) => Ok(Answer { status, headers, body: body.ok_or(CloudFault::Garbled)? }),
            Err(error) => Err(self.fault_of(&error).await),
        }
    }

    /// The clock's error, when it is large enough to matter. Asks whoever answers for the time.
    pub(crate) async fn wrong_clock(&self) -> Option<CloudFault> {
        clock_fault(Skew::of(&self.look().await?.headers)?)
    }

    /// Somebody in between, where the operating system trusts them: the gateway always asks for this PC's certificate,
    /// and they do not. With a root of its own such a one is met in the handshake.
    pub(crate) async fn inspected(&self) -> Option<CloudFault> {
        if self.ca_pem.is_some() {
            return None;
        }
        let seen = self.look().await.filter(|seen| !seen.asked_for_ours)?;
        Some(CloudFault::Inspected { issuer: seen.issuer })
    }

    async fn look(&self) -> Option<Seen> {
        probe::look(&self.options, self.base.join(path::HEALTH).ok()?).await
    }

    async fn fault_of(&self, error: &reqwest::Error) -> CloudFault {
        // The address is one of the endpoints, and what went wrong is no secret.
        tracing::debug!(%error, "no answer from the gateway");
        let fault = match explain::cut(error) {
            Cut::Their => self.impostor().await,
            Cut::TheirDates => self.wrong_clock().await.unwrap_or(CloudFault::Unavailable(None)),
            Cut::Ours => self.wrong_clock().await.unwrap_or(CloudFault::CertificateRefused),
            cut @ (Cut::NoWay | Cut::Refused | Cut::Slow | Cut::Nonsense | Cut::Unsaid) => {
                self.cut_off(cut).await
            }
        };
        self.options.proxy.doubt(&self.base);
        fault
    }

    /// A certificate for the gateway's name by somebody else's authority is made by who opens connections; any other is
    /// a network's own page.
    async fn impostor(&self) -> CloudFault {
        match self.look().await {
            Some(seen) if seen.for_this_name => CloudFault::Inspected { issuer: seen.issuer },
            Some(_) | None => CloudFault::Garbled,
        }
    }

    async fn cut_off(&self, cut: Cut) -> CloudFault {
        if let Some(fault) = self.options.proxy.blamed(&self.base).await {
            return fault.into();
        }
        match cut {
            Cut::NoWay => CloudFault::NoNetwork,
            Cut::Slow => CloudFault::Slow,
            Cut::Nonsense => CloudFault::Garbled,
            Cut::Unsaid if !self.has_address().await => CloudFault::NoNetwork,
            Cut::Refused | Cut::Unsaid | Cut::Their | Cut::TheirDates | Cut::Ours => {
                CloudFault::Unavailable(None)
            }
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
