use proptest::prelude::*;

use super::*;

const WAITS: Waits = Waits { successor_ms: 10_000, grace_ms: 3_000, files_stay_ms: 0 };

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

#[derive(Debug, Clone, Copy)]
enum News {
    Here,
    Gone,
    /// A start as far ahead of, or behind, the last number.
    Start(i8),
    Stop(i8),
    Freeze,
    Thaw,
    End,
    /// Whatever was handed out last comes back well or badly.
    Done(bool),
    Held(bool),
    Exits,
    Later(u64),
}

fn news() -> impl Strategy<Value = News> {
    prop_oneof![
        Just(News::Here),
        Just(News::Gone),
        (-2..3i8).prop_map(News::Start),
        (-2..3i8).prop_map(News::Stop),
        Just(News::Freeze),
        Just(News::Thaw),
        Just(News::End),
        any::<bool>().prop_map(News::Done),
        any::<bool>().prop_map(News::Held),
        Just(News::Exits),
        (0..12_000u64).prop_map(News::Later),
    ]
}

/// The world as the guard would see it.
#[derive(Default)]
struct World {
    /// The agent that is there.
    alive: Option<StartId>,
    dirty: bool,
    spawning: Option<StartId>,
    sweeping: bool,
    holding: bool,
    terminated: bool,
    killed: bool,
    ended: bool,
    number: u64,
    /// Starts that were accepted and not called off.
    begun: Vec<StartId>,
}

impl World {
    fn act(&mut self, action: Action) {
        match action {
            Action::Spawn(id) => {
                assert!(self.alive.is_none() && self.spawning.is_none() && !self.sweeping);
                assert!(self.begun.contains(&id), "only what was accepted, and not what was called off");
                self.spawning = Some(id);
            }
            Action::Terminate => {
                assert!(self.alive.is_some() && !self.terminated);
                self.terminated = true;
            }
            Action::Kill => {
                assert!(self.alive.is_some() && self.terminated && !self.killed);
                self.killed = true;
            }
            Action::Freeze | Action::Thaw => {
                assert!(!self.holding);
                self.holding = true;
            }
            Action::Sweep => {
                assert!(self.alive.is_none() && self.spawning.is_none() && !self.sweeping);
                self.sweeping = true;
            }
            Action::End => {
                assert!(self.alive.is_none() && self.spawning.is_none());
                assert!(!self.sweeping && !self.holding && !self.dirty);
                self.ended = true;
            }
            Action::Wait { .. } => {}
        }
    }

    fn hear(&mut self, supervisor: &mut Supervisor, news: News, now: &mut u64) {
        match news {
            News::Here => supervisor.resident_here(),
            News::Gone => supervisor.resident_gone(*now),
            News::Start(by) => {
                let id = self.count(by);
                if let Asked::Begins { instead_of } = supervisor.start(id) {
                    self.begun.retain(|begun| Some(*begun) != instead_of);
                    self.begun.push(id);
                }
            }
            News::Stop(by) => {
                let id = self.count(by);
                supervisor.stop(id);
                self.begun.clear();
            }
            News::Freeze => {
                supervisor.freeze(*now);
            }
            News::Thaw => {
                supervisor.thaw();
            }
            News::End => {
                supervisor.end();
                self.begun.clear();
            }
            News::Done(well) => self.done(supervisor, well),
            News::Held(found) => {
                if std::mem::take(&mut self.holding) {
                    supervisor.held(*now, found);
                }
            }
            News::Exits => self.exits(supervisor),
            News::Later(ms) => *now += ms,
        }
    }

    fn count(&mut self, by: i8) -> StartId {
        let id = self.number.saturating_add_signed(by.into());
        self.number = self.number.max(id);
        StartId(id)
    }

    fn done(&mut self, supervisor: &mut Supervisor, well: bool) {
        if let Some(id) = self.spawning.take() {
            self.dirty = true;
            if well && !supervisor.is_doomed() {
                (self.alive, self.terminated, self.killed) = (Some(id), false, false);
                supervisor.spawned();
            } else {
                supervisor.not_spawned();
            }
        } else if self.sweeping {
            (self.sweeping, self.dirty) = (false, false);
            supervisor.swept();
        }
    }

    fn exits(&mut self, supervisor: &mut Supervisor) {
        if let Some(id) = self.alive.take() {
            let stays = supervisor.running() == Some(id);
            assert_eq!(supervisor.exited(), !stays);
        }
    }
}

/// What stands after the news have been heard in their order, unless the supervisor came to its end over them.
fn played(script: Vec<News>) -> Option<(Supervisor, World, u64)> {
    let (mut supervisor, mut world, mut now) = (Supervisor::new(WAITS, 0), World::default(), 0);
    for news in script {
        world.hear(&mut supervisor, news, &mut now);
        world.act(supervisor.poll(now));
        if world.ended {
            return None;
        }
    }
    Some((supervisor, world, now))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn never_two_agents_never_a_kill_before_its_grace_and_never_an_end_with_something_left(
        script in prop::collection::vec(news(), 0..60)
    ) {
        played(script);
    }

    #[test]
    fn a_stop_is_always_followed_by_a_sweep_whatever_was_said_late_or_twice_before(
        script in prop::collection::vec(news(), 0..40)
    ) {
        let Some((mut supervisor, mut world, mut now)) = played(script) else { return Ok(()) };

        supervisor.resident_here();
        world.hear(&mut supervisor, News::Stop(1), &mut now);

        let mut swept = world.sweeping;
        for _ in 0..20 {
            let action = supervisor.poll(now);
            swept |= action == Action::Sweep;
            world.act(action);
            if world.ended {
                break;
            }
            world.hear(&mut supervisor, News::Held(false), &mut now);
            world.done(&mut supervisor, true);
            if world.terminated {
                world.exits(&mut supervisor);
            }
        }
        prop_assert!(swept);
        prop_assert!(world.alive.is_none() && supervisor.running().is_none());
    }

    #[test]
    fn with_nobody_here_it_always_comes_to_an_end(script in prop::collection::vec(news(), 0..40)) {
        let Some((mut supervisor, mut world, mut now)) = played(script) else { return Ok(()) };

        supervisor.resident_gone(now);
        for _ in 0..40 {
            world.act(supervisor.poll(now));
            if world.ended {
                return Ok(());
            }
            now += 10_000;
            world.hear(&mut supervisor, News::Held(false), &mut now);
            world.done(&mut supervisor, true);
            if world.killed {
                world.exits(&mut supervisor);
            }
        }
        prop_assert!(world.ended);
    }
}
