//! The servers' HTTP API: how a request is answered, at once, after a wait, or for as long as the caller listens. Which request goes where:
//! [`super::route`].

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{Method, Response, header},
};
use tokio::time::timeout;

use super::{
    Region,
    answer::{Answer, ApiError},
    events::Topics,
    grants::Access,
    request::Request,
    route::route,
};
use crate::rpc::Reply;

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
    let permitted = region.store.read(|state| match state.acl.grants(&request.token) {
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
