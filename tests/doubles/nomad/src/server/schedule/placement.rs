//! Places what a job asks for and does not have.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{change_alloc, choose, devices::assigned, list};
use crate::{
    model::{Alloc, ClientStatus, DesiredStatus, Node, new_id, unix_nanos},
    server::store::{State, Table},
};

/// How many allocations of each group found no node.
pub(super) fn place_missing(state: &mut State, job: &Value, eval: &str, index: u64) -> BTreeMap<String, u64> {
    let mut waiting = BTreeMap::new();
    for group in list(&job["TaskGroups"]) {
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

#[expect(clippy::too_many_lines, reason = "the steps of a scheduler, in their order")]
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
        rest: resources(group, node, assigned(state, node, group).unwrap_or_default(), &state.signing_key),
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
fn resources(
    group: &Value,
    node: &Node,
    mut devices: BTreeMap<String, Vec<Value>>,
    key: &str,
) -> Map<String, Value> {
    let disk = &group["EphemeralDisk"]["SizeMB"];
    let blank = json!({
        "CPU": 0, "Cores": 0, "Devices": null, "DiskMB": disk, "IOPS": 0, "MemoryMB": 0, "MemoryMaxMB": 0,
        "NUMA": null, "Networks": null, "SecretsMB": 0,
    });
    let (mut total, mut tasks, mut lifecycles, mut each) =
        (blank.clone(), Map::new(), Map::new(), Map::new());
    for task in list(&group["Tasks"]) {
        let name = task["Name"].as_str().unwrap_or_default().to_owned();
        let wanted = &task["Resources"];
        for field in ["CPU", "MemoryMB", "MemoryMaxMB"] {
            total[field] = json!(total[field].as_u64().unwrap_or(0) + wanted[field].as_u64().unwrap_or(0));
        }
        let cpu = json!({ "CpuShares": wanted["CPU"], "ReservedCores": null });
        let memory = json!({ "MemoryMB": wanted["MemoryMB"], "MemoryMaxMB": wanted["MemoryMaxMB"] });
        let devices = devices.remove(&name).filter(|devices| !devices.is_empty());
        let one = json!({ "Cpu": cpu, "Devices": devices, "Memory": memory, "Networks": null });
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
