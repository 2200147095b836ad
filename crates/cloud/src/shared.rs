//! What all clones of the door have in common, and the two ways through it: as the device, and as the account.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ionet_core::event::Device;
use ionet_core::fault::{CloudFault, SignInFault};
use ionet_gateway_api::Certificate;
use reqwest::Client;

use crate::clock::{Skew, now_ms};
use crate::gateway::{Answer, Ask, Gateway};
use crate::identity::{IdentityFault, IdentityFolder};
use crate::options::Options;
use crate::pins::Pins;
use crate::sign_in::Provider;
use crate::tokens::Tokens;
use crate::upload::Store;

pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) identity: IdentityFolder,
    pub(crate) provider: Arc<Provider>,
    pub(crate) tokens: Tokens,
    pub(crate) gateway: Gateway,
    pub(crate) store: Store,
    pub(crate) pins: Pins,
    pub(crate) skew: Skew,
    /// The gateway has ended a session that the provider still knows: the next sign-in is to ask for the password again, or it
    /// would be as old as the last.
    pub(crate) anew: AtomicBool,
}

impl Shared {
    pub(crate) async fn keep(&self, given: Certificate) -> Result<Device, CloudFault> {
        let (pins, now_ms) = (self.pins.clone(), self.skew.theirs_ms());
        let stored = self.on_disk(move |identity| identity.store(&given, &pins, now_ms)).await;
        let device = stored.ok_or(CloudFault::Garbled)?.map_err(cannot_store)?;
        self.gateway.forget_device();
        Ok(device)
    }

    pub(crate) async fn load(&self) -> Option<Device> {
        let pins = self.pins.clone();
        self.on_disk(move |identity| identity.load(&pins)).await.flatten()
    }

    /// What was loaded; a program that only asks something never said so.
    pub(crate) async fn known_device(&self) -> Option<Device> {
        if self.identity.is_read() { self.identity.device() } else { self.load().await }
    }

    pub(crate) async fn signing_request(&self) -> Result<String, CloudFault> {
        let request = self.on_disk(IdentityFolder::signing_request).await;
        request.ok_or(CloudFault::Garbled)?.map_err(cannot_store)
    }

    /// Not on a thread that others wait for. None only where the program is ending.
    pub(crate) async fn on_disk<T: Send + 'static>(
        &self,
        act: impl FnOnce(&IdentityFolder) -> T + Send + 'static,
    ) -> Option<T> {
        let identity = self.identity.clone();
        tokio::task::spawn_blocking(move || act(&identity)).await.ok()
    }

    pub(crate) async fn device_send(&self, ask: Ask) -> Result<Vec<u8>, CloudFault> {
        let answer = self.device_answer(ask).await?;
        self.judged(answer.agreed()).await
    }

    pub(crate) async fn device_answer(&self, ask: Ask) -> Result<Answer, CloudFault> {
        let client = self.device_client().await?;
        let answer = self.gateway.answer(&client, ask).await;
        if answer.is_err() { self.judged(answer).await } else { answer }
    }

    /// A token that is refused was refused before anything was done, so asking once more with a fresh one is safe.
    pub(crate) async fn account_send(&self, ask: Ask) -> Result<Vec<u8>, CloudFault> {
        let client = self.gateway.plain();
        let token = self.tokens.access(None).await.map_err(no_token)?;
        let first = self.gateway.send(&client, ask.clone().bearer(token.clone())).await;
        let answer = match first {
            Err(CloudFault::NotSignedIn) => {
                let fresh = self.tokens.access(Some(token)).await.map_err(no_token)?;
                self.gateway.send(&client, ask.bearer(fresh)).await
            }
            other => other,
        };
        if answer == Err(CloudFault::SessionEnded) {
            self.anew.store(true, Ordering::Relaxed);
            self.tokens.end_at_once().await;
        }
        answer
    }

    /// A certificate that has run out by this PC's clock is not even shown: either it has, or the clock is wrong.
    pub(crate) async fn device_client(&self) -> Result<Client, CloudFault> {
        let device = self.known_device().await.ok_or(CloudFault::CertificateRefused)?;
        if device.expires_at.0 <= now_ms() {
            return Err(self.gateway.wrong_clock().await.unwrap_or(CloudFault::CertificateExpired));
        }
        if let Some(client) = self.gateway.device() {
            return Ok(client);
        }
        let identity = self.on_disk(IdentityFolder::tls_identity).await;
        let identity = identity.and_then(|read| read.ok().flatten()).ok_or(CloudFault::CertificateRefused)?;
        self.gateway.be_device(&identity)
    }

    /// A refusal of a certificate that has run out by the gateway's clock has that reason, and one of who never asked for it is
    /// no refusal of the gateway's.
    pub(crate) async fn judged<T>(&self, result: Result<T, CloudFault>) -> Result<T, CloudFault> {
        let fault = match result {
            Ok(value) => return Ok(value),
            Err(fault) => fault,
        };
        if fault != CloudFault::CertificateRefused {
            return Err(fault);
        }
        let theirs = self.skew.theirs_ms();
        if self.identity.device().is_some_and(|device| device.expires_at.0 <= theirs) {
            return Err(CloudFault::CertificateExpired);
        }
        Err(self.gateway.inspected().await.unwrap_or(fault))
    }
}

fn cannot_store(fault: IdentityFault) -> CloudFault {
    match fault {
        IdentityFault::NotOurs => CloudFault::Garbled,
        IdentityFault::NotPinned(what) => CloudFault::Untrusted(what.to_string()),
        IdentityFault::File(_) | IdentityFault::Key(_) => CloudFault::CannotStore(fault.to_string()),
    }
}

fn no_token(fault: SignInFault) -> CloudFault {
    match fault {
        SignInFault::ProviderDown | SignInFault::NoTrustStore => CloudFault::Unavailable(None),
        SignInFault::CannotStore(why) => CloudFault::CannotStore(why),
        SignInFault::KeyringLocked => CloudFault::KeyringLocked,
        SignInFault::Unreadable(_) => CloudFault::Garbled,
        SignInFault::Proxy(fault) => CloudFault::Proxy(fault),
        SignInFault::Inspected { issuer } => CloudFault::Inspected { issuer },
        // The provider refuses, and the session is none the worse.
        SignInFault::Refused(code) => CloudFault::Refused(code),
        SignInFault::NotOurs(what) => CloudFault::Refused(what.to_owned()),
        SignInFault::NoBrowser
        | SignInFault::Abandoned
        | SignInFault::CodeExpired
        | SignInFault::SessionEnded
        | SignInFault::Cancelled => CloudFault::NotSignedIn,
    }
}
