//! Problems of the logs.

use super::{Action, Problem, ProblemCode, Stops, plain};
use crate::fault::LogFault;

/// A store that cannot be reached is the network's or the gateway's problem, and is said as theirs.
pub(super) fn of_logs(fault: &LogFault) -> Option<Problem> {
    match fault {
        LogFault::DiskFull => Some(plain(ProblemCode::LogDiskFull, Action::None, Stops::Nothing)),
        LogFault::Refused(_) => Some(plain(ProblemCode::LogRefused, Action::None, Stops::Nothing)),
        LogFault::Unreachable => None,
    }
}
