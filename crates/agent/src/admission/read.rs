//! The one reader of what is asked: each field is taken out once, and what is left at the end must say nothing.

use serde_json::{Map, Value};

use super::Refusal;
use super::json;

/// What is left to be read of an object.
#[derive(Debug, Default)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn of(body: &[u8]) -> Result<Self, Refusal> {
        let unread = Refusal::of("a description that cannot be read or says one thing twice");
        if let Some(Value::Object(fields)) = json::read(body) { Ok(Self(fields)) } else { Err(unread) }
    }

    pub(super) fn inner(value: Value, name: &'static str) -> Result<Self, Refusal> {
        if value.is_null() {
            return Ok(Self::default());
        }
        if let Value::Object(fields) = value { Ok(Self(fields)) } else { Err(Refusal::of(name)) }
    }

    /// The engine does not mind capitals, so neither does this; and it puts two together, so two are refused.
    pub(super) fn take(&mut self, name: &'static str) -> Result<Value, Refusal> {
        let named: Vec<String> =
            self.0.keys().filter(|written| json::is_name(written, name)).cloned().collect();
        match named.as_slice() {
            [] => Ok(Value::Null),
            [written] => Ok(self.0.remove(written).unwrap_or_default()),
            _ => Err(Refusal::of(name)),
        }
    }

    pub(super) fn object(&mut self, name: &'static str) -> Result<Self, Refusal> {
        Self::inner(self.take(name)?, name)
    }

    pub(super) fn list(&mut self, name: &'static str) -> Result<Vec<Value>, Refusal> {
        let Some(value) = self.said(name)? else { return Ok(Vec::new()) };
        if let Value::Array(list) = value { Ok(list) } else { Err(Refusal::of(name)) }
    }

    pub(super) fn texts(&mut self, name: &'static str) -> Result<Vec<String>, Refusal> {
        self.list(name)?.into_iter().map(|value| text(value, name)).collect()
    }

    /// Empty where it is absent.
    pub(super) fn text(&mut self, name: &'static str) -> Result<String, Refusal> {
        self.said(name)?.map_or(Ok(String::new()), |value| text(value, name))
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Result<bool, Refusal> {
        self.said(name)?.map_or(Ok(false), |value| value.as_bool().ok_or(Refusal::of(name)))
    }

    /// Nothing where it is absent.
    pub(super) fn number(&mut self, name: &'static str) -> Result<i64, Refusal> {
        self.said(name)?.map_or(Ok(0), |value| value.as_i64().ok_or(Refusal::of(name)))
    }

    fn said(&mut self, name: &'static str) -> Result<Option<Value>, Refusal> {
        self.take(name).map(|value| Some(value).filter(|value| !value.is_null()))
    }

    /// One of these, or nothing.
    pub(super) fn word(
        &mut self,
        name: &'static str,
        words: &[&'static str],
    ) -> Result<&'static str, Refusal> {
        let word = self.text(name)?;
        if word.is_empty() {
            return Ok("");
        }
        words.iter().find(|known| **known == word).copied().ok_or(Refusal::of(name))
    }

    pub(super) fn entries(self) -> Map<String, Value> {
        self.0
    }

    /// All that was not taken says nothing.
    pub(super) fn done(self) -> Result<(), Refusal> {
        match self.0.iter().find(|(_, value)| !is_nothing(value)) {
            Some((name, _)) => Err(Refusal::unknown(name)),
            None => Ok(()),
        }
    }
}

/// No letter in it ends a text before its end.
fn text(value: Value, name: &'static str) -> Result<String, Refusal> {
    let whole = |text: &String| !text.contains('\0');
    let Value::String(text) = value else { return Err(Refusal::of(name)) };
    Some(text).filter(whole).ok_or(Refusal::of(name))
}

/// What the engine takes for "not set".
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        // A size of nothing by nothing is one.
        Value::Array(list) => list.iter().all(|one| one.as_u64() == Some(0)),
        Value::Object(fields) => fields.is_empty(),
    }
}
