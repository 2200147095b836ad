//! The guard that is held, and what it says.

use std::sync::{Arc, Mutex};

use ionet_agent::guard::{Guard, GuardEvent, HoldId};
use ionet_agent::startup;
use ionet_core::fault::AgentFault;
use ionet_core::wall::Refusals;
use ionet_core::{Event, Signal, StartId};
use tokio::sync::mpsc;

use crate::effects::lock;
use crate::runners::Runners;

pub(super) struct Hold {
    held: Mutex<Option<Held>>,
    runners: Runners,
    events: mpsc::Sender<Event>,
}

struct Held {
    guard: Arc<Guard>,
    /// The start that was asked of it last.
    id: StartId,
}

/// What a guard says. Whoever goes on after a break hears what comes next.
type Said = tokio::sync::Mutex<mpsc::UnboundedReceiver<GuardEvent>>;

impl Hold {
    pub(super) fn new(runners: Runners, events: mpsc::Sender<Event>) -> Self {
        Self { held: Mutex::default(), runners, events }
    }

    pub(super) fn take(
        self: &Arc<Self>,
        guard: Guard,
        said: mpsc::UnboundedReceiver<GuardEvent>,
        id: StartId,
    ) -> Arc<Guard> {
        let guard = Arc::new(guard);
        let hold = guard.id();
        *lock(&self.held) = Some(Held { guard: guard.clone(), id });
        let (shared, said) = (self.clone(), Arc::new(Said::new(said)));
        self.runners.start("guard", move || shared.clone().listen(hold, said.clone())).for_ever();
        guard
    }

    pub(super) fn guard(&self) -> Option<Arc<Guard>> {
        lock(&self.held).as_ref().map(|held| held.guard.clone())
    }

    /// The guard, for another start.
    pub(super) fn again(&self, id: StartId) -> Option<Arc<Guard>> {
        lock(&self.held).as_mut().map(|held| {
            held.id = id;
            held.guard.clone()
        })
    }

    /// The guard, which is nobody's then.
    pub(super) fn let_go(&self) -> Option<Arc<Guard>> {
        lock(&self.held).take().map(|held| held.guard)
    }

    /// The guard, which is nobody's then, if it holds no agent.
    pub(super) fn let_go_of_idle(&self) -> Option<Arc<Guard>> {
        lock(&self.held).take_if(|held| held.guard.running().is_none()).map(|held| held.guard)
    }

    async fn listen(self: Arc<Self>, hold: HoldId, said: Arc<Said>) {
        let mut said = said.lock().await;
        while let Some(event) = said.recv().await {
            self.heard(event).await;
        }
        // Also where it had no last word.
        self.lost(hold).await;
    }

    async fn heard(&self, event: GuardEvent) {
        match event {
            GuardEvent::Started(running) => self.tell(Signal::AgentUp { id: running.id }).await,
            GuardEvent::Registration { id, result } => {
                match &result {
                    Ok(()) => tracing::info!("the region has taken the agent in"),
                    Err(fault) => tracing::warn!(%fault, "the region does not take the agent in"),
                }
                self.tell(Signal::Registration { id, result }).await;
            }
            GuardEvent::Exited { id, code, stderr_tail } => {
                self.exited(id, startup::fault(code, &stderr_tail)).await;
            }
            GuardEvent::Containers { id, result } => {
                if let Err(fault) = &result {
                    tracing::warn!(%fault, "the container engine refuses jobs");
                }
                self.tell(Signal::Containers { id, result }).await;
            }
            GuardEvent::Refused { id, refusals } => {
                let Refusals { count, what, .. } = &refusals;
                tracing::warn!(count, what, "a job asked for more than it may have; it was not run");
                self.tell(Signal::JobRefused { id, refusals }).await;
            }
            GuardEvent::FilesLeft { id, left } => {
                tracing::warn!(left, "files of ended jobs could not be removed");
                self.tell(Signal::FilesLeft { id, left }).await;
            }
            GuardEvent::Lost(hold) => self.lost(hold).await,
        }
    }

    /// A guard that is gone is forgotten, if it is the one that is held: another may have taken its place.
    async fn lost(&self, hold: HoldId) {
        let held = lock(&self.held).take_if(|held| held.guard.id() == hold);
        if let Some(Held { id, .. }) = held {
            self.exited(id, AgentFault::NoGuard("it went away".to_owned())).await;
        }
    }

    async fn exited(&self, id: StartId, fault: AgentFault) {
        tracing::warn!(id = id.0, %fault, "agent ended by itself");
        self.tell(Signal::AgentExited { id, fault }).await;
    }

    async fn tell(&self, signal: Signal) {
        let _ = self.events.send(Event::Signal(signal)).await;
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ionet_core::UnixMs;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::UnixListener;
    use tokio::sync::mpsc::UnboundedSender;
    use tokio::time::timeout;

    use super::*;

    const ID: StartId = StartId(4);

    type Told = mpsc::Receiver<Event>;

    /// A guard that holds nothing is held; what it says is the test's.
    async fn held() -> (Arc<Hold>, UnboundedSender<GuardEvent>, Told) {
        held_with("null").await
    }

    async fn held_with(running: &'static str) -> (Arc<Hold>, UnboundedSender<GuardEvent>, Told) {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("guard.sock")).unwrap();
        let greets = async {
            let (mut theirs, _) = listener.accept().await.unwrap();
            // It answers a hello by the same one.
            let mut hello = String::new();
            tokio::io::AsyncBufReadExt::read_line(&mut tokio::io::BufReader::new(&mut theirs), &mut hello)
                .await
                .unwrap();
            theirs.write_all(hello.replace("\"ask\"", "\"say\"").as_bytes()).await.unwrap();
            let status = format!("{{\"say\":\"status\",\"running\":{running}}}\n");
            theirs.write_all(status.as_bytes()).await.unwrap();
            theirs
        };
        let (connected, _theirs) = tokio::join!(Guard::connect(folder.path()), greets);
        let (events, told) = mpsc::channel(8);
        let hold = Arc::new(Hold::new(Runners::new(events.clone()), events));
        let (says, said) = mpsc::unbounded_channel();
        hold.take(connected.unwrap().0, said, ID);
        (hold, says, told)
    }

    /// None when nothing more can be.
    async fn next(told: &mut Told) -> Option<Event> {
        timeout(Duration::from_secs(20), told.recv()).await.expect("nothing was told within 20 s")
    }

    fn gone(id: StartId) -> Option<Event> {
        let fault = AgentFault::NoGuard("it went away".to_owned());
        Some(Event::Signal(Signal::AgentExited { id, fault }))
    }

    #[tokio::test]
    async fn a_guard_that_falls_silent_without_a_last_word_is_lost_with_the_agent_that_was_asked_of_it_last()
    {
        let (hold, says, mut told) = held().await;
        hold.again(ID.next()).unwrap();

        drop(says);

        assert_eq!(next(&mut told).await, gone(ID.next()));
        assert!(hold.guard().is_none());
    }

    #[tokio::test]
    async fn a_guard_that_is_lost_is_told_once_and_one_that_was_let_go_not_at_all() {
        for let_go in [false, true] {
            let (hold, says, mut told) = held().await;
            let guard = if let_go { hold.let_go() } else { hold.guard() }.unwrap();

            says.send(GuardEvent::Lost(guard.id())).unwrap();
            drop((hold, says));

            if !let_go {
                assert_eq!(next(&mut told).await, gone(ID));
            }
            assert_eq!(next(&mut told).await, None);
        }
    }

    #[tokio::test]
    async fn a_guard_without_an_agent_is_let_go_after_a_start_that_came_to_nothing_and_one_with_one_is_not() {
        let (idle, _says, _told) = held().await;
        assert!(idle.let_go_of_idle().is_some());
        assert!(idle.guard().is_none());

        let running = r#"{"id":4,"pid":7,"up":false,"data_dir":"/data","docker_socket":null,"http":null}"#;
        let (holds, _says, _told) = held_with(running).await;
        assert!(holds.let_go_of_idle().is_none());
        assert!(holds.guard().is_some());
    }

    #[tokio::test]
    async fn what_a_guard_says_of_a_start_is_told_with_its_number() {
        let (_hold, says, mut told) = held().await;

        says.send(GuardEvent::FilesLeft { id: StartId(3), left: 2 }).unwrap();

        let files_left = Event::Signal(Signal::FilesLeft { id: StartId(3), left: 2 });
        assert_eq!(next(&mut told).await, Some(files_left));
        let refusals = Refusals { count: 1, what: "Devices".to_owned(), at: UnixMs(7) };
        says.send(GuardEvent::Refused { id: StartId(3), refusals: refusals.clone() }).unwrap();
        let refused = Event::Signal(Signal::JobRefused { id: StartId(3), refusals });
        assert_eq!(next(&mut told).await, Some(refused));
    }
}
