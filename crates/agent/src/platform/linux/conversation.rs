//! What was asked of a guard, and what its words mean: each goes to whoever waits for it, becomes an event, or is
//! dropped because it is about a life that is over. Reads and writes nothing itself.

use std::collections::BTreeMap;

use ionet_core::StartId;
use ionet_core::fault::{AgentFault, WorkFault};
use tokio::sync::oneshot;

use super::protocol::Say;
use crate::guard::{GuardEvent, Running};
use crate::startup;

pub(super) type Waiting<T> = oneshot::Receiver<T>;
type Answer<T> = oneshot::Sender<T>;

#[derive(Debug)]
pub(super) struct Conversation {
    running: Option<Running>,
    /// The last start or stop that was asked for.
    newest: StartId,
    /// The last agent that ended, or did not begin.
    ended: Option<StartId>,
    starts: BTreeMap<StartId, Answer<Result<Running, AgentFault>>>,
    stops: BTreeMap<StartId, Vec<Answer<Result<(), WorkFault>>>>,
    questions: BTreeMap<u64, Answer<Result<(), WorkFault>>>,
    asked: u64,
    /// Nobody answers any more.
    over: bool,
}

impl Conversation {
    pub(super) fn new(running: Option<Running>) -> Self {
        let newest = running.as_ref().map(|running| running.id).unwrap_or_default();
        Self {
            running,
            newest,
            ended: None,
            starts: BTreeMap::new(),
            stops: BTreeMap::new(),
            questions: BTreeMap::new(),
            asked: 0,
            over: false,
        }
    }

    pub(super) fn running(&self) -> Option<Running> {
        self.running.clone()
    }

    /// Whoever drops the receiver has given up; an agent that comes up all the same is an event.
    pub(super) fn start(&mut self, id: StartId) -> Waiting<Result<Running, AgentFault>> {
        let (say, heard) = oneshot::channel();
        self.call_off();
        self.newest = self.newest.max(id);
        if !self.over {
            self.starts.insert(id, say);
        }
        heard
    }

    pub(super) fn stop(&mut self, id: StartId) -> Waiting<Result<(), WorkFault>> {
        let (say, heard) = oneshot::channel();
        self.newest = self.newest.max(id);
        self.call_off();
        if !self.over {
            self.stops.entry(id).or_default().push(say);
        }
        heard
    }

    pub(super) fn question(&mut self) -> (u64, Waiting<Result<(), WorkFault>>) {
        let (say, heard) = oneshot::channel();
        self.asked += 1;
        if !self.over {
            self.questions.insert(self.asked, say);
        }
        (self.asked, heard)
    }

    pub(super) fn hear(&mut self, say: Say) -> Option<GuardEvent> {
        match say {
            Say::Started(running) => self.started(running),
            Say::NotStarted { id, why } => {
                let start = self.starts.remove(&id)?;
                self.ended = self.ended.max(Some(id));
                let _ = start.send(Err(why.into()));
                None
            }
            Say::Exited { id, code, stderr_tail } => self.exited(id, code, stderr_tail),
            Say::Registration { id, result } => {
                self.is_about(id).then_some(GuardEvent::Registration { id, result })
            }
            Say::Containers { id, result } => {
                self.is_about(id).then_some(GuardEvent::Containers { id, result })
            }
            Say::Refused { id, refusals } => {
                self.is_about(id).then_some(GuardEvent::Refused { id, refusals })
            }
            Say::FilesLeft { id, left } => self.is_about(id).then_some(GuardEvent::FilesLeft { id, left }),
            Say::Stopped { id } => self.stopped(id, Ok(())),
            Say::NotStopped { id, why } => self.stopped(id, Err(why.into())),
            Say::Frozen { question, result } | Say::Thawed { question, result } => {
                let _ = self.questions.remove(&question)?.send(result.map_err(Into::into));
                None
            }
            // Said once, at the beginning.
            Say::Hello(_) | Say::Status { .. } => None,
        }
    }

    /// The guard is gone: whoever waits, or asks later, learns it by their sender's end.
    pub(super) fn over(&mut self) {
        self.over = true;
        self.running = None;
        self.starts.clear();
        self.stops.clear();
        self.questions.clear();
    }

    /// A newer word makes the starts before it void. They are answered at once.
    fn call_off(&mut self) {
        for start in std::mem::take(&mut self.starts).into_values() {
            let _ = start.send(Err(AgentFault::CalledOff));
        }
    }

    fn started(&mut self, running: Running) -> Option<GuardEvent> {
        let known = self.running.as_ref().is_some_and(|known| known.id == running.id && known.up);
        if running.id < self.newest || self.ended >= Some(running.id) || known {
            return None;
        }
        self.newest = running.id;
        self.running = Some(running.clone());
        let unheard = match self.starts.remove(&running.id) {
            Some(start) => start.send(Ok(running)).err().and_then(Result::ok),
            None => Some(running),
        };
        unheard.map(GuardEvent::Started)
    }

    fn exited(&mut self, id: StartId, code: Option<i32>, stderr_tail: String) -> Option<GuardEvent> {
        let ran = self.running.take_if(|running| running.id == id);
        let start = self.starts.remove(&id);
        if ran.is_some() || start.is_some() {
            self.ended = self.ended.max(Some(id));
        }
        if let Some(start) = start {
            let fault = startup::fault(code, &stderr_tail);
            // Given up by now: an agent that nobody saw up has not ended either, as far as anybody knows.
            return match start.send(Err(fault)) {
                Ok(()) => None,
                Err(_) => Some(GuardEvent::Exited { id, code, stderr_tail }),
            };
        }
        ran.map(|_| GuardEvent::Exited { id, code, stderr_tail })
    }

    fn stopped(&mut self, id: Option<StartId>, result: Result<(), WorkFault>) -> Option<GuardEvent> {
        let id = id?;
        if let Some(stopped) = self.running.take_if(|running| running.id <= id) {
            self.ended = self.ended.max(Some(stopped.id));
        }
        // One that was asked for earlier is done as well.
        let later = self.stops.split_off(&id.next());
        for stop in std::mem::replace(&mut self.stops, later).into_values().flatten() {
            let _ = stop.send(result.clone());
        }
        None
    }

    fn is_about(&self, id: StartId) -> bool {
        self.running.as_ref().is_some_and(|running| running.id == id) || self.starts.contains_key(&id)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::super::protocol::NotStarted;
    use super::*;
    use crate::guard::Place;

    fn agent(id: u64) -> Running {
        let place = Place { data_dir: PathBuf::from("/data"), docker_socket: None };
        Running { id: StartId(id), pid: 1, up: true, place, http: None }
    }

    fn exited(id: u64) -> Say {
        Say::Exited { id: StartId(id), code: Some(1), stderr_tail: String::new() }
    }

    #[test]
    fn a_start_that_was_given_up_comes_up_as_an_event_and_once() {
        let mut talk = Conversation::new(None);
        drop(talk.start(StartId(1)));

        assert_eq!(talk.hear(Say::Started(agent(1))), Some(GuardEvent::Started(agent(1))));
        assert_eq!(talk.hear(Say::Started(agent(1))), None);

        assert_eq!(talk.running(), Some(agent(1)));
        assert!(matches!(talk.hear(exited(1)), Some(GuardEvent::Exited { id: StartId(1), .. })));
        assert_eq!(talk.hear(exited(1)), None, "it ended once");
    }

    #[test]
    fn words_about_an_earlier_life_are_dropped() {
        let mut talk = Conversation::new(Some(agent(3)));

        assert_eq!(talk.hear(exited(2)), None);
        assert_eq!(talk.hear(Say::Started(agent(2))), None);
        assert_eq!(talk.hear(Say::Registration { id: StartId(2), result: Ok(()) }), None);
        assert_eq!(talk.hear(Say::FilesLeft { id: StartId(2), left: 1 }), None);

        assert_eq!(talk.running(), Some(agent(3)));
        let registered = talk.hear(Say::Registration { id: StartId(3), result: Ok(()) });
        assert_eq!(registered, Some(GuardEvent::Registration { id: StartId(3), result: Ok(()) }));
    }

    #[test]
    fn an_end_during_a_start_is_that_starts_fault_and_a_stop_calls_it_off() {
        let mut talk = Conversation::new(None);
        let mut first = talk.start(StartId(1));
        assert_eq!(talk.hear(exited(1)), None);
        assert_eq!(first.try_recv(), Ok(Err(AgentFault::Crashed { code: Some(1) })));

        let mut second = talk.start(StartId(2));
        let mut stop = talk.stop(StartId(3));
        assert_eq!(second.try_recv(), Ok(Err(AgentFault::CalledOff)));
        assert_eq!(talk.hear(Say::Started(agent(2))), None, "late: it is being stopped");
        talk.hear(Say::Stopped { id: Some(StartId(3)) });
        assert_eq!(stop.try_recv(), Ok(Ok(())));
        assert_eq!(talk.running(), None);
    }

    #[derive(Debug, Clone)]
    enum Word {
        AskStart,
        GiveUp,
        AskStop,
        Started(u64),
        NotStarted(u64),
        Exited(u64),
        Registration(u64),
        Stopped(u64),
    }

    fn word() -> impl Strategy<Value = Word> {
        let id = 0..8u64;
        prop_oneof![
            Just(Word::AskStart),
            Just(Word::GiveUp),
            Just(Word::AskStop),
            id.clone().prop_map(Word::Started),
            id.clone().prop_map(Word::NotStarted),
            id.clone().prop_map(Word::Exited),
            id.clone().prop_map(Word::Registration),
            id.prop_map(Word::Stopped),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn whatever_is_late_lost_doubled_or_stale_no_event_is_about_a_life_before_the_last_word(
            script in prop::collection::vec(word(), 0..50)
        ) {
            let mut talk = Conversation::new(None);
            let mut asked = StartId(0);
            let mut waits = Vec::new();
            let mut up: Option<StartId> = None;
            let mut ended = std::collections::BTreeSet::new();
            for word in script {
                let mut count = || { asked = asked.next(); asked };
                let event = match word {
                    Word::AskStart => { waits.push(talk.start(count())); None }
                    Word::GiveUp => { waits.clear(); None }
                    Word::AskStop => { drop(talk.stop(count())); None }
                    Word::Started(id) => talk.hear(Say::Started(agent(id))),
                    Word::NotStarted(id) => {
                        let why = NotStarted::Missing;
                        talk.hear(Say::NotStarted { id: StartId(id), why })
                    }
                    Word::Exited(id) => talk.hear(exited(id)),
                    Word::Registration(id) => {
                        talk.hear(Say::Registration { id: StartId(id), result: Ok(()) })
                    }
                    Word::Stopped(id) => talk.hear(Say::Stopped { id: Some(StartId(id)) }),
                };
                match event {
                    Some(GuardEvent::Started(running)) => {
                        prop_assert!(running.id >= asked, "an agent that was stopped or replaced");
                        prop_assert!(up != Some(running.id), "up twice");
                        prop_assert!(!ended.contains(&running.id), "up after its end");
                        up = Some(running.id);
                        asked = asked.max(running.id);
                    }
                    Some(GuardEvent::Exited { id, .. }) => {
                        prop_assert!(id <= asked);
                        prop_assert!(ended.insert(id), "ended twice");
                        if up == Some(id) { up = None; }
                    }
                    Some(
                        GuardEvent::Registration { .. }
                        | GuardEvent::FilesLeft { .. }
                        | GuardEvent::Containers { .. }
                        | GuardEvent::Refused { .. },
                    )
                    | None => {}
                    Some(GuardEvent::Lost(_)) => prop_assert!(false, "nobody said so"),
                }
                if let Some(running) = talk.running() {
                    prop_assert!(running.id <= asked);
                }
            }
        }
    }
}
