//! The script: which cards there are and what they say.

use serde::Deserialize;

const VARIABLE: &str = "IONET_NVML_SCRIPT";

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Script {
    pub(crate) driver: String,
    /// `null`: the driver does not say.
    pub(crate) cuda: Option<String>,
    /// What `nvmlInit_v2` returns.
    pub(crate) init: u32,
    pub(crate) cards: Vec<Card>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            driver: "571.24-double".to_owned(),
            cuda: Some("12.8".to_owned()),
            init: 0,
            cards: vec![Card::default()],
        }
    }
}

/// `None`, `null` in the file, is a question that the card does not answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Card {
    pub(crate) name: Option<String>,
    pub(crate) uuid: Option<Given>,
    pub(crate) pci: Option<Given>,
    pub(crate) memory_mb: Option<u64>,
    pub(crate) memory_used_mb: u64,
    pub(crate) temperature_c: Option<u32>,
    pub(crate) power_mw: Option<u32>,
    pub(crate) utilisation_percent: Option<u32>,
    pub(crate) processes: Option<Vec<Process>>,
    pub(crate) lost: bool,
}

impl Default for Card {
    fn default() -> Self {
        Self {
            name: Some("NVIDIA GeForce RTX 4090".to_owned()),
            uuid: Some(Given::default()),
            pci: Some(Given::default()),
            memory_mb: Some(24564),
            memory_used_mb: 512,
            temperature_c: Some(41),
            power_mw: Some(23_500),
            utilisation_percent: Some(0),
            processes: Some(Vec::new()),
            lost: false,
        }
    }
}

/// A text that, left out, depends on the card's place.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Given(String);

impl Given {
    pub(crate) fn or<'a>(&'a self, otherwise: &'a str) -> &'a str {
        if self.0.is_empty() { otherwise } else { &self.0 }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    #[serde(default)]
    pub(crate) memory_mb: Option<u64>,
    #[serde(default)]
    pub(crate) kind: Kind,
}

impl Process {
    pub(crate) fn is(&self, kind: Kind) -> bool {
        self.kind == kind || self.kind == Kind::Both
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    #[default]
    Compute,
    Graphics,
    Both,
}

/// Reads the script when its text has changed. It looks at the text, not at the file's date: two writes within one tick
/// of the file system's clock would share a date.
pub(crate) struct Reader {
    text: String,
    script: Option<Script>,
}

impl Reader {
    pub(crate) const fn new() -> Self {
        Self { text: String::new(), script: None }
    }

    /// `None` when there is a script file and it was never good.
    pub(crate) fn script(&mut self) -> Option<&Script> {
        match std::env::var_os(VARIABLE) {
            None => self.script = Some(Script::default()),
            Some(path) => {
                if let Ok(text) = std::fs::read_to_string(path)
                    && (text != self.text || self.script.is_none())
                {
                    if let Ok(script) = serde_json::from_str(&text) {
                        self.script = Some(script);
                    }
                    self.text = text;
                }
            }
        }
        self.script.as_ref()
    }
}

/// `12.8` is 12080 to NVML.
pub(crate) fn cuda_number(version: &str) -> i32 {
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    let number = |text: &str| text.parse::<i32>().unwrap_or_default();
    number(major) * 1000 + number(minor) * 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_left_out_is_ordinary_and_null_is_a_question_not_answered() {
        let script: Script =
            serde_json::from_str(r#"{"cards": [{"name": "Card", "power_mw": null}]}"#).unwrap();
        let card = &script.cards[0];
        assert_eq!(card.name.as_deref(), Some("Card"));
        assert_eq!(card.temperature_c, Some(41));
        assert_eq!(card.power_mw, None);
        assert_eq!(script.driver, "571.24-double");
    }

    #[test]
    fn a_misspelt_field_is_refused() {
        assert!(serde_json::from_str::<Script>(r#"{"cards": [{"temprature_c": 90}]}"#).is_err());
    }

    #[test]
    fn cuda_versions_are_written_as_nvml_writes_them() {
        assert_eq!(cuda_number("12.8"), 12080);
        assert_eq!(cuda_number("13"), 13000);
    }
}
