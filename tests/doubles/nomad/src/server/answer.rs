//! Answers and errors of the HTTP API, and how they look on the wire.

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
};
use serde_json::Value;

/// Says in every answer that this is not Nomad.
pub(crate) const DOUBLE_HEADER: (&str, &str) = ("x-ionet-double", "nomad");

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
