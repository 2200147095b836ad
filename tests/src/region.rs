//! What the region and the gateway's settings say, for whoever checks the app against them.

use anyhow::{Context as _, Result};
use ionet_stage::Stage;
use serde_json::{Value, json};

/// The region's list of the node's allocations.
pub async fn allocations(stage: &Stage, node: &str) -> Result<Vec<Value>> {
    let list = stage.nomad_get(&format!("/v1/node/{node}/allocations")).await?;
    Ok(list.as_array().cloned().unwrap_or_default())
}

/// Those that hold its PC: pending or running.
pub async fn live(stage: &Stage, node: &str) -> Result<Vec<Value>> {
    let live = |one: &Value| matches!(one["ClientStatus"].as_str(), Some("pending" | "running"));
    Ok(allocations(stage, node).await?.into_iter().filter(live).collect())
}

/// The price list that the gateway was given.
pub fn prices(stage: &Stage) -> Result<Value> {
    let config: toml::Table = toml::from_str(&std::fs::read_to_string(stage.gateway_config())?)?;
    let prices = config.get("prices").context("the gateway has no prices")?;
    let default = prices.get("default_micros_per_hour").and_then(toml::Value::as_integer);
    let gpus = prices.get("gpus").cloned().unwrap_or_else(|| toml::Table::new().into());
    Ok(json!({"default_micros_per_hour": default.context("no default price")?, "gpus": gpus}))
}
