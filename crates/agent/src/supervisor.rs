//! When the guard starts, ends and sweeps the agent. It decides and does nothing: time and news come in, one action
//! at a time goes out.
//!
//! The agent is ended by SIGTERM, never by SIGINT: with its servers away Nomad answers an interrupt with "left", exit
//! code 0 and its tasks still running. By then the region has stopped the allocations, and whatever it could not stop
//! is swept here, where it makes no difference which servers answer.

/// How long the guard waits, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// For another resident program after the last one went: an update or a restart.
    pub successor_ms: u64,
    /// For the agent to end after SIGTERM.
    pub grace_ms: u64,
}

impl Default for Waits {
    fn default() -> Self {
        Self { successor_ms: 10_000, grace_ms: 3_000 }
    }
}

/// What is to be done now. Each but `Wait` is handed out once, and told back by the call its line names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start the agent: [`Supervisor::spawned`] or [`Supervisor::not_spawned`].
    Spawn,
    /// SIGTERM: nothing is told back but, in time, [`Supervisor::exited`].
    Terminate,
    /// SIGKILL: as above.
    Kill,
    /// Leave no process, container or mount: [`Supervisor::swept`].
    Sweep,
    /// Nothing before this time, or before other news.
    Wait { until_ms: Option<u64> },
    /// The guard itself ends.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Agent {
    /// Nothing runs and nothing is left.
    Absent,
    Wanted,
    Spawning,
    Running,
    /// It ended by itself. Its tasks may run on, and a new agent would take them over.
    Crashed,
    ToTerminate,
    Terminating {
        since_ms: u64,
    },
    Killing,
    ToSweep,
    Sweeping,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resident {
    Here,
    Gone { since_ms: u64 },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supervisor {
    waits: Waits,
    agent: Agent,
    resident: Resident,
    /// Nobody has come yet: the first resident program is waited for even though nothing runs.
    fresh: bool,
    /// Sweep, then end, whoever is here.
    ending: bool,
}

impl Supervisor {
    pub fn new(waits: Waits, now_ms: u64) -> Self {
        let resident = Resident::Gone { since_ms: now_ms };
        Self { waits, agent: Agent::Absent, resident, fresh: true, ending: false }
    }

    /// A resident program holds the connection.
    pub fn resident_here(&mut self) {
        self.resident = Resident::Here;
        self.fresh = false;
    }

    /// The connection closed.
    pub fn resident_gone(&mut self, now_ms: u64) {
        if self.resident == Resident::Here {
            self.resident = Resident::Gone { since_ms: now_ms };
        }
    }

    /// Whether a start was accepted: one agent at a time, and none while the last one is being cleared away.
    pub fn start(&mut self) -> bool {
        let free = matches!(self.agent, Agent::Absent | Agent::Crashed) && !self.ending;
        if free {
            self.agent = Agent::Wanted;
        }
        free
    }

    pub fn stop(&mut self) {
        self.agent = match self.agent {
            Agent::Running => Agent::ToTerminate,
            Agent::Absent | Agent::Wanted | Agent::Crashed => Agent::ToSweep,
            unchanged @ (Agent::Spawning
            | Agent::ToTerminate
            | Agent::Terminating { .. }
            | Agent::Killing
            | Agent::ToSweep
            | Agent::Sweeping) => unchanged,
        };
    }

    /// The guard was asked to end: everything goes, as if nobody had come back.
    pub fn end(&mut self) {
        self.ending = true;
        self.stop();
    }

    pub fn spawned(&mut self) {
        self.agent = if self.ending { Agent::ToTerminate } else { Agent::Running };
    }

    pub fn not_spawned(&mut self) {
        self.agent = if self.ending { Agent::ToSweep } else { Agent::Crashed };
    }

    /// Whether the agent's end was asked for.
    pub fn exited(&mut self) -> bool {
        let asked = !matches!(self.agent, Agent::Running);
        self.agent = if asked { Agent::ToSweep } else { Agent::Crashed };
        asked
    }

    /// Done, whether or not something was left: that is reported, and the next stop tries again.
    pub fn swept(&mut self) {
        self.agent = Agent::Absent;
    }

    /// An agent was asked for or runs.
    pub fn is_busy(&self) -> bool {
        !matches!(self.agent, Agent::Absent | Agent::Crashed)
    }

    pub fn poll(&mut self, now_ms: u64) -> Action {
        self.give_up(now_ms);
        match self.agent {
            Agent::Wanted => {
                self.agent = Agent::Spawning;
                Action::Spawn
            }
            Agent::ToTerminate => {
                self.agent = Agent::Terminating { since_ms: now_ms };
                Action::Terminate
            }
            Agent::Terminating { since_ms } => {
                let until_ms = since_ms.saturating_add(self.waits.grace_ms);
                if now_ms < until_ms {
                    return Action::Wait { until_ms: Some(until_ms) };
                }
                self.agent = Agent::Killing;
                Action::Kill
            }
            Agent::ToSweep => {
                self.agent = Agent::Sweeping;
                Action::Sweep
            }
            Agent::Absent if self.may_end(now_ms) => Action::End,
            Agent::Absent if !self.fresh => Action::Wait { until_ms: None },
            Agent::Absent | Agent::Running | Agent::Crashed => Action::Wait { until_ms: self.deadline_ms() },
            Agent::Spawning | Agent::Killing | Agent::Sweeping => Action::Wait { until_ms: None },
        }
    }

    /// With nobody here for too long, what runs is stopped.
    fn give_up(&mut self, now_ms: u64) {
        let over = self.deadline_ms().is_some_and(|deadline| now_ms >= deadline);
        if over && matches!(self.agent, Agent::Wanted | Agent::Running | Agent::Crashed) {
            self.stop();
        }
    }

    fn may_end(&self, now_ms: u64) -> bool {
        let Some(deadline) = self.deadline_ms() else { return self.ending };
        self.ending || !self.fresh || now_ms >= deadline
    }

    fn deadline_ms(&self) -> Option<u64> {
        match self.resident {
            Resident::Here => None,
            Resident::Gone { since_ms } => Some(since_ms.saturating_add(self.waits.successor_ms)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WAITS: Waits = Waits { successor_ms: 10_000, grace_ms: 3_000 };

    fn running() -> Supervisor {
        let mut supervisor = Supervisor::new(WAITS, 0);
        supervisor.resident_here();
        assert!(supervisor.start());
        assert_eq!(supervisor.poll(0), Action::Spawn);
        supervisor.spawned();
        supervisor
    }

    #[test]
    fn an_agent_that_obeys_is_terminated_then_swept() {
        let mut supervisor = running();

        supervisor.stop();

        assert_eq!(supervisor.poll(100), Action::Terminate);
        assert_eq!(supervisor.poll(100), Action::Wait { until_ms: Some(3_100) });
        assert!(supervisor.exited());
        assert_eq!(supervisor.poll(200), Action::Sweep);
        supervisor.swept();
        assert_eq!(supervisor.poll(300), Action::Wait { until_ms: None });
        assert!(supervisor.start());
    }

    #[test]
    fn an_agent_that_does_not_obey_is_killed_after_the_grace() {
        let mut supervisor = running();

        supervisor.stop();

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

    #[derive(Debug, Clone, Copy)]
    enum News {
        Here,
        Gone,
        Start,
        Stop,
        End,
        /// Whatever was handed out last comes back well or badly.
        Done(bool),
        Exits,
        Later(u64),
    }

    fn news() -> impl Strategy<Value = News> {
        prop_oneof![
            Just(News::Here),
            Just(News::Gone),
            Just(News::Start),
            Just(News::Stop),
            Just(News::End),
            any::<bool>().prop_map(News::Done),
            Just(News::Exits),
            (0..12_000u64).prop_map(News::Later),
        ]
    }

    /// The world as the guard would see it.
    #[derive(Default)]
    struct World {
        alive: bool,
        dirty: bool,
        spawning: bool,
        sweeping: bool,
        terminated: bool,
        killed: bool,
        ended: bool,
    }

    impl World {
        fn act(&mut self, action: Action) {
            match action {
                Action::Spawn => {
                    assert!(!self.alive && !self.spawning && !self.sweeping);
                    self.spawning = true;
                }
                Action::Terminate => {
                    assert!(self.alive && !self.terminated);
                    self.terminated = true;
                }
                Action::Kill => {
                    assert!(self.alive && self.terminated && !self.killed);
                    self.killed = true;
                }
                Action::Sweep => {
                    assert!(!self.alive && !self.sweeping);
                    self.sweeping = true;
                }
                Action::End => {
                    assert!(!self.alive && !self.spawning && !self.sweeping && !self.dirty);
                    self.ended = true;
                }
                Action::Wait { .. } => {}
            }
        }

        fn done(&mut self, supervisor: &mut Supervisor, well: bool) {
            if self.spawning {
                self.spawning = false;
                if well {
                    (self.alive, self.dirty, self.terminated, self.killed) = (true, true, false, false);
                    supervisor.spawned();
                } else {
                    self.dirty = true;
                    supervisor.not_spawned();
                }
            } else if self.sweeping {
                (self.sweeping, self.dirty) = (false, false);
                supervisor.swept();
            }
        }

        fn exits(&mut self, supervisor: &mut Supervisor) {
            if self.alive {
                self.alive = false;
                assert_eq!(supervisor.exited(), self.terminated || self.stop_asked(supervisor));
            }
        }

        fn stop_asked(&self, supervisor: &Supervisor) -> bool {
            supervisor.agent == Agent::ToSweep
        }
    }

    proptest! {
        #[test]
        fn never_two_agents_never_a_kill_before_its_grace_and_never_an_end_with_something_left(
            script in prop::collection::vec(news(), 0..60)
        ) {
            let mut supervisor = Supervisor::new(WAITS, 0);
            let mut world = World::default();
            let mut now = 0;
            for news in script {
                match news {
                    News::Here => supervisor.resident_here(),
                    News::Gone => supervisor.resident_gone(now),
                    News::Start => { supervisor.start(); }
                    News::Stop => supervisor.stop(),
                    News::End => supervisor.end(),
                    News::Done(well) => world.done(&mut supervisor, well),
                    News::Exits => world.exits(&mut supervisor),
                    News::Later(ms) => now += ms,
                }
                world.act(supervisor.poll(now));
                if world.ended {
                    return Ok(());
                }
            }
        }

        #[test]
        fn with_nobody_here_it_always_comes_to_an_end(script in prop::collection::vec(news(), 0..40)) {
            let mut supervisor = Supervisor::new(WAITS, 0);
            let mut world = World::default();
            let mut now = 0;
            for news in script {
                match news {
                    News::Here => supervisor.resident_here(),
                    News::Start => { supervisor.start(); }
                    News::Stop => supervisor.stop(),
                    News::Done(well) => world.done(&mut supervisor, well),
                    News::Gone | News::End | News::Exits => {}
                    News::Later(ms) => now += ms,
                }
                world.act(supervisor.poll(now));
                if world.ended {
                    return Ok(());
                }
            }

            supervisor.resident_gone(now);
            for _ in 0..20 {
                world.act(supervisor.poll(now));
                if world.ended {
                    return Ok(());
                }
                now += 10_000;
                world.done(&mut supervisor, true);
                if world.killed {
                    world.exits(&mut supervisor);
                }
            }
            prop_assert!(world.ended);
        }
    }
}
