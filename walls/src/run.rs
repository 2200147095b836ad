//! The command: builds the stage, tries the list, and prints what came of it.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Parser, Subcommand};
use serde::Serialize;

use crate::attack::{Attack, Outcome};
use crate::sides::{By, Layer};
use crate::stage::{Stage, missing};
use crate::{inside, list};

/// Tries a list of attacks on a capsule's walls, and prints one JSON document last.
#[derive(Debug, Parser)]
#[command(name = "walls")]
struct Args {
    /// Fails when one succeeds.
    #[arg(long)]
    check: bool,
    /// Opens that layer for real; of the attacks that no other layer withstands exactly those must succeed.
    #[arg(long = "break", value_name = "LAYER")]
    open: Option<Layer>,
    /// Opens one layer after the other and tries all attacks each time, so that no layer hides behind another.
    #[arg(long, conflicts_with_all = ["open", "check"])]
    each_alone: bool,
    /// Only attacks whose name holds these words.
    #[arg(long, value_name = "WORDS")]
    only: Option<String>,
    /// Only attacks on that layer.
    #[arg(long, value_name = "LAYER")]
    layer: Option<Layer>,
    #[command(subcommand)]
    command: Option<Inside>,
}

#[derive(Debug, Subcommand)]
enum Inside {
    /// One deed of an attacker.
    #[command(hide = true)]
    Inside {
        #[arg(allow_hyphen_values = true)]
        deed: Vec<String>,
    },
}

#[derive(Serialize)]
struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    opened: Option<Layer>,
    attacks: Vec<Line>,
    /// What there is nothing of on this PC to be attacked.
    left_out: Vec<LeftOut>,
    succeeded: usize,
    #[serde(skip)]
    untried: usize,
}

#[derive(Serialize)]
struct Line {
    name: String,
    by: By,
    layer: Layer,
    succeeded: bool,
    detail: String,
    #[serde(skip)]
    alone: bool,
}

#[derive(Serialize)]
struct LeftOut {
    name: String,
    by: By,
    why: String,
}

pub(crate) fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(Inside::Inside { deed }) = &args.command {
        return match inside::run(deed) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                say(&error.to_string());
                ExitCode::FAILURE
            }
        };
    }
    match tried(&args) {
        Ok(code) => code,
        Err(error) => {
            say(&format!("walls: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn tried(args: &Args) -> Result<ExitCode> {
    if let Some(missing) = missing() {
        bail!("needs {missing}");
    }
    let reports = if args.each_alone {
        // The gate's three are open together.
        let layers = [Layer::Gate, Layer::Filter, Layer::Disk, Layer::Knowledge];
        layers.iter().map(|layer| try_all(args, Some(*layer))).collect::<Result<Vec<_>>>()?
    } else {
        vec![try_all(args, args.open)?]
    };
    let mut out = std::io::stdout().lock();
    match reports.as_slice() {
        [report] => serde_json::to_writer_pretty(&mut out, report)?,
        all => serde_json::to_writer_pretty(&mut out, all)?,
    }
    writeln!(out)?;
    let untried: usize = reports.iter().map(|report| report.untried).sum();
    ensure!(untried == 0, "{untried} attacks could not be tried");
    let wrong: Vec<String> = reports.iter().flat_map(|report| wrong(report, args.check)).collect();
    for line in &wrong {
        say(line);
    }
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn wrong(report: &Report, check: bool) -> Vec<String> {
    let succeeded = report.attacks.iter().filter(|line| line.succeeded);
    match report.opened {
        Some(layer) => unlike_expected(report, layer),
        None if check => succeeded.map(|line| format!("succeeded: {}", line.title())).collect(),
        None => Vec::new(),
    }
}

fn try_all(args: &Args, open: Option<Layer>) -> Result<Report> {
    let own = std::env::current_exe()?;
    let stage = Stage::build(own.parent().context("a program lies in a folder")?, open)?;
    let wanted = |attack: &Attack| {
        args.only.as_ref().is_none_or(|words| attack.name.contains(words))
            && args.layer.is_none_or(|layer| attack.layer == layer)
    };
    let mut report =
        Report { opened: open, attacks: Vec::new(), left_out: Vec::new(), succeeded: 0, untried: 0 };
    for attack in list::all().into_iter().filter(wanted) {
        let start = Instant::now();
        let outcome = attack.try_on(&stage);
        report.take(attack, outcome, start.elapsed().as_millis());
    }
    report.succeeded = report.attacks.iter().filter(|line| line.succeeded).count();
    Ok(report)
}

impl Report {
    fn take(&mut self, attack: Attack, outcome: Result<Outcome>, took: u128) {
        let Attack { name, by, layer, alone, .. } = attack;
        let (mark, what) = match outcome {
            Ok(Outcome::Tried(verdict)) => {
                let mark = if verdict.succeeded { "SUCCEEDED" } else { "withstood" };
                let (succeeded, detail) = (verdict.succeeded, verdict.detail.clone());
                self.attacks.push(Line { name: name.clone(), by, layer, succeeded, detail, alone });
                (mark, verdict.detail)
            }
            Ok(Outcome::NothingHere(why)) => {
                self.left_out.push(LeftOut { name: name.clone(), by, why: why.clone() });
                ("left out", why)
            }
            Err(error) => {
                self.untried += 1;
                ("NOT TRIED", format!("{error:#}"))
            }
        };
        say(&format!("{mark} {layer:?}: {name} by {by:?} ({what}; {took} ms)"));
    }
}

impl Line {
    fn title(&self) -> String {
        format!("{} by {:?}", self.name, self.by)
    }
}

/// Which did not succeed although nothing is left that withstands them, and which did although something is.
fn unlike_expected(report: &Report, opened: Layer) -> Vec<String> {
    let expected = |line: &&Line| line.layer.opens_with(opened) && line.alone;
    let wrong = report.attacks.iter().filter(|line| line.succeeded != expected(line));
    wrong
        .map(|line| {
            let what = if line.succeeded {
                "succeeded although its layer stands"
            } else {
                "did not succeed although its layer is open"
            };
            format!("{what}: {}", line.title())
        })
        .collect()
}

fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}
