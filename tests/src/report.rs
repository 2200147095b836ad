//! What a walk found, as the one JSON document that is printed last.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub agent: Agent,
    pub steps: Vec<StepReport>,
    /// Every step held.
    pub ok: bool,
    /// Durations by figure name, for the bench.
    #[serde(skip)]
    pub measured: BTreeMap<&'static str, Duration>,
}

/// Which Nomad was server and client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    pub kind: AgentKind,
    pub version: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentKind {
    Nomad,
    Double,
    /// None takes part.
    None,
}

impl Agent {
    pub(crate) fn none() -> Self {
        Self { kind: AgentKind::None, version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    pub name: String,
    pub ok: bool,
    pub seconds: f64,
    /// What a person would see, and what the other side confirmed; or why it did not hold.
    pub detail: String,
}

impl Report {
    pub fn new(agent: Agent, steps: Vec<StepReport>) -> Self {
        let ok = !steps.is_empty() && steps.iter().all(|step| step.ok);
        Self { agent, steps, ok, measured: BTreeMap::new() }
    }

    /// The first step that did not hold.
    pub fn failed(&self) -> Option<&StepReport> {
        self.steps.iter().find(|step| !step.ok)
    }

    pub fn seconds(&self) -> f64 {
        self.steps.iter().map(|step| step.seconds).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, ok: bool) -> StepReport {
        StepReport { name: name.to_owned(), ok, seconds: 1.5, detail: "seen".to_owned() }
    }

    fn agent() -> Agent {
        Agent { kind: AgentKind::Double, version: "2.0.5".to_owned() }
    }

    #[test]
    fn a_report_holds_only_when_every_step_does() {
        let good = Report::new(agent(), vec![step("first_start", true), step("sign_in", true)]);
        let bad = Report::new(agent(), vec![step("first_start", true), step("sign_in", false)]);

        assert!(good.ok && good.failed().is_none());
        assert!(!bad.ok);
        assert_eq!(bad.failed().unwrap().name, "sign_in");
        assert!(!Report::new(agent(), Vec::new()).ok);
    }

    #[test]
    fn its_json_has_the_documented_form() {
        let report = Report::new(agent(), vec![step("quit", true)]);

        let json = serde_json::to_value(&report).unwrap();

        assert_eq!(
            json,
            serde_json::json!({
                "agent": {"kind": "double", "version": "2.0.5"},
                "steps": [{"name": "quit", "ok": true, "seconds": 1.5, "detail": "seen"}],
                "ok": true
            })
        );
    }
}
