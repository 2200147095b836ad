//! Who has signed in, by the provider's own signature. Claims are read as providers write them, not as one reader would like them:
//! of those that are not needed, none can spoil the rest.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ionet_core::fault::SignInFault;
use openidconnect::JsonWebKey as _;
use openidconnect::core::{CoreJsonWebKey, CoreJsonWebKeySet, CoreJwsSigningAlgorithm as Algorithm};
use serde_json::{Map, Value};

use super::discovery::is_same;
use super::token_answer::{number, text};

/// How far two clocks may be apart.
const LEEWAY_S: f64 = 120.0;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What was asked for.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    /// None where none could be asked for.
    pub(super) nonce: Option<&'a str>,
    /// By the provider's clock.
    pub(super) now_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claims {
    pub(super) subject: String,
    pub(super) email: Option<String>,
    /// What people sign in with where it is no secret who they are; often an address too.
    pub(super) preferred: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotVerified {
    /// None of the keys is the one that the token names: they may have been changed just now.
    NoKey,
    Fault(SignInFault),
}

pub(super) fn verify(
    token: &str,
    keys: &CoreJsonWebKeySet,
    expected: &Expected<'_>,
) -> Result<Claims, NotVerified> {
    let parts: Vec<_> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else { return Err(unreadable("its form")) };
    let signed = token.get(..header.len() + 1 + payload.len()).unwrap_or_default();
    let signature = BASE64.decode(signature).map_err(|_| unreadable("its signature"))?;
    check_signature(&object(header)?, signed.as_bytes(), &signature, keys)?;
    let claims = object(payload)?;
    check(&claims, expected)?;
    read(&claims).ok_or_else(|| unreadable("sub"))
}

/// Who it is, of an id token or of the userinfo endpoint.
pub(super) fn read(claims: &Map<String, Value>) -> Option<Claims> {
    let subject = ionet_gateway_api::subject(claims)?;
    let listed = || claims.get("emails")?.as_array()?.first()?.as_str().map(str::to_owned);
    let email = text(claims, "email").or_else(listed).and_then(shown);
    Some(Claims { subject, email, preferred: text(claims, "preferred_username").and_then(shown) })
}

fn check_signature(
    header: &Map<String, Value>,
    signed: &[u8],
    signature: &[u8],
    keys: &CoreJsonWebKeySet,
) -> Result<(), NotVerified> {
    let named = header.get("alg").cloned().unwrap_or_default();
    let algorithm: Algorithm = serde_json::from_value(named).map_err(|_| not_ours("signature"))?;
    // Without a secret of this client's, anybody could make these.
    if matches!(
        algorithm,
        Algorithm::None | Algorithm::HmacSha256 | Algorithm::HmacSha384 | Algorithm::HmacSha512
    ) {
        return Err(not_ours("signature"));
    }
    let kid = text(header, "kid");
    let is_named = |key: &&CoreJsonWebKey| match (&kid, key.key_id()) {
        (Some(named), Some(id)) => id.as_str() == named,
        (None, _) | (_, None) => true,
    };
    let mut candidates = keys.keys().iter().filter(is_named).peekable();
    if candidates.peek().is_none() {
        return Err(NotVerified::NoKey);
    }
    let fits = candidates.any(|key| key.verify_signature(&algorithm, signed, signature).is_ok());
    if fits { Ok(()) } else { Err(not_ours("signature")) }
}

fn check(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), NotVerified> {
    if !text(claims, "iss").is_some_and(|issuer| is_same(&issuer, expected.issuer)) {
        return Err(not_ours("issuer"));
    }
    let audiences: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => vec![],
    };
    if !audiences.contains(&expected.client_id) {
        return Err(not_ours("audience"));
    }
    // Of several audiences, the one that asked is named.
    let party = claims.get("azp").and_then(Value::as_str).filter(|party| !party.is_empty());
    let others = audiences.iter().any(|audience| *audience != expected.client_id);
    if party.is_some_and(|party| party != expected.client_id) || (others && party.is_none()) {
        return Err(not_ours("authorized party"));
    }
    if expected.nonce.is_some() && text(claims, "nonce").as_deref() != expected.nonce {
        return Err(not_ours("nonce"));
    }
    let now_s = expected.now_ms as f64 / 1000.0;
    let end = claims.get("exp").and_then(number).ok_or_else(|| unreadable("exp"))?;
    let begin = claims.get("nbf").and_then(number).unwrap_or(now_s);
    if now_s > end + LEEWAY_S || now_s < begin - LEEWAY_S {
        return Err(not_ours("expiry"));
    }
    Ok(())
}

fn object(part: &str) -> Result<Map<String, Value>, NotVerified> {
    let text = BASE64.decode(part).map_err(|_| unreadable("its form"))?;
    serde_json::from_slice(&text).map_err(|_| unreadable("its form"))
}

/// For people to read.
fn shown(text: String) -> Option<String> {
    let plain: String = text.trim().chars().filter(|c| !c.is_control()).take(200).collect();
    (!plain.is_empty()).then_some(plain)
}

fn not_ours(what: &'static str) -> NotVerified {
    NotVerified::Fault(SignInFault::NotOurs(what))
}

fn unreadable(what: &str) -> NotVerified {
    NotVerified::Fault(SignInFault::Unreadable(format!("id token: {what}")))
}

#[cfg(test)]
#[path = "id_token/tests.rs"]
mod tests;
