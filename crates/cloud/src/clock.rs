//! This PC's clock, and how far it is from the other side's.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::{DATE, HeaderMap};

/// How far this PC's clock is ahead of the other side's, by the last answer's `Date`.
#[derive(Debug, Clone)]
pub(crate) struct Skew(Arc<AtomicI64>);

impl Skew {
    const UNKNOWN: i64 = i64::MIN;

    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(Self::UNKNOWN)))
    }

    /// Milliseconds; above zero when this PC is ahead. Whole seconds are all that a `Date` can tell.
    pub(crate) fn get(&self) -> Option<i64> {
        let skew = self.0.load(Ordering::Relaxed);
        (skew != Self::UNKNOWN).then_some(skew)
    }

    /// The time by the other side's clock, as far as it is known.
    pub(crate) fn theirs_ms(&self) -> i64 {
        now_ms().saturating_sub(self.get().unwrap_or(0))
    }

    pub(crate) fn learn(&self, headers: &HeaderMap) -> Option<i64> {
        let skew = Self::of(headers)?;
        self.0.store(skew, Ordering::Relaxed);
        Some(skew)
    }

    /// By one answer, of whoever gave it.
    pub(crate) fn of(headers: &HeaderMap) -> Option<i64> {
        let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
        Some(now_ms().saturating_sub(unix_ms(date)))
    }
}

pub(crate) fn now_ms() -> i64 {
    unix_ms(SystemTime::now())
}

pub(crate) fn unix_ms(time: SystemTime) -> i64 {
    let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => ms(after),
        Err(before) => -ms(before.duration()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dated(ms: i64) -> HeaderMap {
        let date = UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap());
        HeaderMap::from_iter([(DATE, httpdate::fmt_http_date(date).parse().unwrap())])
    }

    #[test]
    fn a_clock_that_is_a_day_ahead_shows_as_a_day() {
        let skew = Skew::new();

        skew.learn(&dated(now_ms() - 86_400_000));

        let off = skew.get().unwrap() - 86_400_000;
        assert!((0..3_000).contains(&off), "{off}");
    }

    #[test]
    fn an_answer_without_a_date_says_nothing() {
        let skew = Skew::new();

        skew.learn(&HeaderMap::new());

        assert_eq!(skew.get(), None);
    }
}
