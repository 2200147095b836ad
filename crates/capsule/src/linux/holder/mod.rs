//! The holder's own life: one capsule at the most, opened, frozen and ended as its owner asks.

pub mod doors;
mod edition;
pub(crate) mod hold;
mod network;
mod said;
pub(crate) mod share;
mod talk;
pub(crate) mod way;

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ionet_private::Lock;
use rustix::process::geteuid;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::uid_t;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::task::TaskTracker;

use self::doors::Doors;
use self::edition::Edition;
use self::hold::Here;
use crate::fault::Fault;
use crate::holder::{Ask, DOORS, Say, Seen, socket};
use crate::link::{End, Link};
use crate::linux::disk::drive;
use crate::linux::tools::OWN_PROGRAM;
use crate::place::{Around, Ended, Hold, Place as _, Programs, Spec, Wish};

/// A question is a line, and no longer than this.
const LONGEST: u64 = 64 * 1024;
const ASKED_WITHIN: Duration = Duration::from_secs(5);
/// More than whoever asked waits for anything, so that silence has one meaning: nobody will answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(40);
/// Less than whoever asked waits for it.
const PROBED_WITHIN: Duration = Duration::from_secs(6);
/// What the kernel does not end in this time is said.
const ENDED_WITHIN: Duration = Duration::from_secs(5);
/// A PC that comes into another network has its wall there within this.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A holder that is just ending, or was just killed, still has its folder for a moment.
const LET_GO_WITHIN: Duration = Duration::from_secs(2);
/// An answer is a line.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// One that holds nothing and is asked nothing ends, if its owner has started it or another version of it is installed.
const IDLE: Duration = Duration::from_secs(5);
/// A next start comes by then.
const TOLD_WITHIN: Duration = Duration::from_secs(60);

/// What a holder is started with.
#[derive(Debug, Clone)]
pub struct Setup {
    pub here: Here,
    /// See [`Spec`].
    pub name: String,
    pub folder: PathBuf,
    /// Where whoever opens a capsule names none.
    pub programs: Programs,
    /// Who may ask. For the system's service an administrator says who that is.
    pub owner: uid_t,
    /// The system's service, which stays when there is nothing to hold.
    pub stays: bool,
    /// How long nobody may speak with the guard: see [`crate::holder::ALONE`].
    pub alone: Duration,
}

/// Holds capsules until there is nothing more to hold.
///
/// # Errors
/// Another holder has its folder, or it cannot be used. What a capsule lacks is said to whoever asks for it.
pub async fn serve(setup: Setup) -> Result<(), Fault> {
    let run = setup.here.run.clone();
    run_folder(&run, setup.owner).map_err(|error| Fault::at("run folder", error))?;
    let _alone = Lock::take(&run.join("hold.lock")).map_err(|_| Fault::Busy)?;
    let listener = doors::listen(&socket(&run), setup.owner)?;
    let (say, mut heard) = mpsc::channel(16);
    let owner = setup.owner;
    let answering = TaskTracker::new();
    let answers = answering.clone();
    let listening = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if doors::may(&stream, owner) {
                answers.spawn(timeout(ANSWERED_WITHIN, answer(stream, say.clone())));
            }
        }
    });
    answering.close();
    let own = Edition::of(Path::new(OWN_PROGRAM));
    let mut holder = Holder { setup, full: false, own, look_at: Instant::now() + LOOK_EVERY, open: None };
    let unanswered = holder.live(&mut heard).await;
    // Whoever comes now finds nobody, and starts the next one.
    let _ = std::fs::remove_file(socket(&run));
    listening.abort();
    drop((heard, unanswered));
    // The last answers.
    let _ = timeout(LAST_WORDS, answering.wait()).await;
    Ok(())
}

fn run_folder(run: &Path, owner: uid_t) -> io::Result<()> {
    if owner == geteuid().as_raw() {
        return ionet_private::folder(run).map_err(io::Error::other);
    }
    std::fs::create_dir_all(run)?;
    drive::kept(run, true).map_err(io::Error::other)?;
    // They come as far as to the sockets, and put nothing in the place of any.
    std::fs::set_permissions(run, std::fs::Permissions::from_mode(0o711))
}

/// Clears away what a holder and its capsule have left that were ended by force. Where another holds the folder, nothing was.
///
/// # Errors
/// What is left.
pub async fn sweep(setup: &Setup) -> Result<(), Fault> {
    let run = &setup.here.run;
    // One that is there stays as it is: whoever holds it has said who comes to it.
    if !run.is_dir() {
        ionet_private::folder(run).map_err(|error| Fault::at("run folder", error))?;
    }
    let deadline = Instant::now() + LET_GO_WITHIN;
    let _alone = loop {
        match Lock::take(&run.join("hold.lock")) {
            Ok(lock) => break lock,
            Err(_) if Instant::now() >= deadline => return Err(Fault::Busy),
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    };
    for socket in DOORS.map(|door| doors::socket(run, door)).iter().chain([&socket(run)]) {
        let _ = std::fs::remove_file(socket);
    }
    setup.here.sweep(&setup.name).await
}

type Asked = (Ask, oneshot::Sender<Say>);

async fn answer(stream: UnixStream, say: mpsc::Sender<Asked>) {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let read = timeout(ASKED_WITHIN, BufReader::new(read.take(LONGEST)).read_line(&mut line)).await;
    let (Ok(Ok(_)), Ok(ask)) = (read, serde_json::from_str(&line)) else { return };
    let (tell, told) = oneshot::channel();
    if say.send((ask, tell)).await.is_err() {
        return;
    }
    let Ok(said) = told.await else { return };
    if let Ok(mut line) = serde_json::to_vec(&said) {
        line.push(b'\n');
        // Whoever asked may have gone.
        let _ = write.write_all(&line).await;
    }
}

struct Holder {
    setup: Setup,
    /// The last capsule ended because its disk was full, and its owner has not heard of it yet.
    full: bool,
    /// The one of its own program.
    own: Edition,
    look_at: Instant,
    open: Option<Open>,
}

/// A capsule that is held.
struct Open {
    wish: Wish,
    programs: Programs,
    editions: Vec<Edition>,
    link: Link,
    hold: Box<dyn Hold>,
    /// Moves what goes through its doors; its end is that of the capsule's first process.
    over: JoinHandle<()>,
    guarded: watch::Receiver<usize>,
    alone_since: Option<Instant>,
    _doors: Doors,
}

enum News {
    Asked(Asked),
    Ended(Ended),
    /// Nobody has spoken with its guard for long.
    Alone,
    /// It may be in other networks by now.
    Look,
    Idle,
    /// Nobody can ask any more.
    Deaf,
}

impl Holder {
    /// Gives back whom it has left without an answer.
    async fn live(&mut self, heard: &mut mpsc::Receiver<Asked>) -> Option<oneshot::Sender<Say>> {
        loop {
            let mut last = false;
            match self.news(heard).await {
                News::Asked((Ask::Open { .. }, tell)) if self.is_outdated() => {
                    // What is opened now is opened by the next one.
                    self.end_and_say().await;
                    return Some(tell);
                }
                News::Asked((ask, tell)) => {
                    last = ask == Ask::End;
                    let said = self.done(ask).await.unwrap_or_else(Say::Failed);
                    let _ = tell.send(said);
                }
                News::Ended(Ended { why, full }) => {
                    tracing::warn!(why, "the capsule ends by itself");
                    self.full = full;
                    self.end_and_say().await;
                }
                News::Alone => {
                    tracing::info!("nobody speaks with the guard any more: the capsule ends");
                    self.end_and_say().await;
                }
                News::Look => self.look_again().await,
                News::Idle => last = true,
                News::Deaf => return None,
            }
            if self.open.is_none() && (last && !self.setup.stays || self.is_outdated()) {
                return None;
            }
        }
    }

    /// Whether its program is another one by now than the one that it is.
    fn is_outdated(&self) -> bool {
        Edition::of(&self.setup.here.program) != self.own
    }

    async fn news(&mut self, heard: &mut mpsc::Receiver<Asked>) -> News {
        let most = self.setup.alone;
        let Some(open) = &mut self.open else {
            return tokio::select! {
                asked = heard.recv() => asked.map_or(News::Deaf, News::Asked),
                () = sleep(if self.full { TOLD_WITHIN } else { IDLE }) => News::Idle,
            };
        };
        let (hold, over) = (&mut open.hold, &mut open.over);
        let (guarded, since) = (&mut open.guarded, &mut open.alone_since);
        tokio::select! {
            asked = heard.recv() => asked.map_or(News::Deaf, News::Asked),
            ended = hold.ended() => News::Ended(ended),
            _ = over => News::Ended(Ended { why: "its first process ended".to_owned(), full: false }),
            () = alone(guarded, since, most) => News::Alone,
            () = sleep_until(self.look_at) => News::Look,
        }
    }

    async fn look_again(&mut self) {
        self.look_at = Instant::now() + LOOK_EVERY;
        let Some(open) = &mut self.open else { return };
        if let Err(fault) = open.hold.look_again().await {
            // Behind a wall that does not follow its networks nobody is kept in.
            tracing::error!(%fault, "the wall cannot follow this PC's networks: the capsule ends");
            self.end_and_say().await;
        }
    }

    async fn done(&mut self, ask: Ask) -> Result<Say, Fault> {
        match ask {
            Ask::Open { wish, programs } => self.open(wish, programs).await?,
            Ask::End => self.end().await?,
            Ask::Freeze { jobs } => {
                self.held()?.freeze(&jobs).await?;
                tracing::info!(?jobs, "jobs stand still");
            }
            Ask::Thaw { jobs } => {
                self.held()?.thaw(&jobs).await?;
                tracing::info!(?jobs, "jobs go on");
            }
            Ask::Use => return self.held()?.used().await.map(Say::Use),
            Ask::Probe { internet } => return self.probe(internet).await.map(|seen| Say::Seen { seen }),
        }
        Ok(Say::Done)
    }

    fn held(&mut self) -> Result<&mut Box<dyn Hold>, Fault> {
        self.open.as_mut().map(|open| &mut open.hold).ok_or_else(|| Fault::at("holder", "no capsule is open"))
    }

    async fn probe(&mut self, internet: Vec<String>) -> Result<Seen, Fault> {
        let around = Around { internet, ..self.held()?.around() };
        let wrong = |error: io::Error| Fault::at("probe", error);
        let link = self.open.as_ref().map(|open| open.link.clone()).ok_or(Fault::Busy)?;
        let asked = async {
            let mut talk = link.door("probe").await?;
            talk.write_all(&serde_json::to_vec(&around)?).await?;
            talk.shutdown().await?;
            let mut said = Vec::new();
            talk.take(LONGEST).read_to_end(&mut said).await?;
            Ok(serde_json::from_slice(&said)?)
        };
        timeout(PROBED_WITHIN, asked)
            .await
            .map_err(|_| Fault::at("probe", "it does not answer"))?
            .map_err(wrong)
    }

    async fn open(&mut self, wish: Wish, named: Option<Programs>) -> Result<(), Fault> {
        if std::mem::take(&mut self.full) {
            return Err(Fault::Full);
        }
        let programs = self.programs(named)?;
        let editions = edition::of_all(&programs);
        let is_like =
            |open: &Open| (&open.wish, &open.programs, &open.editions) == (&wish, &programs, &editions);
        if self.open.as_ref().is_some_and(is_like) {
            return Ok(());
        }
        self.end().await?;
        self.setup.here.settle(&self.setup.name).await?;
        let setup = &self.setup;
        let (name, folder) = (setup.name.clone(), setup.folder.clone());
        let spec = Spec { name, folder, programs: programs.clone(), wish: wish.clone() };
        let capsule = setup.here.start(&spec).await?;
        let led = wish.led.clone();
        let (link, over) = Link::over(capsule.stream, End::Holder, move |talk| {
            drop(tokio::spawn(doors::back(talk, led.clone())));
        });
        let doors = Doors::open(&link, &setup.here.run, setup.owner)?;
        let guarded = doors.guarded();
        self.open = Some(Open {
            wish,
            programs,
            editions,
            link,
            hold: capsule.hold,
            over: tokio::spawn(over),
            guarded,
            alone_since: None,
            _doors: doors,
        });
        tracing::info!("a capsule is open");
        Ok(())
    }

    /// Whoever is somebody else than the holder names nothing that it would read for them.
    fn programs(&self, named: Option<Programs>) -> Result<Programs, Fault> {
        match named {
            None => Ok(self.setup.programs.clone()),
            Some(named) if self.setup.owner == geteuid().as_raw() => Ok(named),
            Some(_) => Err(Fault::at("programs", "whoever has started the holder names them")),
        }
    }

    /// Where none is open, one that was ended by force may have left something.
    async fn end(&mut self) -> Result<(), Fault> {
        match self.open.take() {
            Some(open) => open.hold.end(ENDED_WITHIN).await,
            None => self.setup.here.sweep(&self.setup.name).await,
        }
    }

    async fn end_and_say(&mut self) {
        if let Err(fault) = self.end().await {
            tracing::warn!(%fault, "something of the capsule is left");
        }
    }
}

/// Until nobody has spoken with the guard, nor knocked there, for that long; counted on from where it was left off.
async fn alone(guarded: &mut watch::Receiver<usize>, since: &mut Option<Instant>, most: Duration) {
    loop {
        if *guarded.borrow_and_update() > 0 {
            *since = None;
            if guarded.changed().await.is_err() {
                // The doors are closed, which is told elsewhere.
                std::future::pending::<()>().await;
            }
            continue;
        }
        let until = *since.get_or_insert_with(Instant::now) + most;
        match timeout_at(until, guarded.changed()).await {
            Ok(_) => *since = None,
            Err(_) => return,
        }
    }
}
