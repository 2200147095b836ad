//! The identity provider: any that follows OpenID Connect discovery.

use std::time::Duration;

use ionet_core::fault::SignInFault;
use ionet_core::target::AccountName;
use openidconnect::core::CoreJsonWebKeySet;
use reqwest::header::{ACCEPT, HeaderMap};
use reqwest::{Client, RequestBuilder, StatusCode};
use tokio::sync::Mutex;
use url::Url;

use super::discovery::{self, Metadata};
use super::grant::{Grant, TokenPair};
use super::id_token::{self, Claims, Expected, NotVerified};
use super::patience::Patience;
use super::token_answer::{self, NoTokens, TokenAnswer};
use crate::clock::Skew;
use crate::explain::{self, Cut};
use crate::http::{OpenClient, body_of};
use crate::options::Options;
use crate::probe;
use crate::secret::Secret;

/// Who the access tokens are for (RFC 8707).
pub(super) const RESOURCE: &str = "urn:ionet:gateway";

pub(super) const SCOPE: &str = "openid email profile offline_access";

/// What an access token lives when the provider does not say.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);

/// A sign-out does not wait for a provider for long.
const REVOKED_WITHIN: Duration = Duration::from_secs(5);

pub(crate) struct Provider {
    issuer: String,
    client_id: String,
    http: OpenClient,
    skew: Skew,
    options: Options,
    found: Mutex<Option<Metadata>>,
}

/// The refresh token did not give a new pair.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RefreshFault {
    #[error("the provider refused the refresh token")]
    Ended,
    /// The session is none the worse.
    #[error(transparent)]
    Other(SignInFault),
}

/// The token endpoint gave no tokens.
#[derive(Debug)]
pub(super) enum TokenFault {
    /// No answer.
    Cut(SignInFault),
    /// With the wait that it asks for.
    No(NoTokens, Option<Duration>),
}

/// An HTTP answer.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Provider {
    pub(crate) fn new(
        issuer: String,
        client_id: String,
        http: OpenClient,
        skew: Skew,
        options: Options,
    ) -> Self {
        Self { issuer, client_id, http, skew, options, found: Mutex::new(None) }
    }

    pub(super) fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Asks anew: addresses change, and a sign-in is rare.
    pub(super) async fn discover(&self) -> Result<Metadata, SignInFault> {
        let address = discovery::address_of(&self.issuer);
        let address = address.ok_or_else(|| SignInFault::Unreadable("issuer".into()))?;
        let reply = self.get(&address, None).await?;
        let found = discovery::read(&self.issuer, &reply)?;
        *self.found.lock().await = Some(found.clone());
        Ok(found)
    }

    /// Exchanges the refresh token for a new pair. The old one is dead afterwards.
    pub(crate) async fn refresh(&self, token: &Secret<String>) -> Result<TokenPair, RefreshFault> {
        let found = self.known().await.map_err(RefreshFault::Other)?;
        let form = [("grant_type", "refresh_token"), ("refresh_token", token.reveal().as_str())];
        match self.tokens(&found, &form).await {
            // A provider that does not rotate gives none: the old one stays good.
            Ok(answer) => Ok(pair(answer, token.clone())),
            Err(TokenFault::No(NoTokens::Refused(code), _)) if code == "invalid_grant" => {
                Err(RefreshFault::Ended)
            }
            Err(fault) => Err(RefreshFault::Other(fault.into())),
        }
    }

    /// RFC 7009. A provider that is down, or knows no revocation, changes nothing about the sign-out here.
    pub(crate) async fn revoke(&self, token: &Secret<String>, kind: &'static str) {
        let revoked = tokio::time::timeout(REVOKED_WITHIN, self.ask_to_revoke(token, kind)).await;
        if !matches!(revoked, Ok(Some(status)) if status.is_success()) {
            tracing::warn!(kind, "a token was not revoked");
        }
    }

    /// Asks the token endpoint.
    pub(super) async fn tokens(
        &self,
        found: &Metadata,
        form: &[(&str, &str)],
    ) -> Result<TokenAnswer, TokenFault> {
        let reply = self.post(&found.token_endpoint, form).await.map_err(TokenFault::Cut)?;
        token_answer::read(reply.status, &reply.body).map_err(|fault| {
            let wait = explain::retry_after_s(&reply.headers).map(Duration::from_secs);
            TokenFault::No(fault, wait)
        })
    }

    /// The same for the code that a person's work gave, and that is good until an answer came: one that was lost on its way has
    /// spent it, and the next question is told so. What stands in between does not pass.
    pub(super) async fn tokens_for_code(
        &self,
        found: &Metadata,
        form: &[(&str, &str)],
    ) -> Result<TokenAnswer, TokenFault> {
        let mut patience = Patience::new(self.options.grant_patience);
        loop {
            let answer = self.tokens(found, form).await;
            let passes = matches!(
                answer,
                Err(TokenFault::Cut(SignInFault::ProviderDown) | TokenFault::No(NoTokens::Busy, _))
            );
            if !passes || !patience.lasts().await {
                return answer;
            }
        }
    }

    /// Checks the id token, and finds out who it is.
    pub(super) async fn grant(
        &self,
        found: &Metadata,
        tokens: TokenAnswer,
        nonce: Option<&str>,
    ) -> Result<Grant, SignInFault> {
        let id_token = tokens.id_token.as_ref().ok_or(SignInFault::NotOurs("id token"))?;
        let claims = self.claims(found, id_token, nonce).await?;
        let refresh = tokens.refresh.clone();
        let refresh = refresh.ok_or_else(|| SignInFault::Refused("offline_access".into()))?;
        let email = match claims.email.clone() {
            Some(email) => Some(email),
            None => self.email(found, &tokens, &claims).await,
        };
        let Claims { subject, preferred, .. } = claims;
        let shown = email.or(preferred).unwrap_or_else(|| subject.clone());
        Ok(Grant { name: AccountName { subject, shown }, tokens: pair(tokens, refresh) })
    }

    /// A form, as OAuth sends them; this client is told in it, and the gateway as whom the tokens are for.
    pub(super) async fn post(&self, url: &Url, form: &[(&str, &str)]) -> Result<Reply, SignInFault> {
        let own = [("client_id", self.client_id.as_str()), ("resource", RESOURCE)];
        let form: Vec<_> = form.iter().chain(&own).collect();
        self.exchange(url, self.client().await?.post(url.clone()).form(&form)).await
    }

    async fn known(&self) -> Result<Metadata, SignInFault> {
        if let Some(found) = self.found.lock().await.clone() {
            return Ok(found);
        }
        self.discover().await
    }

    /// Dates are judged by the provider's clock: that this PC's clock is wrong is said where it matters, and the
    /// token came from the provider itself a moment ago. Keys that have just been changed are asked for once more.
    async fn claims(
        &self,
        found: &Metadata,
        token: &Secret<String>,
        nonce: Option<&str>,
    ) -> Result<Claims, SignInFault> {
        let expected = Expected {
            issuer: &found.issuer,
            client_id: &self.client_id,
            nonce,
            now_ms: self.skew.theirs_ms(),
        };
        for _ in 0..2 {
            match id_token::verify(token.reveal(), &self.keys(found).await?, &expected) {
                Err(NotVerified::NoKey) => {}
                Err(NotVerified::Fault(fault)) => return Err(fault),
                Ok(claims) => return Ok(claims),
            }
        }
        Err(SignInFault::NotOurs("signature"))
    }

    /// The tokens are there already: a provider that fails for a moment is no answer. What stands in between does not pass.
    async fn keys(&self, found: &Metadata) -> Result<CoreJsonWebKeySet, SignInFault> {
        let mut patience = Patience::new(self.options.grant_patience);
        loop {
            let answer = self.get(&found.jwks_uri, None).await;
            let keys = answer.and_then(|body| {
                serde_json::from_slice(&body).map_err(|_| SignInFault::Unreadable("keys".into()))
            });
            let passes = matches!(keys, Err(SignInFault::ProviderDown | SignInFault::Unreadable(_)));
            if !passes || !patience.lasts().await {
                return keys;
            }
        }
    }

    /// Some providers tell the address at the userinfo endpoint only. Without it something else is shown.
    async fn email(&self, found: &Metadata, tokens: &TokenAnswer, claims: &Claims) -> Option<String> {
        let url = found.userinfo_endpoint.as_ref()?;
        let info = token_answer::fields(&self.get(url, Some(&tokens.access)).await.ok()?)?;
        let told = id_token::read(&info)?;
        told.email.filter(|_| told.subject == claims.subject)
    }

    /// The body of an answer that says yes.
    async fn get(&self, url: &Url, bearer: Option<&Secret<String>>) -> Result<Vec<u8>, SignInFault> {
        let request = self.client().await?.get(url.clone());
        let request = match bearer {
            Some(token) => request.bearer_auth(token.reveal()),
            None => request,
        };
        let reply = self.exchange(url, request).await?;
        if reply.status.is_success() {
            return Ok(reply.body);
        }
        if reply.status.is_server_error() || reply.status == StatusCode::TOO_MANY_REQUESTS {
            return Err(SignInFault::ProviderDown);
        }
        let last = url.path_segments().and_then(Iterator::last).unwrap_or_default();
        Err(SignInFault::Unreadable(format!("{last}: status {}", reply.status.as_u16())))
    }

    async fn client(&self) -> Result<Client, SignInFault> {
        self.http.get().await.map_err(|error| {
            tracing::warn!(%error, "nobody can be signed in");
            SignInFault::NoTrustStore
        })
    }

    async fn exchange(&self, url: &Url, request: RequestBuilder) -> Result<Reply, SignInFault> {
        self.options.proxy.learn(url).await;
        let answer = match request.header(ACCEPT, "application/json").send().await {
            Ok(answer) => answer,
            Err(error) => return Err(self.fault_of(url, &error).await),
        };
        let (status, headers) = (answer.status(), answer.headers().clone());
        self.skew.learn(&headers);
        match body_of(answer).await {
            Ok(Some(body)) => Ok(Reply { status, headers, body }),
            Ok(None) => Err(SignInFault::Unreadable("too long".into())),
            Err(error) => Err(self.fault_of(url, &error).await),
        }
    }

    async fn fault_of(&self, url: &Url, error: &reqwest::Error) -> SignInFault {
        if explain::cut(error) == Cut::Their {
            self.options.proxy.doubt(url);
            let seen = probe::look(&self.options, url.clone()).await.filter(|seen| seen.for_this_name);
            return seen
                .map_or(SignInFault::ProviderDown, |seen| SignInFault::Inspected { issuer: seen.issuer });
        }
        let blamed = self.options.proxy.blamed(url).await;
        self.options.proxy.doubt(url);
        blamed.map_or(SignInFault::ProviderDown, SignInFault::Proxy)
    }

    async fn ask_to_revoke(&self, token: &Secret<String>, kind: &str) -> Option<StatusCode> {
        let endpoint = self.known().await.ok()?.revocation_endpoint?;
        let form =
            [("token", token.reveal().as_str()), ("token_type_hint", kind), ("client_id", &self.client_id)];
        let request = self.client().await.ok()?.post(endpoint.clone()).form(&form);
        Some(self.exchange(&endpoint, request).await.ok()?.status)
    }
}

impl From<TokenFault> for SignInFault {
    fn from(fault: TokenFault) -> Self {
        match fault {
            TokenFault::Cut(fault) => fault,
            TokenFault::No(NoTokens::Refused(code), _) => Self::Refused(code),
            TokenFault::No(NoTokens::Busy, _) => Self::ProviderDown,
            TokenFault::No(NoTokens::Unreadable(what), _) => Self::Unreadable(what),
        }
    }
}

fn pair(answer: TokenAnswer, refresh: Secret<String>) -> TokenPair {
    TokenPair {
        refresh: answer.refresh.unwrap_or(refresh),
        access: answer.access,
        expires_in: answer.expires_in.unwrap_or(DEFAULT_LIFE),
    }
}
