//! The guard itself: one loop that hears the resident program, the agent and the kernel, and does what
//! [`crate::supervisor`] decides.

use std::fs;
use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ionet_core::fault::{AgentFault, WorkFault};
use ionet_redact::{Redactor, printable};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, getpid, set_child_subreaper, setsid, waitpid};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use super::child::{Agent, Registration, Told};
use super::gate::{Gate, listen};
use super::processes::{self, Scope};
use super::protocol::{Ask, NotStarted, Say, send};
use super::signals::{self, Signal as Kill};
use super::work;
use crate::files;
use crate::guard::{Running, Start, gate_socket};
use crate::supervisor::{Action, Supervisor, Waits};

/// Is the guard of this folder until nothing is left to guard. See [`serve_with`].
///
/// # Errors
/// `NoGuard` when another one holds the folder or it cannot be used.
pub async fn serve(run_dir: &Path) -> Result<(), AgentFault> {
    serve_with(run_dir, Waits::default()).await
}

/// The same with other waits. The calling process becomes the guard: it leaves its session and takes in every
/// process that loses its parent below it, so that nothing an agent starts can slip away.
///
/// # Errors
/// As above.
pub async fn serve_with(run_dir: &Path, waits: Waits) -> Result<(), AgentFault> {
    let cannot = |error: io::Error| AgentFault::NoGuard(error.to_string());
    // Refused to the leader of a group: somebody started the guard by hand, from a shell.
    let _ = setsid();
    set_child_subreaper(Some(getpid())).map_err(|error| cannot(error.into()))?;
    files::private_folder(run_dir).map_err(cannot)?;
    let Some(_held) = hold(run_dir).map_err(cannot)? else {
        return Err(AgentFault::NoGuard("another one holds its folder".to_owned()));
    };
    let listener = listen(&socket(run_dir)).map_err(cannot)?;
    let ends = End {
        terminate: signal(SignalKind::terminate()).map_err(cannot)?,
        interrupt: signal(SignalKind::interrupt()).map_err(cannot)?,
        child: signal(SignalKind::child()).map_err(cannot)?,
    };
    let mut guard = GuardSide::new(run_dir, listener, ends, waits);
    guard.run().await;
    let _ = fs::remove_file(socket(run_dir));
    Ok(())
}

pub(super) fn socket(run_dir: &Path) -> PathBuf {
    run_dir.join("guard.sock")
}

struct GuardSide {
    run_dir: PathBuf,
    supervisor: Supervisor,
    epoch: Instant,
    listener: UnixListener,
    signals: End,
    resident: Option<Resident>,
    /// Kept open until the guard's own end: whoever let go of it sees that end by it.
    left: Option<OwnedWriteHalf>,
    /// The last agent asked for: what a sweep clears away.
    start: Option<Start>,
    agent: Option<Agent>,
    /// What the agent has for a container engine, as long as its work is there.
    gate: Option<Gate>,
    stop_asked: bool,
}

struct End {
    terminate: Signal,
    interrupt: Signal,
    child: Signal,
}

struct Resident {
    lines: Lines<BufReader<OwnedReadHalf>>,
    write: OwnedWriteHalf,
}

/// What the loop was woken by.
enum News {
    Came(UnixStream),
    Asked(Ask),
    Left,
    Agent(Told),
    Terminated,
    /// A process that we have taken in ended.
    Orphan,
    Time,
}

impl GuardSide {
    fn new(run_dir: &Path, listener: UnixListener, signals: End, waits: Waits) -> Self {
        Self {
            run_dir: run_dir.to_owned(),
            supervisor: Supervisor::new(waits, 0),
            epoch: Instant::now(),
            listener,
            signals,
            resident: None,
            left: None,
            start: None,
            agent: None,
            gate: None,
            stop_asked: false,
        }
    }

    async fn run(&mut self) {
        loop {
            match self.supervisor.poll(self.now_ms()) {
                Action::Spawn => self.spawn().await,
                Action::Terminate => self.signal(Kill::TERM),
                Action::Kill => self.signal(Kill::KILL),
                Action::Sweep => self.sweep().await,
                Action::End => return,
                Action::Wait { until_ms } => {
                    let news = self.news(until_ms).await;
                    self.hear(news).await;
                }
            }
        }
    }

    fn now_ms(&self) -> u64 {
        self.epoch.elapsed().as_millis() as u64
    }

    async fn news(&mut self, until_ms: Option<u64>) -> News {
        let until = until_ms.map(|ms| self.epoch + Duration::from_millis(ms));
        tokio::select! {
            Ok((stream, _)) = self.listener.accept() => News::Came(stream),
            asked = ask(&mut self.resident) => asked.map_or(News::Left, News::Asked),
            told = told(&mut self.agent) => News::Agent(told),
            _ = self.signals.terminate.recv() => News::Terminated,
            _ = self.signals.interrupt.recv() => News::Terminated,
            _ = self.signals.child.recv() => News::Orphan,
            () = at(until) => News::Time,
        }
    }

    async fn hear(&mut self, news: News) {
        match news {
            News::Came(stream) => self.meet(stream),
            News::Asked(Ask::Start(start)) => self.accept(*start).await,
            News::Asked(Ask::Stop) => {
                self.stop_asked = true;
                self.supervisor.stop();
            }
            News::Asked(Ask::Reload) => self.signal(Kill::HUP),
            News::Asked(Ask::Status) => {
                let running = self.running();
                self.say(Say::Status { running }).await;
                if let Some(result) = self.agent.as_ref().and_then(|agent| agent.registration.clone()) {
                    self.say(Say::Registration { result }).await;
                }
            }
            News::Left => {
                self.left = self.resident.take().map(|resident| resident.write);
                self.supervisor.resident_gone(self.now_ms());
            }
            News::Agent(Told::Ended(code)) => self.agent_ended(code).await,
            News::Agent(Told::Registration(result)) => self.registration(result).await,
            News::Terminated => self.supervisor.end(),
            News::Orphan => self.reap(),
            News::Time => {}
        }
    }

    /// A newer resident program replaces the older: its connection closes.
    fn meet(&mut self, stream: UnixStream) {
        let same_user =
            stream.peer_cred().is_ok_and(|peer| peer.uid() == rustix::process::geteuid().as_raw());
        if same_user {
            let (read, write) = stream.into_split();
            self.resident = Some(Resident { lines: BufReader::new(read).lines(), write });
            self.supervisor.resident_here();
        }
    }

    async fn accept(&mut self, start: Start) {
        if self.supervisor.start() {
            self.start = Some(start);
        } else {
            self.say(Say::NotStarted { why: NotStarted::Busy }).await;
        }
    }

    async fn spawn(&mut self) {
        let Some(start) = self.start.clone() else { return self.supervisor.not_spawned() };
        let spawned = match work::end_agents(start.data_dir.clone()).await {
            Ok(()) => self.open_gate(&start).and_then(|()| Agent::spawn(&start)),
            Err(_) => Err(NotStarted::Other { why: "another agent holds its folder".to_owned() }),
        };
        match spawned {
            Ok(agent) => {
                self.agent = Some(agent);
                self.supervisor.spawned();
                if let Some(running) = self.running() {
                    self.say(Say::Started(running)).await;
                }
            }
            Err(why) => {
                self.supervisor.not_spawned();
                self.say(Say::NotStarted { why }).await;
            }
        }
    }

    fn open_gate(&mut self, start: &Start) -> Result<(), NotStarted> {
        // The last one's file goes before the next one's is made.
        self.gate = None;
        let Some(engine) = &start.docker_socket else { return Ok(()) };
        let gate = Gate::open(gate_socket(&self.run_dir), engine, &start.data_dir);
        self.gate = Some(gate.map_err(|error| NotStarted::Other { why: error.to_string() })?);
        Ok(())
    }

    fn running(&self) -> Option<Running> {
        let (agent, start) = (self.agent.as_ref()?, self.start.as_ref()?);
        Some(Running {
            pid: agent.pid as u32,
            data_dir: start.data_dir.clone(),
            docker_socket: start.docker_socket.clone(),
            http: start.http,
        })
    }

    fn signal(&self, signal: Kill) {
        if let Some(row) = self.agent.as_ref().and_then(|agent| processes::row(agent.pid)) {
            signals::send(&row, signal);
        }
    }

    async fn agent_ended(&mut self, code: Option<i32>) {
        let asked = self.supervisor.exited();
        let Some(agent) = self.agent.take() else { return };
        // It may quote a task's command line or a token; nothing of that is kept or told.
        let stderr_tail = redacted(&agent.output.end().await);
        if let Some(start) = &self.start
            && files::write_private(&start.log, stderr_tail.as_bytes()).is_err()
        {
            tracing::warn!("the agent's last words could not be kept");
        }
        tracing::info!(code, asked, "the agent ended");
        if !asked {
            self.say(Say::Exited { code, stderr_tail }).await;
        }
    }

    async fn registration(&mut self, result: Registration) {
        let Some(agent) = &mut self.agent else { return };
        if agent.registration.replace(result.clone()).as_ref() != Some(&result) {
            self.say(Say::Registration { result }).await;
        }
    }

    async fn sweep(&mut self) {
        let result = match &self.start {
            Some(start) => {
                let scope = Scope::of_guard(&start.data_dir, getpid().as_raw_nonzero().get());
                work::sweep_scope(scope, start.docker_socket.as_deref()).await
            }
            None => Ok(()),
        };
        self.gate = None;
        self.reap();
        self.supervisor.swept();
        tracing::info!(left = ?result.as_ref().err(), "swept");
        if std::mem::take(&mut self.stop_asked) {
            self.say(stopped(result)).await;
        }
    }

    /// A resident program that does not listen any more has left; the loop hears that by itself.
    async fn say(&mut self, say: Say) {
        if let Some(resident) = &mut self.resident {
            let _ = send(&mut resident.write, &say).await;
        }
    }

    /// Takes note of ended processes that had nobody else; the agent's own end is waited for elsewhere.
    fn reap(&self) {
        let own = getpid().as_raw_nonzero().get();
        let agent = self.agent.as_ref().map(|agent| agent.pid);
        let rows = processes::table().unwrap_or_default();
        for row in rows.values().filter(|row| row.parent == own && row.is_dead() && Some(row.pid) != agent) {
            let _ = waitpid(Pid::from_raw(row.pid), WaitOptions::NOHANG);
        }
    }
}

/// As it may be kept and shown.
fn redacted(words: &str) -> String {
    let clean = Redactor::of_this_pc().of_agent().redact(words.as_bytes());
    printable(&String::from_utf8_lossy(&clean)).into_owned()
}

fn stopped(result: Result<(), WorkFault>) -> Say {
    match result {
        Ok(()) => Say::Stopped,
        Err(fault) => Say::NotStopped { why: fault.into() },
    }
}

/// None once the connection has closed. A line that makes no sense is passed over.
async fn ask(resident: &mut Option<Resident>) -> Option<Ask> {
    let Some(resident) = resident else { return pending().await };
    loop {
        let line = resident.lines.next_line().await.ok()??;
        if let Ok(ask) = serde_json::from_str(&line) {
            return Some(ask);
        }
    }
}

async fn told(agent: &mut Option<Agent>) -> Told {
    match agent {
        Some(agent) => agent.told().await,
        None => pending().await,
    }
}

async fn at(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => pending().await,
    }
}

/// One guard per folder: the lock is the kernel's, and ends with the process. None when another one has it.
fn hold(run_dir: &Path) -> io::Result<Option<OwnedFd>> {
    let file =
        fs::File::options().create(true).truncate(false).write(true).open(run_dir.join("guard.lock"))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file.into())),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
