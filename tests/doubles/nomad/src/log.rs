//! Log lines in the agent's own two shapes: JSON objects, or `TIME [LEVEL]  module: message: k=v`.
//! The same lines go to standard output and to `log_file`.

use std::{
    fmt::Write as _,
    fs::{File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use serde_json::{Map, Value, json};
use time::{OffsetDateTime, macros::format_description};

use crate::platform::with_mode;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "trace" => Some(Self::Trace),
            "debug" => Some(Self::Debug),
            "info" => Some(Self::Info),
            "warn" => Some(Self::Warn),
            "error" => Some(Self::Error),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct LogPlan {
    pub(crate) json: bool,
    pub(crate) level: Level,
    pub(crate) file: Option<PathBuf>,
    /// The file is closed and set aside once it holds this many bytes; 0 = never.
    pub(crate) rotate_bytes: u64,
    /// How many closed files are kept; 0 = all.
    pub(crate) max_files: usize,
}

#[derive(Clone)]
pub(crate) struct Logger {
    inner: Arc<Mutex<Sink>>,
}

struct Sink {
    plan: LogPlan,
    file: Option<File>,
    written: u64,
}

impl Logger {
    /// A missing log directory is no error, as in the real agent: there is then no file.
    pub(crate) fn new(plan: LogPlan) -> Self {
        let file = plan.file.as_deref().and_then(|path| open(path).ok());
        let written = file.as_ref().and_then(|f| f.metadata().ok()).map_or(0, |m| m.len());
        Self { inner: Arc::new(Mutex::new(Sink { plan, file, written })) }
    }

    pub(crate) fn info(&self, module: &str, message: &str, fields: Value) {
        self.line(Level::Info, module, message, fields);
    }

    pub(crate) fn warn(&self, module: &str, message: &str, fields: Value) {
        self.line(Level::Warn, module, message, fields);
    }

    pub(crate) fn error(&self, module: &str, message: &str, fields: Value) {
        self.line(Level::Error, module, message, fields);
    }

    pub(crate) fn line(&self, level: Level, module: &str, message: &str, fields: Value) {
        let mut sink = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if level < sink.plan.level {
            return;
        }
        let now = OffsetDateTime::from(SystemTime::now());
        let fields = if let Value::Object(fields) = fields { fields } else { Map::new() };
        let line = if sink.plan.json {
            json_line(level, module, message, fields, now)
        } else {
            text_line(level, module, message, &fields, now)
        };
        sink.write(&line);
    }
}

impl Sink {
    fn write(&mut self, line: &str) {
        // A closed standard output must not end the agent.
        _ = writeln!(std::io::stdout(), "{line}");
        let Some(path) = self.plan.file.clone() else { return };
        if self.plan.rotate_bytes > 0 && self.written >= self.plan.rotate_bytes && self.file.is_some() {
            self.rotate(&path);
        }
        if let Some(file) = &mut self.file {
            _ = writeln!(file, "{line}");
            self.written += line.len() as u64 + 1;
        }
    }

    fn rotate(&mut self, path: &Path) {
        let nanos = OffsetDateTime::from(SystemTime::now()).unix_timestamp_nanos();
        let (stem, extension) = stem_and_extension(path);
        _ = std::fs::rename(path, path.with_file_name(format!("{stem}-{nanos}{extension}")));
        self.file = open(path).ok();
        self.written = 0;
        if self.plan.max_files > 0 {
            prune(path, self.plan.max_files);
        }
    }
}

fn stem_and_extension(path: &Path) -> (String, String) {
    let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let extension = path.extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
    (stem, extension)
}

fn prune(path: &Path, keep: usize) {
    let (stem, extension) = stem_and_extension(path);
    let Some(Ok(entries)) = path.parent().map(std::fs::read_dir) else { return };
    let mut old: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|p| {
            let name = p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            name.starts_with(&format!("{stem}-")) && name.ends_with(&extension)
        })
        .collect();
    old.sort();
    for path in old.iter().rev().skip(keep) {
        _ = std::fs::remove_file(path);
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    with_mode(OpenOptions::new().create(true).append(true), 0o640).open(path)
}

fn json_line(
    level: Level,
    module: &str,
    message: &str,
    fields: Map<String, Value>,
    now: OffsetDateTime,
) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
    let mut line = json!({
        "@level": level.word(),
        "@message": message,
        "@module": module,
        "@timestamp": now.format(&format).unwrap_or_default(),
    });
    if let Value::Object(map) = &mut line {
        map.extend(fields);
    }
    line.to_string()
}

fn text_line(
    level: Level,
    module: &str,
    message: &str,
    fields: &Map<String, Value>,
    now: OffsetDateTime,
) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let mut line = format!(
        "    {} [{}] {}{module}: {message}",
        now.format(&format).unwrap_or_default(),
        level.word().to_uppercase(),
        if level.word().len() == 4 { " " } else { "" },
    );
    for (n, (key, value)) in fields.iter().enumerate() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let quoted = if text.contains(' ') { format!("{text:?}") } else { text };
        _ = write!(line, "{} {key}={quoted}", if n == 0 { ":" } else { "" });
    }
    line
}
