//! The resident program's side of the guard.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ionet_core::fault::{AgentFault, WorkFault};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::guard_side::socket;
pub use super::guard_side::{serve, serve_with};
use super::protocol::{Ask, Say, send};
use crate::guard::{GuardEvent, Running, Start};
use crate::{api, startup, teardown};

/// A guard that is spawned must be heard within this; one that is just ending holds its folder for as long.
const REACHED_WITHIN: Duration = Duration::from_secs(20);
/// From the process to its HTTP.
const STARTED_WITHIN: Duration = Duration::from_secs(30);
/// It has nothing left to do but to close its socket.
const ENDED_WITHIN: Duration = Duration::from_secs(2);
/// Grace, sweep and engine at their slowest.
const STOPPED_WITHIN: Duration = Duration::from_secs(60);

/// The hold on a guard. Dropping it closes the connection: the guard then waits for a successor, and without one
/// ends the agent and all its work.
#[must_use = "dropping it lets go of the agent"]
#[derive(Debug)]
pub struct Guard {
    /// Locked for one question and its answer.
    line: tokio::sync::Mutex<Line>,
    shared: Arc<Shared>,
    events: mpsc::Sender<GuardEvent>,
    reader: JoinHandle<()>,
}

#[derive(Debug)]
struct Line {
    write: OwnedWriteHalf,
    answers: mpsc::Receiver<Say>,
}

#[derive(Debug, Default)]
struct Shared {
    running: Mutex<Option<Running>>,
    /// What a stop has to clear away, also when the guard that started it is gone.
    last: Mutex<Option<(PathBuf, Option<PathBuf>)>>,
    /// An exit that comes now is the answer to a start.
    starting: AtomicBool,
    /// Its end is no news.
    let_go: AtomicBool,
}

impl Guard {
    /// The guard of this folder, if one is there already: with an agent of an earlier life, or just ending.
    pub async fn connect(run_dir: &Path) -> Option<(Self, mpsc::Receiver<GuardEvent>)> {
        let stream = UnixStream::connect(socket(run_dir)).await.ok()?;
        let peer = stream.peer_cred().ok()?;
        if peer.uid() != rustix::process::geteuid().as_raw() {
            return None;
        }
        let (read, write) = stream.into_split();
        let (say, answers) = mpsc::channel(16);
        let (events, heard) = mpsc::channel(16);
        let shared = Arc::new(Shared::default());
        let reader = tokio::spawn(listen(read, say, events.clone(), Arc::clone(&shared)));
        let line = tokio::sync::Mutex::new(Line { write, answers });
        let guard = Self { line, shared, events, reader };
        guard.greet().await?;
        Some((guard, heard))
    }

    /// The guard of this folder; a new one, `PROGRAM guard --run-dir DIR`, where there is none. Its own session, no
    /// standard streams: it outlives whoever starts it.
    ///
    /// # Errors
    /// `NoGuard` when none can be started or none answers.
    pub async fn connect_or_spawn(
        run_dir: &Path,
        program: &Path,
    ) -> Result<(Self, mpsc::Receiver<GuardEvent>), AgentFault> {
        let deadline = Instant::now() + REACHED_WITHIN;
        let mut spawned: Option<tokio::process::Child> = None;
        loop {
            if let Some((guard, events)) = Self::connect(run_dir).await {
                if let Some(mut child) = spawned {
                    tokio::spawn(async move { child.wait().await });
                }
                return Ok((guard, events));
            }
            if Instant::now() >= deadline {
                return Err(AgentFault::NoGuard("it does not answer".to_owned()));
            }
            // One that ended at once has met another that was about to end, and that one is soon gone.
            let ended = match &mut spawned {
                Some(child) => !matches!(child.try_wait(), Ok(None)),
                None => true,
            };
            if ended {
                spawned = Some(spawn(run_dir, program)?);
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The agent that the guard holds, if it holds one.
    pub fn running(&self) -> Option<Running> {
        lock(&self.shared.running).clone()
    }

    /// Starts an agent and waits until its HTTP answers.
    ///
    /// # Errors
    /// Why it did not start, or why it ended before it answered. Nothing more is said of that end as an event.
    pub async fn start(&self, start: Start) -> Result<Running, AgentFault> {
        let mut line = self.line.lock().await;
        *lock(&self.shared.last) = Some((start.data_dir.clone(), start.docker_socket.clone()));
        self.shared.starting.store(true, Ordering::SeqCst);
        let started = begin(&mut line, start).await;
        self.shared.starting.store(false, Ordering::SeqCst);
        while let Ok(late) = line.answers.try_recv() {
            if let (Ok(_), Say::Exited { code, stderr_tail }) = (&started, late) {
                let _ = self.events.send(GuardEvent::Exited { code, stderr_tail }).await;
            }
        }
        started
    }

    /// Stops the agent and leaves no process, container or mount of ours. Where the guard itself is gone, this
    /// program clears away on its own.
    ///
    /// # Errors
    /// What was left, and why.
    pub async fn stop(&self) -> Result<(), WorkFault> {
        let mut line = self.line.lock().await;
        while line.answers.try_recv().is_ok() {}
        match line.ask(&Ask::Stop, STOPPED_WITHIN, stopped).await {
            Some(result) => result,
            None => self.clear_away().await,
        }
    }

    /// Lets go of a guard that holds nothing any more: it ends. Returns when it has.
    pub async fn let_go(mut self) {
        self.shared.let_go.store(true, Ordering::SeqCst);
        let _ = self.line.get_mut().write.shutdown().await;
        if timeout(ENDED_WITHIN, &mut self.reader).await.is_err() {
            tracing::warn!("the guard does not end although it holds nothing");
        }
    }

    /// Has the running agent read its certificate again. Without one there is nothing to do.
    pub async fn reload(&self) {
        // A guard that is gone is told as an event of its own.
        let _ = send(&mut self.line.lock().await.write, &Ask::Reload).await;
    }

    async fn clear_away(&self) -> Result<(), WorkFault> {
        let last = lock(&self.shared.last).clone();
        match last {
            Some((data_dir, docker)) => teardown::sweep(&data_dir, docker.as_deref()).await,
            None => Ok(()),
        }
    }

    /// Learns what the guard holds.
    async fn greet(&self) -> Option<()> {
        let mut line = self.line.lock().await;
        let running = line
            .ask(&Ask::Status, Duration::from_secs(5), |say| match say {
                Say::Status { running } => Some(running),
                Say::Started(_)
                | Say::NotStarted { .. }
                | Say::Exited { .. }
                | Say::Registration { .. }
                | Say::Stopped
                | Say::NotStopped { .. } => None,
            })
            .await?;
        if let Some(running) = &running {
            *lock(&self.shared.last) = Some((running.data_dir.clone(), running.docker_socket.clone()));
        }
        *lock(&self.shared.running) = running;
        Some(())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Line {
    /// None when the guard is gone or says nothing in time. Answers that do not fit are left out.
    async fn ask<T>(&mut self, ask: &Ask, within: Duration, fits: impl Fn(Say) -> Option<T>) -> Option<T> {
        send(&mut self.write, ask).await.ok()?;
        let fitting = async {
            loop {
                if let Some(answer) = fits(self.answers.recv().await?) {
                    return Some(answer);
                }
            }
        };
        timeout(within, fitting).await.ok()?
    }
}

fn stopped(say: Say) -> Option<Result<(), WorkFault>> {
    match say {
        Say::Stopped => Some(Ok(())),
        Say::NotStopped { why } => Some(Err(why.into())),
        Say::Started(_)
        | Say::NotStarted { .. }
        | Say::Exited { .. }
        | Say::Registration { .. }
        | Say::Status { .. } => None,
    }
}

fn ended_or_started(say: Say) -> Option<Result<Running, AgentFault>> {
    match say {
        Say::Started(running) => Some(Ok(running)),
        Say::NotStarted { why } => Some(Err(why.into())),
        Say::Exited { code, stderr_tail } => Some(Err(startup::fault(code, &stderr_tail))),
        Say::Registration { .. } | Say::Stopped | Say::NotStopped { .. } | Say::Status { .. } => None,
    }
}

async fn begin(line: &mut Line, start: Start) -> Result<Running, AgentFault> {
    while line.answers.try_recv().is_ok() {}
    let ask = Ask::Start(Box::new(start));
    let gone = || AgentFault::NoGuard("it is gone".to_owned());
    let running = line.ask(&ask, STARTED_WITHIN, ended_or_started).await.ok_or_else(gone)??;
    let Some(http) = running.http else { return Ok(running) };
    let up = async {
        while api::health(http).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = up => Ok(running),
        said = line.answers.recv() => match said.and_then(ended_or_started) {
            Some(Err(fault)) => Err(fault),
            Some(Ok(_)) | None => Err(gone()),
        },
        () = sleep(STARTED_WITHIN) => Err(AgentFault::Crashed { code: None }),
    }
}

/// Passes on what the guard says until it is gone.
async fn listen(
    read: OwnedReadHalf,
    answers: mpsc::Sender<Say>,
    events: mpsc::Sender<GuardEvent>,
    shared: Arc<Shared>,
) {
    let mut lines = BufReader::new(read).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(say) = serde_json::from_str::<Say>(&line) else { continue };
        match &say {
            Say::Started(running) => *lock(&shared.running) = Some(running.clone()),
            Say::Exited { .. } | Say::Stopped | Say::NotStopped { .. } => *lock(&shared.running) = None,
            Say::NotStarted { .. } | Say::Registration { .. } | Say::Status { .. } => {}
        }
        let heard = match unasked(say, &shared) {
            Ok(event) => events.send(event).await.is_ok(),
            Err(answer) => answers.send(answer).await.is_ok(),
        };
        if !heard {
            break;
        }
    }
    *lock(&shared.running) = None;
    drop(answers);
    if !shared.let_go.load(Ordering::SeqCst) {
        let _ = events.send(GuardEvent::Lost).await;
    }
}

/// A word on the registration is news, and so is an exit that no start is waiting for; all else answers something.
fn unasked(say: Say, shared: &Shared) -> Result<GuardEvent, Say> {
    if let Say::Registration { result } = say {
        return Ok(GuardEvent::Registration(result));
    }
    if let Say::Exited { code, stderr_tail } = &say
        && !shared.starting.load(Ordering::SeqCst)
    {
        return Ok(GuardEvent::Exited { code: *code, stderr_tail: stderr_tail.clone() });
    }
    Err(say)
}

/// It leaves our session by itself, first thing.
fn spawn(run_dir: &Path, program: &Path) -> Result<tokio::process::Child, AgentFault> {
    tokio::process::Command::new(program)
        .arg("guard")
        .arg("--run-dir")
        .arg(run_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| AgentFault::NoGuard(error.to_string()))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
