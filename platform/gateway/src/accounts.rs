//! Accounts: subjects of one OpenID Connect issuer, known by the access tokens that it signs for this gateway.

use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::Shared;
use crate::config::AccountIssuer;
use crate::problem::Refusal;

/// Keys are fetched again after this time, so that a withdrawn one does not count for ever.
const KEYS_LIVE: Duration = Duration::from_secs(3600);
/// A token with an unknown key makes the gateway ask the issuer, but no more often than this.
const BETWEEN_FETCHES: Duration = Duration::from_secs(1);
const LEEWAY_S: u64 = 30;
/// How every enrolment token begins, so that it cannot be taken for an access token.
pub(crate) const ENROLMENT_TOKEN_PREFIX: &str = "ietk_";

/// Verifies access tokens by the issuer's discovered keys.
pub(crate) struct Accounts {
    issuer: String,
    audience: String,
    client: reqwest::Client,
    keys: Mutex<Keys>,
}

#[derive(Default)]
struct Keys {
    keys: Vec<Jwk>,
    fetched: Option<Instant>,
    asked: Option<Instant>,
}

#[derive(Debug, Deserialize)]
struct Claims {
    sub: String,
}

#[derive(Debug, Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

#[derive(Debug, Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("the issuer does not answer")]
    Http(#[from] reqwest::Error),
    #[error("the discovery document names another issuer")]
    OtherIssuer,
}

impl Accounts {
    /// Connects to nothing yet: the issuer is asked when the first token comes.
    pub(crate) fn new(config: &AccountIssuer) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            client,
            keys: Mutex::default(),
        })
    }

    /// The issuer whose subjects are accounts here.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The subject of a valid access token.
    pub(crate) async fn subject(&self, token: &str) -> Result<String, Refusal> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| Refusal::NotSignedIn)?;
        if !matches!(header.alg, Algorithm::RS256 | Algorithm::ES256) {
            return Err(Refusal::NotSignedIn);
        }
        let key = self.key(header.kid.as_deref()).await?;
        let key = DecodingKey::from_jwk(&key).map_err(|_| Refusal::NotSignedIn)?;
        let mut rules = Validation::new(header.alg);
        rules.set_issuer(&[&self.issuer]);
        rules.set_audience(&[&self.audience]);
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        rules.validate_nbf = true;
        rules.leeway = LEEWAY_S;
        let token = jsonwebtoken::decode::<Claims>(token, &key, &rules).map_err(|_| Refusal::NotSignedIn)?;
        Ok(token.claims.sub)
    }

    /// The signing key with this id; without an id, the only key there is.
    async fn key(&self, id: Option<&str>) -> Result<Jwk, Refusal> {
        let mut keys = self.keys.lock().await;
        let known = keys.find(id);
        let fresh = keys.fetched.is_some_and(|at| at.elapsed() < KEYS_LIVE);
        let asked_lately = keys.asked.is_some_and(|at| at.elapsed() < BETWEEN_FETCHES);
        if known.is_some() && (fresh || asked_lately) {
            return known.ok_or(Refusal::NotSignedIn);
        }
        if asked_lately {
            return Err(if keys.fetched.is_some() { Refusal::NotSignedIn } else { Refusal::IssuerSilent });
        }
        keys.asked = Some(Instant::now());
        match self.fetch().await {
            Ok(found) => {
                keys.keys = found;
                keys.fetched = Some(Instant::now());
                keys.find(id).ok_or(Refusal::NotSignedIn)
            }
            Err(error) => {
                tracing::warn!(error = %error, "the issuer's keys could not be fetched");
                known.ok_or(Refusal::IssuerSilent)
            }
        }
    }

    async fn fetch(&self) -> Result<Vec<Jwk>, FetchError> {
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let discovery: Discovery = self.get(&url).await?;
        if discovery.issuer != self.issuer {
            return Err(FetchError::OtherIssuer);
        }
        let set: KeySet = self.get(&discovery.jwks_uri).await?;
        // Keys of kinds that we do not know are no reason to lose the others.
        Ok(set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect())
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, url: &str) -> Result<T, reqwest::Error> {
        self.client.get(url).send().await?.error_for_status()?.json().await
    }
}

impl Keys {
    fn find(&self, id: Option<&str>) -> Option<Jwk> {
        match id {
            Some(id) => self.keys.iter().find(|key| key.common.key_id.as_deref() == Some(id)).cloned(),
            None => (self.keys.len() == 1).then(|| self.keys.first().cloned()).flatten(),
        }
    }
}

/// The caller is a person: their account's id in the store.
#[derive(Debug, Clone)]
pub(crate) struct Account(pub(crate) String);

impl FromRequestParts<Shared> for Account {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gateway: &Shared) -> Result<Self, Refusal> {
        account(gateway, bearer(parts)?).await
    }
}

/// The caller may enrol: a person, or a machine that a person gave a token.
#[derive(Debug)]
pub(crate) enum Enroller {
    Account(Account),
    /// SHA-256 of the enrolment token, lower-case hex.
    Token(String),
}

impl FromRequestParts<Shared> for Enroller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gateway: &Shared) -> Result<Self, Refusal> {
        let token = bearer(parts)?;
        if token.starts_with(ENROLMENT_TOKEN_PREFIX) {
            return Ok(Self::Token(token_hash(token)));
        }
        account(gateway, token).await.map(Self::Account)
    }
}

/// How the store holds an enrolment token.
pub(crate) fn token_hash(token: &str) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(token.as_bytes()))
}

async fn account(gateway: &Shared, token: &str) -> Result<Account, Refusal> {
    let subject = gateway.accounts.subject(token).await?;
    Ok(Account(gateway.store.account(gateway.accounts.issuer(), &subject).await?))
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
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = AccountIssuer { issuer: "https://identity.example".into(), audience: audience.into() };
        let accounts = Accounts::new(&config).unwrap();
        let keys = Keys {
            keys: vec![serde_json::from_str(KEY).unwrap()],
            fetched: Some(Instant::now()),
            asked: Some(Instant::now()),
        };
        Accounts { keys: Mutex::new(keys), ..accounts }
    }

    #[tokio::test]
    async fn a_token_signed_with_rsa_is_taken() {
        let subject = accounts("urn:ionet:gateway").subject(TOKEN).await.unwrap();

        assert_eq!(subject, "alice");
    }

    #[tokio::test]
    async fn the_same_token_is_worthless_for_another_audience_and_with_any_byte_changed() {
        let other = accounts("urn:somebody").subject(TOKEN).await;
        let mut changed = TOKEN.to_owned();
        changed.replace_range(TOKEN.len() - 10..TOKEN.len() - 9, "_");
        let forged = accounts("urn:ionet:gateway").subject(&changed).await;

        assert!(matches!(other, Err(Refusal::NotSignedIn)));
        assert!(matches!(forged, Err(Refusal::NotSignedIn)));
    }
}
