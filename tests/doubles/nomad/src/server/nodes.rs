//! Nodes as callers of the API see and change them: reads, drain, eligibility, purge, node pools.

use serde_json::{Map, Value, json};

use super::{
    answer::{Answer, ApiError},
    grants::Access,
    request::Request,
    schedule,
    store::{State, Table},
};
use crate::{
    go,
    model::{
        DrainStrategy, Eligibility, Node, NodeStatus, nanos_of, node_event, node_stub, node_view, rfc3339,
        rfc3339_now, unix_nanos, unix_seconds,
    },
};

pub(super) fn list(state: &State, request: &Request) -> Result<Answer, ApiError> {
    permitted(state, request, Access::Read)?;
    let prefix = request.query("prefix").unwrap_or_default();
    let filter = request.query("filter").map(Filter::parse).transpose()?;
    let found: Vec<Value> = state
        .nodes
        .values()
        .filter(|node| node.id.starts_with(prefix))
        .map(node_stub)
        .filter(|stub| filter.as_ref().is_none_or(|filter| filter.holds(stub)))
        .collect();
    Ok(Answer::json(json!(found)).at(state.table_index(Table::Nodes)))
}

pub(super) fn read(state: &State, request: &Request, id: &str) -> Result<Answer, ApiError> {
    permitted(state, request, Access::Read)?;
    let node = find(state, id, 404)?;
    Ok(Answer::json(node_view(node)).at(node.modify_index))
}

pub(super) fn put_drain(state: &mut State, request: &Request, id: &str) -> Result<Answer, ApiError> {
    let asked = request.json()?;
    let who = permitted(state, request, Access::Write)?;
    find(state, id, 500)?;
    let mark_eligible = asked["MarkEligible"].as_bool().unwrap_or(false);
    let meta = asked["Meta"].clone();
    if asked["DrainSpec"].is_object() {
        let deadline = asked["DrainSpec"]["Deadline"].as_i64().unwrap_or_default();
        let ignore_system_jobs = asked["DrainSpec"]["IgnoreSystemJobs"].as_bool().unwrap_or(false);
        start_drain(state, id, deadline, ignore_system_jobs, meta, &who);
    } else {
        cancel_drain(state, id, mark_eligible, meta, &who);
    }
    let index = state.index;
    Ok(Answer::json(
        json!({ "EvalCreateIndex": 0, "EvalIDs": null, "Index": index, "NodeModifyIndex": index }),
    )
    .at(index))
}

/// `who` is `token:ACCESSOR` or `node:ID`.
pub(super) fn start_drain(
    state: &mut State,
    id: &str,
    deadline: i64,
    ignore_system_jobs: bool,
    meta: Value,
    who: &str,
) {
    let index = state.next_index(&[Table::Nodes]);
    let idle = !schedule::has_live_allocs(state, id);
    let Some(mut node) = state.nodes.get(id).cloned() else { return };
    // A drained node that has nothing to lose is done at once; one that could still get work is not.
    let done = idle && node.scheduling_eligibility == Eligibility::Ineligible;
    let now = unix_nanos();
    let ends = if deadline > 0 { rfc3339(now + deadline) } else { "0001-01-01T00:00:00Z".into() };
    let strategy =
        DrainStrategy { deadline, ignore_system_jobs, force_deadline: ends, started_at: rfc3339(now) };
    node.drain = !done;
    node.drain_strategy = (!done).then_some(strategy);
    node.scheduling_eligibility = Eligibility::Ineligible;
    let status = if done { "complete" } else { "draining" };
    node.last_drain = Some(json!({
        "AccessorID": who, "Meta": meta, "StartedAt": rfc3339_now(), "Status": status, "UpdatedAt": rfc3339_now(),
    }));
    changed(state, node, index, "NodeDrain", Some(("Drain", "Node drain strategy set")));
}

fn cancel_drain(state: &mut State, id: &str, mark_eligible: bool, meta: Value, who: &str) {
    let index = state.next_index(&[Table::Nodes]);
    let Some(mut node) = state.nodes.get(id).cloned() else { return };
    if node.drain {
        end_last_drain(&mut node, "canceled");
        if let Some(last) = &mut node.last_drain {
            last["AccessorID"] = json!(who);
            if !meta.is_null() {
                last["Meta"] = meta;
            }
        }
    }
    node.drain = false;
    node.drain_strategy = None;
    if mark_eligible {
        node.scheduling_eligibility = Eligibility::Eligible;
    }
    changed(state, node, index, "NodeDrain", Some(("Drain", "Node drain disabled")));
    schedule::unblock(state);
}

/// Moves one draining node on: work that runs healthily is moved one second after the start, the rest
/// at the deadline; the drain is over when nothing is left, or when everything was told to go.
pub(super) fn advance_drain(state: &mut State, id: &str) {
    let Some(node) = state.nodes.get(id).cloned() else { return };
    let Some(strategy) = &node.drain_strategy else { return };
    let waited = unix_nanos() - nanos_of(&strategy.started_at).unwrap_or_default();
    if waited < SECOND {
        if !schedule::has_live_allocs(state, id) && waited > SECOND / 2 {
            complete_drain(state, node);
        }
        return;
    }
    let forced = strategy.deadline < 0 || (strategy.deadline > 0 && waited > strategy.deadline + SECOND);
    schedule::migrate_from(state, id, forced);
    if forced || !schedule::has_live_allocs(state, id) {
        complete_drain(state, node);
    }
}

const SECOND: i64 = 1_000_000_000;

fn complete_drain(state: &mut State, mut node: Node) {
    let index = state.next_index(&[Table::Nodes]);
    node.drain = false;
    node.drain_strategy = None;
    end_last_drain(&mut node, "complete");
    changed(state, node, index, "NodeDrain", Some(("Drain", "Node drain complete")));
}

fn end_last_drain(node: &mut Node, status: &str) {
    if let Some(last) = &mut node.last_drain {
        last["Status"] = json!(status);
        last["UpdatedAt"] = json!(rfc3339_now());
    }
}

pub(super) fn put_eligibility(state: &mut State, request: &Request, id: &str) -> Result<Answer, ApiError> {
    let asked = request.json()?;
    permitted(state, request, Access::Write)?;
    let wanted = asked["Eligibility"].as_str().unwrap_or_default();
    let mut node = find(state, id, 500)?.clone();
    let wanted: Eligibility = serde_json::from_value(json!(wanted))
        .map_err(|_| ApiError::new(500, format!("invalid scheduling eligibility {wanted:?}")))?;
    if node.drain && wanted == Eligibility::Eligible {
        let message = "can not set node's scheduling eligibility to eligible while it is draining";
        return Err(ApiError::new(500, message));
    }
    let index = state.next_index(&[Table::Nodes]);
    if node.scheduling_eligibility != wanted {
        node.scheduling_eligibility = wanted;
        let message = match wanted {
            Eligibility::Eligible => "Node marked as eligible for scheduling",
            Eligibility::Ineligible => "Node marked as ineligible for scheduling",
        };
        changed(state, node, index, "NodeEligibility", Some(("Cluster", message)));
        schedule::unblock(state);
    }
    let eval = if state.index > index { index + 1 } else { 0 };
    Ok(Answer::json(
        json!({ "EvalCreateIndex": eval, "EvalIDs": null, "Index": index, "NodeModifyIndex": 0 }),
    )
    .at(index))
}

/// Takes the node out without any event; its agent may come back and is let in. Purging revokes nothing.
pub(super) fn purge(state: &mut State, request: &Request, id: &str) -> Result<Answer, ApiError> {
    permitted(state, request, Access::Write)?;
    find(state, id, 500)?;
    let index = state.next_index(&[Table::Nodes]);
    state.nodes.remove(id);
    schedule::node_lost(state, id);
    Ok(Answer::json(json!({
        "EvalCreateIndex": state.index, "EvalIDs": null, "Features": 0, "HeartbeatTTL": 0, "Index": index,
        "KnownLeader": false, "LastContact": 0, "LeaderRPCAddr": "", "NextToken": "",
        "NodeModifyIndex": index, "NumNodes": 0, "SchedulingEligibility": "", "Servers": null,
        "SignedIdentity": null,
    }))
    .at(index))
}

/// Stores what the client says of its node; the servers' own fields stay as they were.
pub(super) fn register(state: &mut State, mut node: Node) -> bool {
    let index = state.next_index(&[Table::Nodes]);
    let known = state.nodes.get(&node.id).cloned();
    let was_down = known.as_ref().is_some_and(|known| known.status == NodeStatus::Down);
    node.create_index = index;
    let mut message = "Node registered";
    if let Some(known) = known {
        node.create_index = known.create_index;
        node.scheduling_eligibility = known.scheduling_eligibility;
        node.drain = known.drain;
        node.drain_strategy = known.drain_strategy;
        node.last_drain = known.last_drain;
        node.events = known.events;
        if known.status == NodeStatus::Ready {
            node.status = NodeStatus::Ready;
        }
        message = "Node re-registered";
    }
    node.status_updated_at = unix_seconds();
    let was_new = node.events.is_empty();
    let note = (was_new || was_down).then_some(("Cluster", message));
    let is_up = node.status == NodeStatus::Ready;
    changed(state, node, index, "NodeRegistration", note);
    if is_up {
        // It may have more devices than before.
        schedule::unblock(state);
    }
    was_down
}

/// Sets the status; a node that comes up gets waiting work, one that goes down loses its own.
pub(super) fn set_status(state: &mut State, id: &str, status: NodeStatus) {
    let Some(mut node) = state.nodes.get(id).filter(|node| node.status != status).cloned() else { return };
    let index = state.next_index(&[Table::Nodes]);
    let note = (status == NodeStatus::Down).then_some(("Cluster", "Node heartbeat missed"));
    node.status = status;
    node.status_updated_at = unix_seconds();
    changed(state, node, index, "NodeStreamEvent", note);
    match status {
        NodeStatus::Ready => schedule::unblock(state),
        NodeStatus::Down => schedule::node_lost(state, id),
        NodeStatus::Initializing => {}
    }
}

pub(super) fn list_pools(state: &State, request: &Request) -> Result<Answer, ApiError> {
    let grants = request.grants(state)?;
    let found: Vec<&Value> = state
        .pools
        .iter()
        .filter(|(name, _)| grants.pool(name, Access::Read))
        .map(|(_, pool)| pool)
        .collect();
    Ok(Answer::json(json!(found)).at(state.table_index(Table::Pools)))
}

pub(super) fn read_pool(state: &State, request: &Request, name: &str) -> Result<Answer, ApiError> {
    if !request.grants(state)?.pool(name, Access::Read) {
        return Err(ApiError::denied());
    }
    let pool = state.pools.get(name).ok_or_else(|| ApiError::new(404, "node pool not found"))?;
    Ok(Answer::json(pool.clone()).at(pool["ModifyIndex"].as_u64().unwrap_or(1)))
}

pub(super) fn put_pool(state: &mut State, request: &Request) -> Result<Answer, ApiError> {
    let asked = request.json()?;
    let name = asked["Name"].as_str().unwrap_or_default().to_owned();
    if !request.grants(state)?.pool(&name, Access::Write) {
        return Err(ApiError::denied());
    }
    if name.is_empty() {
        return Err(ApiError::new(400, "invalid node pool: 1 error occurred:\n\t* invalid name \"\"\n\n"));
    }
    let ttl = match asked["NodeIdentityTTL"].as_str() {
        Some(text) => {
            let ttl = go::duration(text)
                .ok_or_else(|| ApiError::new(400, format!("time: invalid duration {text:?}")))?;
            u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX)
        }
        None => asked["NodeIdentityTTL"].as_u64().unwrap_or(24 * 3600 * 1_000_000_000),
    };
    let index = state.next_index(&[Table::Pools]);
    let created = state.pools.get(&name).map_or(json!(index), |pool| pool["CreateIndex"].clone());
    let pool = json!({
        "CreateIndex": created, "Description": asked["Description"].as_str().unwrap_or_default(), "Hash": "",
        "Meta": asked["Meta"], "ModifyIndex": index, "Name": name, "NodeIdentityTTL": ttl,
        "SchedulerConfiguration": null,
    });
    state.pools.insert(name, pool);
    Ok(Answer::empty().at(index))
}

/// Puts the changed node back and tells the event stream.
fn changed(state: &mut State, mut node: Node, index: u64, kind: &str, note: Option<(&str, &str)>) {
    node.modify_index = index;
    if let Some((subsystem, message)) = note {
        let at = if node.events.is_empty() { 0 } else { index };
        node.events.push(node_event(subsystem, message, at));
        let too_many = node.events.len().saturating_sub(10);
        node.events.drain(..too_many);
    }
    state.emit_node(index, kind, &node);
    state.nodes.insert(node.id.clone(), node);
}

fn permitted(state: &State, request: &Request, access: Access) -> Result<String, ApiError> {
    let grants = request.grants(state)?;
    if grants.node(access) { Ok(grants.who()) } else { Err(ApiError::denied()) }
}

/// `missing` is the status for a node that does not exist: 404 to a reader, 500 to a writer.
fn find<'a>(state: &'a State, id: &str, missing: u16) -> Result<&'a Node, ApiError> {
    if id.len() != 36 {
        return Err(ApiError::new(500, "node lookup failed: index error: UUID must be 36 characters"));
    }
    state.nodes.get(id).ok_or_else(|| ApiError::new(missing, "node not found"))
}

/// The one form of filter that is understood: `Field == "value"`.
struct Filter {
    field: String,
    value: String,
}

impl Filter {
    fn parse(text: &str) -> Result<Self, ApiError> {
        let parts =
            text.split_once("==").map(|(field, value)| (field.trim(), value.trim().trim_matches('"')));
        match parts {
            Some((field, value)) if !field.is_empty() && field.chars().all(char::is_alphanumeric) => {
                Ok(Self { field: field.into(), value: value.into() })
            }
            _ => {
                let at = text.find('(').unwrap_or(text.len());
                Err(ApiError::new(
                    400,
                    format!(
                        "failed to create result paginator: failed to read filter expression: 1:{} ({at}): no match found, expected: \"!=\", \".\", \"==\", \"[\", [ \\t\\r\\n] or [a-zA-Z0-9_/]",
                        at + 1
                    ),
                ))
            }
        }
    }

    fn holds(&self, stub: &Value) -> bool {
        let empty = Map::new();
        stub.as_object().unwrap_or(&empty).get(&self.field).and_then(Value::as_str) == Some(&self.value)
    }
}
