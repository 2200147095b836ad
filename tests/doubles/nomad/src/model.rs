//! Nodes, allocations and evaluations in Nomad's own field names, shared by server and client. What
//! the double never looks into stays JSON.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Node {
    #[serde(rename = "ID")]
    pub(crate) id: String,
    #[serde(rename = "SecretID")]
    pub(crate) secret_id: String,
    pub(crate) name: String,
    pub(crate) datacenter: String,
    pub(crate) node_pool: String,
    pub(crate) node_class: String,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) meta: BTreeMap<String, String>,
    pub(crate) drivers: BTreeMap<String, Driver>,
    pub(crate) status: NodeStatus,
    pub(crate) status_description: String,
    pub(crate) status_updated_at: i64,
    pub(crate) scheduling_eligibility: Eligibility,
    pub(crate) drain: bool,
    pub(crate) drain_strategy: Option<DrainStrategy>,
    pub(crate) last_drain: Option<Value>,
    pub(crate) events: Vec<Value>,
    pub(crate) create_index: u64,
    pub(crate) modify_index: u64,
    #[serde(flatten)]
    pub(crate) rest: Map<String, Value>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Driver {
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) detected: bool,
    pub(crate) healthy: bool,
    pub(crate) health_description: String,
    pub(crate) update_time: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NodeStatus {
    Initializing,
    Ready,
    Down,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Eligibility {
    Eligible,
    Ineligible,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DrainStrategy {
    /// Nanoseconds; 0 = wait for ever, negative = force at once.
    pub(crate) deadline: i64,
    pub(crate) ignore_system_jobs: bool,
    pub(crate) force_deadline: String,
    pub(crate) started_at: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Alloc {
    #[serde(rename = "ID")]
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
    #[serde(rename = "EvalID")]
    pub(crate) eval_id: String,
    #[serde(rename = "NodeID")]
    pub(crate) node_id: String,
    pub(crate) node_name: String,
    #[serde(rename = "JobID")]
    pub(crate) job_id: String,
    pub(crate) job: Value,
    pub(crate) task_group: String,
    pub(crate) client_status: ClientStatus,
    pub(crate) client_description: String,
    pub(crate) desired_status: DesiredStatus,
    pub(crate) desired_description: String,
    /// Set by a drain or a stop request; the scheduler acts on it.
    pub(crate) migrate: bool,
    pub(crate) task_states: BTreeMap<String, TaskState>,
    pub(crate) previous_allocation: String,
    pub(crate) next_allocation: String,
    #[serde(rename = "DeploymentID")]
    pub(crate) deployment_id: String,
    #[serde(rename = "FollowupEvalID")]
    pub(crate) followup_eval_id: String,
    pub(crate) create_index: u64,
    pub(crate) modify_index: u64,
    pub(crate) alloc_modify_index: u64,
    pub(crate) create_time: i64,
    pub(crate) modify_time: i64,
    #[serde(flatten)]
    pub(crate) rest: Map<String, Value>,
}

impl Alloc {
    /// What the job says about this allocation's group.
    pub(crate) fn group(&self) -> Option<&Value> {
        self.job["TaskGroups"].as_array()?.iter().find(|group| group["Name"] == self.task_group.as_str())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ClientStatus {
    Pending,
    Running,
    Complete,
    Failed,
    Lost,
}

impl ClientStatus {
    pub(crate) fn is_terminal(self) -> bool {
        matches!(self, Self::Complete | Self::Failed | Self::Lost)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DesiredStatus {
    Run,
    Stop,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TaskState {
    pub(crate) state: String,
    pub(crate) failed: bool,
    pub(crate) restarts: u64,
    pub(crate) started_at: Option<String>,
    pub(crate) finished_at: Option<String>,
    pub(crate) last_restart: Option<String>,
    pub(crate) paused: String,
    pub(crate) events: Vec<Value>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Evaluation {
    #[serde(rename = "ID")]
    pub(crate) id: String,
    pub(crate) namespace: String,
    #[serde(rename = "JobID")]
    pub(crate) job_id: String,
    #[serde(rename = "NodeID")]
    pub(crate) node_id: String,
    pub(crate) r#type: String,
    pub(crate) triggered_by: String,
    pub(crate) status: String,
    pub(crate) status_description: String,
    pub(crate) blocked_eval: String,
    pub(crate) previous_eval: String,
    pub(crate) queued_allocations: BTreeMap<String, u64>,
    pub(crate) priority: u64,
    pub(crate) create_index: u64,
    pub(crate) modify_index: u64,
    pub(crate) create_time: i64,
    pub(crate) modify_time: i64,
}

/// The list view of a node.
pub(crate) fn node_stub(node: &Node) -> Value {
    let address = node.rest.get("HTTPAddr").and_then(Value::as_str).and_then(|a| a.rsplit_once(':'));
    json!({
        "Address": address.map(|(host, _)| host).unwrap_or_default(),
        "CreateIndex": node.create_index,
        "Datacenter": node.datacenter,
        "Drain": node.drain,
        "Drivers": node.drivers,
        "HostVolumes": {},
        "ID": node.id,
        "LastDrain": node.last_drain,
        "ModifyIndex": node.modify_index,
        "Name": node.name,
        "NodeClass": node.node_class,
        "NodePool": node.node_pool,
        "SchedulingEligibility": node.scheduling_eligibility,
        "Status": node.status,
        "StatusDescription": node.status_description,
        "Version": node.attributes.get("nomad.version"),
    })
}

/// The whole node as it is read back and as events carry it: never with its secret.
pub(crate) fn node_view(node: &Node) -> Value {
    let mut node = node.clone();
    node.secret_id = String::new();
    json!(node)
}

/// The list view of an allocation.
pub(crate) fn alloc_stub(alloc: &Alloc) -> Value {
    json!({
        "ClientDescription": alloc.client_description,
        "ClientStatus": alloc.client_status,
        "CreateIndex": alloc.create_index,
        "CreateTime": alloc.create_time,
        "DeploymentStatus": null,
        "DesiredDescription": alloc.desired_description,
        "DesiredStatus": alloc.desired_status,
        "DesiredTransition": {
            "ForceReschedule": null,
            "Migrate": if alloc.migrate { json!(true) } else { Value::Null },
            "MigrateDisablePlacement": null,
            "NoShutdownDelay": null,
            "Reschedule": null,
        },
        "EvalID": alloc.eval_id,
        "FollowupEvalID": alloc.followup_eval_id,
        "ID": alloc.id,
        "JobID": alloc.job_id,
        "JobType": alloc.job["Type"],
        "JobVersion": alloc.job["Version"],
        "ModifyIndex": alloc.modify_index,
        "ModifyTime": alloc.modify_time,
        "Name": alloc.name,
        "Namespace": alloc.namespace,
        "NextAllocation": alloc.next_allocation,
        "NodeID": alloc.node_id,
        "NodeName": alloc.node_name,
        "PreemptedAllocations": null,
        "PreemptedByAllocation": "",
        "RescheduleTracker": null,
        "TaskGroup": alloc.task_group,
        "TaskStates": if alloc.task_states.is_empty() { Value::Null } else { json!(alloc.task_states) },
    })
}

/// The whole allocation. Like Nomad's, it leaves empty fields out.
pub(crate) fn alloc_view(alloc: &Alloc) -> Value {
    let mut view = json!(alloc);
    if let Value::Object(map) = &mut view {
        map.remove("Migrate");
        if alloc.migrate {
            map.insert("DesiredTransition".into(), json!({ "Migrate": true }));
        }
        map.retain(|_, value| !(value.is_null() || *value == json!("") || *value == json!({})));
    }
    view
}

/// The allocation as events carry it: without its job.
pub(crate) fn alloc_event_view(alloc: &Alloc) -> Value {
    let mut view = alloc_view(alloc);
    if let Value::Object(map) = &mut view {
        map.remove("Job");
    }
    view
}

/// One entry of a task's `Events`, with every field that Nomad prints.
pub(crate) fn task_event(kind: &str, message: &str, details: Value) -> Value {
    let zero = ["DiskLimit", "ExitCode", "KillTimeout", "Signal", "StartDelay"];
    let empty = [
        "DownloadError",
        "DriverError",
        "DriverMessage",
        "FailedSibling",
        "GenericSource",
        "KillError",
        "KillReason",
        "Message",
        "RestartReason",
        "SetupError",
        "TaskSignal",
        "TaskSignalReason",
        "ValidationError",
        "VaultError",
    ];
    let mut event = Map::new();
    event.extend(zero.iter().map(|name| ((*name).to_owned(), json!(0))));
    event.extend(empty.iter().map(|name| ((*name).to_owned(), json!(""))));
    event.insert("FailsTask".into(), json!(false));
    event.insert("Type".into(), json!(kind));
    event.insert("DisplayMessage".into(), json!(message));
    event.insert("Details".into(), details);
    event.insert("Time".into(), json!(unix_nanos()));
    Value::Object(event)
}

pub(crate) fn node_event(subsystem: &str, message: &str, index: u64) -> Value {
    json!({ "CreateIndex": index, "Details": null, "Message": message, "Subsystem": subsystem, "Timestamp": rfc3339_now() })
}

pub(crate) fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

pub(crate) fn unix_nanos() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

pub(crate) fn unix_seconds() -> i64 {
    unix_nanos() / 1_000_000_000
}

pub(crate) fn rfc3339_now() -> String {
    rfc3339(unix_nanos())
}

pub(crate) fn rfc3339(nanos: i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanos))
        .ok()
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_else(|| "0001-01-01T00:00:00Z".into())
}

/// Nanoseconds since 1970 of an RFC 3339 text.
pub(crate) fn nanos_of(text: &str) -> Option<i64> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(moment.unix_timestamp_nanos()).ok()
}
