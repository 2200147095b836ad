//! On which node something can run, and where best.

use serde_json::Value;

use super::{devices::assigned, list, live_on};
use crate::{
    model::{Eligibility, Node, NodeStatus},
    server::store::State,
};

/// The feasible node with the fewest allocations of this job.
pub(super) fn choose<'a>(state: &'a State, job: &Value, group: &Value) -> Option<&'a Node> {
    let load =
        |node: &Node| live_on(state, &node.id).filter(|alloc| job["ID"] == alloc.job_id.as_str()).count();
    state
        .nodes
        .values()
        .filter(|node| is_feasible(node, job, group) && assigned(state, node, group).is_some())
        .min_by_key(|node| (load(node), node.name.clone()))
}

fn is_feasible(node: &Node, job: &Value, group: &Value) -> bool {
    let tasks = || list(&group["Tasks"]);
    let constraints =
        [&job["Constraints"], &group["Constraints"]].into_iter().chain(tasks().map(|t| &t["Constraints"]));
    let datacenter = |pattern: &Value| pattern == "*" || *pattern == node.datacenter.as_str();
    let driver = |task: &Value| {
        task["Driver"].as_str().and_then(|name| node.drivers.get(name)).is_some_and(|driver| driver.healthy)
    };
    node.status == NodeStatus::Ready
        && node.scheduling_eligibility == Eligibility::Eligible
        && list(&job["Datacenters"]).any(datacenter)
        && (job["NodePool"] == node.node_pool.as_str() || job["NodePool"] == "all")
        && constraints.flat_map(list).all(|c| holds(c, node))
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
