//! Introduction tokens for new nodes, and the identities that registered nodes carry on with. (Nomad
//! signs them with RS256; the double signs with HS256, and nobody but itself verifies them.)

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    answer::{Answer, ApiError},
    request::Request,
    store::State,
};
use crate::{
    config::Server,
    go,
    model::{Node, new_id, unix_seconds},
};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Claims {
    aud: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: String,
    sub: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    nomad_node_id: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    nomad_node_name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    nomad_node_pool: String,
}

/// Why a node may not register; the words are those of the server's log.
#[derive(Debug)]
pub(super) enum Denial {
    NoToken,
    Invalid,
    Mismatch { name: String, pool: String },
}

pub(super) fn mint(
    state: &mut State,
    request: &Request,
    region: &str,
    plan: &Server,
) -> Result<Answer, ApiError> {
    if !request.grants(state)?.node(super::grants::Access::Write) {
        return Err(ApiError::denied());
    }
    let asked = request.json()?;
    let ttl = match asked["TTL"].as_str() {
        Some(text) if !text.is_empty() => go::duration(text)
            .ok_or_else(|| ApiError::new(400, format!("time: invalid duration {text:?}")))?,
        Some(_) | None => Duration::from_nanos(asked["TTL"].as_u64().unwrap_or_default()),
    };
    let ttl = if ttl.is_zero() { plan.default_identity_ttl } else { ttl.min(plan.max_identity_ttl) };
    let name = asked["NodeName"].as_str().unwrap_or_default().to_owned();
    let pool = asked["NodePool"].as_str().filter(|pool| !pool.is_empty()).unwrap_or("default").to_owned();
    let sub = format!("node-introduction:{region}:{pool}:{name}:default");
    let claims = claims(sub, ttl, String::new(), name, pool);
    Ok(Answer::json(json!({ "JWT": sign(state, &claims) })).at(state.index.max(1)))
}

/// The identity of a registered node, for as long as its pool says (24 h by default).
pub(super) fn identity(state: &State, node: &Node, region: &str) -> String {
    let ttl = identity_ttl(state, &node.node_pool);
    let sub = format!("node:{region}:{}:{}:default", node.node_pool, node.id);
    sign(state, &claims(sub, ttl, node.id.clone(), node.name.clone(), node.node_pool.clone()))
}

/// Whether `proof` lets this node register: an identity of this very node, or an introduction.
pub(super) fn admit(state: &State, node: &Node, proof: Option<&str>) -> Result<(), Denial> {
    let proof = proof.filter(|proof| !proof.is_empty()).ok_or(Denial::NoToken)?;
    let claims = verify(state, proof).ok_or(Denial::Invalid)?;
    if !claims.nomad_node_id.is_empty() {
        return if claims.nomad_node_id == node.id { Ok(()) } else { Err(Denial::Invalid) };
    }
    let name_fits = claims.nomad_node_name.is_empty() || claims.nomad_node_name == node.name;
    if name_fits && claims.nomad_node_pool == node.node_pool {
        Ok(())
    } else {
        Err(Denial::Mismatch { name: claims.nomad_node_name, pool: claims.nomad_node_pool })
    }
}

fn identity_ttl(state: &State, pool: &str) -> Duration {
    let nanos = state.pools.get(pool).and_then(|pool| pool["NodeIdentityTTL"].as_u64());
    nanos.filter(|n| *n > 0).map_or(Duration::from_secs(24 * 3600), Duration::from_nanos)
}

fn claims(sub: String, ttl: Duration, id: String, name: String, pool: String) -> Claims {
    let now = unix_seconds();
    Claims {
        aud: "nomadproject.io".into(),
        iat: now,
        nbf: now,
        exp: now.saturating_add(i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX)),
        jti: new_id(),
        sub,
        nomad_node_id: id,
        nomad_node_name: name,
        nomad_node_pool: pool,
    }
}

fn sign(state: &State, claims: &Claims) -> String {
    let header = Header { kid: Some(state.signing_key[..36].to_owned()), ..Header::new(Algorithm::HS256) };
    encode(&header, claims, &EncodingKey::from_secret(state.signing_key.as_bytes())).unwrap_or_default()
}

fn verify(state: &State, token: &str) -> Option<Claims> {
    // The library's leeway of a minute is Nomad's as well.
    let mut rules = Validation::new(Algorithm::HS256);
    rules.set_audience(&["nomadproject.io"]);
    let key = DecodingKey::from_secret(state.signing_key.as_bytes());
    decode::<Claims>(token, &key, &rules).ok().map(|data| data.claims)
}
