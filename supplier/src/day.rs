//! When a day of the owner's begins.

use anyhow::Result;
use chrono::{NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use ionet_core::UnixMs;

/// The first moment of the day that it is now.
pub fn today_began<Z: TimeZone>(zone: &Z) -> UnixMs {
    let now = Utc::now();
    // It is now, so there is such a day.
    began(now.with_timezone(zone).date_naive(), zone).unwrap_or(UnixMs(now.timestamp_millis()))
}

/// The first moment of a day. Where a clock is put forward at midnight, the day begins with the first time that there is;
/// where it is put back over midnight, with the first of the two.
pub fn began<Z: TimeZone>(day: NaiveDate, zone: &Z) -> Result<UnixMs> {
    let mut time = day.and_time(NaiveTime::MIN);
    // No clock was ever put forward by more than a day.
    for _ in 0..=24 * 4 {
        if let Some(at) = zone.from_local_datetime(&time).earliest() {
            return Ok(UnixMs(at.timestamp_millis()));
        }
        time += TimeDelta::minutes(15);
    }
    anyhow::bail!("{day} does not exist in this time zone")
}

#[cfg(test)]
mod tests {
    use chrono::FixedOffset;

    use super::*;

    #[test]
    fn today_began_where_its_owner_lives() {
        let hours = |hours: i32| FixedOffset::east_opt(hours * 3600).unwrap();

        let began = [-11, 0, 5, 14].map(|east| (east, today_began(&hours(east))));

        let now = Utc::now();
        for (east, began) in began {
            let local = Utc.timestamp_millis_opt(began.0).unwrap().with_timezone(&hours(east));
            assert_eq!(local.time(), NaiveTime::MIN, "{east}");
            // A day may have begun between the two looks at the clock.
            assert!((-1..=24).contains(&(now - local.to_utc()).num_hours()), "{east}");
        }
    }
}
