//! The command line of `journey`: walks the app's main job with nobody there, on the real built programs.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line speaks so")]

use std::path::PathBuf;
use std::process::ExitCode;

use crate::bench::{self, bench};
use crate::step::Step;
use crate::steps::walk;
use crate::world::Options;
use clap::Parser;

/// Walks from a first start to a paid job, paused, resumed, logged and quit, and prints one JSON document last.
#[derive(Debug, Parser)]
#[command(name = "journey", version)]
struct Arguments {
    /// Walk every step once.
    #[arg(long, required_unless_present = "bench")]
    check: bool,
    /// Measure, and print the figures.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["check", "broken", "dir"])]
    bench: Option<bench::Name>,
    /// Break this step for real: the walk must fail there and nowhere else.
    #[arg(long = "break", value_name = "STEP")]
    broken: Option<Step>,
    /// As production does: jobs in containers, in a capsule (needs root, a real Nomad, and what a capsule is made with).
    #[arg(long)]
    engine: bool,
    /// Keep every file of the walk in this folder. Its path must be short: sockets lie in it.
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Walks as the command line says.
#[tokio::main]
pub async fn run() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn")),
        )
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::parse();
    tokio::select! {
        code = act(arguments) => code,
        () = ionet_stage::asked_to_end() => ExitCode::from(130),
    }
}

async fn act(arguments: Arguments) -> ExitCode {
    let Arguments { check: _, bench: wanted, broken, engine, dir } = arguments;
    if let Some(name) = wanted {
        return match bench(name, engine).await {
            Ok(figures) => print(&figures, true),
            Err(error) => {
                eprintln!("nothing could be measured: {error:#}");
                ExitCode::FAILURE
            }
        };
    }
    let report = walk(Options { broken, engine, dir }).await;
    eprintln!("{:.1} s in all", report.seconds());
    print(&report, report.ok)
}

/// The one JSON document, last.
fn print(document: &impl serde::Serialize, ok: bool) -> ExitCode {
    match serde_json::to_string(document) {
        Ok(json) => println!("{json}"),
        Err(error) => eprintln!("{error}"),
    }
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
