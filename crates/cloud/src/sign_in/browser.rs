//! Authorization code with PKCE; the browser comes back to a loopback port that is chosen now.

use std::time::Duration;

use ionet_core::fault::SignInFault;
use openidconnect::core::{CoreAuthPrompt, CoreAuthenticationFlow};
use openidconnect::{
    AuthorizationCode, CsrfToken, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
};

use super::callback::{Callback, Listener};
use super::provider::{Found, Provider, RESOURCE, SCOPES, sign_in_fault};
use super::{Grant, Opening, SignInHooks};

pub(super) async fn sign_in(
    provider: &Provider,
    hooks: &SignInHooks,
    abandoned_after: Duration,
) -> Result<Grant, SignInFault> {
    let found = provider.discover().await?;
    let mut listener = Listener::open(hooks.words.clone()).await.map_err(|error| {
        tracing::error!(%error, "no loopback port for the browser to come back to");
        SignInFault::Abandoned
    })?;
    let redirect = RedirectUrl::from_url(listener.url());
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let client = found.client.clone().set_redirect_uri(redirect.clone());
    let (url, state, nonce) = client
        .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
        .add_scopes(SCOPES.map(|scope| Scope::new(scope.into())))
        .add_prompt(CoreAuthPrompt::Consent)
        .add_extra_param("resource", RESOURCE)
        .set_pkce_challenge(challenge)
        .url();
    let opening = (hooks.open_browser)(&url);

    let callback = tokio::select! {
        came_back = tokio::time::timeout(abandoned_after, listener.next()) => {
            came_back.ok().flatten().ok_or(SignInFault::Abandoned)?
        }
        () = not_opened(opening) => return Err(SignInFault::NoBrowser),
    };
    let attempt = Attempt { provider, found: &found, redirect, verifier, state, nonce };
    let result = attempt.finish(&callback).await;
    callback.answer(result.is_ok()).await;
    result
}

/// Ends only when no browser took the page.
async fn not_opened(opening: Opening) {
    if opening.await {
        std::future::pending().await
    }
}

/// What was asked, to hold the answer against.
struct Attempt<'a> {
    provider: &'a Provider,
    found: &'a Found,
    redirect: RedirectUrl,
    verifier: PkceCodeVerifier,
    state: CsrfToken,
    nonce: Nonce,
}

impl Attempt<'_> {
    async fn finish(self, callback: &Callback) -> Result<Grant, SignInFault> {
        let code = self.code(callback)?;
        let client = self.found.client.clone().set_redirect_uri(self.redirect);
        let request = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .set_pkce_verifier(self.verifier)
            .add_extra_param("resource", RESOURCE);
        let tokens = request.request_async(&self.provider.wire()).await.map_err(sign_in_fault)?;
        self.provider.grant(self.found, &tokens, Some(&self.nonce)).await
    }

    /// State first: only an answer to our own question may say anything else.
    fn code<'c>(&self, callback: &'c Callback) -> Result<&'c str, SignInFault> {
        if callback.param("state") != Some(self.state.secret()) {
            return Err(SignInFault::NotOurs("state"));
        }
        let required = self.found.extra.authorization_response_iss_parameter_supported;
        match callback.param("iss") {
            Some(issuer) if issuer == self.provider.issuer() => {}
            None if !required => {}
            Some(_) | None => return Err(SignInFault::NotOurs("issuer")),
        }
        if let Some(error) = callback.param("error") {
            return Err(SignInFault::Refused(error.to_owned()));
        }
        callback.param("code").ok_or(SignInFault::NotOurs("code"))
    }
}
