//! `./dev bench earnings`: how quickly the window shows a past of 10,000 jobs, and scrolls through it. The gateway's share, of
//! the same past, is in `./dev bench flood`.

#![expect(clippy::print_stderr, reason = "who waits sees how far it is")]

use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use super::{Bench, Figure};
use crate::desktop::Desktop;
use crate::needs;
use crate::pc::Pc;
use crate::report::Agent;
use crate::root::Root;
use crate::window::Window;

/// The played past, of `ui/src/backend/ledger.ts`.
const SCENE: &str = "earnings-many";
const JOBS: usize = 10_000;

/// Guards against hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// Seconds from what the owner does to the frame that shows it.
const GOAL: f64 = 0.3;

/// How often the screen is left and entered again.
const ENTERED: usize = 11;
/// How many places of the whole past are jumped to.
const JUMPS: usize = 100;

/// What the page tells: all in seconds.
#[derive(Debug, Deserialize, Serialize)]
struct Seen {
    /// From the press on *Earnings* to the first rows, each time.
    entered: Vec<f64>,
    /// From each scroll to the end to the rows there, until no page is left to come.
    read_on: Vec<f64>,
    /// From each jump to anywhere to the rows there.
    jumped: Vec<f64>,
    rows: usize,
}

/// Opens the real window on the played past, and has the page time itself.
///
/// # Errors
/// When the window does not open, or its page does not show all of the past.
pub(super) async fn bench(mut samples: File) -> Result<Bench> {
    let root = Root::new(None)?;
    let programs = needs::met()?;
    let desktop_folder = root.path().join("desktop");
    std::fs::create_dir_all(&desktop_folder)?;
    let desktop = Desktop::start(&desktop_folder).await.context("the desktop")?;
    let pc = Pc::without_a_cloud(root.path(), &programs, desktop.environment())?;
    eprintln!("a past of {JOBS} jobs …");
    let window = Window::open_scene(&pc, SCENE).await?;
    window.field("earnings-total", PATIENCE).await?;
    let seen: Seen = window.run(&script()).await.context("the page did not come to the end of its past")?;
    ensure!(seen.rows == JOBS, "the page has {} of {JOBS} jobs", seen.rows);
    writeln!(samples, "{}", serde_json::to_string(&seen)?)?;
    window.close().await?;
    Ok(Bench::new("earnings", Agent::none(), figures(&seen)))
}

fn figures(seen: &Seen) -> Vec<Figure> {
    let worst = |all: &[f64]| all.iter().copied().fold(0.0, f64::max);
    vec![
        Figure::within("first_rows_worst", worst(&seen.entered), "s", GOAL),
        Figure::within("read_on_worst", worst(&seen.read_on), "s", GOAL),
        Figure::within("jump_worst", worst(&seen.jumped), "s", GOAL),
        Figure::told("read_on_all", seen.read_on.iter().sum(), "s"),
    ]
}

fn script() -> String {
    include_str!("earnings.js").replace("ENTERED", &ENTERED.to_string()).replace("JUMPS", &JUMPS.to_string())
}
