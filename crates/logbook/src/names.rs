//! What closed files are called, and the clock that says so.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// The time of day, or a test's.
#[derive(Clone)]
pub(crate) struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    pub(crate) fn system() -> Self {
        Self(Arc::new(SystemTime::now))
    }

    #[cfg(test)]
    pub(crate) fn by(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(crate) fn now(&self) -> SystemTime {
        (self.0)()
    }
}

/// Gives each closed file its own name: `20261123t063653123z-000001`. Names sort by time, also when the clock is set back
/// while the app runs, and hold only what object names may hold.
pub(crate) struct Names {
    clock: Clock,
    last: Mutex<(SystemTime, u32)>,
}

impl Names {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, last: Mutex::new((SystemTime::UNIX_EPOCH, 0)) }
    }

    pub(crate) fn next(&self) -> String {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = (last.0.max(self.clock.now()), last.1.wrapping_add(1));
        let format = format_description!("[year][month][day]t[hour][minute][second][subsecond digits:3]z");
        let time = OffsetDateTime::from(last.0).format(&format).unwrap_or_else(|_| "unknown".to_owned());
        format!("{time}-{:06}", last.1)
    }
}

/// A foreign name as part of an object's name. One that had to be changed carries a piece of its hash, so that two of
/// them stay apart.
pub(crate) fn object_part(foreign: &str) -> String {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    if !foreign.starts_with('.') && foreign.len() <= 100 && foreign.chars().all(allowed) {
        return foreign.to_owned();
    }
    let plain = foreign.chars().map(|c| c.to_ascii_lowercase()).map(|c| if allowed(c) { c } else { '-' });
    let plain: String = plain.take(80).collect();
    let hash = hex::encode(&Sha256::digest(foreign)[..4]);
    format!("{}-{hash}", plain.trim_start_matches('.'))
}

/// As the log's own lines write it.
pub(crate) fn timestamp(at: SystemTime) -> String {
    OffsetDateTime::from(at).format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn names_sort_by_time_even_when_the_clock_goes_back() {
        let times = Mutex::new(vec![1_763_879_000, 1_763_880_000, 1_763_880_000]);
        let clock = Clock::by(move || {
            SystemTime::UNIX_EPOCH + Duration::from_secs(times.lock().unwrap().pop().unwrap())
        });
        let names = Names::new(clock);

        let given = [names.next(), names.next(), names.next()];

        assert_eq!(given[0], "20251123t064000000z-000001");
        assert!(given.is_sorted(), "{given:?}");
    }

    #[test]
    fn foreign_names_become_object_names_that_stay_apart() {
        assert_eq!(object_part("train.stdout"), "train.stdout");
        assert_ne!(object_part("Train.stdout"), object_part("train.stdout"));
        assert_ne!(object_part("a b"), object_part("a/b"));
        assert!(object_part("../x").chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)));
        assert!(!object_part("../x").contains(".."));
    }
}
