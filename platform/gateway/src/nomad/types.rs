//! Nomad's objects, as far as they are read.

use std::collections::BTreeMap;

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::demand::{CARD_DEVICE, GIVES};
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
    /// Seconds since the Unix epoch, by the servers' clock: the last registration or change of the status.
    #[serde(default)]
    pub(crate) status_updated_at: i64,
    #[serde(default)]
    pub(crate) meta: Option<BTreeMap<String, String>>,
    /// The servers' own notes, the newest ten.
    #[serde(default)]
    pub(crate) events: Option<Vec<NodeNote>>,
    /// The index of the last change of allocations that this node sent; 0: not known.
    #[serde(default)]
    pub(crate) last_alloc_update_index: i64,
    #[serde(default)]
    pub(crate) node_resources: Option<NodeResources>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct NodeResources {
    #[serde(default)]
    devices: Option<Vec<NodeDevices>>,
}

/// Devices that are alike.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NodeDevices {
    #[serde(rename = "Type", default)]
    kind: String,
}

/// What the servers noted of a node.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct NodeNote {
    #[serde(default)]
    message: String,
    #[serde(default)]
    timestamp: String,
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

    pub(crate) fn is_ready(&self) -> bool {
        self.status == "ready"
    }

    /// It is as it was when it registered for the first time.
    pub(crate) fn is_first_registration(&self) -> bool {
        self.create_index > 0 && self.modify_index == self.create_index
    }

    /// The servers miss its heartbeats.
    pub(crate) fn is_away(&self) -> bool {
        matches!(self.status.as_str(), "down" | "disconnected")
    }

    /// Its tags under `ionet.`, and whether its cards are the scheduler's to give: a JSON object.
    pub(crate) fn tags(&self) -> String {
        let tags = self.meta.iter().flatten().filter(|(key, _)| key.starts_with("ionet."));
        let tags = tags.map(|(key, value)| (key.clone(), value.clone()));
        let gives = self.gives_cards().then(|| (GIVES.to_owned(), "1".to_owned()));
        serde_json::Value::from_iter(tags.chain(gives)).to_string()
    }

    fn gives_cards(&self) -> bool {
        let devices = self.node_resources.iter().flat_map(|resources| resources.devices.iter().flatten());
        devices.into_iter().any(|devices| devices.kind == CARD_DEVICE)
    }

    /// When the servers recorded its registration, in seconds, as far as they still tell.
    pub(crate) fn registered_s(&self) -> i64 {
        self.notes("Node registered").next().unwrap_or(self.status_updated_at)
    }

    /// From when until when it was away, in seconds, by the servers' notes.
    pub(crate) fn past_gaps(&self) -> Vec<(i64, i64)> {
        self.notes("Node heartbeat missed").filter_map(|from| Some((from, self.back_after(from)?))).collect()
    }

    /// When it came back after this moment, by the servers' notes.
    pub(crate) fn back_after(&self, from_s: i64) -> Option<i64> {
        let back = self.notes("Node re-registered").chain(self.notes("Node reregistered by heartbeat"));
        back.filter(|at| *at >= from_s).min()
    }

    fn notes<'a>(&'a self, message: &'a str) -> impl Iterator<Item = i64> + 'a {
        let found = self.events.iter().flatten().filter(move |note| note.message == message);
        found.filter_map(|note| unix_ns(&note.timestamp)).map(|ns| ns.div_euclid(1_000_000_000))
    }
}

/// A time in Go's form; none for one that was never set (the year 1).
fn unix_ns(text: &str) -> Option<i64> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos()).ok().filter(|at| *at > 0)
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
    /// The client's clock.
    #[serde(default)]
    time: i64,
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

    /// What the ledger takes from it. `told`: it comes from the event stream.
    pub(crate) fn sighting(&self, told: bool) -> Sighting {
        let tasks = || self.task_states.iter().flat_map(BTreeMap::values);
        Sighting {
            status: self.status(),
            stop_desired: self.is_stop_desired(),
            started: tasks().any(TaskState::has_started),
            lead_ns: tasks().filter_map(|task| task.lead_ns(self.create_time)).min(),
            modify_index: self.modify_index,
            modify_ns: self.modify_time,
            told,
        }
    }
}

impl TaskState {
    fn has_started(&self) -> bool {
        // A time that was never set reads as null or as the year 1.
        let by_time = self.started_at.as_deref().is_some_and(|at| !at.is_empty() && !at.starts_with("0001-"));
        by_time || self.event("Started").is_some()
    }

    /// How long the client took from getting the allocation to starting this task, by its own clock at both ends; else
    /// what its clock says, laid beside the servers'.
    fn lead_ns(&self, created_ns: i64) -> Option<i64> {
        let measured = match (self.event("Received"), self.event("Started")) {
            (Some(received), Some(started)) if received > 0 && started >= received => {
                Some(started - received)
            }
            _ => None,
        };
        let by_clock = || Some(unix_ns(self.started_at.as_deref()?)?.saturating_sub(created_ns));
        measured.or_else(by_clock).map(|lead| lead.max(0))
    }

    /// The time of the first event of this kind.
    fn event(&self, kind: &str) -> Option<i64> {
        self.events.iter().flatten().find(|event| event.kind == kind).map(|event| event.time)
    }
}

/// One line of the event stream. The empty object is a heartbeat.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct EventLine {
    pub(crate) index: i64,
    events: Vec<serde_json::Value>,
}

impl EventLine {
    /// Its events, one by one: one that cannot be read costs no other.
    pub(crate) fn events(self) -> impl Iterator<Item = Result<Event, serde_json::Error>> {
        self.events.into_iter().map(serde_json::from_value)
    }
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

    /// The index at which a client ended the allocation, if this is the message in which it did. The servers write to one
    /// that has ended too, as when they place its job again: then its index rises, and no client said anything.
    pub(crate) fn sent_end(&self) -> Option<i64> {
        let allocation = self.payload.allocation.as_ref().filter(|_| self.kind == "AllocationUpdated")?;
        let said = matches!(allocation.status(), ClientStatus::Complete | ClientStatus::Failed);
        said.then_some(allocation.modify_index)
    }
}
