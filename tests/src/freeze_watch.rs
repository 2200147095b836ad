//! Whether and when a job's processes stand still, looked at without a pause: a freeze may be short.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::processes::Process;
use crate::wait::until;

/// Watches from [`FreezeWatch::start`] until the processes are gone, or the watch is.
#[derive(Debug)]
pub struct FreezeWatch {
    thread: Option<JoinHandle<Seen>>,
    stood_still: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
}

/// What was seen of them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// All of them stood still.
    pub frozen: Option<Instant>,
    /// None of them is there any more.
    pub gone: Option<Instant>,
    /// They went on after they had stood still.
    pub ran_again: bool,
}

impl FreezeWatch {
    /// Only the tasks themselves: what one starts for a moment (a `sleep`) may be gone before the freeze comes.
    pub fn start(work: &[Process]) -> Self {
        let child = |one: &Process| work.iter().any(|other| other.pid == one.parent);
        let tasks: Vec<u32> = work.iter().filter(|one| !child(one)).map(|task| task.pid).collect();
        let (stood_still, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (still, ended) = (stood_still.clone(), over.clone());
        let thread = std::thread::spawn(move || watch(&tasks, &still, &ended));
        Self { thread: Some(thread), stood_still, over }
    }

    /// Waits until they stand still, and looks no longer; gives how long after `asked` that was.
    pub async fn frozen(self, asked: Instant, patience: Duration) -> Result<Duration> {
        let waited = until("the job's processes stand still", patience, || async {
            Ok((self.stood_still.load(Ordering::Relaxed) || self.is_over()).then_some(()))
        })
        .await;
        self.over.store(true, Ordering::Relaxed);
        let seen = self.seen().await?;
        waited?;
        Ok(seen.frozen.context("the job had no process to freeze")?.duration_since(asked))
    }

    /// Waits until they are gone, and tells how they went.
    pub async fn gone(self, patience: Duration) -> Result<Seen> {
        let waited =
            until("the job's processes are gone", patience, || async { Ok(self.is_over().then_some(())) })
                .await;
        self.over.store(true, Ordering::Relaxed);
        waited?;
        self.seen().await
    }

    fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    async fn seen(mut self) -> Result<Seen> {
        let thread = self.thread.take().context("watched already")?;
        let seen = tokio::task::spawn_blocking(move || thread.join()).await?;
        seen.ok().context("the watch broke off")
    }
}

impl Drop for FreezeWatch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn watch(tasks: &[u32], stood_still: &AtomicBool, over: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut turns_then = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let alive: Vec<u32> = tasks
            .iter()
            .copied()
            .filter(|pid| Process::read(*pid).is_some_and(|one| one.is_alive()))
            .collect();
        if alive.is_empty() {
            seen.gone = Some(Instant::now());
            break;
        }
        if seen.frozen.is_none() && alive.iter().all(|pid| is_still(*pid)) {
            seen.frozen = Some(Instant::now());
            stood_still.store(true, Ordering::Relaxed);
            turns_then = alive.iter().map(|pid| (*pid, turns(*pid))).collect();
        }
        // A stopped task takes no turn; one that is killed takes its last ones, and more as the first of a container, which waits for all
        // others in it to end. The example takes some at each line.
        seen.ran_again |= turns_then.iter().any(|(pid, then)| turns(*pid) > then + LAST_TURNS);
        std::thread::sleep(Duration::from_millis(1));
    }
    seen
}

const LAST_TURNS: u64 = 6;

/// How often the process has given up a processor by itself.
fn turns(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

/// Stopped by a signal, or held by a container engine's freezer. A task that is gone was not frozen but ended.
fn is_still(pid: u32) -> bool {
    Process::read(pid).is_some_and(|process| process.state == 'T' || is_held(pid))
}

/// By the control group's freezer: of version 1, where the kernel says so, or of version 2.
fn is_held(pid: u32) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    text.lines().any(|line| match line.splitn(3, ':').collect::<Vec<_>>()[..] {
        [_, "freezer", path] => says(&format!("/sys/fs/cgroup/freezer{path}/freezer.state"), "FROZEN"),
        ["0", "", path] => says(&format!("/sys/fs/cgroup{path}/cgroup.events"), "frozen 1"),
        _ => false,
    })
}

fn says(file: &str, word: &str) -> bool {
    std::fs::read_to_string(file).is_ok_and(|text| text.lines().any(|line| line.trim() == word))
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use rustix::process::Signal;

    use super::*;
    use crate::processes;

    const LONG: Duration = Duration::from_secs(20);

    fn restless() -> Child {
        Command::new("sh").args(["-c", "while :; do sleep 0.01; done"]).spawn().unwrap()
    }

    fn of(child: &Child) -> Vec<Process> {
        vec![Process::read(child.id()).unwrap()]
    }

    #[tokio::test]
    async fn one_that_is_stopped_and_ended_there_did_not_run_again_and_one_that_was_let_go_did() {
        for let_go in [false, true] {
            let mut child = restless();
            let watch = FreezeWatch::start(&of(&child));
            processes::signal(child.id(), Signal::STOP).unwrap();
            until("it stands still", LONG, || async {
                Ok(watch.stood_still.load(Ordering::Relaxed).then_some(()))
            })
            .await
            .unwrap();
            if let_go {
                let then = turns(child.id());
                processes::signal(child.id(), Signal::CONT).unwrap();
                until("it goes on", LONG, || async { Ok((turns(child.id()) > then + 10).then_some(())) })
                    .await
                    .unwrap();
            }
            child.kill().unwrap();

            let seen = watch.gone(LONG).await.unwrap();

            child.wait().unwrap();
            assert!(seen.frozen.is_some() && seen.gone > seen.frozen, "{seen:?}");
            assert_eq!(seen.ran_again, let_go);
        }
    }

    #[tokio::test]
    async fn one_that_was_never_frozen_is_not_taken_for_frozen() {
        let mut child = restless();
        let watch = FreezeWatch::start(&of(&child));
        child.kill().unwrap();

        let seen = watch.gone(LONG).await.unwrap();

        child.wait().unwrap();
        assert!(seen.frozen.is_none() && seen.gone.is_some() && !seen.ran_again, "{seen:?}");
    }
}
