//! A configuration file: HCL, or the same as JSON.

use std::{fmt::Display, fs, io::ErrorKind, path::Path};

use crate::hcl::{self, Item, Value};

/// What the file says, unjudged. The error is a sentence ready for the standard error stream.
pub(super) fn items(file: &Path) -> Result<Vec<Item>, String> {
    let text = fs::read_to_string(file).map_err(|e| {
        if e.kind() == ErrorKind::NotFound {
            not_loaded(file, format_args!("stat {}: no such file or directory", file.display()))
        } else {
            not_loaded(file, e)
        }
    })?;
    if file.extension().is_some_and(|e| e == "json") {
        json_items(&text)
    } else {
        hcl::parse(&text).map_err(|e| not_loaded(file, e))
    }
}

pub(super) fn not_loaded(file: &Path, reason: impl Display) -> String {
    format!("Error loading configuration from {}: {reason}", file.display())
}

fn json_items(text: &str) -> Result<Vec<Item>, String> {
    let map = serde_json::from_str(text).map_err(|e| e.to_string())?;
    Ok(object_items(map))
}

fn object_items(map: serde_json::Map<String, serde_json::Value>) -> Vec<Item> {
    map.into_iter().map(|(key, value)| Item { keys: vec![key], value: from_json(value) }).collect()
}

fn from_json(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Text(String::new()),
        serde_json::Value::Bool(flag) => Value::Bool(flag),
        serde_json::Value::Number(number) => Value::Number(number.as_f64().unwrap_or_default()),
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Array(list) => match <[serde_json::Value; 1]>::try_from(list) {
            // JSON configuration writes a block as a list of one object.
            Ok([serde_json::Value::Object(map)]) => Value::Object(object_items(map)),
            Ok([one]) => Value::List(vec![from_json(one)]),
            Err(list) => Value::List(list.into_iter().map(from_json).collect()),
        },
        serde_json::Value::Object(map) => Value::Object(object_items(map)),
    }
}
