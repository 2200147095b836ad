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
use clap::ValueEnum;

use crate::report::{Agent, AgentKind, Report, StepReport};
use crate::world::{Options, World};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[clap(rename_all = "snake_case")]
pub enum Step {
    FirstStart,
    SignIn,
    Enrolment,
    Detection,
    Online,
    Job,
    Earnings,
    PauseResume,
    Logs,
    Quit,
}

impl Step {
    pub const ALL: [Self; 10] = [
        Self::FirstStart,
        Self::SignIn,
        Self::Enrolment,
        Self::Detection,
        Self::Online,
        Self::Job,
        Self::Earnings,
        Self::PauseResume,
        Self::Logs,
        Self::Quit,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::FirstStart => "first_start",
            Self::SignIn => "sign_in",
            Self::Enrolment => "enrolment",
            Self::Detection => "detection",
            Self::Online => "online",
            Self::Job => "job",
            Self::Earnings => "earnings",
            Self::PauseResume => "pause_resume",
            Self::Logs => "logs",
            Self::Quit => "quit",
        }
    }

    /// Walks it; gives what a person would see and what the other side confirmed.
    async fn walk(self, world: &mut World) -> Result<String> {
        match self {
            Self::FirstStart => first_start::walk(world).await,
            Self::SignIn => sign_in::walk(world).await,
            Self::Enrolment => enrolment::walk(world).await,
            Self::Detection => detection::walk(world).await,
            Self::Online => online::walk(world).await,
            Self::Job => job::walk(world).await,
            Self::Earnings => earnings::walk(world).await,
            Self::PauseResume => pause_resume::walk(world).await,
            Self::Logs => logs::walk(world).await,
            Self::Quit => quit::walk(world).await,
        }
    }
}

/// How long a step waits for one condition. Only guards against hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// The same for a step that was broken on purpose and is expected to wait in vain.
const PATIENCE_WHEN_BROKEN: Duration = Duration::from_secs(12);

/// The most that a whole step may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Walks every step in order, up to the first that does not hold, and ends everything.
pub async fn walk(options: Options) -> Report {
    let mut world = match World::start(options).await {
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

async fn one(step: Step, world: &mut World) -> StepReport {
    eprintln!("{:<13} …", step.name());
    world.patience = if world.is_broken(step) { PATIENCE_WHEN_BROKEN } else { PATIENCE };
    let started = Instant::now();
    let walked = match tokio::time::timeout(LIMIT, step.walk(world)).await {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_named_on_the_command_line_as_in_the_report() {
        for step in Step::ALL {
            assert_eq!(Step::from_str(step.name(), false), Ok(step));
        }
    }
}
