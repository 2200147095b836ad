//! What `./dev bench` measures on the real programs, and the one JSON document that each bench prints last.

mod bare_window;
mod boinc;
mod capsule;
mod cost;
pub mod earnings;
pub mod footprint;
pub mod journey;

use std::fs::File;
use std::path::Path;

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::report::Agent;
use crate::world::Options;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// How long the steps of the journey take.
    Journey,
    /// What the app takes of memory and processor.
    Footprint,
    /// How quickly the window shows a long past, and scrolls through it.
    Earnings,
    /// How quickly a capsule is there, stands still and is gone, and what it takes.
    Capsule,
}

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
    value: f64,
    unit: &'static str,
    /// None where the figure is only told.
    goal: Option<String>,
    /// What somebody else's program takes for the same, where there is one.
    peer: Option<Peer>,
    ok: bool,
}

/// Another program's figure, of the same run.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Peer {
    name: String,
    value: f64,
}

/// Measures; the samples go to a file as JSON lines. With `engine`, where there is a choice, an app that works as in production.
///
/// # Errors
/// When the app does not do what is to be measured.
pub async fn bench(name: Name, engine: bool) -> Result<Bench> {
    let chooses = matches!(name, Name::Journey | Name::Footprint);
    ensure!(chooses || !engine, "of the benches, journey and footprint alone take --engine");
    let options = Options { engine, ..Options::default() };
    match name {
        Name::Journey => journey::bench(options, samples("journey")?).await,
        Name::Footprint => footprint::bench(options, samples("footprint")?).await,
        Name::Earnings => earnings::bench(samples("earnings")?).await,
        Name::Capsule => capsule::bench(samples("capsule")?).await,
    }
}

fn samples(bench: &str) -> Result<File> {
    let folder = Path::new("target/bench");
    std::fs::create_dir_all(folder)?;
    Ok(File::create(folder.join(format!("{bench}.jsonl")))?)
}

impl Bench {
    fn new(bench: &'static str, agent: Agent, figures: Vec<Figure>) -> Self {
        let ok = figures.iter().all(|figure| figure.ok);
        Self { bench, agent, figures, ok }
    }
}

impl Figure {
    fn within(name: &'static str, value: f64, unit: &'static str, goal: f64) -> Self {
        Self { name, value, unit, goal: Some(format!("<= {goal}")), peer: None, ok: value <= goal }
    }

    fn told(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self { name, value, unit, goal: None, peer: None, ok: true }
    }

    fn beside(self, peer: Option<Peer>) -> Self {
        Self { peer, ..self }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_figure_is_judged_by_its_goal_and_told_beside_its_peer() {
        let alone = Figure::within("pause_to_frozen", 0.3, "s", 0.25);
        let peer = Peer { name: "another 1.0".to_owned(), value: 12.0 };
        let beside = Figure::told("resident_pss", 10.0, "B").beside(Some(peer));

        assert_eq!(
            serde_json::to_value([alone, beside]).unwrap(),
            json!([
                {"name": "pause_to_frozen", "value": 0.3, "unit": "s", "goal": "<= 0.25", "peer": null, "ok": false},
                {"name": "resident_pss", "value": 10.0, "unit": "B", "goal": null,
                 "peer": {"name": "another 1.0", "value": 12.0}, "ok": true}
            ])
        );
    }
}
