//! `./dev bench journey`: the walk's own durations, over several walks.

#![expect(clippy::print_stderr, reason = "who waits sees how far it is")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use crate::report::{Agent, Report};
use crate::steps::walk;
use crate::world::Options;

/// What is asked of each figure on a quiet machine, in seconds. Nobody else publishes such figures, so there is no
/// peer.
const GOALS: [(&str, f64); 6] = [
    ("first_start_to_tray", 2.0),
    ("signed_in_to_online", 5.0),
    ("job_submitted_to_running", 3.0),
    ("pause_to_frozen", 0.25),
    ("pause_to_nothing_left", 5.0),
    ("resume_to_online", 3.0),
];

#[derive(Debug, Serialize)]
pub struct Bench {
    bench: &'static str,
    agent: Agent,
    figures: Vec<Figure>,
    ok: bool,
}

#[derive(Debug, Serialize)]
struct Figure {
    name: &'static str,
    /// The median over the walks.
    value: f64,
    unit: &'static str,
    goal: String,
    /// There is none.
    peer: Option<()>,
    ok: bool,
}

/// Walks so many times and gives the medians. Each walk's figures go to `samples` as a JSON line.
///
/// # Errors
/// When a walk does not hold: then there is nothing to measure.
pub async fn bench(walks: usize, samples: &Path) -> Result<Bench> {
    std::fs::create_dir_all(samples.parent().unwrap_or(Path::new(".")))?;
    let mut file = std::fs::File::create(samples)?;
    let mut all: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut agent = None;
    for turn in 1..=walks {
        eprintln!("walk {turn} of {walks}");
        let report = walk(Options::default()).await;
        if let Some(failed) = report.failed() {
            bail!("{} did not hold: {}", failed.name, failed.detail);
        }
        let seconds = seconds(&report);
        writeln!(file, "{}", serde_json::to_string(&seconds)?)?;
        for (name, value) in seconds {
            all.entry(name).or_default().push(value);
        }
        agent = Some(report.agent);
    }
    let figures = GOALS.map(|(name, goal)| {
        let value = median(all.remove(name).unwrap_or_default());
        value.map(|value| figure(name, value, goal)).with_context(|| format!("{name} was not measured"))
    });
    let figures = figures.into_iter().collect::<Result<Vec<_>>>()?;
    let ok = figures.iter().all(|figure| figure.ok);
    Ok(Bench { bench: "journey", agent: agent.context("no walk")?, figures, ok })
}

fn seconds(report: &Report) -> BTreeMap<&'static str, f64> {
    report
        .measured
        .iter()
        .map(|(name, took)| (*name, (took.as_secs_f64() * 1000.0).round() / 1000.0))
        .collect()
}

fn figure(name: &'static str, value: f64, goal: f64) -> Figure {
    Figure { name, value, unit: "s", goal: format!("<= {goal}"), peer: None, ok: value <= goal }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_the_walks_is_the_figure() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn a_figure_is_judged_by_its_goal_and_has_no_peer() {
        let figure = serde_json::to_value(figure("pause_to_frozen", 0.3, 0.25)).unwrap();

        assert_eq!(
            figure,
            serde_json::json!({"name": "pause_to_frozen", "value": 0.3, "unit": "s", "goal": "<= 0.25", "peer": null, "ok": false})
        );
    }
}
