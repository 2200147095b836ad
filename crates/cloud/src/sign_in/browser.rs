//! Authorization code with PKCE; the browser comes back to a loopback port that is chosen now.

use std::time::Duration;

use ionet_core::fault::SignInFault;
use openidconnect::{CsrfToken, Nonce, PkceCodeChallenge, PkceCodeVerifier};
use tokio::time::sleep;
use url::Url;

use super::Prompt;
use super::callback::{Callback, Listener};
use super::discovery::{Metadata, is_same};
use super::grant::Grant;
use super::hooks::{Opening, SignInHooks};
use super::provider::{Provider, RESOURCE, SCOPE};
use crate::options::Options;

pub(super) async fn sign_in(
    provider: &Provider,
    prompt: Prompt,
    hooks: &SignInHooks,
    options: &Options,
) -> Result<Grant, SignInFault> {
    let found = provider.discover().await?;
    let listener = Listener::open(hooks.words.clone()).await.map_err(|error| {
        tracing::error!(%error, "no loopback port for the browser to come back to");
        SignInFault::Abandoned
    })?;
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (state, nonce) = (CsrfToken::new_random(), Nonce::new_random());
    let attempt = Attempt { provider, prompt, found, redirect: listener.url(), verifier, state, nonce };
    let opening = (hooks.open_browser)(&attempt.page(&challenge));

    let waiting = attempt.came_back(listener, || (hooks.still_waiting)(), options.still_waiting_after);
    let (callback, _port) = tokio::select! {
        came_back = waiting => came_back.ok_or(SignInFault::Abandoned)?,
        () = sleep(options.sign_in_abandoned_after) => return Err(SignInFault::Abandoned),
        () = not_opened(opening) => return Err(SignInFault::NoBrowser),
    };
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
    prompt: Prompt,
    found: Metadata,
    redirect: Url,
    verifier: PkceCodeVerifier,
    state: CsrfToken,
    nonce: Nonce,
}

impl Attempt<'_> {
    fn page(&self, challenge: &PkceCodeChallenge) -> Url {
        let mut page = self.found.authorization_endpoint.clone();
        let prompt = match self.prompt {
            Prompt::Consent => "consent",
            Prompt::LoginAnew => "login consent",
        };
        page.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", self.provider.client_id())
            .append_pair("redirect_uri", self.redirect.as_str())
            .append_pair("scope", SCOPE)
            .append_pair("resource", RESOURCE)
            .append_pair("prompt", prompt)
            .append_pair("state", self.state.secret())
            .append_pair("nonce", self.nonce.secret())
            .append_pair("code_challenge", challenge.as_str())
            .append_pair("code_challenge_method", "S256");
        page
    }

    /// The answer to our own question. Any other is somebody else's, gets its page, and ends nothing: otherwise whoever guesses
    /// the port could.
    async fn came_back(
        &self,
        mut listener: Listener,
        still_waiting: impl Fn(),
        after: Duration,
    ) -> Option<(Callback, Listener)> {
        let said = async {
            sleep(after).await;
            still_waiting();
            std::future::pending().await
        };
        let ours = async {
            loop {
                let callback = listener.next().await?;
                if callback.param("state") == Some(self.state.secret()) {
                    return Some(callback);
                }
                tracing::info!("an answer that was not asked for came to the sign-in's port");
                callback.answer(false).await;
            }
        };
        let callback = tokio::select! { callback = ours => callback?, never = said => never };
        Some((callback, listener))
    }

    async fn finish(self, callback: &Callback) -> Result<Grant, SignInFault> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", self.code(callback)?),
            ("redirect_uri", self.redirect.as_str()),
            ("code_verifier", self.verifier.secret()),
        ];
        let tokens = self.provider.tokens_for_code(&self.found, &form).await?;
        self.provider.grant(&self.found, tokens, Some(self.nonce.secret())).await
    }

    fn code<'c>(&self, callback: &'c Callback) -> Result<&'c str, SignInFault> {
        match callback.param("iss") {
            Some(issuer) if is_same(issuer, &self.found.issuer) => {}
            None if !self.found.names_itself => {}
            Some(_) | None => return Err(SignInFault::NotOurs("issuer")),
        }
        if let Some(error) = callback.param("error") {
            return Err(SignInFault::Refused(error.chars().filter(|c| !c.is_control()).take(80).collect()));
        }
        callback.param("code").ok_or(SignInFault::NotOurs("code"))
    }
}
