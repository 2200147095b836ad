//! `ionet-stage`: the io.net side on loopback, and the demo's customer.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line speaks so")]

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use ionet_stage::{Engine, Facts, NomadChoice, Options, Stage, asked_to_end, example_job, offer_example};
use serde_json::Value;
use tokio::time::Instant;

/// Starts identity provider, S3, region and gateway on loopback and keeps them until Ctrl-C.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The stage's own folder. It is emptied at the start if an earlier stage made it.
    #[arg(long, global = true, default_value = "target/demo/stage")]
    dir: PathBuf,
    /// Take this Nomad instead of looking for one.
    #[arg(long)]
    nomad: Option<PathBuf>,
    /// Take the double even if there is a real Nomad.
    #[arg(long, conflicts_with = "nomad")]
    double: bool,
    /// A region's name; several make several regions. For jobs: the region to ask, else the first.
    #[arg(long = "region", global = true)]
    regions: Vec<String>,
    /// Jobs are containers, in the engine that has or will have this socket: that of the app's capsule.
    #[arg(long, value_name = "SOCKET")]
    containers: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// Submits a job to the running stage's region as the demo's customer.
    Submit {
        /// A job in the form of Nomad's API; without it the example that prints its progress.
        job: Option<PathBuf>,
        /// The example's name; without it one that is free.
        #[arg(long, conflicts_with = "job")]
        name: Option<String>,
    },
    /// Lists the customer's jobs and where they run.
    Jobs,
    /// Prints the running stage's facts as JSON.
    Facts,
    /// Starts a container engine and nothing else, and keeps it until Ctrl-C (needs root and docker.io).
    Engine,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,ionet_stage=info")),
        )
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    let arguments = Arguments::parse();
    let region = arguments.regions.first().map(String::as_str);
    let done = match arguments.command.clone() {
        None => run(arguments).await,
        Some(Command::Submit { job, name }) => submit(&arguments.dir, region, job, name).await,
        Some(Command::Jobs) => jobs(&arguments.dir, region).await,
        Some(Command::Facts) => facts(&arguments.dir),
        Some(Command::Engine) => engine(&arguments.dir).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ionet-stage: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    let mut options = Options::new(arguments.dir);
    options.containers = arguments.containers;
    if !arguments.regions.is_empty() {
        options.regions = arguments.regions;
    }
    options.nomad = match arguments.nomad {
        Some(path) => NomadChoice::Path(path),
        None if arguments.double => NomadChoice::Double,
        None => NomadChoice::Found,
    };
    let stage = tokio::select! {
        started = Stage::start(options) => started?,
        () = asked_to_end() => return Ok(()),
    };
    let facts = stage.facts();
    println!("ready");
    println!("  agent     {:?} {}", facts.agent.kind, facts.agent.version);
    for region in &facts.regions {
        println!("  region    {} at {}", region.name, region.nomad.api.address);
        println!("  gateway   {}", region.gateway);
    }
    println!("  sign-in   {}", facts.issuer);
    println!("  bucket    {}", facts.bucket.display());
    asked_to_end().await;
    stage.stop().await;
    println!("ended");
    Ok(())
}

async fn submit(dir: &Path, region: Option<&str>, job: Option<PathBuf>, name: Option<String>) -> Result<()> {
    let facts = Facts::read(dir)?;
    let region = facts.region(region)?.customer()?;
    let job = match job {
        Some(file) => {
            let text = std::fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))?;
            serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", file.display()))?
        }
        None => {
            let name = name.unwrap_or_else(|| format!("demo-{:04x}", rand::random::<u16>()));
            if let Some(engine) = &facts.containers {
                offer(engine)?;
            }
            example_job(&name, facts.containers.is_some())
        }
    };
    region.submit(&job).await?;
    let id = text(&job["Job"]["ID"]);
    line(format_args!("submitted {id}"))?;
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        if let Some(allocation) = region.allocations(id).await?.first() {
            line(format_args!(
                "placed on {}: {}",
                text(&allocation["NodeName"]),
                text(&allocation["ClientStatus"])
            ))?;
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    line(format_args!("waiting for a PC that fits: it will start when one is online"))?;
    Ok(())
}

/// No region of a demo has a registry: the example's image is put where a job would have brought it.
fn offer(engine: &Path) -> Result<()> {
    let closed =
        || format!("the app has no capsule open at {}: it has one while it is online", engine.display());
    anyhow::ensure!(engine.exists(), closed());
    offer_example(engine)
}

async fn jobs(dir: &Path, region: Option<&str>) -> Result<()> {
    let region = Facts::read(dir)?.region(region)?.customer()?;
    let jobs = region.get("/v1/jobs").await?;
    if jobs.as_array().is_none_or(Vec::is_empty) {
        return line(format_args!("no jobs yet: `submit` places one"));
    }
    for job in jobs.as_array().into_iter().flatten() {
        let id = text(&job["ID"]);
        line(format_args!("{id}  {}", text(&job["Status"])))?;
        for allocation in region.allocations(id).await? {
            line(format_args!(
                "    {}  on {}",
                text(&allocation["ClientStatus"]),
                text(&allocation["NodeName"])
            ))?;
        }
    }
    Ok(())
}

fn facts(dir: &Path) -> Result<()> {
    line(format_args!("{}", serde_json::to_string_pretty(&Facts::read(dir)?)?))?;
    Ok(())
}

async fn engine(dir: &Path) -> Result<()> {
    let engine = tokio::select! {
        started = Engine::alone(dir) => started?,
        () = asked_to_end() => return Ok(()),
    };
    println!("ready {}", engine.host());
    asked_to_end().await;
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

/// For whoever reads. A reader that has seen enough (`… | head -1`) is no fault.
fn line(text: std::fmt::Arguments<'_>) -> Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("standard output cannot be written"),
    }
}
