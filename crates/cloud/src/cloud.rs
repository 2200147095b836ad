//! The one door to the io.net side.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ionet_core::event::{Device, SessionStore, SignInMethod, SignedIn};
use ionet_core::fault::{CloudFault, LogFault, SignInFault};
use ionet_core::region::RegionView;
use ionet_gateway_api::{
    Certificate, DeviceList, DeviceState, DeviceSummary, EligibilityRequest, EnrolRequest, EnrolmentToken,
    Introduction, RenewRequest, StopAnswer, UploadAnswer, UploadGrant, UploadObject, UploadRequest, path,
};
use reqwest::{Body, Client, Method};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::endpoints::{Endpoints, EndpointsFault};
use crate::gateway::{self, Ask, Gateway};
use crate::http::{self, Skew, now_ms};
use crate::identity::{Enrolled, IdentityFault, IdentityFolder};
use crate::secret::Secret;
use crate::session::Vault;
use crate::sign_in::{self, Provider, SignInHooks};
use crate::tokens::Tokens;
use crate::view::view_of;

/// How to behave; the addresses are in [`Endpoints`].
#[derive(Debug, Clone)]
pub struct Options {
    pub user_agent: String,
    /// Whether the desktop's keyring may be used. The demo and the tests keep out of it.
    pub keyring: bool,
    /// How long a sign-in waits for the browser to come back.
    pub sign_in_abandoned_after: Duration,
    pub connect_timeout: Duration,
    /// From the request to the end of its answer. The long poll has its own wait on top.
    pub answer_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            user_agent: concat!("ionet-supplier/", env!("CARGO_PKG_VERSION")).into(),
            keyring: true,
            sign_in_abandoned_after: Duration::from_secs(600),
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(30),
        }
    }
}

/// The io.net side cannot even be spoken to.
#[derive(Debug, thiserror::Error)]
pub enum SetUpFault {
    #[error(transparent)]
    Endpoints(#[from] EndpointsFault),
    #[error("no TLS client can be made: {0}")]
    Tls(#[from] reqwest::Error),
}

/// Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Cloud {
    shared: Arc<Shared>,
}

struct Shared {
    options: Options,
    identity: IdentityFolder,
    provider: Arc<Provider>,
    tokens: Tokens,
    gateway: Gateway,
    skew: Skew,
}

impl Cloud {
    /// Touches neither the network nor a file.
    pub fn new(
        endpoints: Endpoints,
        identity: IdentityFolder,
        session_file: impl Into<PathBuf>,
        options: Options,
    ) -> Result<Self, SetUpFault> {
        http::install_tls();
        endpoints.check()?;
        let Endpoints { issuer, client_id, gateway, gateway_ca_pem } = endpoints;
        let skew = Skew::new();
        let open = http::open_client(&options, gateway_ca_pem.as_deref())?;
        let provider = Arc::new(Provider::new(issuer.clone(), client_id, open.clone(), skew.clone()));
        let vault = Vault::new(issuer, session_file.into(), options.keyring);
        let tokens = Tokens::new(provider.clone(), vault);
        let gateway = Gateway::new(gateway, gateway_ca_pem, options.clone(), open, skew.clone())?;
        Ok(Self { shared: Arc::new(Shared { options, identity, provider, tokens, gateway, skew }) })
    }

    /// How far this PC's clock is ahead of the io.net side's, in milliseconds, by the last answer.
    pub fn clock_skew(&self) -> Option<i64> {
        self.shared.skew.get()
    }

    /// Where the session is kept, if somebody is signed in.
    pub async fn session(&self) -> Option<SessionStore> {
        self.shared.tokens.session().await
    }

    pub async fn sign_in(
        &self,
        method: SignInMethod,
        hooks: SignInHooks,
        cancel: CancellationToken,
    ) -> Result<SignedIn, SignInFault> {
        let Shared { provider, options, tokens, .. } = &*self.shared;
        let grant = tokio::select! {
            grant = sign_in::sign_in(provider, method, &hooks, options.sign_in_abandoned_after) => grant?,
            () = cancel.cancelled() => return Err(SignInFault::Cancelled),
        };
        let store = tokens.begin(grant.tokens).await?;
        Ok(SignedIn { name: grant.name, store })
    }

    /// Revokes the tokens and forgets them; the latter also when the provider is down.
    pub async fn sign_out(&self) {
        self.shared.tokens.end().await;
    }

    /// This PC's identity; see [`IdentityFolder::load`].
    pub fn load_device(&self) -> Option<Device> {
        self.shared.identity.load()
    }

    /// What the agent's plan needs of the enrolment.
    pub fn enrolled(&self) -> Option<Enrolled> {
        self.shared.identity.enrolled()
    }

    /// Makes this PC a device of the signed-in account, or of the account that the enrolment token is from.
    /// Asking again after an answer that was lost is harmless: the key, and with it the device, stays the same.
    pub async fn enrol(
        &self,
        label: &str,
        agreement: u32,
        token: Option<Secret<String>>,
    ) -> Result<Device, CloudFault> {
        let csr_pem = self.shared.identity.signing_request().map_err(cannot_store)?;
        let request = EnrolRequest { csr_pem, label: label.to_owned(), agreement };
        let ask = Ask::post(path::DEVICES).body(&request)?;
        let Shared { gateway, .. } = &*self.shared;
        let given: Certificate = match token {
            Some(token) => gateway.ask(&gateway.plain(), ask.bearer(token)).await?,
            None => self.as_account(ask).await?,
        };
        self.shared.keep(&given)
    }

    /// A new certificate for the same key: by the old one while it is taken, else by proof of the key.
    pub async fn renew(&self) -> Result<Device, CloudFault> {
        let Shared { identity, gateway, .. } = &*self.shared;
        let device = identity.device().ok_or(CloudFault::CertificateRefused)?;
        let csr_pem = identity.signing_request().map_err(cannot_store)?;
        let request = RenewRequest { device: device.id, csr_pem };
        let given: Certificate = match self.as_device(Ask::post(path::CERTIFICATE).body(&request)?).await {
            Err(CloudFault::CertificateExpired | CloudFault::CertificateRefused) => {
                gateway.ask(&gateway.plain(), Ask::post(path::RENEWALS).body(&request)?).await?
            }
            other => other?,
        };
        self.shared.keep(&given)
    }

    /// A Nomad introduction token, minted now for this device's node.
    pub async fn introduction(&self) -> Result<Secret<String>, CloudFault> {
        let answer: Introduction = self.as_device(Ask::post(path::INTRODUCTION)).await?;
        Ok(Secret::new(answer.token))
    }

    pub async fn set_eligible(&self, eligible: bool) -> Result<(), CloudFault> {
        let ask = Ask::new(Method::PUT, path::ELIGIBILITY).body(&EligibilityRequest { eligible })?;
        self.shared.device_send(ask).await.map(|_| ())
    }

    /// The allocations that were pending or running; the region stops them now.
    pub async fn stop_allocations(&self) -> Result<Vec<String>, CloudFault> {
        let answer: StopAnswer = self.as_device(Ask::post(path::STOP)).await?;
        Ok(answer.stopping)
    }

    /// Answers when there is something newer than `index`, else after `wait` (at most 60 s) with the same index.
    pub async fn watch(&self, index: u64, wait: Duration) -> Result<(u64, RegionView), CloudFault> {
        let wait = wait.min(Duration::from_secs(60));
        let ask = Ask::get(path::WATCH)
            .query("index", index)
            .query("wait", wait.as_secs())
            .patience(wait + self.shared.options.answer_timeout);
        let state: DeviceState = self.as_device(ask).await?;
        Ok((state.index, view_of(state)?))
    }

    /// One grant for each object, in order. A grant is a secret until it expires.
    pub async fn upload_grants(&self, objects: &[UploadObject]) -> Result<Vec<UploadGrant>, CloudFault> {
        let ask = Ask::post(path::UPLOADS).body(&UploadRequest { objects: objects.to_vec() })?;
        let answer: UploadAnswer = self.as_device(ask).await?;
        if answer.grants.len() == objects.len() { Ok(answer.grants) } else { Err(CloudFault::Garbled) }
    }

    /// Uses a grant. After [`LogFault::Unreachable`] ask for a fresh grant instead of using this one again: stores
    /// cut the connection of an upload that they refuse.
    pub async fn put(&self, grant: &UploadGrant, body: impl Into<Body>) -> Result<(), LogFault> {
        self.shared.gateway.put(grant, body.into()).await
    }

    /// All PCs of the signed-in account.
    pub async fn devices(&self) -> Result<Vec<DeviceSummary>, CloudFault> {
        let answer: DeviceList = self.as_account(Ask::get(path::DEVICES)).await?;
        Ok(answer.devices)
    }

    /// From then on that device's certificate is worthless.
    pub async fn mark_lost(&self, device: &str) -> Result<(), CloudFault> {
        let known = self.devices().await?.into_iter().any(|summary| summary.device == device);
        if !known {
            return Err(CloudFault::Refused(ionet_gateway_api::code::NOT_YOURS.into()));
        }
        let path = path::DEVICE_LOST.replace("{device}", device);
        self.shared.account_send(Ask::post(path)).await.map(|_| ())
    }

    /// For one enrolment of a machine without a browser.
    pub async fn enrolment_token(&self) -> Result<Secret<String>, CloudFault> {
        let answer: EnrolmentToken = self.as_account(Ask::post(path::ENROLMENT_TOKENS)).await?;
        Ok(Secret::new(answer.token))
    }

    async fn as_device<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, CloudFault> {
        gateway::read(&self.shared.device_send(ask).await?)
    }

    async fn as_account<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, CloudFault> {
        gateway::read(&self.shared.account_send(ask).await?)
    }
}

impl Shared {
    fn keep(&self, given: &Certificate) -> Result<Device, CloudFault> {
        let device = self.identity.store(given).map_err(cannot_store)?;
        self.gateway.forget_device();
        Ok(device)
    }

    async fn device_send(&self, ask: Ask) -> Result<Vec<u8>, CloudFault> {
        let client = self.device_client().await?;
        self.judged(self.gateway.send(&client, ask).await)
    }

    /// A token that is refused was refused before anything was done, so asking once more with a fresh one is safe.
    async fn account_send(&self, ask: Ask) -> Result<Vec<u8>, CloudFault> {
        let client = self.gateway.plain();
        let token = self.tokens.access(None).await.map_err(no_token)?;
        match self.gateway.send(&client, ask.clone().bearer(token.clone())).await {
            Err(CloudFault::NotSignedIn) => {
                let fresh = self.tokens.access(Some(token)).await.map_err(no_token)?;
                self.gateway.send(&client, ask.bearer(fresh)).await
            }
            other => other,
        }
    }

    /// A certificate that has run out by this PC's clock is not even shown: either it has, or the clock is wrong.
    async fn device_client(&self) -> Result<Client, CloudFault> {
        let device = self.identity.device().ok_or(CloudFault::CertificateRefused)?;
        if device.expires_at.0 <= now_ms() {
            return Err(self.gateway.wrong_clock().await.unwrap_or(CloudFault::CertificateExpired));
        }
        self.gateway.device(|| self.identity.tls_identity().ok().flatten())
    }

    /// A refusal of a certificate that has run out by the gateway's clock has that reason.
    fn judged<T>(&self, result: Result<T, CloudFault>) -> Result<T, CloudFault> {
        result.map_err(|fault| {
            let theirs = now_ms().saturating_sub(self.skew.get().unwrap_or(0));
            let over = self.identity.device().is_some_and(|device| device.expires_at.0 <= theirs);
            if fault == CloudFault::CertificateRefused && over {
                CloudFault::CertificateExpired
            } else {
                fault
            }
        })
    }
}

fn cannot_store(fault: IdentityFault) -> CloudFault {
    match fault {
        IdentityFault::NotOurs => CloudFault::Garbled,
        IdentityFault::File(_) | IdentityFault::Key(_) => CloudFault::CannotStore(fault.to_string()),
    }
}

fn no_token(fault: SignInFault) -> CloudFault {
    match fault {
        SignInFault::ProviderDown => CloudFault::Unavailable(None),
        SignInFault::CannotStore(why) => CloudFault::CannotStore(why),
        SignInFault::NoBrowser
        | SignInFault::Abandoned
        | SignInFault::Refused(_)
        | SignInFault::NotOurs(_)
        | SignInFault::CodeExpired
        | SignInFault::SessionEnded
        | SignInFault::Cancelled => CloudFault::NotSignedIn,
    }
}
