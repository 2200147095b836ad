//! Problems of the logs. None of them stops anything.

use super::{Action, Problem, ProblemCode, Stops, with};
use crate::fault::LogFault;

/// A store that cannot be reached is the network's or the gateway's problem, and is said as theirs.
pub(super) fn of_logs(fault: &LogFault) -> Option<Problem> {
    use ProblemCode as Code;
    let quiet = |code, args: &[(&str, String)]| Some(with(code, Action::None, Stops::Nothing, args));
    match fault {
        LogFault::DiskFull => quiet(Code::LogDiskFull, &[]),
        LogFault::QuotaUsedUp => quiet(Code::LogQuota, &[]),
        LogFault::ReadOnly => quiet(Code::LogReadOnly, &[]),
        LogFault::NotAllowed => quiet(Code::LogNotAllowed, &[]),
        LogFault::DiskFailing(why) => quiet(Code::LogDiskFailing, &[("why", why.clone())]),
        LogFault::DiskHangs => quiet(Code::LogDiskHangs, &[]),
        LogFault::DiskGone => quiet(Code::LogDiskGone, &[]),
        LogFault::Refused(status) => quiet(Code::LogRefused, &[("status", status.to_string())]),
        LogFault::StoreSilent(host) => quiet(Code::LogStoreSilent, &[("host", host.clone())]),
        LogFault::Unreachable => None,
    }
}
