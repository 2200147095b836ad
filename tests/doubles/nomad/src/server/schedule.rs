//! The scheduler: what of a job should stop, and where what is missing can run.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::store::{State, Table};
use crate::model::{
    Alloc, ClientStatus, DesiredStatus, Eligibility, Evaluation, Node, NodeStatus, TaskState, nanos_of,
    new_id, unix_nanos,
};

/// Brings a job's allocations to what it asks for, and returns the evaluation's id. What finds no node
/// waits in a blocked evaluation.
pub(super) fn evaluate(state: &mut State, job_id: &str, trigger: &str) -> String {
    let Some(job) = state.jobs.get(job_id).cloned() else { return String::new() };
    let id = new_id();
    let index = state.next_index(&[Table::Evals]);
    stop_unwanted(state, &job, index);
    let waiting = if job["Stop"] == true { BTreeMap::new() } else { place_missing(state, &job, &id, index) };
    unblock_only(state, job_id, index);
    let mut eval = evaluation(&job, id.clone(), trigger, "complete", index);
    eval.queued_allocations = group_names(&job).map(|name| (name, 0)).collect();
    eval.queued_allocations.extend(waiting.clone());
    if !waiting.is_empty() {
        let mut blocked = evaluation(&job, new_id(), "queued-allocs", "blocked", index);
        blocked.previous_eval = id.clone();
        blocked.queued_allocations = waiting;
        blocked.status_description = "created to place remaining allocations".into();
        eval.blocked_eval = blocked.id.clone();
        state.evals.insert(blocked.id.clone(), blocked);
    }
    state.evals.insert(id.clone(), eval);
    set_job_status(state, job_id, index);
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
        let placeable = state.jobs.get(&job).is_some_and(|job| {
            let groups = job["TaskGroups"].as_array().cloned().unwrap_or_default();
            groups.iter().any(|group| choose(state, job, group).is_some())
        });
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
    let index = state.next_index(&[Table::Allocs]);
    for id in &live {
        change_alloc(state, id, index, "PlanResult", |alloc| {
            alloc.client_status = ClientStatus::Lost;
            alloc.client_description = "alloc is lost since its node is down".into();
            alloc.desired_status = DesiredStatus::Stop;
            alloc.desired_description = "alloc is lost since its node is down".into();
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
    let policy = group_of(&alloc.job, &alloc.task_group).map(|group| group["ReschedulePolicy"].clone());
    if alloc.client_status == ClientStatus::Failed && alloc.desired_status == DesiredStatus::Run {
        let policy = policy.unwrap_or_default();
        let again = policy["Unlimited"] == true || policy["Attempts"].as_u64().unwrap_or(0) > tries;
        if again {
            let delay = policy["Delay"].as_i64().unwrap_or(30_000_000_000);
            state.reschedule_at.insert(id.into(), unix_nanos() + delay);
        }
    }
    let index = state.index;
    set_job_status(state, &alloc.job_id, index);
}

/// Places again what failed and has waited long enough.
pub(super) fn reschedule_due(state: &mut State) {
    let now = unix_nanos();
    let due: Vec<String> =
        state.reschedule_at.iter().filter(|(_, at)| **at <= now).map(|(id, _)| id.clone()).collect();
    if due.is_empty() {
        return;
    }
    let index = state.next_index(&[Table::Allocs]);
    for id in &due {
        state.reschedule_at.remove(id);
        stop(state, id, index, "alloc was rescheduled because it failed");
    }
    evaluate_jobs_of(state, &due, "alloc-failure");
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

/// How many allocations of each group found no node.
fn place_missing(state: &mut State, job: &Value, eval: &str, index: u64) -> BTreeMap<String, u64> {
    let mut waiting = BTreeMap::new();
    for group in job["TaskGroups"].as_array().into_iter().flatten() {
        let name = group["Name"].as_str().unwrap_or_default();
        let count = group["Count"].as_u64().unwrap_or(1);
        for slot in 0..count {
            let alloc_name = format!("{}.{name}[{slot}]", job["ID"].as_str().unwrap_or_default());
            if state.allocs.values().any(|alloc| alloc.name == alloc_name && fills_slot(alloc)) {
                continue;
            }
            match choose(state, job, group).cloned() {
                Some(node) => place(state, job, group, &node, &alloc_name, eval, index),
                None => *waiting.entry(name.to_owned()).or_insert(0) += 1,
            }
        }
    }
    waiting
}

/// Whether an allocation is what its slot asks for: it runs, or it ended as it should, or it failed
/// and waits for its next try.
fn fills_slot(alloc: &Alloc) -> bool {
    alloc.desired_status == DesiredStatus::Run && alloc.client_status != ClientStatus::Lost
}

fn place(state: &mut State, job: &Value, group: &Value, node: &Node, name: &str, eval: &str, index: u64) {
    // What is replaced in the same plan, failed or was lost is linked; what waited for a node is not.
    let links = |alloc: &Alloc| {
        alloc.modify_index == index
            || matches!(alloc.client_status, ClientStatus::Failed | ClientStatus::Lost)
    };
    let previous = state
        .allocs
        .values()
        .filter(|alloc| alloc.name == name && alloc.next_allocation.is_empty() && links(alloc))
        .max_by_key(|alloc| alloc.create_index)
        .map(|alloc| alloc.id.clone());
    let service = job["Type"] == "service";
    let now = unix_nanos();
    let alloc = Alloc {
        id: new_id(),
        name: name.into(),
        namespace: job["Namespace"].as_str().unwrap_or_default().into(),
        eval_id: eval.into(),
        node_id: node.id.clone(),
        node_name: node.name.clone(),
        job_id: job["ID"].as_str().unwrap_or_default().into(),
        job: job.clone(),
        task_group: group["Name"].as_str().unwrap_or_default().into(),
        client_status: ClientStatus::Pending,
        client_description: String::new(),
        desired_status: DesiredStatus::Run,
        desired_description: String::new(),
        migrate: false,
        task_states: BTreeMap::new(),
        previous_allocation: previous.clone().unwrap_or_default(),
        next_allocation: String::new(),
        deployment_id: if service && previous.is_none() { new_id() } else { String::new() },
        followup_eval_id: String::new(),
        create_index: index,
        modify_index: index,
        alloc_modify_index: index,
        create_time: now,
        modify_time: now,
        rest: resources(group, node, &state.signing_key),
    };
    if let Some(previous) = previous {
        change_alloc(state, &previous, index, "PlanResult", |before| {
            before.next_allocation = alloc.id.clone()
        });
    }
    state.tables.insert(Table::Allocs, index);
    state.emit_alloc(index, "PlanResult", &alloc);
    state.allocs.insert(alloc.id.clone(), alloc);
}

/// The fields of an allocation that only describe resources.
fn resources(group: &Value, node: &Node, key: &str) -> Map<String, Value> {
    let disk = &group["EphemeralDisk"]["SizeMB"];
    let blank = json!({
        "CPU": 0, "Cores": 0, "Devices": null, "DiskMB": disk, "IOPS": 0, "MemoryMB": 0, "MemoryMaxMB": 0,
        "NUMA": null, "Networks": null, "SecretsMB": 0,
    });
    let (mut total, mut tasks, mut lifecycles, mut each) =
        (blank.clone(), Map::new(), Map::new(), Map::new());
    for task in group["Tasks"].as_array().into_iter().flatten() {
        let name = task["Name"].as_str().unwrap_or_default().to_owned();
        let wanted = &task["Resources"];
        for field in ["CPU", "MemoryMB", "MemoryMaxMB"] {
            total[field] = json!(total[field].as_u64().unwrap_or(0) + wanted[field].as_u64().unwrap_or(0));
        }
        let cpu = json!({ "CpuShares": wanted["CPU"], "ReservedCores": null });
        let memory = json!({ "MemoryMB": wanted["MemoryMB"], "MemoryMaxMB": wanted["MemoryMaxMB"] });
        let one = json!({ "Cpu": cpu, "Devices": null, "Memory": memory, "Networks": null });
        tasks.insert(name.clone(), one);
        lifecycles.insert(name.clone(), Value::Null);
        each.insert(name, wanted.clone());
    }
    let rest = json!({
        "AllocatedResources": {
            "Shared": { "DiskMB": disk, "Networks": null, "Ports": null },
            "TaskLifecycles": lifecycles, "Tasks": tasks,
        },
        "Metrics": {
            "AllocationTime": 0, "ClassExhausted": null, "ClassFiltered": null, "CoalescedFailures": 0,
            "ConstraintFiltered": null, "DimensionExhausted": null, "NodePool": node.node_pool,
            "NodesAvailable": { node.datacenter.as_str(): 1 }, "NodesEvaluated": 1, "NodesExhausted": 0,
            "NodesFiltered": 0, "NodesInPool": 1, "QuotaExhausted": null, "ResourcesExhausted": null,
            "ScoreMetaData": [], "Scores": null,
        },
        "NetworkStatus": { "Address": "", "AddressIPv6": "", "DNS": null, "InterfaceName": "" },
        "Resources": total, "SharedResources": blank, "SigningKeyID": key[..36], "TaskResources": each,
    });
    if let Value::Object(map) = rest { map } else { Map::new() }
}

/// The feasible node with the fewest allocations of this job.
fn choose<'a>(state: &'a State, job: &Value, group: &Value) -> Option<&'a Node> {
    let load =
        |node: &Node| live_on(state, &node.id).filter(|alloc| job["ID"] == alloc.job_id.as_str()).count();
    state
        .nodes
        .values()
        .filter(|node| is_feasible(node, job, group))
        .min_by_key(|node| (load(node), node.name.clone()))
}

fn is_feasible(node: &Node, job: &Value, group: &Value) -> bool {
    let tasks = || group["Tasks"].as_array().into_iter().flatten();
    let constraints =
        [&job["Constraints"], &group["Constraints"]].into_iter().chain(tasks().map(|t| &t["Constraints"]));
    let datacenter = |pattern: &Value| pattern == "*" || *pattern == node.datacenter.as_str();
    let driver = |task: &Value| {
        task["Driver"].as_str().and_then(|name| node.drivers.get(name)).is_some_and(|driver| driver.healthy)
    };
    node.status == NodeStatus::Ready
        && node.scheduling_eligibility == Eligibility::Eligible
        && job["Datacenters"].as_array().is_some_and(|list| list.iter().any(datacenter))
        && (job["NodePool"] == node.node_pool.as_str() || job["NodePool"] == "all")
        && constraints.flat_map(|list| list.as_array().into_iter().flatten()).all(|c| holds(c, node))
        && tasks().all(driver)
}

/// Only `=` is understood; any other constraint holds nowhere, so that nobody takes it for checked.
fn holds(constraint: &Value, node: &Node) -> bool {
    let side = |name: &str| resolve(constraint[name].as_str().unwrap_or_default(), node);
    let operand = constraint["Operand"].as_str().unwrap_or_default();
    let equal = matches!(operand, "=" | "==" | "is" | "");
    equal && side("LTarget").is_some() && side("LTarget") == side("RTarget")
}

fn resolve(target: &str, node: &Node) -> Option<String> {
    let Some(name) = target.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) else {
        return Some(target.to_owned());
    };
    match name {
        "node.unique.id" => Some(node.id.clone()),
        "node.unique.name" => Some(node.name.clone()),
        "node.datacenter" => Some(node.datacenter.clone()),
        "node.class" => Some(node.node_class.clone()),
        "node.pool" => Some(node.node_pool.clone()),
        _ => match name.split_once('.') {
            Some(("meta", key)) => node.meta.get(key).cloned(),
            Some(("attr", key)) => node.attributes.get(key).cloned(),
            _ => None,
        },
    }
}

fn stop(state: &mut State, id: &str, index: u64, why: &str) {
    change_alloc(state, id, index, "PlanResult", |alloc| {
        alloc.desired_status = DesiredStatus::Stop;
        alloc.desired_description = why.into();
        alloc.alloc_modify_index = index;
    });
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

fn evaluate_jobs_of(state: &mut State, allocs: &[String], trigger: &str) -> Option<String> {
    let mut jobs: Vec<String> =
        allocs.iter().filter_map(|id| state.allocs.get(id)).map(|alloc| alloc.job_id.clone()).collect();
    jobs.sort();
    jobs.dedup();
    jobs.iter().map(|job| evaluate(state, job, trigger)).last()
}

/// Ends the job's blocked evaluation; a new one replaces it if it must.
fn unblock_only(state: &mut State, job_id: &str, index: u64) {
    for eval in state.evals.values_mut().filter(|eval| eval.job_id == job_id && eval.status == "blocked") {
        eval.status = "complete".into();
        eval.modify_index = index;
        eval.modify_time = unix_nanos();
    }
}

fn set_job_status(state: &mut State, job_id: &str, index: u64) {
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

fn chain_length(state: &State, alloc: &Alloc) -> u64 {
    let mut length = 0;
    let mut previous = alloc.previous_allocation.clone();
    while let Some(alloc) = state.allocs.get(&previous) {
        length += 1;
        previous = alloc.previous_allocation.clone();
    }
    length
}

fn evaluation(job: &Value, id: String, trigger: &str, status: &str, index: u64) -> Evaluation {
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

fn group_of<'a>(job: &'a Value, name: &str) -> Option<&'a Value> {
    job["TaskGroups"].as_array()?.iter().find(|group| group["Name"] == name)
}

fn group_names(job: &Value) -> impl Iterator<Item = String> {
    let groups = job["TaskGroups"].as_array().into_iter().flatten();
    groups.filter_map(|group| group["Name"].as_str().map(str::to_owned))
}

fn of_job<'a>(state: &'a State, job: &'a Value) -> impl Iterator<Item = &'a Alloc> {
    state.allocs.values().filter(|alloc| job["ID"] == alloc.job_id.as_str())
}

fn live_on<'a>(state: &'a State, node_id: &str) -> impl Iterator<Item = &'a Alloc> {
    let node_id = node_id.to_owned();
    state.allocs.values().filter(move |alloc| alloc.node_id == node_id && !alloc.client_status.is_terminal())
}
