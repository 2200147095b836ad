//! What a snapshot says, read in one place: tests ask here instead of naming its fields.

use ionet_core::giving_back::Step;
use ionet_core::{Phase, ProblemCode, Snapshot};
use serde_json::{Value, json};

pub fn phase(snapshot: &Snapshot) -> &Phase {
    &snapshot.phase
}

pub fn problems(snapshot: &Snapshot) -> Vec<ProblemCode> {
    snapshot.problems.iter().map(|problem| problem.code).collect()
}

/// Nothing is in its way.
pub fn is_well(snapshot: &Snapshot) -> bool {
    snapshot.problems.is_empty()
}

/// The id that this PC is enrolled under.
pub fn device(snapshot: &Snapshot) -> Option<String> {
    Some(snapshot.device.as_ref()?.id.clone())
}

/// When this PC's certificate is to be renewed, and when it ends.
#[derive(Debug, Clone, Copy)]
pub struct Certificate {
    pub renew_ms: i64,
    pub expires_ms: i64,
}

pub fn certificate(snapshot: &Snapshot) -> Option<Certificate> {
    let device = snapshot.device.as_ref()?;
    Some(Certificate { renew_ms: device.renew_at.0, expires_ms: device.expires_at.0 })
}

/// The region's id of this PC.
pub fn node(snapshot: &Snapshot) -> Option<String> {
    Some(snapshot.node.as_ref()?.id.clone())
}

/// How many log files wait to be shipped.
pub fn waiting_logs(snapshot: &Snapshot) -> u64 {
    snapshot.logs.waiting.into()
}

/// How far giving the PC back has come; none while it is not under way.
pub fn giving_back(snapshot: &Snapshot) -> Option<Step> {
    snapshot.giving_back
}

/// Since when the gateway has said nothing new.
pub fn stale_since(snapshot: &Snapshot) -> Option<i64> {
    snapshot.stale_since.map(|since| since.0)
}

/// What this PC has earned today, in millionths.
pub fn earned_today(snapshot: &Snapshot) -> Option<i64> {
    Some(snapshot.earnings.as_ref()?.today.micros)
}

/// What `status --json` says of the phase where this problem blocks.
pub fn blocked(code: ProblemCode) -> Value {
    json!({"phase": "blocked", "code": code.as_str()})
}

/// The phase as `status --json` says it.
pub fn told_phase(told: &Value) -> &Value {
    &told["phase"]
}

/// This problem as `status --json` tells it.
pub fn problem(told: &Value, code: ProblemCode) -> Option<&Value> {
    told["problems"].as_array()?.iter().find(|problem| problem["code"] == code.as_str())
}

/// No problem is told.
pub fn tells_no_problem(told: &Value) -> bool {
    told["problems"].as_array().is_some_and(Vec::is_empty)
}

/// The id that this PC is enrolled under, as `status --json` tells it.
pub fn told_device(told: &Value) -> Option<&str> {
    told["device"]["id"].as_str()
}

/// How many log files wait, as `status --json` tells it.
pub fn told_waiting_logs(told: &Value) -> Option<u64> {
    told["logs"]["waiting"].as_u64()
}

/// Since when the gateway has said nothing new, as `status --json` tells it.
pub fn told_stale_since(told: &Value) -> Option<i64> {
    told["stale_since"].as_i64()
}

/// The allocations of the jobs that `status --json` lists.
pub fn told_allocations(told: &Value) -> Vec<&str> {
    told["jobs"].as_array().into_iter().flatten().filter_map(|job| job["allocation"].as_str()).collect()
}

/// The region's id of this PC, as `status --json` tells it.
pub fn told_node(told: &Value) -> Option<&str> {
    told["node"]["id"].as_str()
}

/// The version of what `status --json` prints.
pub fn told_protocol(told: &Value) -> Option<u64> {
    told["protocol"].as_u64()
}

/// Whether `status --json` tells a step of giving the PC back.
pub fn tells_of_giving_back(told: &Value) -> bool {
    !told["giving_back"].is_null()
}
