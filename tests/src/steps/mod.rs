//! The ten steps, and the walk through them.

#![expect(clippy::print_stderr, reason = "who waits sees how far it is")]

mod detection;
mod earnings;
mod enrolment;
mod first_start;
mod job;
mod logs;
mod online;
mod pause_resume;
mod quit;
mod sign_in;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::breaks;
use crate::report::{Agent, AgentKind, Report, StepReport};
use crate::step::Step;
use crate::wait::PATIENCE;
use crate::world::{Options, World};

/// [`PATIENCE`] for a step that was broken on purpose and is expected to wait in vain.
const PATIENCE_WHEN_BROKEN: Duration = Duration::from_secs(12);

/// The most that a whole step may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Walks every step in order, up to the first that does not hold, and ends everything.
pub async fn walk(options: Options) -> Report {
    let mut world = match begin(options).await {
        Ok(world) => world,
        Err(error) => return not_even_started(&error),
    };
    let agent = world.agent();
    let mut reports: Vec<StepReport> = Vec::new();
    for step in Step::ALL {
        let report = match reports.iter().find(|report| !report.ok) {
            Some(failed) => not_reached(step, &failed.name),
            None => one(step, &mut world).await,
        };
        reports.push(report);
    }
    if reports.iter().any(|report| !report.ok) {
        tell_last_lines(&world);
    }
    let measured = std::mem::take(&mut world.learnt.measured);
    for left in world.end().await {
        eprintln!("had to be killed: {left}");
    }
    Report { measured, ..Report::new(agent, reports) }
}

/// Walks up to this step, for whoever wants to be there.
///
/// # Errors
/// When a step does not hold.
pub async fn walk_to(last: Step, world: &mut World) -> Result<()> {
    for step in Step::ALL {
        let report = one(step, world).await;
        ensure!(report.ok, "{} did not hold: {}", report.name, report.detail);
        if step == last {
            break;
        }
    }
    Ok(())
}

async fn begin(options: Options) -> Result<World> {
    let mut world = World::start(options).await?;
    breaks::before_the_first_start(&mut world)?;
    Ok(world)
}

async fn one(step: Step, world: &mut World) -> StepReport {
    eprintln!("{:<13} …", step.name());
    world.patience = if world.is_broken(step) { PATIENCE_WHEN_BROKEN } else { PATIENCE };
    let started = Instant::now();
    let walked = match tokio::time::timeout(LIMIT, walk_one(step, world)).await {
        Ok(walked) => walked,
        Err(hung) => Err(hung).with_context(|| format!("the step did not end within {} s", LIMIT.as_secs())),
    };
    let seconds = (started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
    let (ok, detail) = match walked {
        Ok(detail) => (true, detail),
        Err(error) => (false, format!("{error:#}")),
    };
    eprintln!(
        "{:<13} {} after {seconds:.1} s: {detail}",
        step.name(),
        if ok { "holds" } else { "DOES NOT HOLD" }
    );
    StepReport { name: step.name().to_owned(), ok, seconds, detail }
}

/// Walks it; gives what a person would see and what the other side confirmed.
async fn walk_one(step: Step, world: &mut World) -> Result<String> {
    match step {
        Step::FirstStart => first_start::walk(world).await,
        Step::SignIn => sign_in::walk(world).await,
        Step::Enrolment => enrolment::walk(world).await,
        Step::Detection => detection::walk(world).await,
        Step::Online => online::walk(world).await,
        Step::Job => job::walk(world).await,
        Step::Earnings => earnings::walk(world).await,
        Step::PauseResume => pause_resume::walk(world).await,
        Step::Logs => logs::walk(world).await,
        Step::Quit => quit::walk(world).await,
    }
}

fn not_reached(step: Step, failed: &str) -> StepReport {
    let detail = format!("not reached: {failed} did not hold");
    StepReport { name: step.name().to_owned(), ok: false, seconds: 0.0, detail }
}

/// The stage itself could not be set: no step can hold.
fn not_even_started(error: &anyhow::Error) -> Report {
    eprintln!("the walk could not begin: {error:#}");
    let detail = format!("not reached: the walk could not begin: {error:#}");
    let report = |step: Step| StepReport {
        name: step.name().to_owned(),
        ok: false,
        seconds: 0.0,
        detail: detail.clone(),
    };
    let agent = Agent { kind: AgentKind::Double, version: "unknown".to_owned() };
    Report::new(agent, Step::ALL.map(report).to_vec())
}

/// What the app wrote last, for whoever looks for the cause.
fn tell_last_lines(world: &World) {
    for name in ["app", "agent"] {
        let file = world.pc.folders().logs.join(name).join("current.log");
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        eprintln!("--- the last lines of {}", file.display());
        for line in &lines[lines.len().saturating_sub(25)..] {
            eprintln!("{line}");
        }
    }
}
