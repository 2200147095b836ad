//! The resident program's side of the guard.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use ionet_core::StartId;
use ionet_core::fault::{AgentFault, WorkFault};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::conversation::Conversation;
use super::protocol::{Ask, OURS, Say, line, send};
pub use super::serve::{serve, serve_with};
use super::socket::{is_ours, socket};
use crate::guard::{GuardEvent, HoldId, Place, Running, Start};
use crate::program::OwnProgram;

/// A guard that is spawned must be heard within this; one that is just ending holds its folder for as long.
const REACHED_WITHIN: Duration = Duration::from_secs(20);
/// It knows what it holds.
const GREETED_WITHIN: Duration = Duration::from_secs(5);
/// From the start's word to the agent's HTTP. It is not given up after that, only not waited for.
const STARTED_WITHIN: Duration = Duration::from_secs(30);
/// A first look takes half of it.
const FROZEN_WITHIN: Duration = Duration::from_secs(1);
/// It has nothing left to do but to close its socket.
const ENDED_WITHIN: Duration = Duration::from_secs(2);
/// Grace, sweep and files at their slowest, beside the tasks' own time.
const STOPPED_WITHIN: Duration = Duration::from_secs(20);

/// The hold on a guard. Dropping it closes the connection: the guard then waits for a successor, and without one
/// ends the agent and all its work. Nothing here waits for anything else: each can be asked at any time.
#[must_use = "dropping it lets go of the agent"]
#[derive(Debug)]
pub struct Guard {
    id: HoldId,
    talk: Arc<Mutex<Conversation>>,
    /// Whole lines; none any more once it is let go.
    write: Mutex<Option<mpsc::UnboundedSender<Vec<u8>>>>,
    /// Its end is no news.
    let_go: Arc<AtomicBool>,
    reader: Mutex<Option<JoinHandle<()>>>,
}

impl Guard {
    /// The guard of this folder, if one is there already: with an agent of an earlier life, or just ending. One that
    /// this program does not understand is asked to end what it holds and itself.
    pub async fn connect(run_dir: &Path) -> Option<(Self, mpsc::UnboundedReceiver<GuardEvent>)> {
        let stream = UnixStream::connect(socket(run_dir)).await.ok().filter(is_ours)?;
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        match timeout(GREETED_WITHIN, greet(&mut lines, &mut write)).await.ok()?? {
            Greeted::Understood(running) => Some(Self::over(running, lines, write)),
            Greeted::OfAnotherAge => {
                stop_and_go(lines, write).await;
                None
            }
        }
    }

    /// The guard of this folder; a new one, `PROGRAM guard --run-dir DIR`, where there is none. Its own session, no
    /// standard streams: it outlives whoever starts it.
    ///
    /// # Errors
    /// `NoGuard` when none can be started or none answers.
    pub async fn connect_or_spawn(
        run_dir: &Path,
        program: &OwnProgram,
    ) -> Result<(Self, mpsc::UnboundedReceiver<GuardEvent>), AgentFault> {
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

    /// The guard of this folder, which somebody else has started.
    ///
    /// # Errors
    /// `NoGuard` when none answers in that time.
    pub async fn reached(
        run_dir: &Path,
        within: Duration,
    ) -> Result<(Self, mpsc::UnboundedReceiver<GuardEvent>), AgentFault> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(found) = Self::connect(run_dir).await {
                return Ok(found);
            }
            if Instant::now() >= deadline {
                return Err(AgentFault::NoGuard("it does not answer".to_owned()));
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Tells this hold from earlier ones, whose [`GuardEvent::Lost`] may still be on its way.
    pub fn id(&self) -> HoldId {
        self.id
    }

    /// The agent that the guard holds, if it holds one, up or coming up.
    pub fn running(&self) -> Option<Running> {
        lock(&self.talk).running()
    }

    /// Starts an agent and waits until its HTTP answers. May be dropped at any time: an agent that comes up later is
    /// told as [`GuardEvent::Started`]. An older agent ends first; its tasks go on, for this one to take over.
    ///
    /// # Errors
    /// Why it did not start, or why it ended before it answered: nothing more is said of that end as an event. `Slow`
    /// when it is still coming up, `CalledOff` when a stop or a newer start came, `Held` when the guard has heard a
    /// newer number before.
    pub async fn start(&self, start: Start) -> Result<Running, AgentFault> {
        let id = start.id;
        let gone = || AgentFault::NoGuard("it is gone".to_owned());
        let deadline = Instant::now() + STARTED_WITHIN;
        let answer = lock(&self.talk).start(id);
        self.write(&Ask::Start { id, start: Box::new(start) }).ok_or_else(gone)?;
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(answer) => answer.map_err(|_| gone())?,
            Err(_) => Err(AgentFault::Slow),
        }
    }

    /// Stops whatever is there, or is being started, and leaves no process, container, mount or file of ours: legal at
    /// any time. Tasks have that much time to leave. None where the guard itself is gone, and so is whoever came from it: what is left
    /// is files. `id` is newer than every start before it: an older start that is heard later does not begin.
    ///
    /// # Errors
    /// What was left, and why.
    pub async fn stop(
        &self,
        id: StartId,
        place: &Place,
        patience: Duration,
    ) -> Option<Result<(), WorkFault>> {
        let answer = lock(&self.talk).stop(id);
        let patience_ms = Some(patience.as_millis() as u64);
        self.write(&Ask::Stop { id: Some(id), place: Some(place.clone()), patience_ms })?;
        match timeout(STOPPED_WITHIN + patience, answer).await {
            Ok(answer) => answer.ok(),
            Err(_) => Some(Err(WorkFault::StillThere { left: 1 })),
        }
    }

    /// Has the guard keep frozen whatever runs and whatever starts, until a thaw, a stop or a next start; the agent
    /// may be starting meanwhile. Returns when the first look is over. With a guard that is gone nothing runs.
    ///
    /// # Errors
    /// What could not be reached or would not stand still; all else is frozen all the same. `StillThere` also when the
    /// guard is too slow to say.
    pub async fn freeze(&self) -> Result<(), WorkFault> {
        self.hold(|question| Ask::Freeze { question }, FROZEN_WITHIN).await.unwrap_or(Ok(()))
    }

    /// Ends a freeze, and lets what was frozen run again at the lowest priority.
    ///
    /// # Errors
    /// What could not be reached.
    pub async fn thaw(&self) -> Result<(), WorkFault> {
        self.hold(|question| Ask::Thaw { question }, ENDED_WITHIN).await.unwrap_or(Ok(()))
    }

    /// Lets go of a guard that holds nothing any more: it ends. Returns when it has.
    pub async fn let_go(&self) {
        self.let_go.store(true, Ordering::SeqCst);
        drop(lock(&self.write).take());
        let reader = lock(&self.reader).take();
        if let Some(mut reader) = reader
            && timeout(ENDED_WITHIN, &mut reader).await.is_err()
        {
            reader.abort();
            tracing::warn!("the guard does not end although it holds nothing");
        }
    }

    /// Gives the running agent other files in the place of those, and has it read its certificate again. Without one there is
    /// nothing to do.
    pub async fn reload(&self, files: BTreeMap<PathBuf, String>) {
        // A guard that is gone is told as an event of its own.
        let _ = self.write(&Ask::Reload { files });
    }

    fn over(
        running: Option<Running>,
        lines: Lines<BufReader<OwnedReadHalf>>,
        write: OwnedWriteHalf,
    ) -> (Self, mpsc::UnboundedReceiver<GuardEvent>) {
        static HOLDS: AtomicU64 = AtomicU64::new(0);
        let id = HoldId(HOLDS.fetch_add(1, Ordering::Relaxed));
        let (events, heard) = mpsc::unbounded_channel();
        let (written, to_write) = mpsc::unbounded_channel();
        let talk = Arc::new(Mutex::new(Conversation::new(running)));
        let let_go = Arc::new(AtomicBool::new(false));
        tokio::spawn(write_all(to_write, write));
        let listening = listen(lines, Arc::clone(&talk), events.clone());
        let reader = tokio::spawn(until_lost(listening, Arc::clone(&talk), Arc::clone(&let_go), events, id));
        let (write, reader) = (Mutex::new(Some(written)), Mutex::new(Some(reader)));
        (Self { id, talk, write, let_go, reader }, heard)
    }

    /// None from a guard that is gone. One that is only slow goes on.
    async fn hold(&self, ask: impl FnOnce(u64) -> Ask, within: Duration) -> Option<Result<(), WorkFault>> {
        let (question, answer) = lock(&self.talk).question();
        self.write(&ask(question))?;
        match timeout(within, answer).await {
            Ok(answer) => answer.ok(),
            Err(_) => Some(Err(WorkFault::StillThere { left: 1 })),
        }
    }

    /// A whole line, or none of it. None when the guard is gone.
    fn write(&self, ask: &Ask) -> Option<()> {
        let line = line(ask).ok()?;
        lock(&self.write).as_ref()?.send(line).ok()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(reader) = lock(&self.reader).take() {
            reader.abort();
        }
    }
}

enum Greeted {
    /// With what it holds.
    Understood(Option<Running>),
    OfAnotherAge,
}

/// One without a hello is of another age, too.
async fn greet(lines: &mut Lines<BufReader<OwnedReadHalf>>, write: &mut OwnedWriteHalf) -> Option<Greeted> {
    send(write, &Ask::Hello(OURS)).await.ok()?;
    send(write, &Ask::Status).await.ok()?;
    let mut is_understood = false;
    loop {
        // About what is told between the two, its holder hears right after the status as well.
        match serde_json::from_str(&lines.next_line().await.ok()??) {
            Ok(Say::Hello(theirs)) if OURS.shared(theirs).is_some() => is_understood = true,
            Ok(Say::Status { running }) if is_understood => return Some(Greeted::Understood(running)),
            Ok(Say::Hello(_) | Say::Status { .. }) => return Some(Greeted::OfAnotherAge),
            Ok(_) | Err(_) => {}
        }
    }
}

/// Has a guard of another age end what it holds, and itself.
async fn stop_and_go(lines: Lines<BufReader<OwnedReadHalf>>, mut write: OwnedWriteHalf) {
    tracing::warn!("a guard of another age is asked to end");
    if send(&mut write, &Ask::stop_and_go()).await.is_err() || write.shutdown().await.is_err() {
        return;
    }
    let mut rest = lines.into_inner();
    let ended = async { while matches!(rest.read(&mut [0; 256]).await, Ok(1..)) {} };
    let _ = timeout(STOPPED_WITHIN, ended).await;
}

/// Until nobody holds the guard any more; then the connection's end is the last word.
async fn write_all(mut lines: mpsc::UnboundedReceiver<Vec<u8>>, mut write: OwnedWriteHalf) {
    while let Some(line) = lines.recv().await {
        if write.write_all(&line).await.is_err() {
            return;
        }
    }
    let _ = write.shutdown().await;
}

/// However the reading ends, nobody else says that the agent is out of reach.
pub(super) async fn until_lost(
    listening: impl Future<Output = ()>,
    talk: Arc<Mutex<Conversation>>,
    let_go: Arc<AtomicBool>,
    events: mpsc::UnboundedSender<GuardEvent>,
    id: HoldId,
) {
    if AssertUnwindSafe(listening).catch_unwind().await.is_err() {
        tracing::error!("a word of the guard's could not be heard");
    }
    lock(&talk).over();
    if !let_go.load(Ordering::SeqCst) {
        let _ = events.send(GuardEvent::Lost(id));
    }
}

/// Passes on what the guard says until it is gone. A line that makes no sense is a newer guard's.
async fn listen(
    mut lines: Lines<BufReader<OwnedReadHalf>>,
    talk: Arc<Mutex<Conversation>>,
    events: mpsc::UnboundedSender<GuardEvent>,
) {
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(say) = serde_json::from_str::<Say>(&line) else { continue };
        let event = lock(&talk).hear(say);
        if let Some(event) = event
            && events.send(event).is_err()
        {
            return;
        }
    }
}

/// It leaves our session by itself, first thing.
fn spawn(run_dir: &Path, program: &OwnProgram) -> Result<tokio::process::Child, AgentFault> {
    let program: PathBuf = program.to_run();
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
