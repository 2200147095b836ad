//! What an evaluation leaves behind: its record, a blocked one for what waits, the job's status.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{list, of_job, was_healthy};
use crate::{
    model::{Alloc, DesiredStatus, Evaluation, new_id, unix_nanos},
    server::store::{State, Table},
};

/// `waiting` is how many allocations of each group found no node.
pub(super) fn keep(
    state: &mut State,
    job: &Value,
    id: &str,
    trigger: &str,
    waiting: BTreeMap<String, u64>,
    index: u64,
) {
    unblock_only(state, job["ID"].as_str().unwrap_or_default(), index);
    let mut eval = record(job, id.into(), trigger, "complete", index);
    eval.queued_allocations = group_names(job).map(|name| (name, 0)).collect();
    eval.queued_allocations.extend(waiting.clone());
    if !waiting.is_empty() {
        let mut blocked = record(job, new_id(), "queued-allocs", "blocked", index);
        blocked.previous_eval = id.into();
        blocked.queued_allocations = waiting;
        blocked.status_description = "created to place remaining allocations".into();
        eval.blocked_eval = blocked.id.clone();
        state.evals.insert(blocked.id.clone(), blocked);
    }
    state.evals.insert(eval.id.clone(), eval);
}

pub(super) fn set_job_status(state: &mut State, job_id: &str, index: u64) {
    let Some(job) = state.jobs.get(job_id) else { return };
    let mine: Vec<&Alloc> = of_job(state, job).collect();
    let wanted = |alloc: &&&Alloc| alloc.desired_status == DesiredStatus::Run;
    let live = mine.iter().filter(wanted).any(|alloc| !alloc.client_status.is_terminal());
    let waits = state.evals.values().any(|eval| eval.job_id == job_id && eval.status == "blocked")
        || mine.iter().any(|alloc| state.reschedule_at.contains_key(&alloc.id));
    let stopped = job["Stop"] == true;
    // A service counts as running for as long as its deployment is open: until it was healthy once.
    let deploying = job["Type"] == "service" && !stopped && !mine.iter().any(|alloc| was_healthy(alloc));
    let status = if live || deploying {
        "running"
    } else if stopped || (!waits && !mine.is_empty()) {
        "dead"
    } else {
        "pending"
    };
    if job["Status"] == status {
        return;
    }
    state.tables.insert(Table::Jobs, index);
    if let Some(job) = state.jobs.get_mut(job_id) {
        job["Status"] = json!(status);
        job["ModifyIndex"] = json!(index);
    }
}

/// Ends the job's blocked evaluation; a new one replaces it if it must.
fn unblock_only(state: &mut State, job_id: &str, index: u64) {
    for eval in state.evals.values_mut().filter(|eval| eval.job_id == job_id && eval.status == "blocked") {
        eval.status = "complete".into();
        eval.modify_index = index;
        eval.modify_time = unix_nanos();
    }
}

fn record(job: &Value, id: String, trigger: &str, status: &str, index: u64) -> Evaluation {
    let now = unix_nanos();
    Evaluation {
        id,
        namespace: job["Namespace"].as_str().unwrap_or_default().into(),
        job_id: job["ID"].as_str().unwrap_or_default().into(),
        node_id: String::new(),
        r#type: job["Type"].as_str().unwrap_or_default().into(),
        triggered_by: trigger.into(),
        status: status.into(),
        status_description: String::new(),
        blocked_eval: String::new(),
        previous_eval: String::new(),
        queued_allocations: BTreeMap::new(),
        priority: job["Priority"].as_u64().unwrap_or(50),
        create_index: index,
        modify_index: index,
        create_time: now,
        modify_time: now,
    }
}

fn group_names(job: &Value) -> impl Iterator<Item = String> {
    list(&job["TaskGroups"]).filter_map(|group| group["Name"].as_str().map(str::to_owned))
}
