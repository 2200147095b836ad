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

enum Runtime {
    /// The engine's default.
    Default,
    Card,
    Untold,
    Another,
}

impl Asked {
    /// The card's runtime gives a container every card, whatever the scheduler knows of it; only the task's own word that it
    /// is to see none holds it back. That word without the runtime counts too: the runtime may be the engine's default.
    pub(super) fn takes(&self) -> Takes {
        let devices = self.devices();
        let runtime = match self.runtime() {
            // There the word means nothing.
            Runtime::Another => return devices,
            Runtime::Default => Takes::Nothing,
            Runtime::Untold => Takes::Untold,
            Runtime::Card => Takes::Card,
        };
        let word = self.env.iter().flatten().find(|(name, _)| *name == VISIBLE);
        match word.map(|(_, value)| of_visible(value)) {
            Some(Takes::Nothing) if !self.is_overruled() => devices,
            Some(told) => told.max(runtime).max(devices),
            None => runtime.max(devices),
        }
    }

    fn is_overruled(&self) -> bool {
        self.templates.iter().flatten().any(|template| template.envvars == Some(true))
    }

    fn configured(&self, name: &str) -> Option<&Value> {
        self.config.as_ref()?.get(name).filter(|value| !value.is_null())
    }

    fn runtime(&self) -> Runtime {
        match self.configured("runtime") {
            None => Runtime::Default,
            Some(Value::String(name)) if name.is_empty() => Runtime::Default,
            Some(Value::String(name)) if is_template(name) => Runtime::Untold,
            Some(Value::String(name)) if name.contains("nvidia") => Runtime::Card,
            Some(Value::String(_)) => Runtime::Another,
            Some(_) => Runtime::Untold,
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

fn of_visible(value: &Value) -> Takes {
    match value.as_str().map(str::trim) {
        Some("" | "void" | "none") => Takes::Nothing,
        Some(text) if is_template(text) => Takes::Untold,
        // A number is that of a card.
        Some(_) | None => Takes::Card,
    }
}

/// Words that the PC reads as an expression.
fn is_template(text: &str) -> bool {
    text.contains("${") || text.contains("%{")
}
