//! What is missing in a stream, said in the stream itself.

use std::time::SystemTime;

pub(crate) use super::memory::Gap;
use crate::names::timestamp;

/// A line for the place where something is missing; `None` where nothing is. An agent's lines are JSON.
pub(crate) fn line(gap: Gap, json: bool, now: SystemTime) -> Option<Vec<u8>> {
    if gap == Gap::default() {
        return None;
    }
    if json {
        let line = serde_json::json!({
            "@timestamp": timestamp(now), "@level": "warn", "@module": "logbook", "@message": "left out",
            "empty_bytes": gap.empty, "bytes": gap.beyond, "files": gap.files,
        });
        return Some(format!("{line}\n").into_bytes());
    }
    let parts = [
        (gap.empty, "empty bytes"),
        (gap.beyond, "bytes beyond what is taken over in an hour"),
        (gap.files, "files that were gone before they were read"),
    ];
    let parts: Vec<_> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    Some(format!("\n[left out here: {}]\n", parts.join(", ")).into_bytes())
}
