//! All that the servers know, behind one lock, with Nomad's index over it. It is written to
//! `data_dir/server/state.json` after every change, so that a restart keeps it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{events::Events, grants::Acl};
use crate::model::{Alloc, Evaluation, Node, alloc_event_view, new_id, node_view};

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) index: u64,
    /// The index of the last change of each table.
    pub(crate) tables: BTreeMap<Table, u64>,
    pub(crate) acl: Acl,
    pub(crate) pools: BTreeMap<String, Value>,
    pub(crate) nodes: BTreeMap<String, Node>,
    pub(crate) jobs: BTreeMap<String, Value>,
    pub(crate) allocs: BTreeMap<String, Alloc>,
    pub(crate) evals: BTreeMap<String, Evaluation>,
    /// Allocations that failed and are placed anew at this time (nanoseconds since 1970).
    pub(crate) reschedule_at: BTreeMap<String, i64>,
    /// Signs introduction tokens and node identities.
    pub(crate) signing_key: String,
    #[serde(skip)]
    pub(crate) events: Events,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Table {
    Acl,
    Pools,
    Nodes,
    Jobs,
    Allocs,
    Evals,
}

impl State {
    /// The index of a change to these tables.
    pub(crate) fn next_index(&mut self, tables: &[Table]) -> u64 {
        self.index += 1;
        self.tables.extend(tables.iter().map(|table| (*table, self.index)));
        self.index
    }

    pub(crate) fn table_index(&self, table: Table) -> u64 {
        self.tables.get(&table).copied().unwrap_or(1).max(1)
    }

    pub(crate) fn emit_node(&mut self, index: u64, kind: &str, node: &Node) {
        let event = json!({
            "FilterKeys": null, "Index": index, "Key": node.id, "Namespace": "",
            "Payload": { "Node": node_view(node) }, "Topic": "Node", "Type": kind,
        });
        self.events.push(index, event);
    }

    pub(crate) fn emit_alloc(&mut self, index: u64, kind: &str, alloc: &Alloc) {
        let event = json!({
            "FilterKeys": [alloc.job_id, alloc.deployment_id], "Index": index, "Key": alloc.id,
            "Namespace": alloc.namespace, "Payload": { "Allocation": alloc_event_view(alloc) },
            "Topic": "Allocation", "Type": kind,
        });
        self.events.push(index, event);
    }
}

#[derive(Clone)]
pub(crate) struct Store {
    state: Arc<Mutex<State>>,
    changed: Arc<watch::Sender<u64>>,
    file: Arc<PathBuf>,
}

impl Store {
    pub(crate) fn open(data_dir: &Path, event_buffer_size: usize) -> Result<Self, String> {
        let file = data_dir.join("server").join("state.json");
        std::fs::create_dir_all(data_dir.join("server")).map_err(|e| format!("server setup failed: {e}"))?;
        let mut state: State = match std::fs::read(&file) {
            Ok(text) => serde_json::from_slice(&text).map_err(|e| format!("server setup failed: {e}"))?,
            Err(_) => State { index: 10, signing_key: new_id() + &new_id(), ..State::default() },
        };
        state.events = Events::new(event_buffer_size);
        let (changed, _) = watch::channel(state.index);
        keep(&file, &state);
        Ok(Self { state: Arc::new(Mutex::new(state)), changed: Arc::new(changed), file: Arc::new(file) })
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.index;
        let answer = change(&mut state);
        let index = state.index;
        if index != before {
            keep(&self.file, &state);
        }
        drop(state);
        self.changed.send_if_modified(|seen| std::mem::replace(seen, index) != index);
        answer
    }

    /// Fires after every change.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

/// Nothing is answered before it is kept: a killed server knows all that it has said.
fn keep(file: &Path, state: &State) {
    let text = serde_json::to_vec(state).unwrap_or_default();
    let fresh = file.with_extension("new");
    if std::fs::write(&fresh, text).is_ok() {
        _ = std::fs::rename(&fresh, file);
    }
}
