//! What a failing write says about the disk, and a watch over writes that do not come back.

use std::io::{self, ErrorKind};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ionet_core::fault::LogFault;
use ionet_private::FileError;

use crate::names::Clock;

/// A write that takes longer hangs.
const HANGS: Duration = Duration::from_secs(10);

/// Why nothing can be written. Every failure has a reason: none is passed over in silence.
pub(crate) fn fault_of(error: &io::Error) -> LogFault {
    /// A mount whose server or device went: `ENODEV`, `ENXIO`, `ENOTCONN`, `ESHUTDOWN`.
    const GONE: [i32; 4] = [19, 6, 107, 108];
    let error = of_system(error);
    let gone = cfg!(target_os = "linux") && error.raw_os_error().is_some_and(|code| GONE.contains(&code));
    #[expect(clippy::wildcard_enum_match_arm, reason = "the kinds are the system's, and grow")]
    match error.kind() {
        ErrorKind::StorageFull => LogFault::DiskFull,
        ErrorKind::QuotaExceeded => LogFault::QuotaUsedUp,
        ErrorKind::ReadOnlyFilesystem => LogFault::ReadOnly,
        ErrorKind::PermissionDenied => LogFault::NotAllowed,
        ErrorKind::NotFound | ErrorKind::StaleNetworkFileHandle => LogFault::DiskGone,
        ErrorKind::TimedOut => LogFault::DiskHangs,
        _ if gone => LogFault::DiskGone,
        _ => LogFault::DiskFailing(error.to_string()),
    }
}

/// The system's own word, which an error about a file carries along.
fn of_system(error: &io::Error) -> &io::Error {
    let about = error.get_ref().and_then(|inner| inner.downcast_ref::<FileError>());
    about.map_or(error, |about| &about.error)
}

/// Since when somebody waits for the disk. Whoever still runs asks.
pub(crate) struct Watch {
    clock: Clock,
    since: Mutex<Option<Duration>>,
}

impl Watch {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, since: Mutex::new(None) }
    }

    /// Does something on the disk, watched.
    pub(crate) fn over<T>(&self, deed: impl FnOnce() -> T) -> T {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.clock.elapsed());
        let done = deed();
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = None;
        done
    }

    #[cfg(test)]
    pub(crate) fn is_waiting(&self) -> bool {
        self.since.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub(crate) fn hangs(&self) -> bool {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| self.clock.elapsed().saturating_sub(since) >= HANGS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn every_way_a_disk_can_fail_has_a_reason() {
        for (code, fault) in [
            (28, LogFault::DiskFull),
            (122, LogFault::QuotaUsedUp),
            (30, LogFault::ReadOnly),
            (13, LogFault::NotAllowed),
            (1, LogFault::NotAllowed),
            (2, LogFault::DiskGone),
            (19, LogFault::DiskGone),
            (107, LogFault::DiskGone),
            (116, LogFault::DiskGone),
            (110, LogFault::DiskHangs),
        ] {
            assert_eq!(fault_of(&io::Error::from_raw_os_error(code)), fault, "{code}");
        }
        let LogFault::DiskFailing(why) = fault_of(&io::Error::from_raw_os_error(5)) else { panic!("EIO") };
        assert!(why.contains("Input/output error"), "{why}");
    }
}
