//! What holds whatever comes in whatever order.

use proptest::prelude::*;

use super::tests::WAITS;
use super::*;

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
    /// When it was asked to end.
    terminated: Option<u64>,
    killed: Option<u64>,
    ended: bool,
    number: u64,
    /// Starts that were accepted and not called off.
    begun: Vec<StartId>,
}

impl World {
    fn act(&mut self, action: Action, now: u64) {
        match action {
            Action::Spawn(id) => {
                assert!(self.is_gone(now) && self.spawning.is_none() && !self.sweeping);
                assert!(self.begun.contains(&id), "only what was accepted, and not what was called off");
                self.spawning = Some(id);
            }
            Action::Terminate => {
                assert!(self.alive.is_some() && self.terminated.is_none());
                self.terminated = Some(now);
            }
            Action::Kill => {
                let asked = self.terminated.expect("a word before the kill");
                assert!(now >= asked + WAITS.grace_ms, "{now} after {asked}");
                assert!(self.alive.is_some() && self.killed.is_none());
                self.killed = Some(now);
            }
            Action::Freeze | Action::Thaw => {
                assert!(!self.holding);
                self.holding = true;
            }
            Action::Sweep => {
                assert!(self.is_gone(now) && self.spawning.is_none() && !self.sweeping);
                self.sweeping = true;
            }
            Action::End => {
                assert!(self.is_gone(now) && self.spawning.is_none());
                assert!(!self.sweeping && !self.holding && !self.dirty);
                self.ended = true;
            }
            Action::Wait { .. } => {}
        }
    }

    /// Or cannot die, although it was killed a while ago.
    fn is_gone(&self, now: u64) -> bool {
        self.alive.is_none() || self.killed.is_some_and(|at| now >= at + DIES_WITHIN_MS)
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
                (self.alive, self.terminated, self.killed) = (Some(id), None, None);
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
            // A newcomer's numbers begin anew: what was asked to end may have the number of what is about to start.
            let stays = self.terminated.is_none() && supervisor.running() == Some(id);
            assert_eq!(supervisor.exited(), !stays);
        }
    }
}

/// What stands after the news have been heard in their order, unless the supervisor came to its end over them.
fn played(script: Vec<News>) -> Option<(Supervisor, World, u64)> {
    let (mut supervisor, mut world, mut now) = (Supervisor::new(WAITS, 0), World::default(), 0);
    for news in script {
        world.hear(&mut supervisor, news, &mut now);
        world.act(supervisor.poll(now), now);
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
            world.act(action, now);
            if world.ended {
                break;
            }
            world.hear(&mut supervisor, News::Held(false), &mut now);
            world.done(&mut supervisor, true);
            if world.terminated.is_some() {
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
            world.act(supervisor.poll(now), now);
            if world.ended {
                return Ok(());
            }
            now += 10_000;
            world.hear(&mut supervisor, News::Held(false), &mut now);
            world.done(&mut supervisor, true);
            if world.killed.is_some() {
                world.exits(&mut supervisor);
            }
        }
        prop_assert!(world.ended);
    }
}
