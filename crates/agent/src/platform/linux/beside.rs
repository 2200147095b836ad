//! What the guard does beside its loop, because it may take a while. Each comes back as one [`Done`].

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ionet_core::fault::{EngineFault, WorkFault};
use ionet_core::wall::Refusals;
use ionet_core::{StartId, UnixMs};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::lay_out::{bring, prepared};
use super::processes::Family;
use super::protocol::NotStarted;
use super::{clear, work};
use crate::guard::{Place, Start};
use crate::{api, disk, files, introduction};

/// What comes of jobs' containers at the gate.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AtGate {
    /// What the engine makes of one: an error is this PC's and no job's.
    Engine(Result<(), EngineFault>),
    /// A job asked for more than it may have: the rule, and nothing that it wrote.
    Refused(Cow<'static, str>),
}

pub(super) type Tell = Arc<dyn Fn(AtGate) + Send + Sync>;

/// A job that is refused is tried again by its scheduler, and another may ask without end.
const REFUSALS_EVERY: Duration = Duration::from_secs(1);

pub(super) enum Done {
    /// All that the agent reads lies there, where one is to start.
    Prepared(Result<(), NotStarted>),
    /// The agent's HTTP answers.
    Up(StartId),
    /// Other files lie in the place of those that it has read.
    Brought,
    /// What ran was frozen, or thawed.
    Looked {
        found: bool,
        result: Result<(), WorkFault>,
    },
    Swept(Result<(), WorkFault>),
    /// Folders of ended allocations of that start's agent that stay.
    FilesLeft(StartId, u32),
    /// The engine ran a container, or refused one for what is this PC's.
    Containers(StartId, Result<(), EngineFault>),
    /// All that the gate of that start has refused.
    Refused(StartId, Refusals),
}

pub(super) struct Beside {
    say: mpsc::UnboundedSender<Done>,
    preparing: Arc<Notify>,
    look: Option<Look>,
    up: Option<JoinHandle<()>>,
}

struct Look {
    given_up: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Beside {
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Done>) {
        let (say, done) = mpsc::unbounded_channel();
        (Self { say, preparing: Arc::default(), look: None, up: None }, done)
    }

    /// For the gate of this start.
    pub(super) fn tell(&self, id: StartId) -> Tell {
        let (say, (refused, refusals)) = (self.say.clone(), watch::channel(None));
        tokio::spawn(tell_refusals(id, refusals, self.say.clone()));
        Arc::new(move |at_gate| match at_gate {
            AtGate::Engine(result) => drop(say.send(Done::Containers(id, result))),
            AtGate::Refused(what) => {
                refused.send_modify(|before| *before = Some(one_more(before.as_ref(), &what)))
            }
        })
    }

    /// Lays out what the agent of that start reads.
    pub(super) fn prepare(&mut self, start: Option<Start>) {
        let say = self.say.clone();
        self.preparing = Arc::default();
        let called_off = Arc::clone(&self.preparing);
        tokio::spawn(async move {
            let prepared = async {
                match start {
                    Some(start) => prepared(start).await,
                    None => Ok(()),
                }
            };
            let prepared = tokio::select! {
                prepared = prepared => prepared,
                () = called_off.notified() => Err(NotStarted::CalledOff),
            };
            let _ = say.send(Done::Prepared(prepared));
        });
    }

    /// The agent's last words, in a file. It reads nothing any more.
    pub(super) fn keep(&self, start: &Start, words: String) {
        self.forget_introduction(start);
        let file = start.log.clone();
        tokio::task::spawn_blocking(move || {
            if files::write_private(&file, words.as_bytes()).is_err() {
                tracing::warn!("the agent's last words could not be kept");
            }
        });
    }

    /// Other files for the agent, which is told when they are there.
    pub(super) fn bring(&self, files: BTreeMap<PathBuf, String>) {
        let say = self.say.clone();
        tokio::task::spawn_blocking(move || match bring(&files) {
            Ok(()) => drop(say.send(Done::Brought)),
            Err(error) => tracing::warn!(%error, "the agent's new files could not be written"),
        });
    }

    /// Its agent has read it, or will not read it any more.
    pub(super) fn forget_introduction(&self, start: &Start) {
        let (data_dir, Some(token)) = (start.place.data_dir.clone(), start.introduction.clone()) else {
            return;
        };
        tokio::spawn(async move {
            let there = data_dir.clone();
            let forgot = disk::change(&data_dir, move || introduction::forget(&there, &token)).await;
            if !matches!(forgot, Some(Ok(()))) {
                tracing::warn!("the agent's introduction could not be removed");
            }
        });
    }

    /// For as long as it takes, or until the agent has ended.
    pub(super) fn until_up(&mut self, id: StartId, http: SocketAddr) {
        self.ended();
        let say = self.say.clone();
        self.up = Some(tokio::spawn(async move {
            while api::health(http).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
            let _ = say.send(Done::Up(id));
        }));
    }

    pub(super) fn ended(&mut self) {
        if let Some(up) = self.up.take() {
            up.abort();
        }
    }

    pub(super) fn look(&mut self, family: Family, freeze: bool) {
        let (say, given_up) = (self.say.clone(), Arc::new(AtomicBool::new(false)));
        let flag = Arc::clone(&given_up);
        let task = tokio::spawn(async move {
            let (found, result) =
                if freeze { work::freeze(family, flag).await } else { (false, work::thaw(family).await) };
            let _ = say.send(Done::Looked { found, result });
        });
        self.look = Some(Look { given_up, task });
    }

    /// A look under way stops freezing: whoever ends the work lets it go first. Nor is the start that is prepared waited for.
    pub(super) fn let_go(&self) {
        self.preparing.notify_one();
        if let Some(look) = &self.look {
            look.given_up.store(true, Ordering::SeqCst);
        }
    }

    pub(super) fn sweep(&mut self, family: Family, place: Option<Place>, patience: Duration) {
        self.let_go();
        let (say, look) = (self.say.clone(), self.look.take());
        tokio::spawn(async move {
            if let Some(look) = look {
                let _ = look.task.await;
            }
            let swept = work::sweep(family, place.as_ref(), patience).await;
            let _ = say.send(Done::Swept(swept));
        });
    }

    /// The files of an allocation that has ended. Nomad would keep them until it has fifty such.
    pub(super) fn remove_later(&self, id: StartId, data_dir: PathBuf, allocation: String, wait: Duration) {
        let say = self.say.clone();
        tokio::spawn(async move {
            sleep(wait).await;
            if !clear::one(&data_dir, allocation).await {
                let _ = say.send(Done::FilesLeft(id, 1));
            }
        });
    }
}

fn one_more(before: Option<&Refusals>, what: &str) -> Refusals {
    let count = before.map_or(0, |before| before.count).saturating_add(1);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Refusals { count, what: what.to_owned(), at: UnixMs(since.as_millis() as i64) }
}

/// The first at once, then all that have come to it meanwhile: none is lost, and nobody is flooded.
async fn tell_refusals(
    id: StartId,
    mut refusals: watch::Receiver<Option<Refusals>>,
    say: mpsc::UnboundedSender<Done>,
) {
    while refusals.changed().await.is_ok() {
        let so_far = refusals.borrow_and_update().clone();
        if let Some(so_far) = so_far {
            let _ = say.send(Done::Refused(id, so_far));
        }
        sleep(REFUSALS_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn refusals_are_told_at_once_and_then_once_a_second_with_all_that_have_come_to_them() {
        let (beside, mut done) = Beside::new();
        let tell = beside.tell(StartId(4));
        let refuse = |what: &'static str| tell(AtGate::Refused(what.into()));
        let began = tokio::time::Instant::now();
        let mut told = async || match done.recv().await {
            Some(Done::Refused(id, refusals)) => {
                (id.0, refusals.count, refusals.what, began.elapsed().as_secs())
            }
            _ => panic!("something else was told"),
        };

        refuse("Devices");
        assert_eq!(told().await, (4, 1, "Devices".to_owned(), 0));
        for _ in 0..1_000 {
            refuse("Binds");
        }
        refuse("NetworkMode");
        assert_eq!(told().await, (4, 1_002, "NetworkMode".to_owned(), 1));

        tell(AtGate::Engine(Ok(())));
        assert!(matches!(done.recv().await, Some(Done::Containers(StartId(4), Ok(())))));
    }
}
