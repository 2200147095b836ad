//! What an access token says, once its issuer's signature holds. Claims are read as providers write them, not as one reader
//! would like them: of those that are not needed, none spoils the rest.

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde_json::{Map, Value};

/// How far two clocks may be apart.
const LEEWAY_S: f64 = 30.0;
/// Letters of what a person recognises an account by.
const LONGEST_SHOWN: usize = 120;

/// What a token must say to count here.
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) audience: &'a str,
    /// See [`crate::config::AccountIssuer::clients_without_audience`].
    pub(crate) clients_without_audience: &'a [String],
    pub(crate) now_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) subject: String,
    /// When the person last proved who they are, in seconds; it does not change when tokens are refreshed.
    pub(crate) auth_time: Option<i64>,
    /// What a person recognises the account by, if the token says.
    pub(crate) shown: Option<String>,
}

/// The claims of a token with this header, if this key vouches for it and it counts here now.
pub(crate) fn verify(token: &str, header: &Header, key: &Jwk, expected: &Expected<'_>) -> Option<Claims> {
    // What must be understood is not understood.
    if header.crit.is_some() || !may_sign(key, header.alg) {
        return None;
    }
    let claims = signed(token, header.alg, key)?;
    counts(&claims, expected).then(|| read(&claims, expected.now_ms))?
}

/// Whether a key of an issuer's set is one that it signs with.
pub(crate) fn signs(key: &Jwk) -> bool {
    let common = &key.common;
    // Whoever reads the set could sign with a secret that stands in it.
    !matches!(key.algorithm, AlgorithmParameters::OctetKey(_))
        && common.public_key_use.as_ref().is_none_or(|told| *told == PublicKeyUse::Signature)
        && common.key_operations.as_ref().is_none_or(|told| told.contains(&KeyOperations::Verify))
}

/// A slash at the end is no difference: providers disagree with themselves about it.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    let plain = |issuer: &str| issuer.strip_suffix('/').unwrap_or(issuer).to_owned();
    plain(one) == plain(other)
}

/// By a pair of keys, and in no other way than the key declares, if it does.
fn may_sign(key: &Jwk, algorithm: Algorithm) -> bool {
    let by_pair = match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => false,
        Algorithm::RS256
        | Algorithm::RS384
        | Algorithm::RS512
        | Algorithm::PS256
        | Algorithm::PS384
        | Algorithm::PS512
        | Algorithm::ES256
        | Algorithm::ES384
        | Algorithm::EdDSA => true,
    };
    let declared = key.common.key_algorithm;
    let as_declared = declared.is_none_or(|declared| declared.to_string().parse() == Ok(algorithm));
    by_pair && as_declared && signs(key)
}

/// The claims, whatever they say, if the signature is right.
fn signed(token: &str, algorithm: Algorithm, key: &Jwk) -> Option<Map<String, Value>> {
    let mut rules = Validation::new(algorithm);
    rules.required_spec_claims.clear();
    (rules.validate_exp, rules.validate_nbf, rules.validate_aud) = (false, false, false);
    let key = DecodingKey::from_jwk(key).ok()?;
    jsonwebtoken::decode(token, &key, &rules).ok().map(|token| token.claims)
}

fn counts(claims: &Map<String, Value>, expected: &Expected<'_>) -> bool {
    let now_s = expected.now_ms as f64 / 1000.0;
    let Some(end) = claims.get("exp").and_then(number) else { return false };
    // A beginning that cannot be read is not known to have come.
    let begun = match claims.get("nbf") {
        None | Some(Value::Null) => true,
        Some(begin) => number(begin).is_some_and(|begin| begin - LEEWAY_S <= now_s),
    };
    let issued = text(claims, "iss").is_some_and(|issuer| is_same(issuer, expected.issuer));
    issued && begun && now_s < end + LEEWAY_S && is_for(claims, expected)
}

/// Whether this gateway is among those that the token is for. An id token is for the app, and says so.
fn is_for(claims: &Map<String, Value>, expected: &Expected<'_>) -> bool {
    match claims.get("aud") {
        Some(Value::String(one)) => one == expected.audience,
        Some(Value::Array(many)) => many.iter().any(|one| one.as_str() == Some(expected.audience)),
        Some(Value::Bool(_) | Value::Number(_) | Value::Object(_)) => false,
        None | Some(Value::Null) => {
            let known = |client: &str| expected.clients_without_audience.iter().any(|known| known == client);
            let for_access = claims.get("token_use").is_none_or(|told| told.as_str() == Some("access"));
            for_access && text(claims, "client_id").is_some_and(known)
        }
    }
}

fn read(claims: &Map<String, Value>, now_ms: i64) -> Option<Claims> {
    let subject = ionet_gateway_api::subject(claims)?;
    let told = ["email", "name"].into_iter().filter_map(|name| text(claims, name)).map(legible);
    // One of milliseconds would stay younger than every loss.
    let latest = now_ms as f64 / 1000.0 + LEEWAY_S;
    let auth_time = claims.get("auth_time").and_then(number).filter(|began| *began <= latest);
    Some(Claims {
        subject,
        auth_time: auth_time.map(|began| began.floor() as i64),
        shown: told.into_iter().find(|text| !text.is_empty()),
    })
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims.get(name)?.as_str().filter(|text| !text.is_empty())
}

/// A number, also one that is written as text or with a fraction.
fn number(value: &Value) -> Option<f64> {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
    number.filter(|number| number.is_finite())
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
