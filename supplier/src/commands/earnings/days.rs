//! The owner's days: where they begin and meet, by a time zone with its daylight saving.

use anyhow::{Context as _, Result, ensure};
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

/// A hundred years of days. Nobody reads more lines, and the gateway answers no more in one go.
const MOST: usize = 36_600;

/// The first day of each period of the range, of which the first and the last may be cut, and the moments at which they meet, with
/// the end of the last day. A day that a calendar left out begins when the next one does, and is no period.
pub(super) fn periods<Z: TimeZone>(
    by: By,
    from: NaiveDate,
    to: NaiveDate,
    zone: &Z,
) -> Result<(Vec<NaiveDate>, Vec<UnixMs>)> {
    let (mut starts, mut moments) = (Vec::new(), Vec::new());
    for start in starts_of(by, from, to) {
        ensure!(starts.len() < MOST, "a list has {MOST} lines at most: ask for fewer days, or --by month");
        let at = day::began(start, zone)?;
        if moments.last() == Some(&at) {
            starts.pop();
            moments.pop();
        }
        starts.push(start);
        moments.push(at);
    }
    let end = ended(to, zone)?;
    if moments.last() == Some(&end) {
        starts.pop();
        moments.pop();
    }
    ensure!(!starts.is_empty(), "{from} does not exist in this time zone");
    moments.push(end);
    Ok((starts, moments))
}

/// The first moment after a day.
pub(super) fn ended<Z: TimeZone>(day: NaiveDate, zone: &Z) -> Result<UnixMs> {
    day::began(day.succ_opt().context("there is no day after that one")?, zone)
}

fn starts_of(by: By, from: NaiveDate, to: NaiveDate) -> impl Iterator<Item = NaiveDate> {
    std::iter::successors(Some(from), move |start| after(by, *start)).take_while(move |start| *start <= to)
}

fn after(by: By, start: NaiveDate) -> Option<NaiveDate> {
    match by {
        By::Day => start.succ_opt(),
        By::Week => start.checked_add_days(Days::new(7 - u64::from(start.weekday().num_days_from_monday()))),
        By::Month => start.with_day(1)?.checked_add_months(Months::new(1)),
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn starts(by: By, from: &str, to: &str) -> Vec<NaiveDate> {
        periods(by, day(from), day(to), &Tz::UTC).unwrap().0
    }

    fn hours(from: &str, to: &str, zone: Tz) -> Vec<i64> {
        let (starts, at) = periods(By::Day, day(from), day(to), &zone).unwrap();
        assert_eq!(starts.len() + 1, at.len());
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
        let weeks = starts(By::Week, "2026-11-25", "2026-12-08");
        let months = starts(By::Month, "2024-01-31", "2024-03-01");

        assert_eq!(weeks, ["2026-11-25", "2026-11-30", "2026-12-07"].map(day));
        assert_eq!(months, ["2024-01-31", "2024-02-01", "2024-03-01"].map(day));
    }

    #[test]
    fn whatever_the_cut_the_periods_meet_and_cover_the_whole() {
        for zone in [Tz::Europe__Berlin, Tz::America__Sao_Paulo, Tz::Asia__Kathmandu, Tz::Pacific__Apia] {
            let (from, to) = (day("2026-01-15"), day("2027-02-03"));
            let whole = (day::began(from, &zone).unwrap(), ended(to, &zone).unwrap());
            for by in [By::Day, By::Week, By::Month] {
                let at = periods(by, from, to, &zone).unwrap().1;
                assert!(at.is_sorted_by(|a, b| a < b), "{zone}");
                assert_eq!((at[0], at[at.len() - 1]), whole, "{zone}");
            }
        }
    }

    #[test]
    fn a_day_that_a_calendar_left_out_is_no_period_and_no_fault() {
        // Samoa went from the 29th to the 31st.
        assert_eq!(hours("2011-12-29", "2011-12-31", Tz::Pacific__Apia), [1440, 1440]);
        assert_eq!(hours("2011-12-29", "2011-12-30", Tz::Pacific__Apia), [1440]);
        assert!(periods(By::Day, day("2011-12-30"), day("2011-12-30"), &Tz::Pacific__Apia).is_err());
    }

    #[test]
    fn a_range_has_an_end_before_its_lines_have_none() {
        assert_eq!(starts(By::Day, "1927-01-01", "2026-12-31").len(), 36_525);
        for (from, to) in [("-262142-01-01", "2026-11-27"), ("2026-11-27", "+262142-12-30")] {
            let refused = periods(By::Day, day(from), day(to), &Tz::Europe__Berlin).unwrap_err().to_string();
            assert!(refused.contains("--by month"), "{refused}");
        }
        assert!(periods(By::Day, NaiveDate::MAX, NaiveDate::MAX, &Tz::UTC).is_err());
    }
}
