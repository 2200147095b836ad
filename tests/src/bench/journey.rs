//! `./dev bench journey`: the walk's own durations, over several walks.

#![expect(clippy::print_stderr, reason = "who waits sees how far it is")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;

use anyhow::{Context as _, Result, bail};

use crate::bench::{Bench, Figure};
use crate::report::Report;
use crate::steps::walk;
use crate::world::Options;

/// What is asked of each figure on a quiet machine, in seconds. Nobody else publishes such figures, so there is no
/// peer.
const GOALS: [(&str, f64); 6] = [
    ("first_start_to_tray", 2.0),
    ("signed_in_to_online", 1.0),
    ("job_submitted_to_running", 3.0),
    ("pause_to_frozen", 0.25),
    // Its job ignores its signal, and has two seconds.
    ("pause_to_nothing_left", 2.5),
    ("resume_to_online", 3.0),
];

/// How many walks the figures are medians of.
const WALKS: usize = 5;

/// Walks several times and gives the medians. Each walk's figures go to `samples` as a JSON line.
///
/// # Errors
/// When a walk does not hold: then there is nothing to measure.
pub(super) async fn bench(options: Options, mut samples: File) -> Result<Bench> {
    let mut all: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut agent = None;
    for turn in 1..=WALKS {
        eprintln!("walk {turn} of {WALKS}");
        let report = walk(options.clone()).await;
        if let Some(failed) = report.failed() {
            bail!("{} did not hold: {}", failed.name, failed.detail);
        }
        let seconds = seconds(&report);
        writeln!(samples, "{}", serde_json::to_string(&seconds)?)?;
        for (name, value) in seconds {
            all.entry(name).or_default().push(value);
        }
        agent = Some(report.agent);
    }
    let figures = GOALS.map(|(name, goal)| {
        let value = median(all.remove(name).unwrap_or_default());
        value
            .map(|value| Figure::within(name, value, "s", goal))
            .with_context(|| format!("{name} was not measured"))
    });
    let figures = figures.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(Bench::new("journey", agent.context("no walk")?, figures))
}

fn seconds(report: &Report) -> BTreeMap<&'static str, f64> {
    report
        .measured
        .iter()
        .map(|(name, took)| (*name, (took.as_secs_f64() * 1000.0).round() / 1000.0))
        .collect()
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
}
