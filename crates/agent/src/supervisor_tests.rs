use super::*;

pub(super) const WAITS: Waits = Waits { successor_ms: 10_000, grace_ms: 3_000, files_stay_ms: 0 };

const fn id(number: u64) -> StartId {
    StartId(number)
}

fn running() -> Supervisor {
    let mut supervisor = Supervisor::new(WAITS, 0);
    supervisor.resident_here();
    assert_eq!(supervisor.start(id(1)), Asked::Begins { instead_of: None });
    assert_eq!(supervisor.poll(0), Action::Spawn(id(1)));
    supervisor.spawned();
    supervisor
}

#[test]
fn an_agent_that_obeys_is_terminated_then_swept() {
    let mut supervisor = running();

    supervisor.stop(id(2));

    assert_eq!(supervisor.poll(100), Action::Terminate);
    assert_eq!(supervisor.poll(100), Action::Wait { until_ms: Some(3_100) });
    assert!(supervisor.exited());
    assert_eq!(supervisor.poll(200), Action::Sweep);
    supervisor.swept();
    assert_eq!(supervisor.poll(300), Action::Wait { until_ms: None });
    assert_eq!(supervisor.start(id(3)), Asked::Begins { instead_of: None });
}

#[test]
fn an_agent_that_does_not_obey_is_killed_after_the_grace() {
    let mut supervisor = running();

    supervisor.stop(id(2));

    assert_eq!(supervisor.poll(0), Action::Terminate);
    assert_eq!(supervisor.poll(3_000), Action::Kill);
    assert_eq!(supervisor.poll(3_001), Action::Wait { until_ms: Some(3_300) });
    assert!(supervisor.exited());
    assert_eq!(supervisor.poll(3_100), Action::Sweep);
}

#[test]
fn one_that_dies_late_takes_nothing_from_a_start_of_the_same_number_that_came_after_it() {
    let mut supervisor = running();
    supervisor.stop(id(1));
    assert_eq!(supervisor.poll(0), Action::Terminate);
    assert_eq!(supervisor.poll(3_000), Action::Kill);
    // Another resident program, whose numbers begin anew.
    supervisor.resident_here();
    assert_eq!(supervisor.start(id(1)), Asked::Begins { instead_of: None });
    assert_eq!(supervisor.poll(3_300), Action::Sweep);
    supervisor.swept();
    assert_eq!(supervisor.poll(3_400), Action::Spawn(id(1)));

    assert!(supervisor.exited(), "the old one's end was asked for");

    supervisor.spawned();
    assert_eq!(supervisor.running(), Some(id(1)));
}

#[test]
fn one_that_cannot_die_while_its_disk_hangs_keeps_nobody_from_ending_its_work() {
    let mut supervisor = running();
    supervisor.stop(id(2));
    assert_eq!(supervisor.poll(0), Action::Terminate);
    assert_eq!(supervisor.poll(3_000), Action::Kill);

    assert_eq!(supervisor.poll(3_300), Action::Sweep);

    assert!(supervisor.exited(), "asked for, however late");
    supervisor.swept();
    assert_eq!(supervisor.poll(9_000), Action::Wait { until_ms: None });
}

#[test]
fn with_the_resident_gone_a_successor_within_the_wait_finds_the_agent_running() {
    let mut supervisor = running();

    supervisor.resident_gone(1_000);
    assert_eq!(supervisor.poll(1_000), Action::Wait { until_ms: Some(11_000) });
    supervisor.resident_here();

    assert_eq!(supervisor.running(), Some(id(1)));
    assert_eq!(supervisor.poll(60_000), Action::Wait { until_ms: None });
}

#[test]
fn with_nobody_back_in_time_everything_goes_and_the_guard_ends() {
    let mut supervisor = running();

    supervisor.resident_gone(1_000);

    assert_eq!(supervisor.poll(11_000), Action::Terminate);
    supervisor.exited();
    assert_eq!(supervisor.poll(11_001), Action::Sweep);
    supervisor.swept();
    assert_eq!(supervisor.poll(11_002), Action::End);
}

#[test]
fn with_nothing_running_the_guard_ends_as_soon_as_the_resident_goes() {
    let mut supervisor = Supervisor::new(WAITS, 0);
    assert_eq!(supervisor.poll(0), Action::Wait { until_ms: Some(10_000) });
    supervisor.resident_here();
    assert_eq!(supervisor.poll(1), Action::Wait { until_ms: None });

    supervisor.resident_gone(2);

    assert_eq!(supervisor.poll(2), Action::End);
}

#[test]
fn tasks_of_a_crashed_agent_wait_for_a_successor_and_are_swept_without_one() {
    let mut supervisor = running();

    assert!(!supervisor.exited());
    supervisor.resident_gone(0);

    assert_eq!(supervisor.poll(9_999), Action::Wait { until_ms: Some(10_000) });
    assert_eq!(supervisor.poll(10_000), Action::Sweep);
}

#[test]
fn what_no_agent_can_take_over_is_swept_before_the_next_start() {
    let mut supervisor = running();
    supervisor.lost();
    assert_eq!(supervisor.running(), Some(id(1)), "it is there");

    assert!(!supervisor.exited());
    supervisor.lost();

    assert_eq!(supervisor.start(id(2)), Asked::Begins { instead_of: None });
    assert_eq!(supervisor.poll(0), Action::Sweep);
    supervisor.swept();
    assert_eq!(supervisor.poll(0), Action::Spawn(id(2)));
}

#[test]
fn a_newer_start_ends_the_older_agent_first_and_sweeps_nothing() {
    let mut supervisor = running();

    assert_eq!(supervisor.start(id(2)), Asked::Begins { instead_of: None });

    assert_eq!(supervisor.running(), None);
    assert_eq!(supervisor.poll(0), Action::Terminate);
    assert!(supervisor.exited());
    assert_eq!(supervisor.poll(1), Action::Spawn(id(2)));
}

#[test]
fn a_start_that_is_heard_twice_is_one_and_an_older_one_is_told_what_is_newer() {
    let mut supervisor = running();

    assert_eq!(supervisor.start(id(1)), Asked::Known);
    assert_eq!(supervisor.start(id(0)), Asked::Stale(id(1)));

    supervisor.stop(id(5));
    assert_eq!(supervisor.start(id(4)), Asked::Stale(id(5)), "it was asked for before the stop");
}

#[test]
fn a_start_while_the_last_one_is_cleared_away_waits_for_that_and_a_stop_calls_it_off() {
    let mut supervisor = running();
    supervisor.stop(id(2));
    assert_eq!(supervisor.start(id(3)), Asked::Begins { instead_of: None });
    assert_eq!(supervisor.start(id(4)), Asked::Begins { instead_of: Some(id(3)) });

    assert_eq!(supervisor.stop(id(5)), Some(id(4)));

    assert_eq!(supervisor.poll(0), Action::Terminate);
    supervisor.exited();
    assert_eq!(supervisor.poll(0), Action::Sweep);
    assert_eq!(supervisor.start(id(6)), Asked::Begins { instead_of: None });
    supervisor.swept();
    assert_eq!(supervisor.poll(0), Action::Spawn(id(6)));
}

#[test]
fn a_stop_while_an_agent_is_being_started_is_not_lost() {
    let mut supervisor = Supervisor::new(WAITS, 0);
    supervisor.resident_here();
    supervisor.start(id(1));
    assert_eq!(supervisor.poll(0), Action::Spawn(id(1)));

    supervisor.stop(id(2));

    assert!(supervisor.is_doomed());
    supervisor.spawned();
    assert_eq!(supervisor.poll(0), Action::Terminate);
}

#[test]
fn frozen_stays_frozen_also_while_an_agent_starts_and_until_it_is_said_otherwise() {
    let mut supervisor = Supervisor::new(WAITS, 0);
    supervisor.resident_here();
    supervisor.start(id(1));
    assert_eq!(supervisor.poll(0), Action::Spawn(id(1)));

    assert!(supervisor.freeze(0));

    assert_eq!(supervisor.poll(0), Action::Freeze);
    assert_eq!(supervisor.poll(0), Action::Wait { until_ms: None }, "one look at a time");
    supervisor.held(50, true);
    assert_eq!(supervisor.poll(50), Action::Freeze, "what was stopped may have started something");
    supervisor.held(60, false);
    assert_eq!(supervisor.poll(60), Action::Wait { until_ms: Some(160) });
    supervisor.spawned();
    assert_eq!(supervisor.poll(160), Action::Freeze);
    supervisor.held(170, false);
    assert!(supervisor.thaw());
    assert_eq!(supervisor.poll(180), Action::Thaw);
    supervisor.held(190, false);
    assert_eq!(supervisor.poll(9_999), Action::Wait { until_ms: None });
}

#[test]
fn a_stop_and_a_next_start_let_go_of_what_was_frozen() {
    let mut supervisor = running();
    supervisor.freeze(0);
    assert_eq!(supervisor.poll(0), Action::Freeze);
    supervisor.held(10, false);
    supervisor.start(id(2));
    assert_eq!(supervisor.poll(10), Action::Thaw);
    supervisor.held(20, false);
    assert_eq!(supervisor.poll(20), Action::Terminate);

    supervisor.freeze(30);
    supervisor.stop(id(3));

    assert!(!supervisor.freeze(40), "all of it is being ended");
    assert_eq!(supervisor.poll(50), Action::Wait { until_ms: Some(3_020) });
}

#[test]
fn a_freeze_while_a_start_waits_for_a_sweep_holds_what_that_start_brings() {
    let mut supervisor = running();
    supervisor.stop(id(2));
    supervisor.start(id(3));

    assert!(!supervisor.freeze(10), "what is there is being ended");

    assert_eq!(supervisor.poll(20), Action::Terminate);
    assert_eq!(supervisor.poll(20), Action::Wait { until_ms: Some(3_020) }, "no look meanwhile");
    supervisor.exited();
    assert_eq!(supervisor.poll(30), Action::Sweep);
    assert_eq!(supervisor.poll(40), Action::Wait { until_ms: None });
    supervisor.swept();
    assert_eq!(supervisor.poll(50), Action::Freeze);
    supervisor.held(60, false);
    assert_eq!(supervisor.poll(60), Action::Spawn(id(3)));
    supervisor.spawned();
    assert_eq!(supervisor.poll(160), Action::Freeze);
}

#[test]
fn a_thaw_while_a_start_waits_for_a_sweep_takes_the_freeze_back() {
    let mut supervisor = running();
    supervisor.stop(id(2));
    supervisor.start(id(3));
    supervisor.freeze(10);

    assert!(!supervisor.thaw());

    assert_eq!(supervisor.poll(20), Action::Terminate);
    supervisor.exited();
    assert_eq!(supervisor.poll(30), Action::Sweep);
    supervisor.swept();
    assert_eq!(supervisor.poll(40), Action::Spawn(id(3)));
}

#[test]
fn what_was_frozen_when_the_resident_went_is_swept_without_a_successor() {
    let mut supervisor = Supervisor::new(WAITS, 0);
    supervisor.resident_here();
    supervisor.freeze(0);
    assert_eq!(supervisor.poll(0), Action::Freeze);
    supervisor.resident_gone(5);
    supervisor.held(10, false);

    assert!(matches!(supervisor.poll(10), Action::Wait { until_ms: Some(_) }));
    assert_eq!(supervisor.poll(10_005), Action::Sweep);
}
