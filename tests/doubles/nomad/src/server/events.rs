//! The event buffer and its subscriptions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json};

use super::answer::ApiError;

#[derive(Debug, Default)]
pub(crate) struct Events {
    size: usize,
    /// One entry per index: all events of one change.
    buffer: VecDeque<(u64, Vec<Value>)>,
}

impl Events {
    pub(crate) fn new(size: usize) -> Self {
        Self { size, buffer: VecDeque::new() }
    }

    /// One change tells of an object once: what is said later in it replaces what was said before.
    pub(super) fn push(&mut self, index: u64, event: Value) {
        match self.buffer.back_mut() {
            Some((last, events)) if *last == index => {
                events.retain(|before| before["Key"] != event["Key"] || before["Type"] != event["Type"]);
                events.push(event);
            }
            _ => self.buffer.push_back((index, vec![event])),
        }
        while self.buffer.len() > self.size {
            self.buffer.pop_front();
        }
    }

    /// Where a subscription from `index` starts: at that change, else at the nearest later one, else
    /// at the newest. 0 starts at the oldest. So the newest old event is delivered once more.
    pub(crate) fn start(&self, index: u64) -> u64 {
        if index == 0 {
            return 0;
        }
        let newest = self.buffer.back().map_or(0, |(last, _)| *last);
        index.min(newest)
    }

    /// The changes from `from` on.
    pub(crate) fn since(&self, from: u64) -> impl Iterator<Item = &(u64, Vec<Value>)> {
        self.buffer.iter().filter(move |(index, _)| *index >= from)
    }
}

/// What a subscriber asked for: topic -> keys, where `*` is any.
#[derive(Debug, Clone)]
pub(crate) struct Topics(BTreeMap<String, BTreeSet<String>>);

impl Topics {
    /// From the `topic` parameters of a query; none = everything.
    pub(crate) fn parse<'a>(asked: impl Iterator<Item = &'a str>) -> Result<Self, ApiError> {
        let mut topics: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for topic in asked {
            let parts: Vec<_> = topic.split(':').collect();
            let (name, key) = match parts[..] {
                [name] => (name, "*"),
                [name, key] => (name, key),
                _ => {
                    return Err(ApiError::new(
                        400,
                        format!(
                            "Invalid topic query: error parsing topics: Invalid key value pair for topic, topic: {topic}"
                        ),
                    ));
                }
            };
            topics.entry(name.into()).or_default().insert(key.into());
        }
        if topics.is_empty() {
            topics.insert("*".into(), ["*".to_owned()].into());
        }
        Ok(Self(topics))
    }

    pub(crate) fn wants(&self, topic: &str) -> bool {
        self.0.contains_key(topic) || self.0.contains_key("*")
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.0.contains_key("*")
    }

    /// The line for one change, or nothing where none of its events was asked for.
    pub(crate) fn line(&self, index: u64, events: &[Value]) -> Option<String> {
        let wanted: Vec<&Value> = events.iter().filter(|event| self.has(event)).collect();
        (!wanted.is_empty()).then(|| json!({ "Index": index, "Events": wanted }).to_string())
    }

    fn has(&self, event: &Value) -> bool {
        let Some(keys) = self.0.get(event["Topic"].as_str().unwrap_or_default()).or_else(|| self.0.get("*"))
        else {
            return false;
        };
        let filters = event["FilterKeys"].as_array().into_iter().flatten();
        keys.contains("*")
            || event["Key"].as_str().is_some_and(|key| keys.contains(key))
            || filters.filter_map(Value::as_str).any(|key| keys.contains(key))
    }
}
