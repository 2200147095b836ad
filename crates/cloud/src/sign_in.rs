//! The owner's sign-in: in the system's browser, or by a code that is typed in elsewhere.

use ionet_core::event::SignInMethod;
use ionet_core::fault::SignInFault;

use crate::options::Options;

mod browser;
mod callback;
mod device_code;
mod discovery;
mod grant;
mod hooks;
mod id_token;
mod patience;
mod provider;
mod token_answer;

pub(crate) use grant::{Grant, TokenPair};
pub use hooks::{Opening, PageWords, SignInHooks};
pub(crate) use provider::{Provider, RefreshFault};

/// What the provider is to ask of whoever it knows already. A code that is typed in elsewhere cannot say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prompt {
    Consent,
    LoginAnew,
}

pub(crate) async fn sign_in(
    provider: &Provider,
    method: SignInMethod,
    prompt: Prompt,
    hooks: &SignInHooks,
    options: &Options,
) -> Result<Grant, SignInFault> {
    match method {
        SignInMethod::Browser => browser::sign_in(provider, prompt, hooks, options).await,
        SignInMethod::DeviceCode => device_code::sign_in(provider, hooks).await,
    }
}
