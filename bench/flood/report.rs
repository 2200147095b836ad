//! What was measured: every sample as a JSON line, and the figures.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use crate::crowd::Polls;
use crate::flood::{Kind, Outcome};

/// What an honest device's answer may take, in seconds, 99 times of 100.
const GOAL: f64 = 0.25;
/// What the first page of a long past may take.
const PAGE_GOAL: f64 = 0.3;
const QUIET: &str = "quiet";

/// Where all samples go. Clones share them.
#[derive(Clone)]
pub(crate) struct Samples(Arc<Mutex<Inner>>);

struct Inner {
    file: BufWriter<File>,
    during: &'static str,
    /// By flood: how long an honest device waited, in seconds.
    waits: BTreeMap<&'static str, Vec<f64>>,
    /// Honest questions that were refused, or not answered in time.
    refused: usize,
    failed: usize,
    floods: BTreeMap<&'static str, Counts>,
    /// How long the first page of ten thousand jobs took, and all of its pages, in seconds.
    first_pages: Vec<f64>,
    histories: Vec<f64>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    answered: usize,
    too_many: usize,
    cut: usize,
}

#[derive(Debug, Serialize)]
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    goal: Option<String>,
    /// Nobody else publishes such figures.
    peer: Option<()>,
    ok: bool,
}

impl Samples {
    pub(crate) fn create(file: &Path) -> Result<Self> {
        std::fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
        Ok(Self(Arc::new(Mutex::new(Inner {
            file: BufWriter::new(File::create(file)?),
            during: QUIET,
            waits: BTreeMap::new(),
            refused: 0,
            failed: 0,
            floods: BTreeMap::new(),
            first_pages: Vec::new(),
            histories: Vec::new(),
        }))))
    }

    /// From now on this flood is on.
    pub(crate) fn begin(&self, flood: &'static str) {
        self.with(|inner| inner.during = flood);
    }

    /// An honest device's answer; no status: none came.
    pub(crate) fn honest(&self, what: &'static str, status: Option<u16>, took: Duration) {
        self.with(|inner| {
            let seconds = took.as_secs_f64();
            inner.waits.entry(inner.during).or_default().push(seconds);
            match status {
                Some(200) => {}
                Some(_) => inner.refused += 1,
                None => inner.failed += 1,
            }
            inner.write(&json!({ "honest": what, "during": inner.during, "status": status, "s": seconds }));
        });
    }

    /// The first page of a long past.
    pub(crate) fn page(&self, took: Duration) {
        self.with(|inner| {
            inner.first_pages.push(took.as_secs_f64());
            inner.write(&json!({ "history": "first page", "s": took.as_secs_f64() }));
        });
    }

    /// All pages of it.
    pub(crate) fn history(&self, took: Duration) {
        self.with(|inner| {
            inner.histories.push(took.as_secs_f64());
            inner.write(&json!({ "history": "all pages", "s": took.as_secs_f64() }));
        });
    }

    pub(crate) fn flood(&self, kind: &'static str, outcome: Outcome) {
        self.with(|inner| {
            let counts = inner.floods.entry(kind).or_default();
            match outcome {
                Outcome::Answered(429) => counts.too_many += 1,
                Outcome::Answered(_) | Outcome::Shaken => counts.answered += 1,
                Outcome::Cut | Outcome::Silent => counts.cut += 1,
            }
            inner.write(&json!({ "flood": kind, "outcome": format!("{outcome:?}") }));
        });
    }

    /// The document that closes the bench.
    pub(crate) fn report(&self, devices: usize, polls: Polls) -> Result<String> {
        self.with(|inner| {
            inner.file.flush()?;
            let figures = inner.figures(devices, polls);
            let ok = figures.iter().all(|figure| figure.ok);
            let agent = json!({ "kind": "none", "version": env!("CARGO_PKG_VERSION") });
            Ok(serde_json::to_string_pretty(
                &json!({ "bench": "flood", "agent": agent, "figures": figures, "ok": ok }),
            )?)
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    fn write(&mut self, sample: &serde_json::Value) {
        // A full disk shows when the file is flushed at the end.
        let _ = writeln!(self.file, "{sample}");
    }

    fn figures(&self, devices: usize, polls: Polls) -> Vec<Figure> {
        let during = Kind::ALL.map(Kind::name);
        let floods: Vec<f64> =
            during.iter().flat_map(|kind| self.waits.get(kind)).flatten().copied().collect();
        let mut figures = vec![
            Figure::within("history_10000_first_page_p99", p99(&self.first_pages), PAGE_GOAL),
            Figure::told("history_10000_all_pages_p99", p99(&self.histories), "s"),
            Figure::within("honest_p99", p99(&floods), GOAL),
            Figure::told("honest_answers", floods.len() as f64, "answers"),
            Figure::none("honest_refused", self.refused),
            Figure::none("honest_failed", self.failed),
            Figure::told("honest_p99_quiet", self.p99_during(QUIET), "s"),
            Figure::told("devices", devices as f64, "devices"),
            Figure::told("polls_answered", polls.answered as f64, "answers"),
            Figure::none("polls_refused", polls.refused),
            Figure::none("polls_failed", polls.failed),
        ];
        for kind in during {
            let counts = self.floods.get(kind).copied().unwrap_or_default();
            figures.push(Figure::within(&format!("{kind}_honest_p99"), self.p99_during(kind), GOAL));
            figures.push(Figure::told(&format!("{kind}_answered"), counts.answered as f64, "answers"));
            figures.push(Figure::told(&format!("{kind}_too_many"), counts.too_many as f64, "answers"));
            figures.push(Figure::told(&format!("{kind}_cut"), counts.cut as f64, "connections"));
        }
        figures
    }

    fn p99_during(&self, flood: &str) -> f64 {
        p99(self.waits.get(flood).map_or(&[], Vec::as_slice))
    }
}

impl Figure {
    fn within(name: &str, value: f64, goal: f64) -> Self {
        let (name, ok) = (name.to_owned(), value <= goal);
        Self { name, value, unit: "s", goal: Some(format!("<= {goal}")), peer: None, ok }
    }

    fn none(name: &str, count: usize) -> Self {
        let (name, ok) = (name.to_owned(), count == 0);
        Self { name, value: count as f64, unit: "answers", goal: Some("<= 0".to_owned()), peer: None, ok }
    }

    fn told(name: &str, value: f64, unit: &'static str) -> Self {
        Self { name: name.to_owned(), value, unit, goal: None, peer: None, ok: true }
    }
}

/// To a tenth of a millisecond; without samples the longest wait there is.
fn p99(waits: &[f64]) -> f64 {
    let mut sorted = waits.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() * 99).div_ceil(100).saturating_sub(1);
    sorted.get(at).map_or(f64::MAX, |wait| (wait * 10_000.0).round() / 10_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_99th_of_a_hundred_is_taken_and_the_only_one_of_one() {
        let waits: Vec<f64> = (1..=100).rev().map(f64::from).collect();

        assert_eq!(p99(&waits), 99.0);
        assert_eq!(p99(&[0.5]), 0.5);
        assert_eq!(p99(&[]), f64::MAX);
    }
}
