//! The servers' HTTP API: errors, tokens, permissions, blocking queries.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    Options, Region,
    region::POOL,
    shapes::{has_shape, recording},
};

/// Texts that name an address, or the inside of Go's parsers; their status is held, not their words.
const OWN_WORDS: [&str; 1] = ["failed to create result paginator"];

pub async fn errors_are_as_recorded(region: &Region) -> Result<()> {
    let agent = region.ready_client(Options::default()).await?;
    let node = region.ready(&agent.name).await?["ID"].as_str().unwrap_or_default().to_owned();
    let mut tried = 0;
    for case in recording("errors.json")?.as_array().into_iter().flatten() {
        // What needs another state of the region has an expectation of its own.
        if case.get("when").is_some() {
            continue;
        }
        let text = |key: &str| case[key].as_str().unwrap_or_default();
        let (method, path) = text("request").split_once(' ').context("no request")?;
        let path = path.replace(":id", &node);
        let token = match text("token") {
            "gateway" => region.gateway.clone(),
            "node-read" => region.node_read.clone(),
            "unknown-uuid" => uuid::Uuid::new_v4().to_string(),
            "malformed" => "zz".into(),
            _ => String::new(),
        };
        let method: Method = method.parse()?;
        let body = case["request_body"].as_str();
        let reply = match text("agent") {
            "client" => agent.request(method, &path, &token, body).await?,
            _ => region.request(method, &path, &token, body).await?,
        };
        ensure!(Some(u64::from(reply.status)) == case["status"].as_u64(), "{case}\nbut {reply:?}");
        ensure!(reply.content_type == text("content_type"), "{case}\nbut {reply:?}");
        if !OWN_WORDS.iter().any(|words| text("body").starts_with(words)) {
            ensure!(same_text(&reply.text, text("body")), "{case}\nbut {reply:?}");
        }
        tried += 1;
    }
    ensure!(tried > 30, "only {tried} recorded errors were tried");
    Ok(())
}

/// Bodies that are JSON are compared as such: their spaces vary.
fn same_text(found: &str, recorded: &str) -> bool {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
    found == recorded || (parsed(found).is_some() && parsed(found) == parsed(recorded))
}

pub async fn an_introduction_token_is_as_recorded(region: &Region) -> Result<()> {
    let recorded = recording("intro_token_response.json")?;
    let token = region.mint("gamer-1", POOL, "10m").await?;
    let parts: Vec<&str> = token.split('.').collect();
    ensure!(parts.len() == 3, "{} parts", parts.len());
    let decoded =
        |part: &str| -> Result<Value> { Ok(serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part)?)?) };
    has_shape("header", &recorded["decoded_header"], &decoded(parts[0])?)?;
    let claims = decoded(parts[1])?;
    has_shape("claims", &recorded["decoded_claims"], &claims)?;
    for name in ["aud", "nomad_node_name", "nomad_node_pool", "sub"] {
        ensure!(claims[name] == recorded["decoded_claims"][name], "{name}: {}", claims[name]);
    }
    let seconds = |claims: &Value| claims["exp"].as_i64().unwrap_or(0) - claims["iat"].as_i64().unwrap_or(0);
    ensure!(seconds(&claims) == 600, "{} s", seconds(&claims));
    let long = decoded(region.mint("gamer-1", POOL, "48h").await?.split('.').nth(1).context("no claims")?)?;
    ensure!(seconds(&long) == 1800, "48h became {} s", seconds(&long));
    let plain = region.put("/v1/acl/identity/client-introduction-token", &region.gateway, &json!({})).await?;
    let plain = decoded(plain["JWT"].as_str().and_then(|jwt| jwt.split('.').nth(1)).context("no claims")?)?;
    ensure!(seconds(&plain) == 300 && plain["nomad_node_pool"] == "default", "{plain}");
    Ok(())
}

pub async fn an_anonymous_token_reads_itself_and_an_unknown_one_is_denied(region: &Region) -> Result<()> {
    let path = "/v1/acl/token/self";
    let anonymous = region.request(Method::GET, path, "", None).await?;
    ensure!(anonymous.status == 200 && anonymous.body["AccessorID"] == "anonymous", "{anonymous:?}");
    let unknown = region.request(Method::GET, path, &uuid::Uuid::new_v4().to_string(), None).await?;
    ensure!(unknown.status == 403, "{unknown:?}");
    let own = region.request(Method::GET, path, &region.gateway, None).await?;
    ensure!(own.body["Name"] == "gateway" && own.body["Policies"] == json!(["gateway"]), "{own:?}");
    Ok(())
}

pub async fn the_gateways_policy_is_enough_and_least(region: &Region) -> Result<()> {
    for path in
        ["/v1/nodes", "/v1/allocations", "/v1/node/pool/gamers", "/v1/node/pools", "/v1/acl/policy/gateway"]
    {
        region.get(path).await?;
    }
    for (path, token) in [
        ("/v1/jobs", &region.gateway),
        ("/v1/allocations", &region.node_read),
        ("/v1/node/pool/gamers", &region.node_read),
        ("/v1/acl/policy/node-read", &region.gateway),
        ("/v1/agent/self", &region.gateway),
    ] {
        let reply = region.request(Method::GET, path, token, None).await?;
        ensure!(reply.status == 403, "{path}: {reply:?}");
    }
    let job = json!({ "Job": crate::jobs::short_batch("once", "nobody") }).to_string();
    let refused = region.request(Method::PUT, "/v1/jobs", &region.gateway, Some(&job)).await?;
    ensure!(refused.status == 403, "{refused:?}");
    Ok(())
}

pub async fn a_blocking_query_waits_and_wakes(region: &Region) -> Result<()> {
    let agent = region.ready_client(Options::default()).await?;
    let id = region.ready(&agent.name).await?["ID"].as_str().unwrap_or_default().to_owned();
    let first = region.request(Method::GET, "/v1/nodes", &region.gateway, None).await?;
    let index = first.index.context("no X-Nomad-Index")?;
    let path = format!("/v1/nodes?index={index}&wait=1s");
    let asked = Instant::now();
    region.request(Method::GET, &path, &region.gateway, None).await?;
    ensure!(asked.elapsed() >= Duration::from_secs(1), "it did not wait");
    ensure!(asked.elapsed() < Duration::from_secs(3), "it waited {:?}", asked.elapsed());

    let path = format!("/v1/nodes?index={index}&wait=30s");
    let (asked, eligibility) = (Instant::now(), format!("/v1/node/{id}/eligibility"));
    let change = json!({ "Eligibility": "ineligible" });
    let (waited, changed) = tokio::join!(
        region.request(Method::GET, &path, &region.gateway, None),
        region.put(&eligibility, &region.gateway, &change),
    );
    changed?;
    let waited = waited?;
    ensure!(asked.elapsed() < Duration::from_secs(10), "it slept {:?}", asked.elapsed());
    ensure!(waited.index.is_some_and(|now| now > index), "{waited:?}");
    ensure!(waited.body[0]["SchedulingEligibility"] == "ineligible", "{waited:?}");
    Ok(())
}

pub async fn bootstrapping_twice_is_refused(region: &Region) -> Result<()> {
    let again = region.request(Method::POST, "/v1/acl/bootstrap", "", None).await?;
    ensure!(
        again.status == 400 && again.text.starts_with("ACL bootstrap already done (reset index: "),
        "{again:?}"
    );
    Ok(())
}
