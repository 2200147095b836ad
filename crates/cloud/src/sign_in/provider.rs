//! The identity provider: any that follows OpenID Connect discovery.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use futures_util::future::BoxFuture;
use ionet_core::fault::SignInFault;
use ionet_core::target::AccountName;
use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClient, CoreClientAuthMethod, CoreErrorResponseType,
    CoreGrantType, CoreIdTokenClaims, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType,
    CoreTokenResponse, CoreUserInfoClaims,
};
use openidconnect::{
    AdditionalProviderMetadata, ClaimsVerificationError, ClientId, DeviceAuthorizationUrl, DiscoveryError,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IssuerUrl, Nonce,
    OAuth2TokenResponse, ProviderMetadata, RefreshToken, RequestTokenError, StandardErrorResponse,
    TokenResponse,
};
use reqwest::header::ACCEPT;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use url::Url;

use super::{Grant, TokenPair};
use crate::http::{Skew, body_of};
use crate::secret::Secret;

/// Who the access tokens are for (RFC 8707).
pub(super) const RESOURCE: &str = "urn:ionet:gateway";

pub(super) const SCOPES: [&str; 3] = ["email", "profile", "offline_access"];

/// What an access token lives when the provider does not say.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);

pub(super) type AppClient =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet, EndpointMaybeSet>;

type Metadata = ProviderMetadata<
    Extra,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// What the core metadata leaves out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Extra {
    pub(super) device_authorization_endpoint: Option<DeviceAuthorizationUrl>,
    revocation_endpoint: Option<Url>,
    /// RFC 9207.
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for Extra {}

pub(crate) struct Provider {
    issuer: String,
    client_id: String,
    http: reqwest::Client,
    skew: Skew,
    found: Mutex<Option<Found>>,
}

/// What discovery found.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) client: AppClient,
    pub(super) extra: Extra,
}

/// The refresh token did not give a new pair.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RefreshFault {
    #[error("the provider refused the refresh token")]
    Ended,
    #[error("the identity provider cannot be reached")]
    Down,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum WireFault {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("the answer is too long")]
    TooLong,
}

impl Provider {
    pub(crate) fn new(issuer: String, client_id: String, http: reqwest::Client, skew: Skew) -> Self {
        Self { issuer, client_id, http, skew, found: Mutex::new(None) }
    }

    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Asks anew: keys change, and a sign-in is rare.
    pub(super) async fn discover(&self) -> Result<Found, SignInFault> {
        let issuer = IssuerUrl::new(self.issuer.clone()).map_err(|_| SignInFault::ProviderDown)?;
        let metadata = Metadata::discover_async(issuer, &self.wire()).await.map_err(|fault| match fault {
            DiscoveryError::Validation(_) => SignInFault::NotOurs("issuer"),
            DiscoveryError::Request(_) | DiscoveryError::Response(..) | DiscoveryError::Parse(_) => {
                SignInFault::ProviderDown
            }
            DiscoveryError::UrlParse(_) | DiscoveryError::Other(_) => SignInFault::ProviderDown,
            _ => SignInFault::ProviderDown,
        })?;
        let token_endpoint = metadata.token_endpoint().cloned().ok_or(SignInFault::ProviderDown)?;
        let extra = metadata.additional_metadata().clone();
        let client_id = ClientId::new(self.client_id.clone());
        let client =
            CoreClient::from_provider_metadata(metadata, client_id, None).set_token_uri(token_endpoint);
        let found = Found { client, extra };
        *self.found.lock().await = Some(found.clone());
        Ok(found)
    }

    /// Exchanges the refresh token for a new pair. The old one is dead afterwards.
    pub(crate) async fn refresh(&self, token: &Secret<String>) -> Result<TokenPair, RefreshFault> {
        let found = self.known().await.map_err(|_| RefreshFault::Down)?;
        let old = RefreshToken::new(token.reveal().clone());
        let request = found.client.exchange_refresh_token(&old).add_extra_param("resource", RESOURCE);
        let tokens = request.request_async(&self.wire()).await.map_err(|fault| match fault {
            RequestTokenError::ServerResponse(answer) if is_final(answer.error()) => RefreshFault::Ended,
            RequestTokenError::ServerResponse(_)
            | RequestTokenError::Request(_)
            | RequestTokenError::Parse(..)
            | RequestTokenError::Other(_) => RefreshFault::Down,
        })?;
        // A provider that does not rotate gives none: the old one stays good.
        Ok(pair(&tokens, token.reveal()))
    }

    /// RFC 7009. A provider that is down, or knows no revocation, changes nothing about the sign-out here.
    pub(crate) async fn revoke(&self, token: &Secret<String>, kind: &'static str) {
        let Ok(found) = self.known().await else { return };
        let Some(endpoint) = found.extra.revocation_endpoint else { return };
        let form =
            [("token", token.reveal().as_str()), ("token_type_hint", kind), ("client_id", &self.client_id)];
        let request = self.http.post(endpoint).form(&form).header(ACCEPT, "application/json");
        match request.timeout(Duration::from_secs(5)).send().await {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => tracing::warn!(status = answer.status().as_u16(), kind, "a token was not revoked"),
            Err(_) => tracing::warn!(kind, "a token was not revoked: no answer"),
        }
    }

    /// Checks the id token, and finds out who it is.
    pub(super) async fn grant(
        &self,
        found: &Found,
        tokens: &CoreTokenResponse,
        nonce: Option<&Nonce>,
    ) -> Result<Grant, SignInFault> {
        let claims = self.claims(found, tokens, nonce)?;
        let refresh = tokens.refresh_token().ok_or_else(|| SignInFault::Refused("offline_access".into()))?;
        let subject = claims.subject().to_string();
        let email = match claims.email() {
            Some(email) => Some(email.to_string()),
            None => self.email(found, tokens, &claims).await,
        };
        let shown = email.unwrap_or_else(|| subject.clone());
        Ok(Grant { name: AccountName { subject, shown }, tokens: pair(tokens, refresh.secret()) })
    }

    /// One HTTP exchange, for the library.
    pub(super) fn wire(
        &self,
    ) -> impl Fn(HttpRequest) -> BoxFuture<'static, Result<HttpResponse, WireFault>> + Send + Sync + use<>
    {
        let (http, skew) = (self.http.clone(), self.skew.clone());
        move |request| Box::pin(send(http.clone(), skew.clone(), request))
    }

    async fn known(&self) -> Result<Found, SignInFault> {
        if let Some(found) = self.found.lock().await.clone() {
            return Ok(found);
        }
        self.discover().await
    }

    /// Dates are judged by the provider's clock: that this PC's clock is wrong is said where it matters, and the
    /// token came from the provider itself a moment ago.
    fn claims(
        &self,
        found: &Found,
        tokens: &CoreTokenResponse,
        nonce: Option<&Nonce>,
    ) -> Result<CoreIdTokenClaims, SignInFault> {
        let token = tokens.id_token().ok_or(SignInFault::NotOurs("id token"))?;
        let skew = TimeDelta::milliseconds(self.skew.get().unwrap_or(0));
        let verifier = found.client.id_token_verifier().set_time_fn(move || Utc::now() - skew);
        let same = |given: Option<&Nonce>| match (nonce, given) {
            (None, _) => Ok(()),
            (Some(asked), Some(given)) if asked.secret() == given.secret() => Ok(()),
            (Some(_), _) => Err("another nonce".to_owned()),
        };
        token.claims(&verifier, same).cloned().map_err(|fault| SignInFault::NotOurs(what(&fault)))
    }

    /// Some providers tell the address at the userinfo endpoint only. Without it the subject is shown.
    async fn email(
        &self,
        found: &Found,
        tokens: &CoreTokenResponse,
        claims: &CoreIdTokenClaims,
    ) -> Option<String> {
        let access = tokens.access_token().clone();
        let request = found.client.user_info(access, Some(claims.subject().clone())).ok()?;
        let info: CoreUserInfoClaims = request.request_async(&self.wire()).await.ok()?;
        info.email().map(|email| email.to_string())
    }
}

/// What a token endpoint's refusal or silence means for a sign-in.
pub(super) fn sign_in_fault<E: std::error::Error + 'static>(
    fault: RequestTokenError<E, StandardErrorResponse<CoreErrorResponseType>>,
) -> SignInFault {
    match fault {
        RequestTokenError::ServerResponse(answer) => SignInFault::Refused(answer.error().to_string()),
        RequestTokenError::Request(_) | RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            SignInFault::ProviderDown
        }
    }
}

/// Asking again with the same refresh token cannot help.
fn is_final(error: &CoreErrorResponseType) -> bool {
    matches!(
        error,
        CoreErrorResponseType::InvalidGrant
            | CoreErrorResponseType::InvalidClient
            | CoreErrorResponseType::UnauthorizedClient
    )
}

fn pair(tokens: &CoreTokenResponse, refresh: &str) -> TokenPair {
    let refresh = tokens.refresh_token().map_or(refresh, |token| token.secret());
    TokenPair {
        refresh: Secret::new(refresh.to_owned()),
        access: Secret::new(tokens.access_token().secret().clone()),
        expires_in: tokens.expires_in().unwrap_or(DEFAULT_LIFE),
    }
}

fn what(fault: &ClaimsVerificationError) -> &'static str {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the library's enum is open")]
    match fault {
        ClaimsVerificationError::InvalidNonce(_) => "nonce",
        ClaimsVerificationError::InvalidIssuer(_) => "issuer",
        ClaimsVerificationError::InvalidAudience(_) => "audience",
        ClaimsVerificationError::SignatureVerification(_) => "signature",
        ClaimsVerificationError::Expired(_) => "expiry",
        _ => "id token",
    }
}

async fn send(http: reqwest::Client, skew: Skew, request: HttpRequest) -> Result<HttpResponse, WireFault> {
    let (parts, body) = request.into_parts();
    let sent = http.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body);
    let answer = sent.send().await?;
    skew.learn(answer.headers());
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = body_of(answer).await?.ok_or(WireFault::TooLong)?;
    let mut response = HttpResponse::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}
