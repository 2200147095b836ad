//! RFC 8628: the person types a short code into a browser anywhere.

use ionet_core::UnixMs;
use ionet_core::event::DeviceCode;
use ionet_core::fault::SignInFault;
use openidconnect::core::{CoreDeviceAuthorizationResponse, CoreTokenResponse};
use openidconnect::{
    DeviceCodeErrorResponseType, PkceCodeChallenge, PkceCodeVerifier, RequestTokenError, Scope,
};

use super::provider::{Found, Provider, RESOURCE, SCOPES, sign_in_fault};
use super::{Grant, SignInHooks};
use crate::http::now_ms;

pub(super) async fn sign_in(provider: &Provider, hooks: &SignInHooks) -> Result<Grant, SignInFault> {
    let found = provider.discover().await?;
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let details = ask(provider, &found, &challenge).await?;
    let life_ms = i64::try_from(details.expires_in().as_millis()).unwrap_or(i64::MAX);
    (hooks.device_code)(DeviceCode {
        user_code: details.user_code().secret().clone(),
        verification_uri: details.verification_uri().to_string(),
        expires_at: UnixMs(now_ms()).plus(life_ms),
    });
    let tokens = wait(provider, &found, &details, &verifier).await?;
    provider.grant(&found, &tokens, None).await
}

/// PKCE is demanded here by some providers, and ignored by the others.
async fn ask(
    provider: &Provider,
    found: &Found,
    challenge: &PkceCodeChallenge,
) -> Result<CoreDeviceAuthorizationResponse, SignInFault> {
    let url = found.extra.device_authorization_endpoint.clone();
    let url = url.ok_or_else(|| SignInFault::Refused("no device code".into()))?;
    let client = found.client.clone().set_device_authorization_url(url);
    client
        .exchange_device_code()
        .add_scopes(SCOPES.map(|scope| Scope::new(scope.into())))
        .add_extra_param("resource", RESOURCE)
        .add_extra_param("code_challenge", challenge.as_str())
        .add_extra_param("code_challenge_method", "S256")
        .request_async(&provider.wire())
        .await
        .map_err(sign_in_fault)
}

/// Asks at the provider's pace, slower when it says so, until the person has answered or the code has expired.
async fn wait(
    provider: &Provider,
    found: &Found,
    details: &CoreDeviceAuthorizationResponse,
    verifier: &PkceCodeVerifier,
) -> Result<CoreTokenResponse, SignInFault> {
    let request = found
        .client
        .exchange_device_access_token(details)
        .add_extra_param("resource", RESOURCE)
        .add_extra_param("code_verifier", verifier.secret());
    request.request_async(&provider.wire(), tokio::time::sleep, None).await.map_err(|fault| match fault {
        RequestTokenError::ServerResponse(answer) => match answer.error() {
            DeviceCodeErrorResponseType::ExpiredToken => SignInFault::CodeExpired,
            other @ (DeviceCodeErrorResponseType::AuthorizationPending
            | DeviceCodeErrorResponseType::SlowDown
            | DeviceCodeErrorResponseType::AccessDenied
            | DeviceCodeErrorResponseType::Basic(_)) => SignInFault::Refused(other.to_string()),
        },
        RequestTokenError::Request(_) | RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            SignInFault::ProviderDown
        }
    })
}
