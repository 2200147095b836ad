//! The loop. One owner of all state, one queue; it never waits for an effect. One pass of it is a turn.

use std::ops::ControlFlow;
use std::time::Duration;

use ionet_core::wall::CapsuleUse;
use ionet_core::{Effect, Event, Signal, Snapshot, State, step, view, wake_at};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::clock::Clock;

/// Does what the core wants done, beside the loop.
pub trait Perform {
    /// Starts one effect and returns at once; its outcome comes back through the queue.
    fn perform(&self, effect: Effect);
}

pub struct Turns {
    state: State,
    clock: Clock,
    events: mpsc::Receiver<Event>,
    snapshots: watch::Sender<Snapshot>,
    used: watch::Sender<Option<CapsuleUse>>,
}

/// A wait is cut into pieces of this length: a suspended PC wakes up late by its monotonic clock, and a date must
/// not be missed by a night.
const LONGEST_NAP: Duration = Duration::from_secs(30);

impl Turns {
    pub fn new(events: mpsc::Receiver<Event>) -> (Self, watch::Receiver<Snapshot>) {
        let state = State::default();
        let (snapshots, watcher) = watch::channel(view(&state));
        (Self { state, clock: Clock::start(), events, snapshots, used: watch::Sender::new(None) }, watcher)
    }

    /// What the jobs of now take, for the live figures: it is in no snapshot.
    pub fn used(&self) -> watch::Receiver<Option<CapsuleUse>> {
        self.used.subscribe()
    }

    /// Runs until the core wants the program to end, or every sender is gone.
    pub async fn run(mut self, effects: &impl Perform) {
        let mut event = Event::Signal(Signal::Tick);
        loop {
            if self.turn(event, effects).is_break() {
                return;
            }
            event = match self.next_event().await {
                Some(event) => event,
                None => return,
            };
        }
    }

    fn turn(&mut self, event: Event, effects: &impl Perform) -> ControlFlow<()> {
        let wanted = step(&mut self.state, event, self.clock.now());
        self.show(view(&self.state));
        let used = self.state.used().cloned();
        self.used.send_if_modified(|shown| {
            let changed = *shown != used;
            *shown = used;
            changed
        });
        for effect in wanted {
            if effect == Effect::Exit {
                return ControlFlow::Break(());
            }
            effects.perform(effect);
        }
        ControlFlow::Continue(())
    }

    fn show(&self, snapshot: Snapshot) {
        self.snapshots.send_if_modified(|shown| {
            if shown.phase != snapshot.phase {
                tracing::info!(phase = ?snapshot.phase, "phase");
            }
            let changed = *shown != snapshot;
            *shown = snapshot;
            changed
        });
    }

    async fn next_event(&mut self) -> Option<Event> {
        let now = self.clock.now();
        let wanted = wake_at(&self.state, now).map(|mono_ms| Instant::from_std(self.clock.instant(mono_ms)));
        let nap = Instant::now() + LONGEST_NAP;
        let deadline = wanted.map_or(nap, |wanted| wanted.min(nap));
        tokio::select! {
            event = self.events.recv() => event,
            () = tokio::time::sleep_until(deadline) => Some(Event::Signal(Signal::Tick)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use ionet_core::effect;
    use ionet_core::event::{KeptSession, Loaded, SessionStore};
    use ionet_core::target::{AccountName, Saved};
    use ionet_core::{Intent, Outcome, Phase};

    use super::*;

    /// Answers `Load` with a fresh PC and notes everything else.
    struct Script {
        events: mpsc::Sender<Event>,
        asked: Mutex<Vec<Effect>>,
    }

    impl Perform for Script {
        fn perform(&self, effect: Effect) {
            let outcome = if effect == effect::Settings::Load.into() {
                Outcome::Loaded(signed_in())
            } else if let Effect::Agent(effect::Agent::Stop { id, .. }) = effect {
                Outcome::AgentStopped { id, result: Ok(()) }
            } else if matches!(effect, Effect::Logs(_)) {
                Outcome::LogsFlushed(Ok(()))
            } else {
                return self.asked.lock().unwrap().push(effect);
            };
            self.events.try_send(Event::Outcome(outcome)).unwrap();
        }
    }

    fn signed_in() -> Loaded {
        let name = AccountName { subject: "a".into(), shown: "a@example.test".into() };
        Loaded {
            saved: Ok(Saved { account: Some(name), ..Saved::default() }),
            device: None,
            session: KeptSession::Found(SessionStore::Keyring),
            agent: None,
            left_over: None,
            enrolment_token: false,
            capsule: false,
            rehearsal: true,
        }
    }

    #[tokio::test]
    async fn a_fresh_pc_asks_for_consent_and_quits_when_asked_to() {
        let (events, queue) = mpsc::channel(16);
        let (turns, mut snapshots) = Turns::new(queue);
        let script = Script { events: events.clone(), asked: Mutex::default() };
        let quit = async {
            snapshots.wait_for(|snapshot| snapshot.phase == Phase::Agreement).await.unwrap();
            events.send(Event::Intent(Intent::Quit { confirmed: false })).await.unwrap();
        };

        let (ran, ()) = tokio::join!(tokio::time::timeout(Duration::from_secs(10), turns.run(&script)), quit);

        assert!(ran.is_ok(), "the loop did not end");
        assert!(script.asked.lock().unwrap().is_empty(), "nothing is enrolled or run before consent");
    }
}
