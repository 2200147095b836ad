//! Bad input and bad days, through the real programs: each is said by its code, nothing is lost, and the app finds its
//! way back without its owner when the cause is gone.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]
#![cfg(target_os = "linux")]

#[path = "bad_days/black_holes.rs"]
mod black_holes;
#[path = "bad_days/certificates.rs"]
mod certificates;
#[path = "bad_days/files.rs"]
mod files;
#[path = "bad_days/hand_over.rs"]
mod hand_over;
#[path = "bad_days/jobs.rs"]
mod jobs;
#[path = "bad_days/killed.rs"]
mod killed;
#[path = "bad_days/network.rs"]
mod network;
#[path = "bad_days/parts.rs"]
mod parts;
#[path = "bad_days/traces.rs"]
mod traces;

use std::time::Duration;

use ionet_core::Phase;
use ionet_core::target::PauseEnd;

const PAUSED: Phase = Phase::Paused { until: PauseEnd::Resumed };

/// How long giving the PC back may take when nobody on the other side answers.
const GIVEN_BACK: Duration = Duration::from_secs(30);
