//! Accounts: subjects of one OpenID Connect issuer, known by the access tokens that it signs for this gateway.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

use crate::Shared;
use crate::config::AccountIssuer;
use crate::extract::Caller;
use crate::issuer::IssuerKeys;
use crate::limits::Address;
use crate::problem::Refusal;

const LEEWAY_S: u64 = 30;
/// Letters of what a person recognises an account by.
const LONGEST_SHOWN: usize = 120;
/// How every enrolment token begins, so that it cannot be taken for an access token.
pub(crate) const ENROLMENT_TOKEN_PREFIX: &str = "ietk_";

/// Verifies access tokens by the issuer's discovered keys.
pub(crate) struct Accounts {
    audience: String,
    keys: IssuerKeys,
}

/// What an access token says, once its signature holds.
#[derive(Debug, Deserialize)]
pub(crate) struct Claims {
    sub: String,
    /// When the person last proved who they are, in seconds; it does not change when tokens are refreshed.
    auth_time: Option<i64>,
    email: Option<String>,
    name: Option<String>,
}

impl Claims {
    /// What a person recognises the account by, if the token says.
    fn shown(&self) -> Option<String> {
        let told = [&self.email, &self.name].into_iter().flatten().map(|text| legible(text));
        told.into_iter().find(|text| !text.is_empty())
    }
}

impl Accounts {
    pub(crate) fn new(config: &AccountIssuer) -> anyhow::Result<Self> {
        Ok(Self { audience: config.audience.clone(), keys: IssuerKeys::new(&config.issuer)? })
    }

    /// The issuer whose subjects are accounts here.
    pub(crate) fn issuer(&self) -> &str {
        self.keys.issuer()
    }

    /// The claims of a valid access token.
    pub(crate) async fn claims(&self, token: &str) -> Result<Claims, Refusal> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| Refusal::NotSignedIn)?;
        if !matches!(header.alg, Algorithm::RS256 | Algorithm::ES256) {
            return Err(Refusal::NotSignedIn);
        }
        let key = self.keys.key(header.kid.as_deref()).await?;
        let key = DecodingKey::from_jwk(&key).map_err(|_| Refusal::NotSignedIn)?;
        let mut rules = Validation::new(header.alg);
        rules.set_issuer(&[self.issuer()]);
        rules.set_audience(&[&self.audience]);
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        rules.validate_nbf = true;
        rules.leeway = LEEWAY_S;
        let token = jsonwebtoken::decode::<Claims>(token, &key, &rules).map_err(|_| Refusal::NotSignedIn)?;
        Ok(token.claims)
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
    let account = gateway.store.account(gateway.accounts.issuer(), &claims.sub).await?;
    let known = gateway.store.sessions(&account).await?;
    // Before it is counted: whoever has a lost PC's session uses up nothing of its owner's.
    if !began_after(claims.auth_time, known.ended_ms) {
        return Err(Refusal::SessionEnded);
    }
    gateway.limits.account_requests.take(account.as_str())?;
    if let Some(shown) = claims.shown()
        && known.shown.as_deref() != Some(shown.as_str())
    {
        gateway.store.know_account(&account, &shown).await?;
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

/// A name or an address in the form in which it may be shown: one line, not too long.
fn legible(text: &str) -> String {
    text.chars()
        .filter(|letter| !letter.is_control())
        .take(LONGEST_SHOWN)
        .collect::<String>()
        .trim()
        .to_owned()
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
    use std::time::Duration;

    use super::*;

    // Made once with a key that was thrown away; good until the year 2200.
    const KEY: &str = concat!(
        r#"{"kty":"RSA","use":"sig","alg":"RS256","kid":"rsa","e":"AQAB","n":""#,
        "mwcztWhC9Qsht5J485KMs_VhhbPFV-qjM6Kx9InhKRsgXkb0JhxvgiVnnJCvAQoagQUEntjMe_2e-ZIDD79avnWlsW",
        "goFFN5ox_RG2oLmVzVsxq7zPSx6xisFNSd4KBG8wS6Y5tGtA1Hn-1w4SWA_rC0dfXynfCvfNtJY3PeaOeGO5oCIUIb",
        "4d9ylRWFAqARkS_StIeJdO_z-eaILfD5RzZeqB6aWuPLZ5TQfEROipF2yuEMKC9sshkPzmd7E3DYC7N6ByzKHh8yz9",
        "44yUJsoAXG-kh04uEZt4PaTbmGgbqiLzREZm9kMuUQf4D_ptJFrfRvpBp9ehVvgQe7L072ew",
        r#""}"#,
    );
    const TOKEN: &str = concat!(
        "eyJhbGciOiAiUlMyNTYiLCAidHlwIjogImF0K2p3dCIsICJraWQiOiAicnNhIn0",
        ".",
        "eyJpc3MiOiAiaHR0cHM6Ly9pZGVudGl0eS5leGFtcGxlIiwgImF1ZCI6IFsidXJuOmlvbmV0OmdhdGV3YXkiLCAidX",
        "JuOm90aGVyIl0sICJzdWIiOiAiYWxpY2UiLCAiaWF0IjogMTcwMDAwMDAwMCwgImV4cCI6IDcyNTgxMTg0MDB9",
        ".",
        "fXEhcJ38cKpHwxHeSXxW2LdFJ3V1daeMwM_ggMZgWsS2tiR4ybJMFEScyDnqB7h6mI6F-Llpq9oAqas-55Sa0G8fua",
        "92VyAkRF6O65xES68JhUYveAIseZLDnaaLFQyUAA1fixrYxUM_s2uLxyzLXk35Zv66jR0a3IC8zkW9UNr731xqmMPd",
        "hru1qpcZnM7MGcMJD09ebIudnE1MiesQIz3wdt01FlXgHJ7pCuNkyjAau-CRGuRFCEYqz6N1GEHUYlUZaZh0ORrdsP",
        "xtoB5gEXviUhT_yCfuyqraBbsmF0fFfFF1C8ZKorweN5KvGjC9XSXqkVbVRtSxbBm9cNpfSg",
    );

    fn accounts(audience: &str) -> Accounts {
        accounts_with_keys_of(audience, Duration::ZERO)
    }

    fn accounts_with_keys_of(audience: &str, age: Duration) -> Accounts {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let keys = vec![serde_json::from_str(KEY).unwrap()];
        // Nobody listens there.
        Accounts {
            audience: audience.into(),
            keys: IssuerKeys::with_keys("https://identity.example", keys, age),
        }
    }

    #[tokio::test]
    async fn a_token_signed_with_rsa_is_taken() {
        let claims = accounts("urn:ionet:gateway").claims(TOKEN).await.unwrap();

        assert_eq!((claims.sub.as_str(), claims.auth_time), ("alice", None));
    }

    #[tokio::test]
    async fn the_same_token_is_worthless_for_another_audience_and_with_any_byte_changed() {
        let other = accounts("urn:somebody").claims(TOKEN).await;
        let mut changed = TOKEN.to_owned();
        changed.replace_range(TOKEN.len() - 10..TOKEN.len() - 9, "_");
        let forged = accounts("urn:ionet:gateway").claims(&changed).await;

        assert!(matches!(other, Err(Refusal::NotSignedIn)));
        assert!(matches!(forged, Err(Refusal::NotSignedIn)));
    }

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
