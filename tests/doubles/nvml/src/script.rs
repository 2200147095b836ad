//! The script: which cards there are and what they say.

use std::collections::BTreeMap;

use serde::Deserialize;

const VARIABLE: &str = "IONET_NVML_SCRIPT";

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Script {
    pub(crate) driver: Text,
    /// `null`: the driver does not say.
    pub(crate) cuda: Option<String>,
    /// What `nvmlInit_v2` returns, and every question with it unless `opened_before` says otherwise.
    pub(crate) init: u32,
    pub(crate) opened_before: OpenedBefore,
    /// What every question returns until the library is initialised anew.
    pub(crate) stale: u32,
    /// No call comes back while this is set.
    pub(crate) hang: bool,
    /// How many cards there are said to be, where that differs from the list.
    pub(crate) count: Option<u32>,
    pub(crate) cards: Vec<Card>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            driver: Text::from("571.24-double"),
            cuda: Some("12.8".to_owned()),
            init: 0,
            opened_before: OpenedBefore::Fail,
            stale: 0,
            hang: false,
            count: None,
            cards: vec![Card::default()],
        }
    }
}

/// What becomes of a library that was initialised while `init` was still 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OpenedBefore {
    Fail,
    /// As a mapped library does whose file was replaced by an update.
    Answer,
}

/// `None`, `null` in the file, is a question that the card does not answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Card {
    pub(crate) name: Option<Text>,
    pub(crate) uuid: Option<Text>,
    pub(crate) pci: Option<Text>,
    pub(crate) memory_mb: Option<u64>,
    pub(crate) memory_used_mb: u64,
    pub(crate) temperature_c: Option<u32>,
    pub(crate) power_mw: Option<u32>,
    pub(crate) utilisation_percent: Option<u32>,
    pub(crate) processes: Option<Vec<Process>>,
    pub(crate) compute_mode: Option<u32>,
    pub(crate) virtualisation: Option<u32>,
    /// `nvmlDeviceGpuRecoveryAction_t`.
    pub(crate) recovery: Option<u32>,
    pub(crate) repair_pending: Option<bool>,
    pub(crate) repair_failed: Option<bool>,
    /// What it is cut into; a list, also an empty one, switches MIG on.
    pub(crate) instances: Option<Vec<Instance>>,
    pub(crate) lost: bool,
    /// What asking for its handle returns.
    pub(crate) handle: u32,
    /// What a question returns in place of an answer.
    pub(crate) codes: BTreeMap<Question, u32>,
}

impl Default for Card {
    fn default() -> Self {
        Self {
            name: Some(Text::from("NVIDIA GeForce RTX 4090")),
            uuid: Some(Text::default()),
            pci: Some(Text::default()),
            memory_mb: Some(24564),
            memory_used_mb: 512,
            temperature_c: Some(41),
            power_mw: Some(23_500),
            utilisation_percent: Some(0),
            processes: Some(Vec::new()),
            compute_mode: Some(0),
            virtualisation: Some(0),
            recovery: None,
            repair_pending: None,
            repair_failed: None,
            instances: None,
            lost: false,
            handle: 0,
            codes: BTreeMap::new(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Question {
    Name,
    Uuid,
    Pci,
    Memory,
    Temperature,
    Power,
    Utilisation,
    Processes,
    ComputeMode,
    Virtualisation,
    Mig,
    Fields,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Instance {
    pub(crate) name: Text,
    pub(crate) uuid: Text,
    pub(crate) memory_mb: u64,
}

/// A string, or a list of bytes where it is to be none.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Text {
    Words(String),
    Bytes(Vec<u8>),
}

impl Text {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Words(words) => words.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// Left out, it depends on the card's place.
    pub(crate) fn or<'a>(&'a self, otherwise: &'a str) -> &'a [u8] {
        if self.bytes().is_empty() { otherwise.as_bytes() } else { self.bytes() }
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::Words(String::new())
    }
}

impl From<&str> for Text {
    fn from(words: &str) -> Self {
        Self::Words(words.to_owned())
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
    version: u64,
}

impl Reader {
    pub(crate) const fn new() -> Self {
        Self { text: String::new(), script: None, version: 0 }
    }

    /// `None` when there is a script file and it was never good. The number rises with every change.
    pub(crate) fn script(&mut self) -> Option<(&Script, u64)> {
        match std::env::var_os(VARIABLE) {
            None => self.script = Some(Script::default()),
            Some(path) => {
                if let Ok(text) = std::fs::read_to_string(path)
                    && (text != self.text || self.script.is_none())
                {
                    if let Ok(script) = serde_json::from_str(&text) {
                        self.script = Some(script);
                        self.version += 1;
                    }
                    self.text = text;
                }
            }
        }
        self.script.as_ref().map(|script| (script, self.version))
    }
}

/// `12.8` is 12080 to NVML.
pub(crate) fn cuda_number(version: &str) -> i32 {
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    let number = |text: &str| text.parse::<i32>().unwrap_or_default();
    number(major) * 1000 + number(minor) * 10
}

/// Domain, bus and device of a PCI address in one of the forms that NVML takes.
pub(crate) fn pci_place(address: &str) -> Option<[u32; 3]> {
    let number = |text: &str| u32::from_str_radix(text, 16).ok();
    let address = address.split('.').next()?;
    match address.split(':').collect::<Vec<_>>()[..] {
        [domain, bus, device] => Some([number(domain)?, number(bus)?, number(device)?]),
        [bus, device] => Some([0, number(bus)?, number(device)?]),
        [..] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_left_out_is_ordinary_and_null_is_a_question_not_answered() {
        let script: Script =
            serde_json::from_str(r#"{"cards": [{"name": "Card", "power_mw": null}]}"#).unwrap();
        let card = &script.cards[0];
        assert_eq!(card.name.as_ref().unwrap().bytes(), b"Card");
        assert_eq!(card.temperature_c, Some(41));
        assert_eq!(card.power_mw, None);
        assert_eq!(script.driver.bytes(), b"571.24-double");
    }

    #[test]
    fn a_misspelt_field_or_question_is_refused() {
        assert!(serde_json::from_str::<Script>(r#"{"cards": [{"temprature_c": 90}]}"#).is_err());
        assert!(serde_json::from_str::<Script>(r#"{"cards": [{"codes": {"memry": 4}}]}"#).is_err());
    }

    #[test]
    fn cuda_versions_are_written_as_nvml_writes_them() {
        assert_eq!(cuda_number("12.8"), 12080);
        assert_eq!(cuda_number("13"), 13000);
    }

    #[test]
    fn a_pci_address_is_taken_in_all_three_forms() {
        assert_eq!(pci_place("0000000F:01:00.0"), Some([15, 1, 0]));
        assert_eq!(pci_place("0000:1f:00"), Some([0, 31, 0]));
        assert_eq!(pci_place("41:00.0"), Some([0, 65, 0]));
        assert_eq!(pci_place("garbage"), None);
    }
}
