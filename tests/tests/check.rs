//! `journey --check` holds on a world that is whole, and fails at exactly the step that was broken.

#![expect(clippy::print_stdout, reason = "a test that is left out says so")]
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::process::Stdio;

use journeys::needs;
use journeys::report::Report;
use journeys::step::Step;
use tokio::process::Command;
use tokio::sync::Semaphore;

/// Each walk has a desktop, a region and a web view of its own.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

#[tokio::test(flavor = "multi_thread")]
async fn the_check_passes() {
    if is_skipped() {
        return;
    }

    let walked = walk(None).await;

    assert!(walked.report.ok, "{walked:#?}");
    assert_eq!(walked.code, Some(0), "{walked:#?}");
    let names: Vec<&str> = walked.report.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, Step::ALL.map(Step::name));
    assert!(!walked.complaints.contains("had to be killed"), "{walked:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_fails_at_exactly_the_step_that_was_broken() {
    if is_skipped() {
        return;
    }
    let walks: Vec<_> = Step::ALL.map(|step| (step, tokio::spawn(walk(Some(step))))).into();
    let mut wrong = Vec::new();

    for (step, walk) in walks {
        let walked = walk.await.unwrap();
        if !failed_exactly_at(step, &walked) {
            wrong.push((step, walked));
        }
    }

    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[derive(Debug)]
struct Walked {
    code: Option<i32>,
    report: Report,
    complaints: String,
}

async fn walk(broken: Option<Step>) -> Walked {
    let _turn = AT_ONCE.acquire().await.unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_journey"));
    command.arg("--check").stdin(Stdio::null()).kill_on_drop(true);
    if let Some(step) = broken {
        command.args(["--break", step.name()]);
    }
    let output = command.output().await.unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    let printed = String::from_utf8_lossy(&output.stdout);
    let last = printed.lines().last().unwrap_or_default();
    let report = serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {last}\n{complaints}"));
    Walked { code: output.status.code(), report, complaints }
}

/// Words that only what was broken puts into the step's detail.
fn cause(step: Step) -> &'static str {
    match step {
        Step::FirstStart => "a tray item",
        Step::SignIn => "the window shows agreement",
        Step::Enrolment => "another issuer",
        Step::Detection => "NoGpu",
        Step::Online => "the region does not answer",
        Step::Job => "failed",
        Step::Earnings => "the ledger to",
        Step::PauseResume => "the node is still eligible",
        Step::Logs => "cannot be unpacked",
        Step::Quit => "sleep 600",
    }
}

fn failed_exactly_at(step: Step, walked: &Walked) -> bool {
    let steps = &walked.report.steps;
    let Some(place) = steps.iter().position(|report| report.name == step.name()) else { return false };
    let later_unreached =
        steps[place + 1..].iter().all(|later| !later.ok && later.detail.starts_with("not reached"));
    walked.code == Some(1)
        && steps[..place].iter().all(|earlier| earlier.ok)
        && !steps[place].ok
        && !steps[place].detail.starts_with("not reached")
        && steps[place].detail.contains(cause(step))
        && later_unreached
}

fn is_skipped() -> bool {
    let missing = needs::missing(&needs::programs().unwrap());
    if !missing.is_empty() {
        println!("skipped: needs {}", missing.join(", "));
    }
    !missing.is_empty()
}
