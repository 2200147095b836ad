//! `./dev bench flood`: how long an honest PC waits for the gateway while others flood it.
//!
//! A real gateway with its store, on loopback; a thousand devices with certificates of their own poll it, a few of them are
//! timed, and one kind of flood after the other comes at fifty requests a second from an address of its own. One of the
//! timed devices stands behind that very address. Before all that a device alone reads its ten thousand jobs. Issuer and region
//! are the ones that the gateway's tests play.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line speaks so")]

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio_util::sync::CancellationToken;

mod crowd;
mod flood;
mod history;
mod honest;
mod platform;
mod report;
mod world;

use crate::crowd::Crowd;
use crate::flood::{Ground, Kind};
use crate::report::Samples;
use crate::world::World;

/// Deadline of the played issuer and region against hanging.
const PATIENCE: Duration = Duration::from_secs(20);
const DEVICES: usize = 1_000;
/// How long each flood lasts.
const EACH: Duration = Duration::from_secs(11);
/// How long the honest devices are timed before the first flood.
const QUIET: Duration = Duration::from_secs(8);
const SAMPLES: &str = "target/bench/flood.jsonl";

#[tokio::main]
async fn main() -> ExitCode {
    match measure().await {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("flood: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure() -> Result<String> {
    // An error means that it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    platform::raise_open_files();
    let folder = tempfile::tempdir()?;
    let mut world = World::start(folder.path()).await?;
    eprintln!("enrolling {DEVICES} devices");
    let crowd = Crowd::enrol(&world, DEVICES).await?;
    let ground = Ground::prepare(&mut world).await?;
    let samples = Samples::create(Path::new(SAMPLES))?;
    eprintln!("history");
    ground.read_history(&samples).await?;
    let done = CancellationToken::new();
    let polling = crowd.poll(&world, &done);
    let timed = honest::ask(&world, &samples, &done).await?;
    eprintln!("quiet");
    tokio::time::sleep(QUIET).await;
    for kind in Kind::ALL {
        eprintln!("{}", kind.name());
        samples.begin(kind.name());
        flood::run(kind, &ground, &samples, EACH).await;
    }
    done.cancel();
    timed.await.context("the timed devices")?;
    let polls = polling.await.context("the polling devices")?;
    world.stop().await;
    samples.report(DEVICES, polls)
}
