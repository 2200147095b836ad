//! Accounts: subjects of one OpenID Connect issuer, known by the access tokens that it signs for this gateway.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use crate::Shared;
use crate::access_token::{self, Claims, Expected};
use crate::clock::now_ms;
use crate::config::AccountIssuer;
use crate::extract::Caller;
use crate::issuer::IssuerKeys;
use crate::limits::Address;
use crate::problem::Refusal;

/// How every enrolment token begins, so that it cannot be taken for an access token.
pub(crate) const ENROLMENT_TOKEN_PREFIX: &str = "ietk_";

/// Verifies access tokens by the issuer's discovered keys.
pub(crate) struct Accounts {
    audience: String,
    clients_without_audience: Vec<String>,
    keys: IssuerKeys,
}

impl Accounts {
    pub(crate) fn new(config: &AccountIssuer) -> anyhow::Result<Self> {
        Ok(Self {
            audience: config.audience.clone(),
            clients_without_audience: config.clients_without_audience.clone(),
            keys: IssuerKeys::new(&config.issuer)?,
        })
    }

    /// The issuer whose subjects are accounts here.
    pub(crate) fn issuer(&self) -> &str {
        self.keys.issuer()
    }

    /// The claims of a valid access token.
    pub(crate) async fn claims(&self, token: &str) -> Result<Claims, Refusal> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| Refusal::NotSignedIn)?;
        let keys = self.keys.keys(header.kid.as_deref().filter(|id| !id.is_empty())).await?;
        let expected = Expected {
            issuer: self.issuer(),
            audience: &self.audience,
            clients_without_audience: &self.clients_without_audience,
            now_ms: now_ms(),
        };
        let claims = keys.iter().find_map(|key| access_token::verify(token, &header, key, &expected));
        claims.ok_or(Refusal::NotSignedIn)
    }
}

/// The caller is a person.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    /// Their account's id in the store.
    pub(crate) id: String,
    /// When the account's sessions had last ended as this one was looked at; see [`Caller::still_may`].
    pub(crate) sessions_ended_ms: Option<i64>,
}

impl FromRequestParts<Shared> for Account {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gateway: &Shared) -> Result<Self, Refusal> {
        let known = account(gateway, parts).await;
        known.map_err(|refusal| gateway.limits.refuse_stranger(Address::of(parts), refusal))
    }
}

impl Caller for Account {
    async fn still_may(&self, gateway: &Shared) -> Result<(), Refusal> {
        let known = gateway.store.sessions(&self.id).await?;
        if known.ended_ms == self.sessions_ended_ms { Ok(()) } else { Err(Refusal::SessionEnded) }
    }
}

/// The caller may enrol: a person, or a machine that a person gave a token.
#[derive(Debug)]
pub(crate) enum Enroller {
    Account(Account),
    Token {
        /// SHA-256 of it, lower-case hex.
        hash: String,
        from: Address,
    },
}

impl FromRequestParts<Shared> for Enroller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gateway: &Shared) -> Result<Self, Refusal> {
        match bearer(parts) {
            Ok(token) if token.starts_with(ENROLMENT_TOKEN_PREFIX) => {
                Ok(Self::Token { hash: token_hash(token), from: Address::of(parts) })
            }
            Ok(_) | Err(_) => Account::from_request_parts(parts, gateway).await.map(Self::Account),
        }
    }
}

impl Caller for Enroller {
    async fn still_may(&self, gateway: &Shared) -> Result<(), Refusal> {
        match self {
            Self::Account(account) => account.still_may(gateway).await,
            // It is looked up when the body is there.
            Self::Token { .. } => Ok(()),
        }
    }
}

/// How the store holds an enrolment token.
pub(crate) fn token_hash(token: &str) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(token.as_bytes()))
}

async fn account(gateway: &Shared, parts: &Parts) -> Result<Account, Refusal> {
    let claims = gateway.accounts.claims(bearer(parts)?).await?;
    let account = gateway.store.account(gateway.accounts.issuer(), &claims.subject).await?;
    let known = gateway.store.sessions(&account).await?;
    // Before it is counted: whoever has a lost PC's session uses up nothing of its owner's.
    if !began_after(claims.auth_time, known.ended_ms) {
        return Err(Refusal::SessionEnded);
    }
    gateway.limits.account_requests.take(account.as_str())?;
    if let Some(shown) = &claims.shown
        && known.shown.as_ref() != Some(shown)
    {
        gateway.store.know_account(&account, shown).await?;
    }
    Ok(Account { id: account, sessions_ended_ms: known.ended_ms })
}

/// Whether a session is younger than the last loss of one of the account's PCs: until then, whoever has that PC has the
/// session too. The issuer counts seconds, so a session of the very second of the loss counts as younger; one that does
/// not say when it began counts as older.
fn began_after(auth_time: Option<i64>, ended_ms: Option<i64>) -> bool {
    match (auth_time, ended_ms) {
        (_, None) => true,
        (Some(began_s), Some(ended_ms)) => began_s >= ended_ms.div_euclid(1000),
        (None, Some(_)) => false,
    }
}

fn bearer(parts: &Parts) -> Result<&str, Refusal> {
    let value = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (scheme, token) = value.and_then(|value| value.split_once(' ')).ok_or(Refusal::NotSignedIn)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refusal::NotSignedIn);
    }
    Ok(token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_ends_every_session_that_began_before_it_or_does_not_say_when() {
        let lost = Some(1_700_000_000_500);

        assert!(!began_after(Some(1_699_999_999), lost));
        assert!(!began_after(None, lost));
        assert!(began_after(Some(1_700_000_000), lost));
        assert!(began_after(Some(1_700_000_001), lost));
        assert!(began_after(None, None) && began_after(Some(0), None));
    }
}
