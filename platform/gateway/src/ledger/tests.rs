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
        lead_ns: None,
        modify_index: index,
        modify_ns: START + after_s * SECOND,
        told: true,
    }
}

/// Found in a list afterwards.
fn found(status: ClientStatus, index: i64, after_s: i64) -> Sighting {
    Sighting { told: false, ..sighting(status, index, after_s) }
}

/// It has been running since `START`.
fn running() -> Entry {
    Entry::new(START, 3_600_000, sighting(ClientStatus::Running, 2, 0))
}

#[test]
fn an_hour_earns_the_hourly_price_from_when_the_servers_first_recorded_it_running() {
    let mut entry = Entry::new(START, 3_600_000, sighting(ClientStatus::Pending, 1, 0));

    entry.see(sighting(ClientStatus::Running, 2, 50));

    assert_eq!(entry.started_ns(), Some(START + 50 * SECOND));
    assert_eq!(entry.total_at(START + 50 * SECOND + HOUR, None), 3_600_000);
}

#[test]
fn hours_of_pending_and_a_second_of_running_earn_a_second() {
    let mut entry = Entry::new(START, 3_600_000, sighting(ClientStatus::Pending, 1, 0));

    entry.see(sighting(ClientStatus::Running, 2, 7200));
    entry.see(sighting(ClientStatus::Complete, 3, 7201));

    assert_eq!(entry.total_at(START + 3 * HOUR, None), 1_000);
}

#[test]
fn what_is_pending_again_between_two_starts_of_its_task_is_not_paid() {
    let mut entry = running();

    entry.see(sighting(ClientStatus::Pending, 3, 10));
    entry.see(sighting(ClientStatus::Running, 4, 70));
    entry.see(sighting(ClientStatus::Complete, 5, 80));

    assert_eq!(entry.total_at(START + HOUR, None), 20_000);
}

#[test]
fn a_disconnected_time_is_not_paid_though_the_client_comes_back() {
    let mut entry = running();

    entry.see(sighting(ClientStatus::Unknown, 3, 10));
    entry.see(sighting(ClientStatus::Running, 4, 1000));

    assert_eq!(entry.total_at(START + 1005 * SECOND, None), 15_000);
}

#[test]
fn a_gap_of_the_node_is_not_paid_and_counts_once_where_two_notes_of_it_overlap() {
    let mut entry = running();
    let gap = |from: i64, to: i64| Gap { from_ns: START + from * SECOND, to_ns: Some(START + to * SECOND) };
    entry.gaps = vec![gap(21, 30), gap(20, 28), gap(90, 95)];

    assert_eq!(entry.total_at(START + 100 * SECOND, None), 85_000);
    assert_eq!(entry.total_at(START + 25 * SECOND, None), 20_000);
}

#[test]
fn a_gap_that_lasts_stops_earning_where_it_began() {
    let mut entry = running();
    entry.gaps = vec![Gap { from_ns: START + 5 * SECOND, to_ns: None }];

    assert_eq!(entry.total_at(START + HOUR, None), 5_000);
}

#[test]
fn a_beginning_that_was_only_found_is_dated_by_the_clients_own_delay_within_the_servers_times() {
    let at_most = |lead_s: i64| {
        let mut entry = Entry::new(START, 3_600_000, sighting(ClientStatus::Pending, 1, 5));
        entry.see(Sighting { lead_ns: Some(lead_s * SECOND), ..found(ClientStatus::Running, 9, 60) });
        (entry.started_ns().unwrap() - START) / SECOND
    };

    assert_eq!([at_most(0), at_most(20), at_most(900)], [5, 20, 60]);
}

#[test]
fn once_it_was_told_when_it_began_the_clients_word_on_it_does_not_count() {
    let mut entry = running();

    entry.see(Sighting { lead_ns: Some(-HOUR), started: true, ..found(ClientStatus::Running, 2, 0) });

    assert_eq!(entry.started_ns(), Some(START));
}

#[test]
fn one_that_runs_after_its_client_said_it_had_ended_is_disputed_and_earns_no_further() {
    let mut entry = running();

    entry.see(sighting(ClientStatus::Complete, 3, 10));
    entry.see(sighting(ClientStatus::Running, 4, 20));

    assert!(entry.disputed);
    assert_eq!(entry.end(), Some("disputed"));
    assert_eq!(entry.total_at(START + HOUR, None), 10_000);
}

#[test]
fn one_whose_node_comes_back_after_the_servers_gave_it_up_is_not_disputed() {
    let mut entry = running();

    entry.see(sighting(ClientStatus::Lost, 3, 10));
    entry.see(sighting(ClientStatus::Running, 4, 20));
    entry.see(sighting(ClientStatus::Complete, 5, 21));

    assert!(!entry.disputed);
    assert_eq!(entry.total_at(START + HOUR, None), 10_000);
}

#[test]
fn one_that_was_given_up_as_forgotten_goes_on_when_the_region_lists_it_again() {
    let mut entry = running();
    entry.vanish(START + 50 * SECOND);

    entry.see(sighting(ClientStatus::Running, 2, 0));

    assert_eq!((entry.status, entry.ended_ns), (ClientStatus::Running, None));
}

#[test]
fn one_that_goes_back_and_forth_for_ever_keeps_a_bounded_record() {
    let mut entry = running();

    for round in 1..1_000 {
        entry.see(sighting(ClientStatus::Pending, 2 * round + 1, 20 * round));
        entry.see(sighting(ClientStatus::Running, 2 * round + 2, 20 * round + 10));
    }

    assert!(serde_json::to_string(&entry.marks).unwrap().len() < 10_000);
    assert!(entry.total_at(START + 20_000 * SECOND, None) <= 20_000_000);
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
            lead_ns: None,
            told: true,
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
        let entry = lasting(start, length, rate);
        let first_day = start - start % DAY_NS;

        let days: i64 = (0..42)
            .map(|day| entry.earned_between(first_day + day * DAY_NS, first_day + (day + 1) * DAY_NS, None))
            .sum();

        prop_assert_eq!(days, amount(length, rate));
    }

    #[test]
    fn a_days_share_is_the_days_time_within_one_micro(length in 0..3 * DAY_NS, rate in 0..100_000_000_i64) {
        let entry = lasting(START, length, rate);
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

            for seen in later.into_iter().filter(|seen| seen.modify_index > 3) {
                entry.see(seen);
            }

            prop_assert!(entry.total_at(START + DAY_NS, None) <= before);
        }

        #[test]
        fn gaps_never_add_money_and_windows_still_add_up(
            sightings in prop::collection::vec(any_sighting(), 1..12),
            gaps in prop::collection::vec((0..1_200_i64, prop::option::of(0..600_i64)), 0..6),
            cuts in prop::collection::vec(0..1_500_i64, 0..8),
            silent in prop::option::of(0..1_500_i64),
        ) {
            let without = fold(&sightings);
            let mut with = without.clone();
            with.gaps = gaps
                .into_iter()
                .map(|(from, length)| Gap {
                    from_ns: START + from * SECOND,
                    to_ns: length.map(|length| START + (from + length) * SECOND),
                })
                .collect();
            let silent = silent.map(|after| START + after * SECOND);
            let mut cuts: Vec<i64> = cuts.into_iter().chain([0, 1_500]).map(|after| START + after * SECOND).collect();
            cuts.sort_unstable();

            let windows: i64 = cuts.windows(2).map(|cut| with.earned_between(cut[0], cut[1], silent)).sum();

            prop_assert_eq!(windows, with.earned_between(START, START + 1_500 * SECOND, silent));
            for cut in cuts {
                prop_assert!(with.total_at(cut, silent) <= without.total_at(cut, None));
            }
        }
}

/// One that ran from `start` for `length`.
fn lasting(start: i64, length: i64, rate: i64) -> Entry {
    let begun = Sighting { modify_ns: start, ..sighting(ClientStatus::Running, 1, 0) };
    let mut entry = Entry::new(start, rate, begun);
    entry.see(Sighting { modify_ns: start + length, ..sighting(ClientStatus::Complete, 2, 0) });
    entry
}

fn fold(sightings: &[Sighting]) -> Entry {
    let mut entry = Entry::new(START, 1_000, sightings[0]);
    for seen in &sightings[1..] {
        entry.see(*seen);
    }
    entry
}
