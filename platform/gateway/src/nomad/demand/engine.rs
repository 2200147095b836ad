//! How a task takes the card past the scheduler: by what it asks of the container engine.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// The runtime's own word for which cards a container sees.
const VISIBLE: &str = "NVIDIA_VISIBLE_DEVICES";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Takes {
    Nothing,
    /// The words are filled in on the PC only.
    Untold,
    Card,
}

/// What a task tells its driver and its process.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Asked {
    #[serde(default)]
    config: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    env: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    templates: Option<Vec<Template>>,
}

/// A file that the PC fills in.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Template {
    /// Its lines are variables, and stand over the task's own.
    #[serde(default)]
    envvars: Option<bool>,
}

impl Asked {
    /// The card's runtime gives a container every card, whatever the scheduler knows of it; only the task's own word that it
    /// is to see none holds it back. Without that runtime the word gives nothing: a PC has those run by the plain one.
    pub(super) fn takes(&self) -> Takes {
        let runtime = if self.declines() { Takes::Nothing } else { self.runtime() };
        runtime.max(self.devices())
    }

    fn declines(&self) -> bool {
        let word = self.env.iter().flatten().find(|(name, _)| *name == VISIBLE);
        word.is_some_and(|(_, value)| sees_none(value)) && !self.is_overruled()
    }

    fn is_overruled(&self) -> bool {
        self.templates.iter().flatten().any(|template| template.envvars == Some(true))
    }

    fn configured(&self, name: &str) -> Option<&Value> {
        self.config.as_ref()?.get(name).filter(|value| !value.is_null())
    }

    fn runtime(&self) -> Takes {
        match self.configured("runtime") {
            None => Takes::Nothing,
            Some(Value::String(name)) if is_template(name) => Takes::Untold,
            Some(Value::String(name)) if name.contains("nvidia") => Takes::Card,
            Some(Value::String(_)) => Takes::Nothing,
            Some(_) => Takes::Untold,
        }
    }

    /// One that stands alone needs no list around it.
    fn devices(&self) -> Takes {
        match self.configured("devices") {
            None => Takes::Nothing,
            Some(Value::Array(devices)) => devices.iter().map(of_device).max().unwrap_or(Takes::Nothing),
            Some(device) => of_device(device),
        }
    }
}

fn of_device(device: &Value) -> Takes {
    match device.get("host_path").and_then(Value::as_str) {
        Some(path) if is_template(path) => Takes::Untold,
        Some(path) if path.contains("nvidia") => Takes::Card,
        Some(_) => Takes::Nothing,
        None => Takes::Untold,
    }
}

fn sees_none(value: &Value) -> bool {
    matches!(value.as_str().map(str::trim), Some("" | "void" | "none"))
}

/// Words that the PC reads as an expression.
fn is_template(text: &str) -> bool {
    text.contains("${") || text.contains("%{")
}
