//! Which of a node's devices a group's tasks get: each goes to one allocation at a time, and only while it is healthy.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{list, live_on};
use crate::{model::Node, server::store::State};

/// By task, as the allocation's record has it; none where the node has too few.
pub(super) fn assigned(state: &State, node: &Node, group: &Value) -> Option<BTreeMap<String, Vec<Value>>> {
    let mut taken = in_use(state, node);
    let mut given = BTreeMap::new();
    for task in list(&group["Tasks"]) {
        let asked = list(&task["Resources"]["Devices"]);
        let devices: Option<Vec<Value>> = asked.map(|asked| give(node, asked, &mut taken)).collect();
        given.insert(task["Name"].as_str().unwrap_or_default().to_owned(), devices?);
    }
    Some(given)
}

/// All of one kind. A wish about a device is not understood, so nothing meets it.
fn give(node: &Node, asked: &Value, taken: &mut BTreeSet<String>) -> Option<Value> {
    let count = usize::try_from(asked["Count"].as_u64().unwrap_or(1)).ok()?;
    let wishes = list(&asked["Constraints"]).chain(list(&asked["Affinities"])).count();
    let groups = groups(node)
        .filter(|group| wishes == 0 && is_meant(group, asked["Name"].as_str().unwrap_or_default()));
    let free = groups.filter_map(|group| {
        let healthy = list(&group["Instances"]).filter(|instance| instance["Healthy"] == true);
        let ids = healthy.filter_map(|instance| instance["ID"].as_str()).filter(|id| !taken.contains(*id));
        let ids: Vec<String> = ids.take(count).map(str::to_owned).collect();
        (ids.len() == count).then_some((group, ids))
    });
    let (group, ids) = free.into_iter().next()?;
    let given = json!({
        "DeviceIDs": ids, "Name": group["Name"], "Type": group["Type"], "Vendor": group["Vendor"],
    });
    taken.extend(ids);
    Some(given)
}

/// `TYPE`, `VENDOR/TYPE` or `VENDOR/TYPE/NAME`.
fn is_meant(group: &Value, name: &str) -> bool {
    let parts: Vec<&str> = name.splitn(3, '/').collect();
    match parts[..] {
        [kind] => group["Type"] == kind,
        [vendor, kind] => group["Vendor"] == vendor && group["Type"] == kind,
        [vendor, kind, name] => group["Vendor"] == vendor && group["Type"] == kind && group["Name"] == name,
        [..] => false,
    }
}

fn in_use(state: &State, node: &Node) -> BTreeSet<String> {
    let tasks = live_on(state, &node.id).filter_map(|alloc| alloc.rest.get("AllocatedResources"));
    let tasks = tasks.flat_map(|resources| resources["Tasks"].as_object().into_iter().flatten());
    let devices = tasks.flat_map(|(_, task)| list(&task["Devices"]));
    devices
        .flat_map(|device| list(&device["DeviceIDs"]))
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn groups(node: &Node) -> impl Iterator<Item = &Value> {
    node.rest.get("NodeResources").into_iter().flat_map(|resources| list(&resources["Devices"]))
}
