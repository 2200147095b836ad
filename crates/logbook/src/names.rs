//! What closed files are called, and the clocks that logs go by.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use sha2::{Digest, Sha256};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

/// A name's time is never earlier than the last one's, unless the clock went back by more than this: then it was wrong
/// before, and names of a far year would otherwise stay for ever.
const SET_BACK: Duration = Duration::from_secs(3600);
/// 9999-12-31T23:59:59Z: later times have no name.
const LAST_SECOND: u64 = 253_402_300_799;

/// The time of day, which may jump either way, and one that only goes on, by which everything waits.
#[derive(Clone)]
pub(crate) struct Clock {
    wall: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    mono: Arc<dyn Fn() -> Duration + Send + Sync>,
}

impl Clock {
    pub(crate) fn system() -> Self {
        let start = Instant::now();
        Self { wall: Arc::new(SystemTime::now), mono: Arc::new(move || start.elapsed()) }
    }

    #[cfg(test)]
    pub(crate) fn by(
        wall: impl Fn() -> SystemTime + Send + Sync + 'static,
        mono: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Self {
        Self { wall: Arc::new(wall), mono: Arc::new(mono) }
    }

    /// The time of day, within the years that can be written down.
    pub(crate) fn now(&self) -> SystemTime {
        let last = SystemTime::UNIX_EPOCH + Duration::from_secs(LAST_SECOND);
        (self.wall)().clamp(SystemTime::UNIX_EPOCH, last)
    }

    /// Since some moment.
    pub(crate) fn elapsed(&self) -> Duration {
        (self.mono)()
    }
}

/// Gives each closed file its own name: `20261123t063653123z-000001`, of what object names may hold. The number goes on
/// from one life to the next, and tells the order whatever the clock did meanwhile.
pub(crate) struct Names {
    clock: Clock,
    last: Mutex<(SystemTime, u64)>,
}

impl Names {
    /// After the number `last`.
    pub(crate) fn new(clock: Clock, last: u64) -> Self {
        Self { clock, last: Mutex::new((SystemTime::UNIX_EPOCH, last)) }
    }

    pub(crate) fn next(&self) -> String {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let set_back = last.0.duration_since(now).is_ok_and(|back| back > SET_BACK);
        *last = (if set_back { now } else { last.0.max(now) }, last.1.wrapping_add(1));
        let format = format_description!("[year][month][day]t[hour][minute][second][subsecond digits:3]z");
        let time = OffsetDateTime::from(last.0).format(&format).unwrap_or_else(|_| "unknown".to_owned());
        format!("{time}-{:06}", last.1)
    }

    /// How many names were given.
    pub(crate) fn given(&self) -> u64 {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

/// The number in a closed file's name, with whatever stands around it.
pub(crate) fn number_of(name: &str) -> u64 {
    let digits =
        |text: &str| text.split(|c: char| !c.is_ascii_digit()).next().and_then(|text| text.parse().ok());
    name.rsplit_once("z-").and_then(|(_, number)| digits(number)).unwrap_or_default()
}

/// When a closed file was closed, by its name.
pub(crate) fn time_of(name: &str) -> Option<SystemTime> {
    let name = name.rsplit('/').next()?.split_once("z-")?.0.get(..15)?;
    let format = format_description!("[year][month][day]t[hour][minute][second]");
    Some(PrimitiveDateTime::parse(name, &format).ok()?.assume_utc().into())
}

/// A foreign name as part of an object's name. One that had to be changed carries a piece of its hash, so that two of
/// them stay apart.
pub(crate) fn object_part(foreign: &str) -> String {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    let plain = !foreign.starts_with('.') && !foreign.contains("..") && foreign.chars().all(allowed);
    if plain && !foreign.is_empty() && foreign.len() <= 100 {
        return foreign.to_owned();
    }
    let plain = foreign.chars().map(|c| c.to_ascii_lowercase()).map(|c| if allowed(c) { c } else { '-' });
    let plain: String = plain.take(80).collect();
    let hash = hex::encode(&Sha256::digest(foreign)[..4]);
    format!("{}-{hash}", plain.replace("..", "--").trim_start_matches('.'))
}

/// As the log's own lines write it.
pub(crate) fn timestamp(at: SystemTime) -> String {
    OffsetDateTime::from(at).format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names given at these seconds of the day.
    fn given(seconds: &[u64]) -> Vec<String> {
        let times = Mutex::new(seconds.iter().rev().copied().collect::<Vec<_>>());
        let wall = move || SystemTime::UNIX_EPOCH + Duration::from_secs(times.lock().unwrap().pop().unwrap());
        let names = Names::new(Clock::by(wall, || Duration::ZERO), 0);
        seconds.iter().map(|_| names.next()).collect()
    }

    #[test]
    fn names_sort_by_time_even_when_the_clock_goes_back() {
        let given = given(&[1_763_880_000, 1_763_880_000, 1_763_879_000]);

        assert_eq!(given[0], "20251123t064000000z-000001");
        assert!(given.is_sorted(), "{given:?}");
    }

    #[test]
    fn a_clock_that_was_years_ahead_leaves_no_far_year_behind() {
        let given = given(&[1_763_880_000, 4_763_880_000, 1_763_880_060, 1_763_880_120]);

        assert!(given[1].starts_with("2120"), "{given:?}");
        assert!(
            given[2].starts_with("20251123t064100") && given[3].starts_with("20251123t064200"),
            "{given:?}"
        );
        assert!(given.iter().map(|name| number_of(name)).is_sorted(), "{given:?}");
    }

    #[test]
    fn times_that_cannot_be_written_down_still_have_a_name() {
        for wall in [
            SystemTime::UNIX_EPOCH - Duration::from_secs(1 << 40),
            SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 50),
        ] {
            let clock = Clock::by(move || wall, || Duration::ZERO);
            assert!(!timestamp(clock.now()).is_empty());
            assert_eq!(Names::new(clock, 0).next().len(), "20251123t064000000z-000001".len());
        }
    }

    #[test]
    fn the_number_is_read_out_of_every_kind_of_name() {
        for name in [
            "closed-20251123t064000000z-000017.log",
            "20251123t064000000z-000017.log.gz",
            "app/20251123t064000000z-000017.log.gz",
        ] {
            assert_eq!(number_of(name), 17);
        }
        assert_eq!(number_of("20251123t064000000z-12345678.log.gz"), 12_345_678);
        assert_eq!(number_of("nonsense"), 0);
    }

    #[test]
    fn foreign_names_become_object_names_that_stay_apart() {
        assert_eq!(object_part("train.stdout"), "train.stdout");
        assert_ne!(object_part("Train.stdout"), object_part("train.stdout"));
        assert_ne!(object_part("a b"), object_part("a/b"));
        assert!(object_part("../x").chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)));
        for foreign in ["../x", "a..b", ".", "..", ""] {
            assert!(!object_part(foreign).contains("..") && !object_part(foreign).is_empty());
        }
    }
}
