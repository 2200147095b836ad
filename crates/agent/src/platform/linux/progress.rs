//! How a pull gets on, as the engine tells it: a line of JSON for each step, long after an answer that began well, and a
//! last one where it failed.

use hyper::StatusCode;
use hyper::body::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// More than any step takes.
const LONGEST: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Progress {
    line: Vec<u8>,
    has_failed: bool,
}

#[derive(Deserialize)]
struct Step {
    error: Option<IgnoredAny>,
    #[serde(rename = "errorDetail")]
    detail: Option<IgnoredAny>,
}

impl Progress {
    pub(super) fn of(status: StatusCode) -> Self {
        Self { line: Vec::new(), has_failed: status != StatusCode::OK }
    }

    pub(super) fn take(&mut self, piece: Option<&Bytes>) {
        let mut lines = piece.into_iter().flat_map(|piece| piece.split(|byte| *byte == b'\n')).peekable();
        while let Some(part) = lines.next() {
            self.line.extend_from_slice(part);
            self.has_failed |= self.line.len() > LONGEST;
            if self.has_failed {
                self.line.clear();
            } else if lines.peek().is_some() {
                self.step();
            }
        }
    }

    /// It broke off.
    pub(super) fn fail(&mut self) {
        self.has_failed = true;
    }

    /// Once nothing follows.
    pub(super) fn ended_well(&mut self) -> bool {
        self.step();
        !self.has_failed
    }

    fn step(&mut self) {
        let line = std::mem::take(&mut self.line);
        if !line.trim_ascii().is_empty() {
            let step = serde_json::from_slice::<Step>(&line);
            self.has_failed |= !step.is_ok_and(|step| step.error.is_none() && step.detail.is_none());
        }
    }
}
