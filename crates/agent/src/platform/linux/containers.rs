//! What of ours is in the engine: paused, let go, removed.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use ionet_core::fault::WorkFault;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::engine::{Container, Engine};
use super::processes::Scope;

/// A container that is being stopped has the tasks' time; the engine itself has this much besides.
const ENGINE_WITHIN: Duration = Duration::from_millis(900);
/// Longer than an engine takes that is busy. None waits for it: the next look goes on where this one was.
const PAUSED_WITHIN: Duration = Duration::from_secs(5);

/// None where no engine has its socket: then nothing of ours can be in one.
pub(super) fn has_engine(docker: Option<&Path>) -> bool {
    Engine::at(docker, ENGINE_WITHIN).is_some()
}

/// Ours, whatever their state.
pub(super) async fn all(scope: &Scope, docker: Option<&Path>) -> Result<Vec<Container>, WorkFault> {
    match Engine::at(docker, ENGINE_WITHIN) {
        Some(engine) => engine.containers(scope).await,
        None => Ok(Vec::new()),
    }
}

pub(super) async fn thaw(scope: &Scope, docker: Option<&Path>) -> Result<(), WorkFault> {
    let Some(engine) = Engine::at(docker, ENGINE_WITHIN) else { return Ok(()) };
    let mut paused = engine.containers(scope).await?;
    paused.retain(Container::is_paused);
    let thawed = paused.iter().map(|container| async move {
        // Slower is wished for; running again is needed.
        let _ = engine.slow_down(container).await;
        engine.unpause(container).await
    });
    join_all(thawed).await.into_iter().collect()
}

pub(super) async fn remove(
    scope: &Scope,
    docker: Option<&Path>,
    patience: Duration,
) -> Result<(), WorkFault> {
    let Some(engine) = Engine::at(docker, ENGINE_WITHIN) else { return Ok(()) };
    // One that is silent is given up at its first answer that does not come; this is for one that is slow.
    let within = patience + ENGINE_WITHIN * 3;
    let removed = timeout(within, engine.remove_all(scope, patience)).await;
    removed.unwrap_or(Err(WorkFault::EngineDown))
}

/// Pauses all that run, look after look. An engine may be slower than a look is long: it is then asked on, and not anew.
#[derive(Debug, Default)]
pub(crate) struct Pausing {
    progress: Mutex<Arc<Progress>>,
    under_way: Mutex<Option<JoinHandle<Paused>>>,
}

/// Whether anything was paused, and whether nothing runs now.
type Paused = (bool, Result<(), WorkFault>);

#[derive(Debug, Default)]
struct Progress {
    given_up: AtomicBool,
    /// How many run, by the engine's last list.
    running: AtomicU32,
}

impl Pausing {
    /// Waits for it as long as that.
    pub(super) async fn look(&self, scope: &Scope, docker: Option<&Path>, within: Duration) -> Paused {
        let Some(engine) = docker.filter(|_| has_engine(docker)) else { return (false, Ok(())) };
        let under_way = lock(&self.under_way).take();
        let mut asked = under_way.unwrap_or_else(|| self.begin(scope.clone(), engine.to_owned()));
        match timeout(within, &mut asked).await {
            Ok(paused) => paused.unwrap_or((false, Err(WorkFault::EngineDown))),
            Err(_) => {
                *lock(&self.under_way) = Some(asked);
                (false, Err(lock(&self.progress).fault()))
            }
        }
    }

    /// It pauses no further.
    pub(super) fn give_up(&self) {
        lock(&self.progress).given_up.store(true, Ordering::SeqCst);
    }

    /// Between looks: nor does an answer that comes late.
    pub(super) fn end(&self) {
        self.give_up();
        if let Some(under_way) = lock(&self.under_way).take() {
            under_way.abort();
        }
    }

    fn begin(&self, scope: Scope, engine: PathBuf) -> JoinHandle<Paused> {
        let progress = Arc::<Progress>::default();
        *lock(&self.progress) = Arc::clone(&progress);
        tokio::spawn(async move { pause(&scope, &engine, &progress).await })
    }
}

impl Drop for Pausing {
    fn drop(&mut self) {
        self.end();
    }
}

impl Progress {
    fn fault(&self) -> WorkFault {
        match self.running.load(Ordering::SeqCst) {
            0 => WorkFault::EngineDown,
            left => WorkFault::StillThere { left },
        }
    }
}

async fn pause(scope: &Scope, engine: &Path, progress: &Progress) -> Paused {
    let Some(engine) = Engine::at(Some(engine), PAUSED_WITHIN) else { return (false, Ok(())) };
    let mut found = false;
    let paused = async {
        loop {
            let mut running = engine.containers(scope).await?;
            running.retain(Container::is_running);
            let now = running.len() as u32;
            found |= now < progress.running.swap(now, Ordering::SeqCst);
            if running.is_empty() || progress.given_up.load(Ordering::SeqCst) {
                return Ok(());
            }
            let paused = running.iter().map(|container| engine.pause(container));
            join_all(paused).await.into_iter().collect::<Result<(), _>>()?;
            // An engine that says "no" is not asked in a hot loop.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let result = timeout(PAUSED_WITHIN, paused).await;
    (found, result.unwrap_or_else(|_| Err(progress.fault())))
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
