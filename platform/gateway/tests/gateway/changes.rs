//! The changes that a gateway asks a region for.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::recorded::{DRAIN, ELIGIBILITY, recorded};
use super::{Call, Inner};

pub(super) async fn change_in_time(inner: Arc<Inner>, path: String, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let note = || {
        inner.script.lock().unwrap().calls.push(Call { path: path.clone(), body: body.clone() });
        inner.called.send_modify(|count| *count += 1);
    };
    // Whoever waits for a call finds it done, unless it is held.
    let mut held = inner.held.subscribe();
    if held.borrow().as_ref() != Some(&path) {
        let answer = do_change(&inner, &path, &body);
        note();
        return answer;
    }
    note();
    let _ = held.wait_for(|held| held.as_ref() != Some(&path)).await;
    do_change(&inner, &path, &body)
}

fn do_change(inner: &Inner, path: &str, body: &Value) -> Response {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let status = inner.script.lock().unwrap().answers.get(path).copied();
    match (status, segments.as_slice()) {
        (Some(status), _) => (StatusCode::from_u16(status).unwrap(), "scripted").into_response(),
        (None, ["v1", "acl", "identity", "client-introduction-token"]) => {
            Json(json!({ "JWT": "a.b.c" })).into_response()
        }
        (None, ["v1", "node", id, "eligibility"]) => {
            change_node(inner, id, &json!({ "SchedulingEligibility": body["Eligibility"] }), ELIGIBILITY)
        }
        (None, ["v1", "node", id, "drain"]) => {
            change_node(inner, id, &json!({ "SchedulingEligibility": "ineligible" }), DRAIN)
        }
        (None, ["v1", "allocation", _, "stop"]) => Json(json!({ "EvalID": "e", "Index": 1 })).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn change_node(inner: &Inner, id: &str, changes: &Value, recording: &str) -> Response {
    let name =
        inner.script.lock().unwrap().nodes.get(id).map(|node| node["Name"].as_str().unwrap().to_owned());
    let Some(name) = name else {
        return (StatusCode::INTERNAL_SERVER_ERROR, "node not found").into_response();
    };
    inner.node(id, &name, changes);
    Json(recorded(recording, json!({}))["body"].clone()).into_response()
}
