//! The one door to the io.net side.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ionet_core::UnixMs;
use ionet_core::event::{Device, KeptSession, SignInMethod, SignedIn};
use ionet_core::fault::{CloudFault, LogFault, SignInFault};
use ionet_core::region::WatchAnswer;
use ionet_core::target::AccountName;
use ionet_gateway_api::{
    Certificate, DeviceList, DeviceSummary, EnrolRequest, EnrolmentToken, Introduction, RenewRequest,
    StopAnswer, UploadAnswer, UploadGrant, UploadObject, UploadRequest, WantedAnswer, WantedRequest, path,
};
use reqwest::{Body, Method};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::clock::Skew;
use crate::endpoints::{Endpoints, EndpointsFault};
use crate::explain;
use crate::gateway::{self, Ask, Gateway};
use crate::http::{self, OpenClient};
use crate::identity::{Belonging, Enrolled, IdentityFolder};
use crate::keyring::{DesktopRing, Entry};
use crate::options::Options;
use crate::secret::Secret;
use crate::session::Vault;
use crate::shared::Shared;
use crate::sign_in::{self, Prompt, Provider, SignInHooks};
use crate::tokens::Tokens;
use crate::upload::Store;
use crate::view::read_view;

/// How long the gateway is told that a device leaves its account; it leaves all the same.
const RETIRED_WITHIN: Duration = Duration::from_secs(5);

/// A keyring answers at once, or not at all.
const KEYRING_PATIENCE: Duration = Duration::from_secs(5);

/// The io.net side cannot even be spoken to.
#[derive(Debug, thiserror::Error)]
pub enum SetUpFault {
    #[error(transparent)]
    Endpoints(#[from] EndpointsFault),
    #[error("no TLS client can be made: {0}")]
    Tls(#[from] reqwest::Error),
}

/// What the PC wants of its nodes was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WantedFault {
    /// The gateway knows a later one, of another life of this PC: go above it.
    #[error("the gateway knows number {known}")]
    Stale { known: u64 },
    #[error(transparent)]
    Cloud(#[from] CloudFault),
}

/// Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Cloud {
    shared: Arc<Shared>,
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
        let pins = endpoints.pins(options.rehearsal)?;
        let Endpoints { issuer, client_id, gateway, gateway_ca_pem, upload_hosts, .. } = endpoints;
        let skew = Skew::new();
        let open = OpenClient::new(&options, gateway_ca_pem.as_deref());
        let store = Store::new(open.clone(), options.proxy.clone(), upload_hosts, options.rehearsal);
        let ring = Arc::new(DesktopRing);
        let keyring = options.keyring.then(|| Entry::new(ring, issuer.clone(), KEYRING_PATIENCE));
        let vault = Vault::new(issuer.clone(), session_file.into(), keyring);
        let provider = Arc::new(Provider::new(issuer, client_id, open, skew.clone(), options.clone()));
        let tokens = Tokens::new(provider.clone(), vault);
        let gateway = Gateway::new(gateway, gateway_ca_pem, options.clone(), skew.clone())?;
        let shared = Shared {
            options,
            identity,
            provider,
            tokens,
            gateway,
            store,
            pins,
            skew,
            anew: AtomicBool::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// How far this PC's clock is ahead of the io.net side's, in milliseconds, by the last answer.
    pub fn clock_skew(&self) -> Option<i64> {
        self.shared.skew.get()
    }

    /// Whether somebody is signed in, and where that is kept. Asks nobody to unlock anything.
    pub async fn session(&self) -> KeptSession {
        self.shared.tokens.session().await
    }

    /// Returns when a session that was [`KeptSession::Locked`] can be asked for again: as soon as the keyring says that it was
    /// unlocked, or is found so.
    pub async fn unlocked(&self) {
        self.shared.tokens.unlocked().await;
    }

    pub async fn sign_in(
        &self,
        method: SignInMethod,
        hooks: SignInHooks,
        cancel: CancellationToken,
    ) -> Result<SignedIn, SignInFault> {
        let Shared { provider, options, tokens, anew, .. } = &*self.shared;
        let prompt = if anew.load(Ordering::Relaxed) { Prompt::LoginAnew } else { Prompt::Consent };
        let grant = tokio::select! {
            grant = sign_in::sign_in(provider, method, prompt, &hooks, options) => grant?,
            () = cancel.cancelled() => return Err(SignInFault::Cancelled),
        };
        let store = tokens.begin(grant.tokens).await?;
        anew.store(false, Ordering::Relaxed);
        Ok(SignedIn { name: grant.name, store })
    }

    /// Revokes the tokens and forgets them; the latter also when the provider is down.
    pub async fn sign_out(&self) {
        self.shared.tokens.end().await;
    }

    /// This PC's identity, if it is whole, trusted, and this is still the PC that it was made on as far as can be told.
    pub async fn load_device(&self) -> Option<Device> {
        self.shared.load().await
    }

    /// What the agent's plan needs of the enrolment. From memory.
    pub fn enrolled(&self) -> Option<Enrolled> {
        self.shared.identity.enrolled()
    }

    /// GPUs are known last, and may show that the identity is another PC's: then this one is not enrolled any more.
    pub async fn know_gpus(&self, uuids: Vec<String>) -> Belonging {
        let belonging = self.shared.on_disk(move |identity| identity.know_gpus(uuids)).await;
        let belonging = belonging.unwrap_or(Belonging::Ours);
        if belonging == Belonging::Elsewhere {
            self.shared.gateway.forget_device();
        }
        belonging
    }

    /// Writes down whose device this is, where that is news. Renewals and watch answers do so by themselves.
    pub async fn know_owner(&self, owner: &AccountName) {
        let known = self.shared.identity.device().is_none_or(|device| device.owner.as_ref() == Some(owner));
        if known {
            return;
        }
        let owner = owner.clone();
        if let Some(Err(fault)) = self.shared.on_disk(move |identity| identity.know_owner(&owner)).await {
            tracing::warn!(%fault, "whose device this is cannot be written down");
        }
    }

    /// The device leaves its account of its own accord; what it earned stays the account's.
    pub async fn retire(&self) -> Result<(), CloudFault> {
        match self.shared.device_send(Ask::new(Method::DELETE, path::DEVICE)).await {
            Ok(_) | Err(CloudFault::DeviceRetired) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// This PC leaves its device behind: the account is told, as far as it can be within a few seconds, and the next enrolment
    /// is with a new key. Where no device is known that is done: the new key's enrolment may only lack its answer.
    pub async fn set_identity_aside(&self) -> Result<(), CloudFault> {
        if self.shared.known_device().await.is_none() {
            return Ok(());
        }
        match tokio::time::timeout(RETIRED_WITHIN, self.retire()).await {
            Ok(Ok(())) => tracing::info!("this PC's device has left its account"),
            Ok(Err(fault)) => tracing::warn!(%fault, "the gateway does not know that this PC leaves"),
            Err(_) => tracing::warn!("the gateway was not reached to tell it that this PC leaves"),
        }
        self.shared.gateway.forget_device();
        let aside = self.shared.on_disk(IdentityFolder::set_aside).await;
        aside.unwrap_or(Ok(())).map_err(|error| CloudFault::CannotStore(error.to_string()))
    }

    /// Makes this PC a device of the signed-in account, or of the account that the enrolment token is from.
    /// Asking again after an answer that was lost is harmless: the key, and with it the device, stays the same.
    pub async fn enrol(
        &self,
        label: &str,
        agreement: u32,
        token: Option<Secret<String>>,
    ) -> Result<Device, CloudFault> {
        if let Some(fault) = self.shared.gateway.inspected().await {
            return Err(fault);
        }
        let csr_pem = self.shared.signing_request().await?;
        let request = EnrolRequest { csr_pem, label: label.to_owned(), agreement };
        let ask = Ask::post(path::DEVICES).body(&request)?;
        let Shared { gateway, .. } = &*self.shared;
        let given: Certificate = match token {
            Some(token) => gateway.ask(&gateway.plain(), ask.bearer(token)).await?,
            None => self.as_account(ask).await?,
        };
        self.shared.keep(given).await
    }

    /// Whether this PC was ever given a certificate that is still here.
    pub(crate) async fn is_enrolled(&self) -> bool {
        self.shared.known_device().await.is_some()
    }

    /// A new certificate for the same key: by the old one while it is taken, else by proof of the key.
    pub async fn renew(&self) -> Result<Device, CloudFault> {
        let Shared { gateway, .. } = &*self.shared;
        let device = self.shared.known_device().await.ok_or(CloudFault::CertificateRefused)?;
        let csr_pem = self.shared.signing_request().await?;
        let request = RenewRequest { device: device.id.clone(), csr_pem };
        let given: Certificate = match self.as_device(Ask::post(path::CERTIFICATE).body(&request)?).await {
            Err(CloudFault::CertificateExpired | CloudFault::CertificateRefused) => {
                gateway.ask(&gateway.plain(), Ask::post(path::RENEWALS).body(&request)?).await?
            }
            other => other?,
        };
        // A renewal makes no other device of this PC.
        if (&given.device, &given.region) != (&device.id, &device.region) {
            return Err(CloudFault::Garbled);
        }
        self.shared.keep(given).await
    }

    /// A Nomad introduction token, minted now for this device's node.
    pub async fn introduction(&self) -> Result<Secret<String>, CloudFault> {
        let answer: Introduction = self.as_device(Ask::post(path::INTRODUCTION)).await?;
        Ok(Secret::new(answer.token))
    }

    /// What this PC wants of its nodes: whether they get new work, and which GPUs (by UUID) their owner needs now. The number
    /// rises with every change. True when the region's servers have it too; else the gateway has it, and they follow.
    pub async fn set_wanted(&self, seq: u64, eligible: bool, holds: &[String]) -> Result<bool, WantedFault> {
        let request = WantedRequest { seq, eligible, holds: holds.to_vec() };
        let ask = Ask::new(Method::PUT, path::WANTED).body(&request)?;
        let answer = self.shared.device_answer(ask).await?;
        if let Some(known) = explain::known_sequence(&answer.body).filter(|_| !answer.status.is_success()) {
            return Err(WantedFault::Stale { known });
        }
        let body = self.shared.judged(answer.agreed()).await?;
        let answer: WantedAnswer = gateway::read(&body)?;
        Ok(answer.applied)
    }

    /// The allocations that were pending or running; the region stops them now.
    pub async fn stop_allocations(&self) -> Result<Vec<String>, CloudFault> {
        let answer: StopAnswer = self.as_device(Ask::post(path::STOP)).await?;
        Ok(answer.stopping)
    }

    /// Answers when there is something newer than `index`, else after `wait` (at most 60 s) with the same index. What was earned
    /// today is counted from `day_began`.
    pub async fn watch(
        &self,
        index: u64,
        wait: Duration,
        day_began: UnixMs,
    ) -> Result<(u64, WatchAnswer), CloudFault> {
        let wait = wait.min(Duration::from_secs(60));
        let ask = Ask::get(path::WATCH)
            .query("index", index)
            .query("wait", wait.as_secs())
            .query("day_began", day_began.0)
            .patience(wait + self.shared.options.answer_timeout);
        let (index, view) = read_view(&self.shared.device_send(ask).await?)?;
        if let Some(owner) = &view.owner {
            self.know_owner(owner).await;
        }
        Ok((index, view))
    }

    /// One grant for each object, in order. A grant is a secret until it expires.
    pub async fn upload_grants(&self, objects: &[UploadObject]) -> Result<Vec<UploadGrant>, CloudFault> {
        let ask = Ask::post(path::UPLOADS).body(&UploadRequest { objects: objects.to_vec() })?;
        let answer: UploadAnswer = self.as_device(ask).await?;
        if answer.grants.len() != objects.len() {
            return Err(CloudFault::Garbled);
        }
        let refused = answer.grants.iter().find_map(|grant| self.shared.store.check(grant).err());
        refused.map_or(Ok(answer.grants), |why| Err(CloudFault::Untrusted(why.to_string())))
    }

    /// Uses a grant. After [`LogFault::Unreachable`] ask for a fresh grant instead of using this one again: stores
    /// cut the connection of an upload that they refuse.
    pub async fn put(&self, grant: &UploadGrant, body: impl Into<Body>) -> Result<(), LogFault> {
        self.shared.store.put(grant, body.into()).await
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

    pub(crate) async fn as_device<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, CloudFault> {
        gateway::read(&self.shared.device_send(ask).await?)
    }

    pub(crate) async fn as_account<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, CloudFault> {
        gateway::read(&self.shared.account_send(ask).await?)
    }
}
