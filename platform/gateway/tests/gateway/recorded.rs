//! Nodes and allocations as a real region once told them, with what a test says of them instead.

use serde_json::{Value, json};

pub(crate) const NODE: &str = include_str!("../../../../tests/contract/recordings/node.json");
pub(crate) const NODE_LIST: &str = include_str!("../../../../tests/contract/recordings/node_list.json");
pub(crate) const ALLOCATION: &str = include_str!("../../../../tests/contract/recordings/alloc.json");
pub(crate) const DRAIN: &str = include_str!("../../../../tests/contract/recordings/drain_response.json");
pub(crate) const ELIGIBILITY: &str =
    include_str!("../../../../tests/contract/recordings/eligibility_response.json");
pub(crate) const ALLOCATION_LIST: &str =
    include_str!("../../../../tests/contract/recordings/alloc_list.json");

/// What was recorded, with these fields instead of its own.
pub(crate) fn recorded(recording: &str, fields: Value) -> Value {
    let mut object: Value = serde_json::from_str(recording).unwrap();
    for (name, value) in fields.as_object().unwrap() {
        object[name] = value.clone();
    }
    object
}

/// As much of an object as the recorded list shows of one.
pub(crate) fn stub(object: &Value, list: &str) -> Value {
    let list: Value = serde_json::from_str(list).unwrap();
    let entry = list[0].as_object().unwrap();
    entry.iter().map(|(name, value)| (name.clone(), object.get(name).unwrap_or(value).clone())).collect()
}

pub(crate) fn change(object: &mut Value, changes: &Value, index: i64) {
    object["ModifyIndex"] = json!(index);
    for (name, value) in changes.as_object().unwrap() {
        object[name] = value.clone();
    }
}

pub(crate) fn event(topic: &str, kind: &str, key: &str, object: &Value, index: i64) -> String {
    let namespace = object.get("Namespace").cloned().unwrap_or(json!(""));
    let event = json!({
        "Topic": topic, "Type": kind, "Key": key, "Index": index, "Namespace": namespace, "FilterKeys": null,
        "Payload": { topic: object },
    });
    format!("{}\n", json!({ "Index": index, "Events": [event] }))
}
