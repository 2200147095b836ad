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
}

impl Asked {
    /// The card's runtime gives a container every card, whatever the scheduler knows of it; only the task's own word that it
    /// is to see none holds it back. That word without the runtime counts too: the runtime may be the engine's default.
    pub(super) fn takes(&self) -> Takes {
        let runtime = self.configured("runtime").and_then(Value::as_str).map_or(Takes::Nothing, of_runtime);
        let visible =
            self.env.iter().flatten().find(|(name, _)| *name == VISIBLE).map(|(_, value)| of_visible(value));
        let devices = if self.names_a_device() { Takes::Card } else { Takes::Nothing };
        match visible {
            Some(Takes::Nothing) => devices,
            Some(told) => told.max(runtime).max(devices),
            None => runtime.max(devices),
        }
    }

    fn configured(&self, name: &str) -> Option<&Value> {
        self.config.as_ref()?.get(name)
    }

    fn names_a_device(&self) -> bool {
        let devices = self.configured("devices").and_then(Value::as_array);
        let paths = devices.into_iter().flatten().filter_map(|device| device.get("host_path")?.as_str());
        paths.into_iter().any(|path| path.starts_with("/dev/nvidia"))
    }
}

fn of_runtime(name: &str) -> Takes {
    match name {
        name if name.contains("${") => Takes::Untold,
        name if name.contains("nvidia") => Takes::Card,
        _ => Takes::Nothing,
    }
}

fn of_visible(value: &Value) -> Takes {
    match value.as_str().map(str::trim) {
        Some("" | "void" | "none") => Takes::Nothing,
        Some(text) if text.contains("${") => Takes::Untold,
        // A number is that of a card.
        Some(_) | None => Takes::Card,
    }
}
