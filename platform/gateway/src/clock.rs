//! The gateway's clock, as the integers that the wire and the store hold.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) const DAY_NS: i64 = 24 * 3600 * 1_000_000_000;

/// Nanoseconds since the Unix epoch; good until the year 2262.
pub(crate) fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    now_ns() / 1_000_000
}
