//! The owner's days: where they begin and meet, by a time zone with its daylight saving.

use anyhow::{Context as _, Result};
use chrono::{Datelike as _, Days, Months, NaiveDate, TimeZone};
use ionet_core::UnixMs;

use crate::day;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    Day,
    /// From Monday to Sunday.
    Week,
    Month,
}

/// The first day of each period of the range. The first and the last period may be cut.
pub(super) fn starts(by: By, from: NaiveDate, to: NaiveDate) -> Vec<NaiveDate> {
    let mut starts = vec![from];
    while let Some(next) = starts.last().and_then(|start| after(by, *start)).filter(|next| *next <= to) {
        starts.push(next);
    }
    starts
}

fn after(by: By, start: NaiveDate) -> Option<NaiveDate> {
    match by {
        By::Day => start.succ_opt(),
        By::Week => start.checked_add_days(Days::new(7 - u64::from(start.weekday().num_days_from_monday()))),
        By::Month => start.with_day(1)?.checked_add_months(Months::new(1)),
    }
}

/// The moments at which these periods meet, and the end of the last day.
pub(super) fn boundaries<Z: TimeZone>(
    starts: &[NaiveDate],
    last: NaiveDate,
    zone: &Z,
) -> Result<Vec<UnixMs>> {
    let end = last.succ_opt().context("there is no day after that one")?;
    starts.iter().chain([&end]).map(|day| day::began(*day, zone)).collect()
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn hours(from: &str, to: &str, zone: Tz) -> Vec<i64> {
        let (from, to) = (day(from), day(to));
        let at = boundaries(&starts(By::Day, from, to), to, &zone).unwrap();
        at.windows(2).map(|pair| (pair[1].0 - pair[0].0) / 60_000).collect()
    }

    #[test]
    fn days_have_the_length_that_daylight_saving_gives_them() {
        assert_eq!(hours("2026-03-28", "2026-03-30", Tz::Europe__Berlin), [1440, 1380, 1440]);
        assert_eq!(hours("2026-10-24", "2026-10-26", Tz::Europe__Berlin), [1440, 1500, 1440]);
        assert_eq!(hours("2026-04-04", "2026-04-06", Tz::Australia__Lord_Howe), [1440, 1470, 1440]);
        // The clock is put forward at midnight: the day has no 0:00.
        assert_eq!(hours("2026-04-23", "2026-04-25", Tz::Africa__Cairo), [1440, 1380, 1440]);
        assert_eq!(hours("2026-11-01", "2026-11-02", Tz::UTC), [1440, 1440]);
    }

    #[test]
    fn weeks_begin_on_monday_and_months_on_their_first_and_the_range_may_cut_them() {
        let weeks = starts(By::Week, day("2026-11-25"), day("2026-12-08"));
        let months = starts(By::Month, day("2024-01-31"), day("2024-03-01"));

        assert_eq!(weeks, ["2026-11-25", "2026-11-30", "2026-12-07"].map(day));
        assert_eq!(months, ["2024-01-31", "2024-02-01", "2024-03-01"].map(day));
    }

    #[test]
    fn whatever_the_cut_the_periods_meet_and_cover_the_whole() {
        for zone in [Tz::Europe__Berlin, Tz::America__Sao_Paulo, Tz::Asia__Kathmandu, Tz::Pacific__Apia] {
            let (from, to) = (day("2026-01-15"), day("2027-02-03"));
            let whole = boundaries(&[from], to, &zone).unwrap();
            for by in [By::Day, By::Week, By::Month] {
                let at = boundaries(&starts(by, from, to), to, &zone).unwrap();
                assert!(at.is_sorted_by(|a, b| a < b), "{zone}");
                assert_eq!((at.first(), at.last()), (whole.first(), whole.last()), "{zone}");
            }
        }
    }
}
