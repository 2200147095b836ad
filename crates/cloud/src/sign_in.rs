//! The owner's sign-in: in the system's browser, or by a code that is typed in elsewhere.

use std::pin::Pin;
use std::time::Duration;

use ionet_core::event::{DeviceCode, SignInMethod};
use ionet_core::fault::SignInFault;
use ionet_core::target::AccountName;
use url::Url;

use crate::secret::Secret;

mod browser;
mod callback;
mod device_code;
mod provider;

pub use callback::PageWords;
pub(crate) use provider::{Provider, RefreshFault};

/// What a sign-in asks of the program around it. Called from the sign-in's own task: return at once.
pub struct SignInHooks {
    /// Shows this page to the person, and says whether some browser took it. Its address is part of a secret handshake:
    /// it belongs into no log.
    pub open_browser: Box<dyn Fn(&Url) -> Opening + Send + Sync>,
    /// Shows this code to the person.
    pub device_code: Box<dyn Fn(DeviceCode) + Send + Sync>,
    /// The words on the page that the browser ends on.
    pub words: PageWords,
}

pub type Opening = Pin<Box<dyn Future<Output = bool> + Send>>;

/// What a sign-in gives.
pub(crate) struct Grant {
    pub(crate) name: AccountName,
    pub(crate) tokens: TokenPair,
}

/// Good for one refresh, and for requests until it expires.
pub(crate) struct TokenPair {
    pub(crate) refresh: Secret<String>,
    pub(crate) access: Secret<String>,
    pub(crate) expires_in: Duration,
}

pub(crate) async fn sign_in(
    provider: &Provider,
    method: SignInMethod,
    hooks: &SignInHooks,
    abandoned_after: Duration,
) -> Result<Grant, SignInFault> {
    match method {
        SignInMethod::Browser => browser::sign_in(provider, hooks, abandoned_after).await,
        SignInMethod::DeviceCode => device_code::sign_in(provider, hooks).await,
    }
}
