//! One request of the HTTP API.

use std::time::Duration;

use axum::{body::Bytes, http::Method};
use serde_json::Value;

use super::{answer::ApiError, grants::Grants, store::State};
use crate::go;

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: Vec<String>,
    query: Vec<(String, String)>,
    pub(crate) token: String,
    body: Bytes,
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

    pub(super) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
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
        state.acl.grants(&self.token).ok_or_else(ApiError::denied)
    }

    pub(crate) fn management(&self, state: &State) -> Result<(), ApiError> {
        if self.grants(state)?.is_management() { Ok(()) } else { Err(ApiError::denied()) }
    }

    /// `index` and `wait` of a blocking query.
    pub(super) fn blocking(&self) -> Option<(u64, Duration)> {
        let index = self.query("index")?.parse().ok().filter(|index| *index > 0)?;
        let wait = self.query("wait").and_then(go::duration).unwrap_or(Duration::from_secs(300));
        // Nomad adds up to a sixteenth, so that many waiters do not come back at once.
        Some((index, wait.min(Duration::from_secs(600)) + wait / 32))
    }
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
