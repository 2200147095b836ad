//! The guard itself: one loop that hears the resident program, the agent and the kernel, and does what
//! [`crate::supervisor`] decides. It never waits: what takes time runs beside it and comes back as news, so that a
//! stop is heard whatever is under way.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ionet_core::StartId;
use ionet_core::fault::{AgentFault, WorkFault};
use rustix::process::getpid;
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::beside::{Beside, Done};
use super::child::{Agent, Told};
use super::gate::Gate;
use super::news::{News, Resident, Signals, news};
use super::output;
use super::processes::{self, Family};
use super::protocol::{Ask, NotStarted, OURS, Say};
use super::questions::{Question, Questions};
use super::signals::{self, Signal as Kill};
use crate::guard::{Place, Running, Start, gate_socket};
use crate::startup;
use crate::supervisor::{Action, Asked, Supervisor, Waits};

/// How long tasks may take to leave where nobody says it: what `max_kill_timeout` promises them.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) struct GuardSide {
    run_dir: PathBuf,
    supervisor: Supervisor,
    epoch: Instant,
    listener: UnixListener,
    signals: Signals,
    resident: Option<Resident>,
    /// Kept open until the guard's own end: whoever let go of it sees that end by it.
    left: Option<Resident>,
    /// The last agent asked for.
    start: Option<Start>,
    /// Where what is ours lies, as last said.
    place: Option<Place>,
    patience: Duration,
    files_stay: Duration,
    agent: Option<Agent>,
    /// What the last agent's process ran.
    program: Option<PathBuf>,
    /// What the agent has for a container engine, as long as its work is there.
    gate: Option<Gate>,
    beside: Beside,
    done: mpsc::UnboundedReceiver<Done>,
    /// Stops that are to be answered after the sweep.
    stops: Vec<Option<StartId>>,
    questions: Questions,
}

impl GuardSide {
    pub(super) fn new(run_dir: &Path, listener: UnixListener, signals: Signals, waits: Waits) -> Self {
        let (beside, done) = Beside::new();
        Self {
            run_dir: run_dir.to_owned(),
            supervisor: Supervisor::new(waits, 0),
            epoch: Instant::now(),
            listener,
            signals,
            resident: None,
            left: None,
            start: None,
            place: None,
            patience: PATIENCE,
            files_stay: Duration::from_millis(waits.files_stay_ms),
            agent: None,
            program: None,
            gate: None,
            beside,
            done,
            stops: Vec::new(),
            questions: Questions::default(),
        }
    }

    pub(super) async fn run(&mut self) {
        loop {
            match self.supervisor.poll(self.now_ms()) {
                Action::Spawn(_) => self.beside.prepare(self.start.clone()),
                Action::Terminate => self.signal(Kill::TERM),
                Action::Kill => self.signal(Kill::KILL),
                Action::Freeze => self.look(true),
                Action::Thaw => self.look(false),
                Action::Sweep => self.sweep(),
                Action::End => return,
                Action::Wait { until_ms } => {
                    let until = until_ms.map(|ms| self.epoch + Duration::from_millis(ms));
                    let heard = news(
                        &self.listener,
                        &mut self.resident,
                        &mut self.agent,
                        &mut self.signals,
                        &mut self.done,
                        until,
                    );
                    let heard = heard.await;
                    self.hear(heard).await;
                }
            }
        }
    }

    fn now_ms(&self) -> u64 {
        self.epoch.elapsed().as_millis() as u64
    }

    async fn hear(&mut self, news: News) {
        match news {
            News::Came(resident) => {
                // A newer resident program replaces the older: its connection closes.
                self.resident = Some(resident);
                self.questions.forget();
                self.supervisor.resident_here();
            }
            News::Asked(ask) => self.asked(ask).await,
            News::Left => {
                self.left = self.resident.take();
                self.supervisor.resident_gone(self.now_ms());
            }
            News::Agent(told) => self.told(told).await,
            News::Done(done) => self.done(done).await,
            News::Terminated => {
                self.beside.let_go();
                let waited = self.supervisor.end();
                self.called_off(waited).await;
            }
            News::Orphan => self.reap(),
            News::Time => {}
        }
    }

    async fn asked(&mut self, ask: Ask) {
        match ask {
            // Whoever does not speak ours leaves by themselves.
            Ask::Hello(_) => self.say(Say::Hello(OURS)).await,
            Ask::Start { id, start } => self.accept(id, *start).await,
            Ask::Stop { id, place, patience_ms } => {
                self.stops.push(id);
                self.place = place.or(self.place.take());
                self.patience = patience_ms.map_or(PATIENCE, Duration::from_millis);
                self.beside.let_go();
                let waited = self.supervisor.stop(id.unwrap_or_default());
                self.called_off(waited).await;
                let answers = self.questions.over();
                self.answer(answers).await;
            }
            Ask::Freeze { question } => {
                let held = self.supervisor.freeze(self.now_ms());
                self.question(Question { number: question, freeze: true }, held).await;
            }
            Ask::Thaw { question } => {
                let held = self.supervisor.thaw();
                self.question(Question { number: question, freeze: false }, held).await;
            }
            Ask::Reload { files } if self.agent.is_some() => self.beside.bring(files),
            Ask::Reload { .. } => {}
            Ask::Status => {
                let running = self.running();
                self.say(Say::Status { running }).await;
                let words: Vec<_> = self.agent.iter().flat_map(Agent::last_words).collect();
                self.answer(words).await;
            }
        }
    }

    async fn accept(&mut self, id: StartId, mut start: Start) {
        start.id = id;
        match self.supervisor.start(id) {
            Asked::Begins { instead_of } => {
                self.called_off(instead_of).await;
                self.place = Some(start.place.clone());
                self.start = Some(start);
            }
            Asked::Known => {
                if let Some(running) = self.running().filter(|running| running.up) {
                    self.say(Say::Started(running)).await;
                }
            }
            Asked::Stale(newer) => {
                self.say(Say::NotStarted { id, why: NotStarted::Held { id: newer } }).await;
            }
            Asked::Ending => {
                self.say(Say::NotStarted { id, why: NotStarted::CalledOff }).await;
            }
        }
    }

    async fn called_off(&mut self, start: Option<StartId>) {
        if let Some(id) = start {
            self.say(Say::NotStarted { id, why: NotStarted::CalledOff }).await;
        }
    }

    /// One that finds all of it being ended is answered at once.
    async fn question(&mut self, question: Question, held: bool) {
        if held {
            self.questions.ask(question);
        } else {
            self.say(question.answer(Ok(()))).await;
        }
    }

    async fn spawn(&mut self, prepared: Result<(), NotStarted>) {
        let Some(start) = self.start.clone() else { return self.supervisor.not_spawned() };
        if self.supervisor.is_doomed() {
            // The newer start has taken the older one's place by now: only a stop leaves it unanswered.
            return self.supervisor.not_spawned();
        }
        let prepared = prepared.and_then(|()| self.open_gate(&start));
        match prepared.and_then(|()| Agent::spawn(&start)) {
            Ok(agent) => {
                self.supervisor.spawned();
                self.program = processes::program(agent.pid);
                self.agent = Some(agent);
                match start.http {
                    Some(http) => self.beside.until_up(start.id, http),
                    None => self.up(start.id).await,
                }
            }
            Err(why) => {
                self.supervisor.not_spawned();
                self.beside.forget_introduction(&start);
                self.say(Say::NotStarted { id: start.id, why }).await;
            }
        }
    }

    fn open_gate(&mut self, start: &Start) -> Result<(), NotStarted> {
        // The last one's file goes before the next one's is made.
        self.gate = None;
        let Some(engine) = &start.place.docker_socket else { return Ok(()) };
        let (socket, tell) = (gate_socket(&self.run_dir), self.beside.tell(start.id));
        let gate = Gate::open(socket, engine, &start.place.data_dir, start.cards.clone(), tell);
        self.gate = Some(gate.map_err(|error| NotStarted::Other { why: error.to_string() })?);
        Ok(())
    }

    fn running(&self) -> Option<Running> {
        let (agent, start) = (self.agent.as_ref()?, self.start.as_ref()?);
        (self.supervisor.running() == Some(agent.id)).then(|| Running {
            id: agent.id,
            pid: agent.pid as u32,
            up: agent.up,
            place: start.place.clone(),
            http: start.http,
        })
    }

    fn signal(&self, signal: Kill) {
        if let Some(row) = self.agent.as_ref().and_then(|agent| processes::row(agent.pid)) {
            signals::send(&row, signal);
        }
    }

    async fn told(&mut self, told: Told) {
        match told {
            Told::Ended(code) => self.agent_ended(code).await,
            Told::Registration(result) => {
                let said = self.agent.as_mut().and_then(|agent| agent.hear_of_registration(result));
                self.answer(said).await;
            }
            Told::JobEnded(allocation) => {
                if let (Some(agent), Some(place)) = (&self.agent, &self.place) {
                    self.beside.remove_later(agent.id, place.data_dir.clone(), allocation, self.files_stay);
                }
            }
        }
    }

    async fn agent_ended(&mut self, code: Option<i32>) {
        let asked = self.supervisor.exited();
        self.beside.ended();
        let Some(agent) = self.agent.take() else { return };
        let (id, up) = (agent.id, agent.up);
        // It may quote a task's command line or a token; nothing of that is kept or told.
        let stderr_tail = output::redacted(&agent.output.end().await);
        if let Some(start) = &self.start {
            self.beside.keep(start, stderr_tail.clone());
        }
        tracing::info!(id = id.0, code, asked, "the agent ended");
        if asked {
            return self.called_off(Some(id).filter(|_| !up)).await;
        }
        if startup::fault(code, &stderr_tail) == AgentFault::StateDamaged {
            tracing::warn!("the agent's state is damaged: it goes, with all that it was about");
            self.supervisor.lost();
        }
        self.say(Say::Exited { id, code, stderr_tail }).await;
    }

    async fn done(&mut self, done: Done) {
        match done {
            Done::Prepared(result) => self.spawn(result).await,
            Done::Up(id) => self.up(id).await,
            Done::Looked { found, result } => {
                let now_ms = self.now_ms();
                self.supervisor.held(now_ms, found);
                let answers = self.questions.looked(&result);
                if !answers.is_empty() {
                    tracing::info!(left = ?result.err(), "froze or thawed");
                }
                self.answer(answers).await;
            }
            Done::Swept(result) => self.swept(result).await,
            Done::Containers(id, result) => self.tell(id, |agent| agent.hear_of_containers(result)).await,
            Done::Refused(id, refusals) => self.tell(id, |agent| agent.hear_of_refusals(refusals)).await,
            // One that has started since then reads what it has read again.
            Done::Brought => self.signal(Kill::HUP),
            Done::FilesLeft(id, left) => self.say(Say::FilesLeft { id, left }).await,
        }
    }

    async fn tell(&mut self, id: StartId, hear: impl FnOnce(&mut Agent) -> Option<Say>) {
        let said = self.agent.as_mut().filter(|agent| agent.id == id).and_then(hear);
        self.answer(said).await;
    }

    async fn up(&mut self, id: StartId) {
        let Some(agent) = self.agent.as_mut().filter(|agent| agent.id == id) else { return };
        agent.up = true;
        tracing::info!(id = id.0, "the agent is up");
        self.start.iter().for_each(|start| self.beside.forget_introduction(start));
        if let Some(running) = self.running() {
            self.say(Say::Started(running)).await;
        }
    }

    fn look(&mut self, freeze: bool) {
        self.questions.look();
        self.beside.look(self.family(), freeze);
    }

    fn sweep(&mut self) {
        self.beside.sweep(self.family(), self.place.clone(), self.patience);
    }

    async fn swept(&mut self, result: Result<(), WorkFault>) {
        self.gate = None;
        self.patience = PATIENCE;
        self.reap();
        self.supervisor.swept();
        tracing::info!(left = ?result.as_ref().err(), "swept");
        let answers = self.questions.over();
        self.answer(answers).await;
        for id in std::mem::take(&mut self.stops) {
            self.say(match result.clone() {
                Ok(()) => Say::Stopped { id },
                Err(fault) => Say::NotStopped { id, why: fault.into() },
            })
            .await;
        }
    }

    fn family(&self) -> Family {
        let agent = self.agent.as_ref().map(|agent| agent.pid);
        Family { guard: getpid().as_raw_nonzero().get(), agent, program: self.program.clone() }
    }

    async fn answer(&mut self, answers: impl IntoIterator<Item = Say>) {
        for answer in answers {
            self.say(answer).await;
        }
    }

    /// A resident program that does not listen any more has left; the loop hears that by itself.
    async fn say(&mut self, say: Say) {
        if let Some(resident) = &mut self.resident {
            resident.say(say).await;
        }
    }

    /// The agent's own end is waited for elsewhere.
    fn reap(&self) {
        processes::reap(self.agent.as_ref().map(|agent| agent.pid));
    }
}
