//! How often a task is tried again, after which delay.

use std::time::Duration;

use serde_json::Value;

use super::Ended;
use crate::{client::raw_exec::Exit, go};

/// The policy of one task, and what is left of it.
pub(super) struct Restarts {
    left: u64,
    allowed: u64,
    delay: Duration,
    interval: Duration,
    batch: bool,
}

/// What follows the end of an attempt.
pub(super) enum Next {
    Again(Duration),
    Done,
    Failed(String),
}

impl Restarts {
    pub(super) fn of(policy: &Value, batch: bool) -> Self {
        let nanos = |name: &str| Duration::from_nanos(policy[name].as_u64().unwrap_or_default());
        let allowed = policy["Attempts"].as_u64().unwrap_or_default();
        Self { left: allowed, allowed, delay: nanos("Delay"), interval: nanos("Interval"), batch }
    }

    pub(super) fn next(&mut self, ended: &Ended) -> Next {
        if self.batch && matches!(ended, Ended::Exit(Exit { code: 0, .. })) {
            return Next::Done;
        }
        if self.left == 0 {
            let (allowed, interval) = (self.allowed, go::duration_text(self.interval));
            let reason = match ended {
                Ended::Broken(reason) if self.allowed == 0 => reason.clone(),
                Ended::Broken(_) | Ended::Exit(_) | Ended::Stopped => {
                    format!("Exceeded allowed attempts {allowed} in interval {interval} and mode is \"fail\"")
                }
            };
            return Next::Failed(reason);
        }
        self.left -= 1;
        Next::Again(self.delay.mul_f64(1.0 + rand::random::<f64>() / 4.0))
    }
}
