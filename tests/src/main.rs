//! `journey`: walks the app's main job with nobody there, on the real built programs.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use journeys::steps::{Step, walk};
use journeys::world::Options;

/// Walks from a first start to a paid job, paused, resumed, logged and quit, and prints one JSON document last.
#[derive(Debug, Parser)]
#[command(name = "journey", version)]
struct Arguments {
    /// Walk every step.
    #[arg(long, required = true)]
    check: bool,
    /// Break this step for real: the walk must fail there and nowhere else.
    #[arg(long = "break", value_name = "STEP")]
    broken: Option<Step>,
    /// Jobs in containers, as in production (needs root and docker.io).
    #[arg(long)]
    engine: bool,
    /// Keep every file of the walk in this folder. Its path must be short: sockets lie in it.
    #[arg(long)]
    dir: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn")),
        )
        .with_writer(std::io::stderr)
        .init();
    let Arguments { check: _, broken, engine, dir } = Arguments::parse();
    let report = tokio::select! {
        report = walk(Options { broken, engine, dir }) => report,
        () = ionet_stage::asked_to_end() => return ExitCode::from(130),
    };
    eprintln!("{:.1} s in all", report.seconds());
    match serde_json::to_string(&report) {
        Ok(json) => println!("{json}"),
        Err(error) => eprintln!("{error}"),
    }
    if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
