//! A region that does what a test says: Nomad's HTTP API as the gateway uses it. Every node and allocation is one that was
//! recorded from a real region, but for what the test says of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use self::changes::change_in_time;
use self::recorded::{ALLOCATION, ALLOCATION_LIST, NODE, NODE_LIST, change, event, recorded, stub};

#[path = "changes.rs"]
mod changes;
#[path = "recorded.rs"]
mod recorded;

/// What the stream calls a client's own change of an allocation.
const CLIENT: &str = "AllocationUpdated";

pub(crate) struct FakeRegion {
    pub(crate) url: String,
    inner: Arc<Inner>,
    serving: JoinHandle<()>,
}

struct Inner {
    script: Mutex<Script>,
    lines: broadcast::Sender<String>,
    called: tokio::sync::watch::Sender<usize>,
    /// The path at which no change is carried out.
    held: tokio::sync::watch::Sender<Option<String>>,
    /// How often the list of allocations was read.
    listed: tokio::sync::watch::Sender<usize>,
}

#[derive(Default)]
struct Script {
    index: i64,
    nodes: BTreeMap<String, Value>,
    allocations: BTreeMap<String, Value>,
    calls: Vec<Call>,
    said: Vec<String>,
    answers: BTreeMap<String, u16>,
    /// Paths that answer what is no JSON of theirs.
    garbled: BTreeSet<String>,
    /// Allocations that the list leaves out, though they can be asked for.
    unlisted: BTreeSet<String>,
    list_also: Vec<Value>,
    stream_denied: bool,
    is_double: bool,
}

/// A change that the gateway asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub(crate) path: String,
    pub(crate) body: Value,
}

impl FakeRegion {
    pub(crate) async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Inner {
            script: Mutex::new(Script { index: 100, ..Script::default() }),
            lines: broadcast::Sender::new(1000),
            called: tokio::sync::watch::Sender::new(0),
            held: tokio::sync::watch::Sender::new(None),
            listed: tokio::sync::watch::Sender::new(0),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&inner));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Arc::new(Self { url, inner, serving })
    }

    pub(crate) fn stop(&self) {
        self.serving.abort();
    }

    /// From now on the event stream answers 200 and stays silent, as for a token that may not read it.
    pub(crate) fn deny_stream(&self) {
        self.inner.script.lock().unwrap().stream_denied = true;
    }

    pub(crate) fn be_a_double(&self) {
        self.inner.script.lock().unwrap().is_double = true;
    }

    /// Answers at this path with what nobody can read.
    pub(crate) fn garble(&self, path: &str) {
        self.inner.script.lock().unwrap().garbled.insert(path.to_owned());
    }

    /// The list of allocations leaves this one out from now on, or no more.
    pub(crate) fn unlist(&self, id: &str, unlisted: bool) {
        let mut script = self.inner.script.lock().unwrap();
        if unlisted {
            script.unlisted.insert(id.to_owned())
        } else {
            script.unlisted.remove(id)
        };
    }

    /// The list of allocations has this entry too.
    pub(crate) fn list_also(&self, entry: Value) {
        self.inner.script.lock().unwrap().list_also.push(entry);
    }

    /// Sends the stream a line as it stands.
    pub(crate) fn tell(&self, line: &str) {
        let _ = self.inner.lines.send(format!("{line}\n"));
    }

    /// Sends the stream what makes the gateway leave it: more than it can leave out.
    pub(crate) fn break_stream(&self) {
        (0..21).for_each(|_| self.tell("<html>"));
    }

    /// Takes every change at this path from now on, and carries it out when it is let go.
    pub(crate) fn hold(&self, path: &str) {
        self.inner.held.send_replace(Some(path.to_owned()));
    }

    /// Carries out what is held.
    pub(crate) fn let_go(&self) {
        self.inner.held.send_replace(None);
    }

    /// Answers at this path as usual again.
    pub(crate) fn recover(&self, path: &str) {
        let mut script = self.inner.script.lock().unwrap();
        script.answers.remove(path);
        script.garbled.remove(path);
    }

    /// Answers at this path with this status.
    pub(crate) fn answer(&self, path: &str, status: u16) {
        self.inner.script.lock().unwrap().answers.insert(path.to_owned(), status);
    }

    /// Registers a node or changes it, and tells the stream.
    pub(crate) fn node(&self, id: &str, name: &str, changes: Value) {
        self.inner.node(id, name, &changes);
    }

    /// Places an allocation, or changes it as its client does, and tells the stream.
    pub(crate) fn allocation(&self, id: &str, node: &str, changes: Value) {
        self.allocation_by(CLIENT, id, node, changes);
    }

    /// Changes an allocation by what the stream calls so.
    pub(crate) fn allocation_by(&self, kind: &str, id: &str, node: &str, changes: Value) {
        let line = self.inner.script.lock().unwrap().allocation(kind, id, node, &changes);
        self.inner.tell(line);
    }

    /// Sends the stream's lines so far once more.
    pub(crate) fn replay(&self) {
        let said = self.inner.script.lock().unwrap().said.clone();
        for line in said {
            let _ = self.inner.lines.send(line);
        }
    }

    /// The stream no longer holds what it told so far.
    pub(crate) fn forget_events(&self) {
        self.inner.script.lock().unwrap().said.clear();
    }

    /// The same without a word to the stream.
    pub(crate) fn allocation_silently(&self, id: &str, node: &str, changes: Value) {
        self.inner.script.lock().unwrap().allocation(CLIENT, id, node, &changes);
    }

    pub(crate) fn forget_allocation(&self, id: &str) {
        self.inner.script.lock().unwrap().allocations.remove(id);
    }

    /// The index of the last change.
    pub(crate) fn index(&self) -> i64 {
        self.inner.script.lock().unwrap().index
    }

    /// What the region holds of a node.
    pub(crate) fn node_field(&self, id: &str, field: &str) -> Value {
        let script = self.inner.script.lock().unwrap();
        script.nodes.get(id).map(|node| node[field].clone()).unwrap_or_default()
    }

    /// The changes asked for so far whose path ends so.
    pub(crate) fn calls(&self, ending: &str) -> Vec<Call> {
        let script = self.inner.script.lock().unwrap();
        script.calls.iter().filter(|call| call.path.ends_with(ending)).cloned().collect()
    }

    /// How often the list of allocations has been read.
    pub(crate) fn lists(&self) -> usize {
        *self.inner.listed.borrow()
    }

    /// Waits until the list of allocations has been read so often.
    pub(crate) async fn until_listed(&self, times: usize) {
        let mut listed = self.inner.listed.subscribe();
        let enough = listed.wait_for(|count| *count >= times);
        drop(tokio::time::timeout(super::PATIENCE, enough).await.expect("the lists should be read").unwrap());
    }

    /// Waits until the gateway has asked for this many changes whose path ends so.
    pub(crate) async fn until_called(&self, ending: &str, times: usize) -> Vec<Call> {
        let mut called = self.inner.called.subscribe();
        let enough = called.wait_for(|_| self.calls(ending).len() >= times);
        drop(tokio::time::timeout(super::PATIENCE, enough).await.expect("the gateway should ask").unwrap());
        self.calls(ending)
    }
}

impl Drop for FakeRegion {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Inner {
    fn node(&self, id: &str, name: &str, changes: &Value) {
        let line = self.script.lock().unwrap().node(id, name, changes);
        self.tell(line);
    }

    fn tell(&self, line: String) {
        self.script.lock().unwrap().said.push(line.clone());
        // Nobody listening is no error.
        let _ = self.lines.send(line);
    }
}

impl Script {
    fn node(&mut self, id: &str, name: &str, changes: &Value) -> String {
        self.index += 1;
        let index = self.index;
        let node = self.nodes.entry(id.to_owned()).or_insert_with(|| {
            recorded(
                NODE,
                json!({
                    "ID": id, "NodePool": "gamers", "Status": "ready", "SchedulingEligibility": "eligible",
                    "CreateIndex": index, "StatusUpdatedAt": now_s(), "Drain": false, "Meta": {}, "Events": [],
                }),
            )
        });
        node["Name"] = json!(name);
        change(node, changes, index);
        event("Node", "NodeStreamEvent", id, node, index)
    }

    fn allocation(&mut self, kind: &str, id: &str, node: &str, changes: &Value) -> String {
        self.index += 1;
        let index = self.index;
        let name = self.nodes.get(node).map(|node| node["Name"].clone()).unwrap_or_default();
        let allocation = self.allocations.entry(id.to_owned()).or_insert_with(|| {
            let now = now_s() * 1_000_000_000;
            recorded(
                ALLOCATION,
                json!({
                    "ID": id, "NodeID": node, "NodeName": name, "JobID": "render", "TaskGroup": "g",
                    "ClientStatus": "pending", "DesiredStatus": "run", "CreateTime": now, "ModifyTime": now,
                    "CreateIndex": index, "AllocModifyIndex": index, "TaskStates": null,
                }),
            )
        });
        change(allocation, changes, index);
        let mut stub = allocation.clone();
        stub.as_object_mut().unwrap().remove("Job");
        event("Allocation", kind, id, &stub, index)
    }

    fn read(&self, path: &[&str], query: &str) -> Option<Value> {
        Some(match path {
            ["v1", "nodes"] => self.nodes.values().map(|node| stub(node, NODE_LIST)).collect(),
            ["v1", "node", id] => self.nodes.get(*id)?.clone(),
            ["v1", "node", id, "allocations"] => {
                self.allocations.values().filter(|allocation| allocation["NodeID"] == **id).cloned().collect()
            }
            ["v1", "allocations"] => {
                let everywhere = query.contains("namespace=*") || query.contains("namespace=%2A");
                let listed = self.allocations.values().filter(|allocation| {
                    let id = allocation["ID"].as_str().unwrap();
                    !self.unlisted.contains(id) && (everywhere || allocation["Namespace"] == "default")
                });
                listed
                    .map(|allocation| stub(allocation, ALLOCATION_LIST))
                    .chain(self.list_also.clone())
                    .collect()
            }
            ["v1", "allocation", id] => self.allocations.get(*id)?.clone(),
            _ => return None,
        })
    }
}

async fn answer(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let allowed = request.headers().get("x-nomad-token").is_some_and(|token| token == "gateway-token");
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let mut response = match (parts.method, segments.as_slice()) {
        (Method::GET, ["v1", "event", "stream"]) => event_stream(&inner, allowed, &query),
        _ if !allowed => (StatusCode::FORBIDDEN, "Permission denied").into_response(),
        (Method::GET, segments) => {
            let answer = read(&inner.script.lock().unwrap(), &path, segments, &query);
            inner.listed.send_modify(|count| *count += usize::from(path == "/v1/allocations"));
            answer
        }
        // A task of its own: a change is carried out also when nobody waits for the answer any more.
        _ => tokio::spawn(change_in_time(Arc::clone(&inner), path.clone(), body)).await.unwrap(),
    };
    if inner.script.lock().unwrap().is_double {
        response.headers_mut().insert("x-ionet-double", "nomad".parse().unwrap());
    }
    response
}

fn read(script: &Script, path: &str, segments: &[&str], query: &str) -> Response {
    if let Some(status) = script.answers.get(path) {
        return (StatusCode::from_u16(*status).unwrap(), "scripted").into_response();
    }
    if script.garbled.contains(path) {
        return "<html>".into_response();
    }
    match script.read(segments, query) {
        Some(found) => Json(found).into_response(),
        None => (StatusCode::NOT_FOUND, "not found").into_response(),
    }
}

/// Nomad's stream begins with a heartbeat and what its buffer holds since the index that was asked for.
fn event_stream(inner: &Inner, allowed: bool, query: &str) -> Response {
    if !allowed || inner.script.lock().unwrap().stream_denied {
        return Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>()).into_response();
    }
    let lines = inner.lines.subscribe();
    let after =
        query.split('&').find_map(|part| part.strip_prefix("index=")?.parse::<i64>().ok()).unwrap_or(0);
    let said = inner.script.lock().unwrap().said.clone();
    let is_new = |line: &String| {
        serde_json::from_str::<Value>(line)
            .is_ok_and(|line| line["Index"].as_i64().is_some_and(|index| index >= after))
    };
    let replayed: Vec<_> = said.into_iter().filter(is_new).map(|line| Ok(Bytes::from(line))).collect();
    let lines = stream::unfold(lines, |mut lines| async move {
        let line = lines.recv().await.ok()?;
        Some((Ok::<_, std::io::Error>(Bytes::from(line)), lines))
    });
    let heartbeat = stream::once(async { Ok(Bytes::from_static(b"{}\n")) });
    let replayed = futures_util::StreamExt::chain(heartbeat, stream::iter(replayed));
    Body::from_stream(futures_util::StreamExt::chain(replayed, lines)).into_response()
}

pub(crate) fn now_s() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}
