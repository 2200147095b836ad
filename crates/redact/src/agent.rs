//! What a task brought with it, in an agent's lines: its environment, its command line, its configuration.
//!
//! Which fields carry such things depends on the driver and the version, so the list says what is kept, not what goes:
//! a field that is not known is cut.

use std::borrow::Cow;
use std::fmt;

use memchr::memmem;
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::spans::{Span, apply};
use crate::values;

const CUT: &str = "\"[cut]\"";
const CUT_TEXT: &str = "[cut]";

/// Fields that speak of the agent's own doings.
#[rustfmt::skip]
const KEPT: &[&str] = &[
    "@level", "@message", "@module", "@timestamp", "@caller", "added", "addr", "address", "alloc_id", "attempt",
    "attempts", "backoff", "component", "container_id", "count", "data_dir", "delay", "deployment", "desc",
    "description", "detected", "device", "driver", "duration", "err", "error", "eval_id", "exit_code", "failed",
    "file", "fingerprinter", "group", "health", "healthy", "id", "ignored", "image_id", "index", "interface",
    "interval", "job_id", "kill_timeout", "limit", "method", "module", "msg", "name", "namespace", "network",
    "next_period", "node_id", "node_class", "node_pool", "num_added", "num_removed", "num_updated", "oom_killed",
    "period", "pid", "plugin", "plugin_dir", "plugin_name", "plugin_type", "plugin_version", "port", "reason",
    "region", "removed", "retry", "rpc", "server", "servers", "signal", "state", "state_dir", "status", "task",
    "terminal", "time", "timeout", "total", "ttl", "type", "unit", "updated", "updates", "version", "wait",
];

/// Fields whose text is somebody else's, as an engine's or a shell's word of what it could not run.
const TEXTS: &[&str] = &["@message", "desc", "description", "err", "error", "msg", "reason", "status"];

pub(crate) fn cut(line: &[u8]) -> Cow<'_, [u8]> {
    let mut found = Vec::new();
    if line.trim_ascii_start().starts_with(b"{") {
        match serde_json::from_slice::<Fields<'_>>(line) {
            Ok(fields) => fields.find(line, &mut found),
            // Torn: nobody can say what it carries.
            Err(_) => return Cow::Borrowed(CUT_TEXT.as_bytes()),
        }
    } else {
        plain(line, &mut found);
    }
    if found.is_empty() { Cow::Borrowed(line) } else { Cow::Owned(apply(line, found)) }
}

/// A JSON line's fields as they are written.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    fn find(&self, line: &[u8], found: &mut Vec<Span>) {
        let module = self.0.iter().find(|(name, _)| name == "@module").map_or("", |(_, module)| module.get());
        let of_task =
            ["alloc_runner", "driver", "docker", "executor"].iter().any(|part| module.contains(part));
        for (name, value) in &self.0 {
            let text = value.get();
            let start = text.as_ptr() as usize - line.as_ptr() as usize;
            let end = start + text.len();
            if TEXTS.contains(&name.as_ref()) {
                quoted(line, start + 1, end.saturating_sub(1), of_task, found);
            } else if !KEPT.contains(&name.as_ref()) && text.starts_with(['"', '[', '{']) {
                found.push(Span::new(start, end, CUT));
            }
        }
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    fields.push((name.0, value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Within a text: what is quoted, where the text is of a task or says what was run.
fn quoted(line: &[u8], start: usize, end: usize, all: bool, found: &mut Vec<Span>) {
    let Some(text) = line.get(start..end) else { return };
    let from = if all {
        Some(0)
    } else {
        ["exec: ", "exec "].iter().filter_map(|word| memmem::find(text, word.as_bytes())).min()
    };
    let Some(from) = from else { return };
    let mut open = None;
    for place in memchr::memchr2_iter(b'"', b'`', &text[from..]).map(|place| start + from + place) {
        let slashes = line[..place].iter().rev().take_while(|byte| **byte == b'\\').count();
        match open.take() {
            None => open = Some((place + 1, line[place], slashes)),
            Some((begin, quote, depth)) if line[place] == quote && slashes <= depth => {
                found.push(Span::new(begin, place - slashes, CUT_TEXT));
            }
            still => open = still,
        }
    }
    if let Some((begin, _, _)) = open {
        found.push(Span::new(begin, end, CUT_TEXT));
    }
}

/// `TIME [LEVEL]  module: message: key=value key="value"`, and the lines of a value that goes over several.
fn plain(line: &[u8], found: &mut Vec<Span>) {
    let indent = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    if indent > 0 && line[indent..].starts_with(b"|") {
        found.push(Span::new(indent, line.len(), CUT_TEXT));
        return;
    }
    let mut from = 0;
    while let Some(sign) = memchr::memchr(b'=', &line[from..]).map(|place| from + place) {
        let length = line[from..sign].iter().rev().take_while(|byte| crate::spans::is_name(**byte)).count();
        let name = &line[sign - length..sign];
        let begins = sign == length || line[sign - length - 1].is_ascii_whitespace();
        from = sign + 1;
        if length == 0 || !begins {
            continue;
        }
        let end = end_of_value(line, sign + 1, name);
        let kept = KEPT.iter().any(|kept| kept.as_bytes() == name);
        if TEXTS.iter().any(|text| text.as_bytes() == name) {
            quoted(line, (sign + 2).min(end), end, false, found);
        } else if !kept && end > sign + 1 {
            found.push(Span::new(sign + 1, end, CUT_TEXT));
        }
        from = end.max(from);
    }
    quoted(line, 0, line.len(), false, found);
}

fn end_of_value(line: &[u8], at: usize, name: &[u8]) -> usize {
    // Written without quotes, these go on with spaces.
    const LONG: [&[u8]; 6] = [b"args", b"command", b"cmd", b"config", b"env", b"environment"];
    match line.get(at) {
        Some(b'"') => values::end_of_quote(line, at + 1, b'"').map_or(line.len(), |end| end + 1),
        Some(b'[' | b'{') => values::end_of_list(line, at),
        _ if LONG.contains(&name) => line.len(),
        _ => at + line[at..].iter().take_while(|byte| !byte.is_ascii_whitespace()).count(),
    }
}
