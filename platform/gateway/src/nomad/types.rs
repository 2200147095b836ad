//! Nomad's objects, as far as they are read.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::ledger::{ClientStatus, Sighting};

/// A node in the region's list.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct NodeStub {
    #[serde(rename = "ID")]
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) scheduling_eligibility: String,
    #[serde(default)]
    pub(crate) modify_index: i64,
}

/// A node.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Node {
    #[serde(rename = "ID")]
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) scheduling_eligibility: String,
    #[serde(default)]
    pub(crate) create_index: i64,
    #[serde(default)]
    pub(crate) modify_index: i64,
    /// Seconds since the Unix epoch, by the servers' clock.
    #[serde(default)]
    pub(crate) status_updated_at: i64,
}

impl NodeStub {
    pub(crate) fn is_eligible(&self) -> bool {
        self.scheduling_eligibility == "eligible"
    }
}

impl Node {
    pub(crate) fn is_eligible(&self) -> bool {
        self.scheduling_eligibility == "eligible"
    }
}

/// An allocation without its job.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Allocation {
    #[serde(rename = "ID")]
    pub(crate) id: String,
    #[serde(rename = "NodeID")]
    pub(crate) node_id: String,
    #[serde(default)]
    pub(crate) node_name: String,
    #[serde(rename = "JobID", default)]
    pub(crate) job_id: String,
    pub(crate) client_status: String,
    pub(crate) desired_status: String,
    pub(crate) create_time: i64,
    pub(crate) modify_time: i64,
    #[serde(default)]
    pub(crate) modify_index: i64,
    #[serde(default)]
    task_states: Option<BTreeMap<String, TaskState>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TaskState {
    #[serde(default)]
    started_at: Option<String>,
    #[serde(default)]
    events: Option<Vec<TaskEvent>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TaskEvent {
    #[serde(rename = "Type", default)]
    kind: String,
}

impl Allocation {
    pub(crate) fn status(&self) -> ClientStatus {
        ClientStatus::from_word(&self.client_status)
    }

    /// Pending or running, as far as the servers know.
    pub(crate) fn is_live(&self) -> bool {
        !self.status().is_terminal()
    }

    pub(crate) fn is_stop_desired(&self) -> bool {
        self.desired_status != "run"
    }

    /// What the ledger takes from it.
    pub(crate) fn sighting(&self) -> Sighting {
        Sighting {
            status: self.status(),
            stop_desired: self.is_stop_desired(),
            started: self.task_states.iter().flat_map(BTreeMap::values).any(TaskState::has_started),
            modify_index: self.modify_index,
            modify_ns: self.modify_time,
        }
    }
}

impl TaskState {
    fn has_started(&self) -> bool {
        // A time that was never set reads as null or as the year 1.
        let by_time = self.started_at.as_deref().is_some_and(|at| !at.is_empty() && !at.starts_with("0001-"));
        by_time || self.events.iter().flatten().any(|event| event.kind == "Started")
    }
}

/// An allocation with what its job asks for.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AllocationFull {
    client_status: String,
    #[serde(default)]
    task_group: String,
    #[serde(default)]
    job: Option<Job>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Job {
    #[serde(default)]
    constraints: Option<Vec<Constraint>>,
    #[serde(default)]
    task_groups: Option<Vec<TaskGroup>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TaskGroup {
    #[serde(default)]
    name: String,
    #[serde(default)]
    constraints: Option<Vec<Constraint>>,
    #[serde(default)]
    tasks: Option<Vec<Task>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Task {
    #[serde(default)]
    constraints: Option<Vec<Constraint>>,
}

#[derive(Debug, Clone, Deserialize)]
struct Constraint {
    #[serde(rename = "LTarget", default)]
    left: String,
    #[serde(rename = "RTarget", default)]
    right: String,
    #[serde(rename = "Operand", default)]
    operand: String,
}

impl AllocationFull {
    pub(crate) fn is_over(&self) -> bool {
        ClientStatus::from_word(&self.client_status).is_terminal()
    }

    /// The slug of the GPU that the job demands (`${meta.ionet.gpu}` = slug), for the job, this group or a task of it.
    pub(crate) fn gpu(&self) -> Option<&str> {
        let job = self.job.as_ref()?;
        let groups = job.task_groups.iter().flatten().filter(|group| group.name == self.task_group);
        let of_groups = groups.flat_map(|group| {
            let of_tasks = group.tasks.iter().flatten().flat_map(|task| task.constraints.iter().flatten());
            group.constraints.iter().flatten().chain(of_tasks)
        });
        let mut all = job.constraints.iter().flatten().chain(of_groups);
        all.find_map(Constraint::gpu)
    }
}

impl Constraint {
    fn gpu(&self) -> Option<&str> {
        let equals = matches!(self.operand.as_str(), "=" | "==" | "is");
        (equals && self.left == "${meta.ionet.gpu}").then_some(self.right.as_str())
    }
}

/// One line of the event stream. The empty object is a heartbeat.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct EventLine {
    pub(crate) index: i64,
    pub(crate) events: Vec<Event>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Event {
    #[serde(rename = "Type", default)]
    kind: String,
    #[serde(default)]
    payload: Payload,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Payload {
    node: Option<Node>,
    allocation: Option<Allocation>,
}

/// What an event says of a node.
#[derive(Debug, Clone)]
pub(crate) enum NodeUpdate {
    Is(Node),
    Gone(String),
}

impl Event {
    pub(crate) fn node(&self) -> Option<NodeUpdate> {
        let node = self.payload.node.as_ref()?;
        Some(match self.kind.as_str() {
            "NodeDeregistration" => NodeUpdate::Gone(node.id.clone()),
            _ => NodeUpdate::Is(node.clone()),
        })
    }

    pub(crate) fn allocation(&self) -> Option<&Allocation> {
        self.payload.allocation.as_ref()
    }
}
