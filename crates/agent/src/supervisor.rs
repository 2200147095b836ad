//! When the guard starts, freezes, ends and sweeps the agent. It decides and does nothing: time and news come in, one
//! action at a time goes out.
//!
//! The agent is ended by SIGTERM, never by SIGINT: with its servers away Nomad answers an interrupt with "left", exit
//! code 0 and its tasks still running. By then the region has stopped the allocations, and whatever it could not stop
//! is swept here, where it makes no difference which servers answer.
//!
//! Words may come late, doubled or not at all, so each start has a number, and the last word wins: a newer start ends
//! the agent of an older one first (its tasks stay, for the new agent to take over); a stop ends whatever there is,
//! also what has only been asked for.

use ionet_core::StartId;

use self::hold::Hold;
use self::life::Agent;

mod hold;
mod life;

/// How long the guard waits, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// For another resident program after the last one went: an update or a restart.
    pub successor_ms: u64,
    /// For the agent to end after SIGTERM.
    pub grace_ms: u64,
    /// For the end of an ended job's output to be taken over, before its files go: the logbook rests meanwhile.
    pub files_stay_ms: u64,
}

impl Default for Waits {
    fn default() -> Self {
        Self { successor_ms: 10_000, grace_ms: 700, files_stay_ms: 20_000 }
    }
}

/// One that was killed and waits in the kernel for a disk that hangs goes with that. Nothing else of it goes on, and its work
/// does not wait for it.
const DIES_WITHIN_MS: u64 = 300;

/// What is to be done now. Each but `Wait` is handed out once, and told back by the call its line names. None of them
/// is waited for: other news may come in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start the agent: [`Supervisor::spawned`] or [`Supervisor::not_spawned`].
    Spawn(StartId),
    /// SIGTERM: nothing is told back but, in time, [`Supervisor::exited`].
    Terminate,
    /// SIGKILL: as above.
    Kill,
    /// Look once for jobs that run, and stop them where they stand: [`Supervisor::held`].
    Freeze,
    /// Let them run again: [`Supervisor::held`].
    Thaw,
    /// Leave no process, container, mount or file: [`Supervisor::swept`].
    Sweep,
    /// Nothing before this time, or before other news.
    Wait { until_ms: Option<u64> },
    /// The guard itself ends.
    End,
}

/// What became of a start that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It begins, at once or when what is there has ended. One that had waited before it does not begin any more.
    Begins { instead_of: Option<StartId> },
    /// It is under way already, or done.
    Known,
    /// A newer word was heard before it: the number of that.
    Stale(StartId),
    /// The guard is about to end.
    Ending,
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
    hold: Hold,
    /// The newest number that this resident program used.
    newest: Option<StartId>,
    resident: Resident,
    /// Nobody has come yet: the first resident program is waited for even though nothing runs.
    fresh: bool,
    /// Sweep, then end, whoever is here.
    ending: bool,
}

impl Supervisor {
    pub fn new(waits: Waits, now_ms: u64) -> Self {
        Self {
            waits,
            agent: Agent::Absent,
            hold: Hold::free(),
            newest: None,
            resident: Resident::Gone { since_ms: now_ms },
            fresh: true,
            ending: false,
        }
    }

    /// A resident program holds the connection. Its numbers count on from the agent's that is there, or anew.
    pub fn resident_here(&mut self) {
        self.resident = Resident::Here;
        self.fresh = false;
        self.newest = self.running().max(self.agent.waiting());
    }

    /// The connection closed.
    pub fn resident_gone(&mut self, now_ms: u64) {
        if self.resident == Resident::Here {
            self.resident = Resident::Gone { since_ms: now_ms };
        }
    }

    /// The start whose agent is there or about to be, and stays.
    pub fn running(&self) -> Option<StartId> {
        self.agent.stays()
    }

    pub fn start(&mut self, id: StartId) -> Asked {
        if self.ending {
            return Asked::Ending;
        }
        if self.running() == Some(id) || self.agent.waiting() == Some(id) {
            return Asked::Known;
        }
        if let Some(newest) = self.newest.filter(|newest| *newest >= id) {
            return Asked::Stale(newest);
        }
        self.newest = Some(id);
        let instead_of = self.agent.waiting();
        self.agent = self.agent.and_start(id);
        self.hold.thaw_if_frozen();
        Asked::Begins { instead_of }
    }

    /// Legal at any time. The start that waited, if one did, is not to be: it is handed back.
    pub fn stop(&mut self, id: StartId) -> Option<StartId> {
        self.newest = self.newest.max(Some(id));
        self.leave()
    }

    /// The guard was asked to end: everything goes, as if nobody had come back.
    pub fn end(&mut self) -> Option<StartId> {
        self.ending = true;
        self.leave()
    }

    /// From now on nothing of a job runs, whatever starts. False where all of it is about to be ended anyway: then what
    /// starts after that is frozen.
    pub fn freeze(&mut self, now_ms: u64) -> bool {
        let is_leaving = self.agent.is_leaving();
        if !is_leaving || self.agent.waiting().is_some() {
            self.hold.freeze(now_ms);
        }
        !is_leaving
    }

    /// False where all of it is about to be ended anyway.
    pub fn thaw(&mut self) -> bool {
        if self.agent.is_leaving() {
            self.hold.release();
            return false;
        }
        self.hold.thaw();
        true
    }

    /// A look or a thaw is over; whether the look found anything that ran.
    pub fn held(&mut self, now_ms: u64, found: bool) {
        self.hold.done(now_ms, found);
    }

    pub fn spawned(&mut self) {
        if let Agent::Spawning(id, then) = self.agent {
            self.agent = match then {
                None => Agent::Running(id),
                Some(then) => Agent::ToTerminate(id, then),
            };
        }
    }

    pub fn not_spawned(&mut self) {
        if let Agent::Spawning(_, then) = self.agent {
            self.agent = match then {
                None => Agent::Crashed,
                Some(then) => then.begins(),
            };
        }
    }

    /// Whether the start that is being prepared is still to be.
    pub fn is_doomed(&self) -> bool {
        matches!(self.agent, Agent::Spawning(_, Some(_)))
    }

    /// Whether the agent's end was asked for.
    pub fn exited(&mut self) -> bool {
        let (asked, next) = self.agent.without_process();
        self.agent = next;
        asked
    }

    /// No next agent could take over what the last one left: it is swept, and a next start waits for that.
    pub fn lost(&mut self) {
        if self.agent == Agent::Crashed {
            self.leave();
        }
    }

    /// Done, whether or not something was left: that is reported, and the next stop tries again.
    pub fn swept(&mut self) {
        if let Agent::Sweeping(next) = self.agent {
            self.agent = next.map_or(Agent::Absent, Agent::Wanted);
        }
    }

    pub fn poll(&mut self, now_ms: u64) -> Action {
        self.give_up(now_ms);
        // What is being ended is looked at by nobody else.
        if !self.agent.is_leaving()
            && let Some(action) = self.hold.next(now_ms)
        {
            return action;
        }
        match self.agent {
            // What is frozen is let go before a new agent takes it over.
            Agent::Wanted(_) if self.hold.is_busy() => self.wait(None),
            Agent::Wanted(id) => {
                self.agent = Agent::Spawning(id, None);
                Action::Spawn(id)
            }
            Agent::ToTerminate(id, then) => {
                self.agent = Agent::Terminating(id, then, now_ms);
                Action::Terminate
            }
            Agent::Terminating(id, then, since_ms) => {
                self.wait_or(since_ms.saturating_add(self.waits.grace_ms), now_ms, |this| {
                    this.agent = Agent::Killing(id, then, now_ms);
                    Action::Kill
                })
            }
            Agent::Killing(_, then, since_ms) => {
                self.wait_or(since_ms.saturating_add(DIES_WITHIN_MS), now_ms, |this| {
                    this.agent = then.begins();
                    this.poll(now_ms)
                })
            }
            Agent::ToSweep(next) => {
                self.agent = Agent::Sweeping(next);
                Action::Sweep
            }
            Agent::Absent if self.may_end(now_ms) => Action::End,
            Agent::Absent if self.hold.is_busy() => self.wait(None),
            Agent::Absent | Agent::Running(_) | Agent::Crashed => self.wait(self.deadline_ms()),
            Agent::Spawning(..) | Agent::Sweeping(_) => self.wait(None),
        }
    }

    fn wait_or(&mut self, until_ms: u64, now_ms: u64, then: impl FnOnce(&mut Self) -> Action) -> Action {
        if now_ms < until_ms { self.wait(Some(until_ms)) } else { then(self) }
    }

    fn wait(&self, until_ms: Option<u64>) -> Action {
        let look_ms = self.hold.due_ms().filter(|_| !self.agent.is_leaving());
        Action::Wait { until_ms: until_ms.into_iter().chain(look_ms).min() }
    }

    /// The agent and its work are to go; a start that waited does not come any more.
    fn leave(&mut self) -> Option<StartId> {
        let waited = self.agent.waiting();
        self.hold.release();
        self.agent = self.agent.leaving();
        waited
    }

    /// With nobody here for too long, what runs is stopped.
    fn give_up(&mut self, now_ms: u64) {
        let over = self.deadline_ms().is_some_and(|deadline| now_ms >= deadline);
        let is_over = if self.agent == Agent::Absent {
            self.hold.is_idle()
        } else {
            self.agent.is_leaving() && self.agent.waiting().is_none()
        };
        if over && !is_over {
            self.leave();
        }
    }

    fn may_end(&self, now_ms: u64) -> bool {
        if self.hold.is_busy() {
            return false;
        }
        let Some(deadline) = self.deadline_ms() else { return self.ending };
        self.ending || (!self.fresh && self.hold.is_idle()) || now_ms >= deadline
    }

    fn deadline_ms(&self) -> Option<u64> {
        match self.resident {
            Resident::Here => None,
            Resident::Gone { since_ms } => Some(since_ms.saturating_add(self.waits.successor_ms)),
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
#[path = "supervisor_tests.rs"]
mod tests;
