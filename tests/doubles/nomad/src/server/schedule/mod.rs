//! The scheduler: what of a job should stop, and where what is missing can run.

mod devices;
mod evaluation;
mod feasibility;
mod placement;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use self::{feasibility::choose, placement::place_missing};
use super::store::{State, Table};
use crate::model::{Alloc, ClientStatus, DesiredStatus, TaskState, nanos_of, new_id, unix_nanos};

/// Brings a job's allocations to what it asks for, and returns the evaluation's id. What finds no node
/// waits in a blocked evaluation.
pub(super) fn evaluate(state: &mut State, job_id: &str, trigger: &str) -> String {
    evaluate_with(state, job_id, trigger, &[])
}

/// `due`: what failed and is to be replaced now.
fn evaluate_with(state: &mut State, job_id: &str, trigger: &str, due: &[String]) -> String {
    let Some(job) = state.jobs.get(job_id).cloned() else { return String::new() };
    let id = new_id();
    let index = state.next_index(&[Table::Evals]);
    stop_unwanted(state, &job, index);
    stop_failed(state, job_id, due, index);
    let waiting = if job["Stop"] == true { BTreeMap::new() } else { place_missing(state, &job, &id, index) };
    evaluation::keep(state, &job, &id, trigger, waiting, index);
    evaluation::set_job_status(state, job_id, index);
    id
}

/// Gives every job that waits for a node another try.
pub(super) fn unblock(state: &mut State) {
    let waiting: Vec<String> = state
        .evals
        .values()
        .filter(|eval| eval.status == "blocked")
        .map(|eval| eval.job_id.clone())
        .collect();
    for job in waiting {
        let placeable = state
            .jobs
            .get(&job)
            .is_some_and(|job| list(&job["TaskGroups"]).any(|group| choose(state, job, group).is_some()));
        if placeable {
            evaluate(state, &job, "queued-allocs");
        }
    }
}

/// The work of a node that is down or gone is lost, and placed elsewhere.
pub(super) fn node_lost(state: &mut State, node_id: &str) {
    let live: Vec<String> = live_on(state, node_id).map(|alloc| alloc.id.clone()).collect();
    if live.is_empty() {
        return;
    }
    let why = "alloc is lost since its node is down";
    let index = state.next_index(&[Table::Allocs]);
    for id in &live {
        change_alloc(state, id, index, "PlanResult", |alloc| {
            alloc.client_status = ClientStatus::Lost;
            alloc.client_description = why.into();
            alloc.desired_status = DesiredStatus::Stop;
            alloc.desired_description = why.into();
        });
    }
    evaluate_jobs_of(state, &live, "node-update");
}

pub(super) fn has_live_allocs(state: &State, node_id: &str) -> bool {
    live_on(state, node_id).next().is_some()
}

/// Moves work off a draining node. Unless forced, a service is moved once it has been healthy for ten
/// seconds, and batch work is left to end by itself.
pub(super) fn migrate_from(state: &mut State, node_id: &str, forced: bool) {
    let healthy = |alloc: &Alloc| alloc.client_status == ClientStatus::Running && was_healthy(alloc);
    let movable: Vec<String> = live_on(state, node_id)
        .filter(|alloc| alloc.desired_status == DesiredStatus::Run && !alloc.migrate)
        .filter(|alloc| forced || (alloc.job["Type"] != "batch" && healthy(alloc)))
        .map(|alloc| alloc.id.clone())
        .collect();
    migrate(state, &movable, "node-drain");
}

/// Marks allocations for migration and lets the scheduler stop and replace them.
pub(super) fn migrate(state: &mut State, ids: &[String], trigger: &str) -> Option<String> {
    if ids.is_empty() {
        return None;
    }
    let index = state.next_index(&[Table::Allocs]);
    for id in ids {
        change_alloc(state, id, index, "AllocationUpdateDesiredStatus", |alloc| {
            alloc.migrate = true;
            alloc.alloc_modify_index = index;
        });
    }
    evaluate_jobs_of(state, ids, trigger)
}

/// A new version of a job takes the place of the old one's allocations.
pub(super) fn replace_old_versions(state: &mut State, job_id: &str) {
    let version = state.jobs.get(job_id).map(|job| job["Version"].clone());
    let index = state.next_index(&[Table::Allocs]);
    let old: Vec<String> = state
        .allocs
        .values()
        .filter(|alloc| alloc.job_id == job_id && Some(&alloc.job["Version"]) != version.as_ref())
        .filter(|alloc| !alloc.client_status.is_terminal() && alloc.desired_status == DesiredStatus::Run)
        .map(|alloc| alloc.id.clone())
        .collect();
    for id in old {
        stop(state, &id, index, "alloc is being updated due to job update");
    }
}

/// What follows from an allocation's end: another try after a failure, the job's status.
pub(super) fn alloc_ended(state: &mut State, id: &str) {
    let Some(alloc) = state.allocs.get(id).cloned() else { return };
    let tries = chain_length(state, &alloc);
    let policy = alloc.group().map(|group| group["ReschedulePolicy"].clone());
    if alloc.client_status == ClientStatus::Failed && alloc.desired_status == DesiredStatus::Run {
        let policy = policy.unwrap_or_default();
        let again = policy["Unlimited"] == true || policy["Attempts"].as_u64().unwrap_or(0) > tries;
        if again {
            let delay = policy["Delay"].as_i64().unwrap_or(30_000_000_000);
            state.reschedule_at.insert(id.into(), unix_nanos() + delay);
            plan_next_try(state, id);
        }
    }
    let index = state.index;
    evaluation::set_job_status(state, &alloc.job_id, index);
    // What it held is free.
    unblock(state);
}

/// Writes down that an evaluation is to follow.
fn plan_next_try(state: &mut State, id: &str) {
    let index = state.next_index(&[Table::Allocs]);
    change_alloc(state, id, index, "PlanResult", |alloc| {
        alloc.followup_eval_id = new_id();
        alloc.alloc_modify_index = index;
    });
}

/// Places again what failed and has waited long enough.
pub(super) fn reschedule_due(state: &mut State) {
    let now = unix_nanos();
    let due: Vec<String> =
        state.reschedule_at.iter().filter(|(_, at)| **at <= now).map(|(id, _)| id.clone()).collect();
    for id in &due {
        state.reschedule_at.remove(id);
    }
    for job in jobs_of(state, &due) {
        evaluate_with(state, &job, "alloc-failure", &due);
    }
}

pub(super) fn change_alloc(
    state: &mut State,
    id: &str,
    index: u64,
    kind: &str,
    change: impl FnOnce(&mut Alloc),
) {
    let Some(alloc) = state.allocs.get_mut(id) else { return };
    change(alloc);
    alloc.modify_index = index;
    alloc.modify_time = unix_nanos();
    let alloc = alloc.clone();
    state.tables.insert(Table::Allocs, index);
    state.emit_alloc(index, kind, &alloc);
}

fn stop_unwanted(state: &mut State, job: &Value, index: u64) {
    let stopped = job["Stop"] == true;
    let mine: Vec<(String, bool)> = of_job(state, job)
        .filter(|alloc| alloc.desired_status == DesiredStatus::Run && (stopped || alloc.migrate))
        .map(|alloc| (alloc.id.clone(), alloc.client_status.is_terminal()))
        .collect();
    for (id, over) in mine {
        if !over || stopped {
            let why = if stopped { "alloc not needed due to job update" } else { "alloc is being migrated" };
            stop(state, &id, index, why);
        }
    }
}

/// In the plan that places the next try.
fn stop_failed(state: &mut State, job_id: &str, due: &[String], index: u64) {
    for id in due {
        if state.allocs.get(id).is_some_and(|alloc| alloc.job_id == job_id) {
            stop(state, id, index, "alloc was rescheduled because it failed");
        }
    }
}

fn stop(state: &mut State, id: &str, index: u64, why: &str) {
    change_alloc(state, id, index, "PlanResult", |alloc| {
        alloc.desired_status = DesiredStatus::Stop;
        alloc.desired_description = why.into();
        alloc.alloc_modify_index = index;
    });
}

fn evaluate_jobs_of(state: &mut State, allocs: &[String], trigger: &str) -> Option<String> {
    jobs_of(state, allocs).iter().map(|job| evaluate(state, job, trigger)).last()
}

fn jobs_of(state: &State, allocs: &[String]) -> BTreeSet<String> {
    allocs.iter().filter_map(|id| state.allocs.get(id)).map(|alloc| alloc.job_id.clone()).collect()
}

/// Whether all tasks have run for ten seconds.
fn was_healthy(alloc: &Alloc) -> bool {
    const HEALTHY_AFTER: i64 = 10_000_000_000;
    let ran = |task: &TaskState| {
        let started = task.started_at.as_deref().and_then(nanos_of);
        let ended = task.finished_at.as_deref().and_then(nanos_of).unwrap_or_else(unix_nanos);
        started.is_some_and(|started| ended - started >= HEALTHY_AFTER)
    };
    !alloc.task_states.is_empty() && alloc.task_states.values().all(ran)
}

fn chain_length(state: &State, alloc: &Alloc) -> u64 {
    let mut length = 0;
    let mut previous = alloc.previous_allocation.clone();
    while let Some(alloc) = state.allocs.get(&previous) {
        length += 1;
        previous = alloc.previous_allocation.clone();
    }
    length
}

fn of_job<'a>(state: &'a State, job: &'a Value) -> impl Iterator<Item = &'a Alloc> {
    state.allocs.values().filter(|alloc| job["ID"] == alloc.job_id.as_str())
}

fn live_on<'a>(state: &'a State, node_id: &str) -> impl Iterator<Item = &'a Alloc> {
    let node_id = node_id.to_owned();
    state.allocs.values().filter(move |alloc| alloc.node_id == node_id && !alloc.client_status.is_terminal())
}

/// The elements of a JSON list; what is no list has none.
fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
