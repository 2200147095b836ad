//! What a watcher may ask for beside the snapshot: what is too large, or too old, to belong to it.

use serde::{Deserialize, Serialize};

use crate::earnings::{EarningsAnswer, EarningsQuestion};
use crate::problem::Problem;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(tag = "question", content = "about", rename_all = "snake_case")]
pub enum Question {
    Earnings(EarningsQuestion),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(tag = "answer", content = "about", rename_all = "snake_case")]
pub enum Answer {
    Earnings(EarningsAnswer),
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(tag = "refused", rename_all = "snake_case")]
pub enum Refused {
    /// The same watcher waits for too many answers already.
    #[error("too many questions at once")]
    TooMany,
    #[error("the answer did not come in time")]
    TooLate,
    /// Whoever would answer is gone: the app is ending.
    #[error("nobody answers any more")]
    NoAnswer,
    /// What stands in the way, with its sentences and its next step.
    #[error("{}", .problem.code.as_str())]
    Problem { problem: Problem },
}
