//! The servers' HTTP API: how requests, answers and errors look. Which request goes where: [`super::route`].

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Method, Response, StatusCode, header},
};
use serde_json::Value;
use tokio::time::timeout;

use super::acl::Grants;
use super::events::Topics;
use super::route::route;
use super::store::State;
use super::{Region, acl::Access};
use crate::{go, rpc::Reply};

/// Says in every answer that this is not Nomad.
pub(crate) const DOUBLE_HEADER: (&str, &str) = ("x-ionet-double", "nomad");

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: Vec<String>,
    query: Vec<(String, String)>,
    pub(crate) token: String,
    body: Bytes,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Option<Value>,
    /// Nomad's index of what was read or changed.
    pub(crate) index: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) message: String,
}

impl Answer {
    pub(crate) fn json(body: Value) -> Self {
        Self { body: Some(body), index: None }
    }

    pub(crate) fn empty() -> Self {
        Self { body: None, index: None }
    }

    pub(crate) fn at(self, index: u64) -> Self {
        Self { index: Some(index.max(1)), ..self }
    }
}

impl ApiError {
    pub(crate) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(crate) fn denied() -> Self {
        Self::new(403, "Permission denied")
    }

    pub(crate) fn invalid_method() -> Self {
        Self::new(405, "Invalid method")
    }
}

impl Request {
    pub(crate) fn new(method: Method, target: &str, token: String, body: Bytes) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = path.trim_start_matches('/').split('/').map(decoded).collect();
        let pair = |part: &str| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            (decoded(key), decoded(value))
        };
        let query = query.split('&').filter(|part| !part.is_empty()).map(pair).collect();
        Self { method, path, query, token, body }
    }

    pub(crate) fn query(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.query.iter().filter(move |(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Result<Value, ApiError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| ApiError::new(400, go_json_error(&self.body, &error)))
    }

    pub(crate) fn optional_json(&self) -> Result<Value, ApiError> {
        if self.body.is_empty() { Ok(Value::Null) } else { self.json() }
    }

    pub(crate) fn grants(&self, state: &State) -> Result<Grants, ApiError> {
        state.grants(&self.token).ok_or_else(ApiError::denied)
    }

    pub(crate) fn management(&self, state: &State) -> Result<(), ApiError> {
        if self.grants(state)?.is_management() { Ok(()) } else { Err(ApiError::denied()) }
    }

    /// `index` and `wait` of a blocking query.
    fn blocking(&self) -> Option<(u64, Duration)> {
        let index = self.query("index")?.parse().ok().filter(|index| *index > 0)?;
        let wait = self.query("wait").and_then(go::duration).unwrap_or(Duration::from_secs(300));
        // Nomad adds up to a sixteenth, so that many waiters do not come back at once.
        Some((index, wait.min(Duration::from_secs(600)) + wait / 32))
    }
}

/// Answers one request, from the listener or handed on by a client; waits where the query blocks.
pub(crate) async fn answer(region: &Arc<Region>, request: &Request) -> Result<Answer, ApiError> {
    if request.query("region").is_some_and(|asked| asked != region.config.region) {
        return Err(ApiError::new(500, "No path to region"));
    }
    let first = route(region, request)?;
    let Some((index, wait)) = request.blocking().filter(|_| request.method == Method::GET) else {
        return Ok(first);
    };
    let newer = async {
        let mut changes = region.store.watch();
        loop {
            let answer = route(region, request)?;
            if answer.index.is_none_or(|now| now > index) || changes.changed().await.is_err() {
                return Ok(answer);
            }
        }
    };
    match timeout(wait, newer).await {
        Ok(answer) => answer,
        Err(_) => route(region, request),
    }
}

/// The event stream, which answers for as long as the caller listens.
pub(super) fn stream(region: Arc<Region>, request: &Request) -> Result<Response<Body>, ApiError> {
    if request.method != Method::GET {
        return Err(ApiError::invalid_method());
    }
    let text = request.query("index").filter(|text| !text.is_empty()).unwrap_or("0");
    let index: u64 = text.parse().map_err(|_| {
        ApiError::new(400, format!("Unable to parse index: strconv.Atoi: parsing {text:?}: invalid syntax"))
    })?;
    let topics = Topics::parse(request.all("topic"))?;
    let permitted = region.store.read(|state| match state.grants(&request.token) {
        Some(grants) => {
            (!topics.wants("Node") || grants.node(Access::Read))
                && (!topics.wants("Allocation") || grants.namespace("default", "read-job"))
                && (!topics.is_everything() || grants.is_management())
        }
        None => false,
    });
    let (lines, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(16);
    tokio::spawn(async move {
        if permitted {
            send_events(&region, &topics, index, &lines).await;
        } else {
            // Nomad says nothing at all to who may not listen, and hangs up some time later.
            _ = timeout(Duration::from_secs(37), lines.closed()).await;
        }
    });
    let lines = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|line| (line, receiver))
    });
    let response =
        Response::builder().header(header::CONTENT_TYPE, "application/json").body(Body::from_stream(lines));
    response.map_err(|e| ApiError::new(500, e.to_string()))
}

async fn send_events(
    region: &Region,
    topics: &Topics,
    index: u64,
    lines: &tokio::sync::mpsc::Sender<Result<Bytes, std::io::Error>>,
) {
    let mut changes = region.store.watch();
    let mut from = region.store.read(|state| state.events.start(index));
    let mut pending = vec!["{}".to_owned()];
    loop {
        pending.extend(region.store.read(|state| {
            let fresh: Vec<_> = state.events.since(from).collect();
            from = fresh.last().map_or(from, |(last, _)| last + 1);
            fresh.into_iter().filter_map(|(at, events)| topics.line(*at, events)).collect::<Vec<_>>()
        }));
        for line in pending.drain(..) {
            if lines.send(Ok(Bytes::from(line + "\n"))).await.is_err() {
                return;
            }
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = lines.closed() => return,
            () = tokio::time::sleep(Duration::from_secs(30)) => pending.push("{}".into()),
        }
    }
}

pub(super) async fn handed_on(region: &Arc<Region>, request: &Request) -> Reply {
    match answer(region, request).await {
        Ok(Answer { body, index }) => Reply::Http {
            status: 200,
            index,
            content_type: "application/json".into(),
            body: body.map(|body| body.to_string().into_bytes()).unwrap_or_default(),
        },
        Err(error) => Reply::Http {
            status: error.status,
            index: None,
            content_type: "text/plain; charset=utf-8".into(),
            body: error.message.into_bytes(),
        },
    }
}

pub(crate) fn response(answer: Result<Answer, ApiError>) -> Response<Body> {
    let (status, content_type, body, index) = match answer {
        Ok(Answer { body: Some(body), index }) => (200, Some("application/json"), body.to_string(), index),
        Ok(Answer { body: None, index }) => (200, None, String::new(), index),
        Err(ApiError { status, message }) if message.is_empty() => (status, None, message, None),
        Err(ApiError { status, message }) => (status, Some("text/plain; charset=utf-8"), message, None),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Some(content_type) = content_type {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    if let Some(index) = index {
        headers.insert("x-nomad-index", HeaderValue::from(index));
        headers.insert("x-nomad-knownleader", HeaderValue::from_static("true"));
        headers.insert("x-nomad-lastcontact", HeaderValue::from_static("0"));
    }
    response
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                plain.push(byte);
                at += 3;
            }
            (b'+', _) => {
                plain.push(b' ');
                at += 1;
            }
            (byte, _) => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// Go's words for a body that is not JSON, as far as its first characters tell.
fn go_json_error(body: &[u8], error: &serde_json::Error) -> String {
    let text = String::from_utf8_lossy(body);
    let Some(first) = text.trim_start().chars().next() else { return "EOF".into() };
    for literal in ["null", "true", "false"] {
        if literal.starts_with(first) {
            let mismatch = text.trim_start().chars().zip(literal.chars()).find(|(got, wanted)| got != wanted);
            if let Some((got, wanted)) = mismatch {
                return format!("invalid character '{got}' in literal {literal} (expecting '{wanted}')");
            }
        }
    }
    if matches!(first, '{' | '[' | '"' | '-' | '0'..='9') {
        return error.to_string();
    }
    format!("invalid character '{first}' looking for beginning of value")
}
