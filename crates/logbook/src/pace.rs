//! How long the thread that keeps house rests between its turns.

use std::time::Duration;

pub(crate) const SHORTEST: Duration = Duration::from_secs(1);
/// The longest rest with nothing to do. An ended job's files have to stay for longer.
pub const LONGEST_REST: Duration = Duration::from_secs(8);
/// On a disk that fails.
const LONGEST_FAILING: Duration = Duration::from_secs(60);
/// Between two turns when there is more: nine parts of rest to one of work, so that a loud job never takes a core.
const BREATH: Duration = Duration::from_millis(100);
const REST: u32 = 9;
/// How one turn of housekeeping went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Went {
    /// There is more than one turn's worth.
    More,
    News,
    Nothing,
    Failed,
}

/// Rests that grow while there is nothing to do.
#[derive(Debug)]
pub(crate) struct Pace {
    rest: Duration,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { rest: SHORTEST }
    }

    /// How long to rest after a turn that took so long.
    pub(crate) fn after(&mut self, went: Went, took: Duration) -> Duration {
        self.rest = match went {
            Went::More => return (took * REST).max(BREATH),
            Went::News => SHORTEST,
            Went::Nothing => (self.rest * 2).min(LONGEST_REST),
            Went::Failed => (self.rest * 2).min(LONGEST_FAILING),
        };
        self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_grow_while_there_is_nothing_to_do_and_are_short_again_with_news() {
        let mut pace = Pace::new();
        let idle: Vec<_> = (0..6).map(|_| pace.after(Went::Nothing, Duration::ZERO)).collect();

        assert!(idle.is_sorted() && idle[5] == LONGEST_REST, "{idle:?}");
        assert_eq!(pace.after(Went::News, Duration::ZERO), SHORTEST);
        assert!((0..9).map(|_| pace.after(Went::Failed, Duration::ZERO)).last() == Some(LONGEST_FAILING));
    }

    #[test]
    fn a_loud_job_leaves_nine_tenths_of_a_core_alone() {
        let mut pace = Pace::new();

        assert_eq!(pace.after(Went::More, Duration::from_millis(200)), Duration::from_millis(1800));
        assert_eq!(pace.after(Went::More, Duration::ZERO), BREATH);
    }
}
