//! The arithmetic of earning: what is known of one allocation, how a sighting changes it, what it comes to.
//!
//! Pure: no clock, no store. Sightings may come late, twice and in any order, because the event stream replays and the
//! lists overlap with it; [`Entry::see`] gives the same result for every order.

/// Nanoseconds in an hour.
const HOUR_NS: i128 = 3_600_000_000_000;

/// How long after the region asked an allocation to stop its client may still report it as live and be paid for it. A
/// job's kill timeout is capped at two seconds on a PC, so an honest one never needs this; it bounds what a client
/// gains that never reports the end.
pub const STOP_GRACE_NS: i64 = 60_000_000_000;

/// Nomad's client status of an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientStatus {
    Pending,
    Running,
    Complete,
    Failed,
    Lost,
    /// The client is disconnected, or the word is none that this gateway knows.
    Unknown,
}

impl ClientStatus {
    /// Reads Nomad's word.
    pub fn from_word(word: &str) -> Self {
        match word {
            "pending" => Self::Pending,
            "running" => Self::Running,
            "complete" => Self::Complete,
            "failed" => Self::Failed,
            "lost" => Self::Lost,
            _ => Self::Unknown,
        }
    }

    /// Nomad's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the allocation has ended for good.
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Complete | Self::Failed | Self::Lost => true,
            Self::Pending | Self::Running | Self::Unknown => false,
        }
    }
}

/// One look at an allocation, as the region's servers told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    pub status: ClientStatus,
    /// The region wants it stopped or evicted.
    pub stop_desired: bool,
    /// A task of it is known to have started.
    pub started: bool,
    pub modify_index: i64,
    /// The servers' clock at this change.
    pub modify_ns: i64,
}

/// What the ledger holds of one allocation. Times are nanoseconds since the Unix epoch by the servers' clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub status: ClientStatus,
    pub modify_index: i64,
    pub created_ns: i64,
    /// It was seen running. One that never ran earns nothing.
    pub ran: bool,
    pub stop_desired_ns: Option<i64>,
    pub ended_ns: Option<i64>,
    pub rate_micros_per_hour: i64,
}

impl Entry {
    /// An allocation at first sight. Its rate never changes afterwards.
    pub fn new(created_ns: i64, rate_micros_per_hour: i64, first: Sighting) -> Self {
        let mut entry = Self {
            status: first.status,
            modify_index: first.modify_index,
            created_ns,
            ran: false,
            stop_desired_ns: None,
            ended_ns: None,
            rate_micros_per_hour,
        };
        entry.see(first);
        entry
    }

    /// Takes in a sighting. The newest one gives the status; the earliest end ever seen stays the end.
    pub fn see(&mut self, sighting: Sighting) {
        if sighting.modify_index >= self.modify_index {
            self.modify_index = sighting.modify_index;
            self.status = sighting.status;
        }
        self.ran |= sighting.status == ClientStatus::Running || sighting.started;
        if sighting.stop_desired {
            self.stop_desired_ns = earliest(self.stop_desired_ns, sighting.modify_ns);
        }
        if sighting.status.is_terminal() {
            self.ended_ns = earliest(self.ended_ns, sighting.modify_ns);
        }
    }

    /// The region no longer knows it: it ended at the latest when it was last known to be live.
    pub fn vanish(&mut self, last_known_ns: i64) {
        if self.ended_ns.is_none() {
            self.status = ClientStatus::Lost;
            self.ended_ns = Some(last_known_ns.max(self.created_ns));
        }
    }

    /// Millionths earned from `from_ns` until `to_ns`. `silent_since_ns`: when the servers declared its node down, if
    /// they did; a live allocation earns nothing after that.
    ///
    /// The difference of two running totals, so that windows which meet add up to the whole, exactly.
    pub fn earned_between(&self, from_ns: i64, to_ns: i64, silent_since_ns: Option<i64>) -> i64 {
        let total_at = |at| self.total_at(at, silent_since_ns);
        total_at(to_ns).saturating_sub(total_at(from_ns)).max(0)
    }

    /// Millionths earned from its beginning until `at_ns`, rounded down.
    pub fn total_at(&self, at_ns: i64, silent_since_ns: Option<i64>) -> i64 {
        if !self.ran {
            return 0;
        }
        let end = match self.ended_ns {
            Some(ended) => at_ns.min(ended),
            None => silent_since_ns.map_or(at_ns, |silent| at_ns.min(silent)),
        };
        let end = self.stop_desired_ns.map_or(end, |stop| end.min(stop.saturating_add(STOP_GRACE_NS)));
        amount(end.saturating_sub(self.created_ns), self.rate_micros_per_hour)
    }
}

/// What a time comes to: millionths, rounded down; nothing for a time that is not positive.
pub fn amount(duration_ns: i64, rate_micros_per_hour: i64) -> i64 {
    let micros = i128::from(duration_ns.max(0)) * i128::from(rate_micros_per_hour.max(0)) / HOUR_NS;
    i64::try_from(micros).unwrap_or(i64::MAX)
}

/// An amount in the form in which it crosses borders: a decimal string with six places.
pub fn decimal(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let abs = micros.unsigned_abs();
    format!("{sign}{}.{:06}", abs / 1_000_000, abs % 1_000_000)
}

fn earliest(known: Option<i64>, seen: i64) -> Option<i64> {
    Some(known.map_or(seen, |known| known.min(seen)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::DAY_NS;

    const START: i64 = 1_795_378_611_232_733_000;
    const SECOND: i64 = 1_000_000_000;
    const HOUR: i64 = 3600 * SECOND;

    fn sighting(status: ClientStatus, index: i64, after_s: i64) -> Sighting {
        Sighting {
            status,
            stop_desired: false,
            started: false,
            modify_index: index,
            modify_ns: START + after_s * SECOND,
        }
    }

    fn running() -> Entry {
        Entry::new(START, 3_600_000, sighting(ClientStatus::Running, 2, 1))
    }

    #[test]
    fn an_hour_earns_the_hourly_price_from_the_servers_time_of_placement() {
        let entry = running();

        assert_eq!(entry.total_at(START + HOUR, None), 3_600_000);
    }

    #[test]
    fn an_allocation_that_never_ran_earns_nothing() {
        let mut entry = Entry::new(START, 3_600_000, sighting(ClientStatus::Pending, 1, 0));

        entry.see(sighting(ClientStatus::Failed, 2, 600));

        assert_eq!(entry.total_at(START + HOUR, None), 0);
    }

    #[test]
    fn one_that_is_first_seen_ended_earns_if_its_task_had_started() {
        let ended = Sighting { started: true, ..sighting(ClientStatus::Complete, 9, 10) };

        let entry = Entry::new(START, 3_600_000, ended);

        assert_eq!(entry.total_at(START + HOUR, None), 10_000);
    }

    #[test]
    fn the_first_end_stays_the_end() {
        let mut entry = running();

        entry.see(sighting(ClientStatus::Complete, 3, 10));
        entry.see(sighting(ClientStatus::Failed, 4, 500));
        entry.see(sighting(ClientStatus::Running, 5, 600));

        assert_eq!(entry.total_at(START + HOUR, None), 10_000);
    }

    #[test]
    fn a_node_that_the_servers_declared_down_earns_no_further() {
        let entry = running();

        assert_eq!(entry.total_at(START + HOUR, Some(START + 30 * SECOND)), 30_000);
    }

    #[test]
    fn a_client_that_never_reports_the_end_is_paid_until_the_grace_after_the_stop() {
        let mut entry = running();

        entry.see(Sighting { stop_desired: true, ..sighting(ClientStatus::Running, 3, 100) });
        entry.see(Sighting { stop_desired: true, ..sighting(ClientStatus::Running, 4, 900) });

        assert_eq!(entry.total_at(START + HOUR, None), 160_000);
    }

    #[test]
    fn one_that_the_region_forgot_ends_when_it_was_last_known() {
        let mut entry = running();

        entry.vanish(START + 50 * SECOND);

        assert_eq!(entry.status, ClientStatus::Lost);
        assert_eq!(entry.total_at(START + HOUR, None), 50_000);
    }

    #[test]
    fn amounts_are_written_as_decimals() {
        assert_eq!(decimal(1_234_567), "1.234567");
        assert_eq!(decimal(5), "0.000005");
        assert_eq!(decimal(-5), "-0.000005");
    }

    #[test]
    fn amounts_beyond_the_range_stop_at_its_end() {
        assert_eq!(amount(i64::MAX, i64::MAX), i64::MAX);
        assert_eq!(amount(-1, 5), 0);
    }

    fn any_status() -> impl Strategy<Value = ClientStatus> {
        prop_oneof![
            Just(ClientStatus::Pending),
            Just(ClientStatus::Running),
            Just(ClientStatus::Complete),
            Just(ClientStatus::Failed),
            Just(ClientStatus::Lost),
            Just(ClientStatus::Unknown),
        ]
    }

    fn any_sighting() -> impl Strategy<Value = Sighting> {
        (any_status(), any::<bool>(), any::<bool>(), 0..1_000_i64).prop_map(
            |(status, stop_desired, started, after)| Sighting {
                status,
                stop_desired,
                started,
                // As with real servers: one index, one content, and time goes with the index.
                modify_index: after,
                modify_ns: START + after * SECOND,
            },
        )
    }

    proptest! {
        #[test]
        fn days_add_up_to_the_whole(length in 0..40 * DAY_NS, rate in 0..100_000_000_i64, offset in 0..DAY_NS) {
            let start = START - START % DAY_NS + offset;
            let entry = Entry { created_ns: start, rate_micros_per_hour: rate, ended_ns: Some(start + length), ..running() };
            let first_day = start - start % DAY_NS;

            let days: i64 = (0..42)
                .map(|day| entry.earned_between(first_day + day * DAY_NS, first_day + (day + 1) * DAY_NS, None))
                .sum();

            prop_assert_eq!(days, amount(length, rate));
        }

        #[test]
        fn a_days_share_is_the_days_time_within_one_micro(length in 0..3 * DAY_NS, rate in 0..100_000_000_i64) {
            let entry = Entry { rate_micros_per_hour: rate, ended_ns: Some(START + length), ..running() };
            let midnight = START - START % DAY_NS + DAY_NS;
            let overlap = (START + length).min(midnight + DAY_NS) - midnight;

            let share = entry.earned_between(midnight, midnight + DAY_NS, None);

            prop_assert!((share - amount(overlap, rate)).abs() <= 1);
        }

        #[test]
        fn sightings_give_the_same_in_any_order(
            sightings in prop::collection::vec(any_sighting(), 1..12),
            seed in any::<u64>(),
        ) {
            let mut sightings = sightings;
            sightings.sort_by_key(|s| s.modify_index);
            sightings.dedup_by_key(|s| s.modify_index);
            let mut shuffled = sightings.clone();
            let length = shuffled.len();
            for i in 0..length {
                shuffled.swap(i, (seed as usize).wrapping_mul(i + 7) % length);
            }

            let in_order = fold(&sightings);
            let out_of_order = fold(&shuffled);

            prop_assert_eq!(in_order, out_of_order);
        }

        #[test]
        fn no_sighting_after_the_end_adds_money(later in prop::collection::vec(any_sighting(), 0..12)) {
            let mut entry = running();
            entry.see(sighting(ClientStatus::Complete, 3, 5));
            let before = entry.total_at(START + DAY_NS, None);

            for seen in later {
                entry.see(seen);
            }

            prop_assert!(entry.total_at(START + DAY_NS, None) <= before);
        }
    }

    fn fold(sightings: &[Sighting]) -> Entry {
        let mut entry = Entry::new(START, 1_000, sightings[0]);
        for seen in &sightings[1..] {
            entry.see(*seen);
        }
        entry
    }
}
