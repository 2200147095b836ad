//! Holds an answer to a recording: each recorded field must be there, with a value of the same type.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Objects whose keys depend on the machine, not on Nomad.
const OPEN: [&str; 8] =
    ["Attributes", "Meta", "Labels", "Options", "Drivers", "Scores", "NodesAvailable", "Details"];

/// Keys that a recording has and an answer may leave out, with the reason.
const OPTIONAL: [(&str, &str); 3] = [
    ("DeploymentStatus", "comes once an allocation has been healthy for ten seconds"),
    ("Topology", "depends on what the kernel tells of the processor"),
    ("Addresses", "depends on the interfaces of the machine"),
];

pub fn recording(name: &str) -> Result<Value> {
    let text = recording_text(name)?;
    serde_json::from_str(&text).with_context(|| name.to_owned())
}

pub fn recording_text(name: &str) -> Result<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("recordings").join(name);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

pub fn has_shape(what: &str, recorded: &Value, answer: &Value) -> Result<()> {
    let mut problems = Vec::new();
    compare(what, recorded, answer, &mut problems);
    ensure!(problems.is_empty(), "not as recorded:\n  {}", problems.join("\n  "));
    Ok(())
}

fn compare(path: &str, recorded: &Value, answer: &Value, problems: &mut Vec<String>) {
    match (recorded, answer) {
        (Value::Null, _) | (_, Value::Null) => {}
        (Value::Object(recorded), Value::Object(answer)) => {
            for (key, value) in recorded {
                let inner = format!("{path}.{key}");
                match answer.get(key) {
                    Some(_)
                        if OPEN.contains(&key.as_str()) || OPTIONAL.iter().any(|(name, _)| name == key) => {}
                    Some(found) => compare(&inner, value, found, problems),
                    None if value.is_null() || OPTIONAL.iter().any(|(name, _)| name == key) => {}
                    None => problems.push(format!("{inner} is missing")),
                }
            }
        }
        (Value::Array(recorded), Value::Array(answer)) => {
            if let (Some(recorded), Some(answer)) = (recorded.first(), answer.first()) {
                compare(&format!("{path}[0]"), recorded, answer, problems);
            }
        }
        (recorded, answer) if kind(recorded) != kind(answer) => {
            problems.push(format!("{path} is {} instead of {}", kind(answer), kind(recorded)));
        }
        (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_), _) => {}
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_missing_field_and_a_wrong_type_are_both_named() {
        let recorded = json!({ "A": 1, "B": "x", "C": null });

        let error = has_shape("it", &recorded, &json!({ "B": 2 })).unwrap_err().to_string();

        assert!(error.contains("it.A is missing") && error.contains("it.B is a number instead of a string"));
    }
}
