//! Freezing, thawing and ending what is ours.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use ionet_core::fault::WorkFault;
use rustix::process::{Pid, setpriority_process};

use super::clear;
use super::containers::{self, Pausing};
use super::processes::{self, Member, Scope};
use super::signals::{self, Handle, Sent, Signal};
use crate::workloads::{OurProcess, Role};

/// A freeze from here, without a guard that keeps looking.
const FREEZE_WITHIN: Duration = Duration::from_secs(2);
/// One look of the guard's. It looks again.
const LOOK_WITHIN: Duration = Duration::from_millis(400);
/// Tasks, and then what Nomad runs for them.
const KILL_WITHIN: Duration = Duration::from_secs(1);
/// What was killed goes at once, unless it waits in the kernel for a disk: then nobody can hurry it, and nothing else of it
/// goes on.
const DIES_WITHIN: Duration = Duration::from_millis(300);

pub(crate) async fn list(data_dir: &Path) -> Result<Vec<OurProcess>, WorkFault> {
    let members = looking(Scope::new(data_dir), |scope| members(&scope)).await?;
    Ok(members
        .into_iter()
        .map(|member| OurProcess {
            pid: member.row.pid as u32,
            role: member.role,
            frozen: member.row.is_frozen() || member.row.is_to_stop(),
            alloc_id: member.alloc_id,
        })
        .collect())
}

pub(crate) async fn count(data_dir: &Path, docker: Option<&Path>) -> Result<u32, WorkFault> {
    let left = left(Scope::new(data_dir), docker).await?;
    Ok(left.running + left.ended)
}

pub(crate) async fn freeze(data_dir: &Path, docker: Option<&Path>) -> Result<(), WorkFault> {
    let go_on = Arc::new(AtomicBool::new(false));
    freeze_within(Scope::new(data_dir), docker, FREEZE_WITHIN, &Pausing::default(), go_on).await.1
}

/// Freezes what runs now, in a bounded time, and tells whether anything did. Processes and containers do not wait for
/// each other: an engine that is stuck holds up nobody. Ends early when it is given up.
pub(crate) async fn freeze_once(
    scope: Scope,
    docker: Option<&Path>,
    pausing: &Pausing,
    given_up: Arc<AtomicBool>,
) -> (bool, Result<(), WorkFault>) {
    freeze_within(scope, docker, LOOK_WITHIN, pausing, given_up).await
}

async fn freeze_within(
    scope: Scope,
    docker: Option<&Path>,
    within: Duration,
    pausing: &Pausing,
    given_up: Arc<AtomicBool>,
) -> (bool, Result<(), WorkFault>) {
    let until = Instant::now() + within;
    let by_engine = containers::has_engine(docker);
    let ((ran, processes), (held, containers)) = tokio::join!(
        looking(scope.clone(), move |scope| Ok(freeze_processes(&scope, until, by_engine, &given_up)))
            .map(|looked| looked.unwrap_or_else(|fault| (false, Err(fault)))),
        pausing.look(&scope, docker, within)
    );
    (ran || held, processes.and(containers))
}

pub(crate) async fn thaw(data_dir: &Path, docker: Option<&Path>) -> Result<(), WorkFault> {
    thaw_scope(Scope::new(data_dir), docker).await
}

pub(crate) async fn thaw_scope(scope: Scope, docker: Option<&Path>) -> Result<(), WorkFault> {
    let by_engine = containers::has_engine(docker);
    let (processes, containers) = tokio::join!(
        looking(scope.clone(), move |scope| thaw_processes(&scope, by_engine)),
        containers::thaw(&scope, docker)
    );
    processes.and(containers)
}

pub(crate) async fn sweep(
    data_dir: &Path,
    docker: Option<&Path>,
    patience: Duration,
) -> Result<(), WorkFault> {
    sweep_scope(Scope::new(data_dir), docker, patience).await
}

/// Whatever the engine does, the rest goes on: what can be ended by a signal is ended, and all else is reported.
pub(crate) async fn sweep_scope(
    scope: Scope,
    docker: Option<&Path>,
    patience: Duration,
) -> Result<(), WorkFault> {
    // One that may not be ended is found again at the end.
    let _ = end_agents_of(scope.clone()).await;
    let (ended, removed) = tokio::join!(
        looking(scope.clone(), move |scope| end_processes(&scope, patience)),
        containers::remove(&scope, docker, patience)
    );
    // An engine that is silent is not asked once more.
    let answering = docker.filter(|_| removed != Err(WorkFault::EngineDown));
    let cleared = clear::all(scope.clone()).await;
    let left = left(scope, answering).await?;
    match (left.running, left.ended) {
        // Whoever was not ours to end was their engine's, or has gone by themselves.
        (0, 0) => removed.and(cleared),
        // An engine keeps an ended container's files until it has removed it.
        (0, ended_containers) => Err(WorkFault::FilesLeft { left: ended_containers }),
        (running, _) => Err(ended.and(removed).err().unwrap_or(WorkFault::StillThere { left: running })),
    }
}

/// Ends agents that hold this folder and are nobody's any more; their tasks stay, for the next agent to take over.
pub(crate) async fn end_agents(data_dir: &Path) -> Result<(), WorkFault> {
    end_agents_of(Scope::new(data_dir)).await
}

async fn end_agents_of(scope: Scope) -> Result<(), WorkFault> {
    looking(scope, |scope| match kill(&members(&scope)?, &[Role::Agent]).refused {
        0 => Ok(()),
        _ => Err(WorkFault::NotPermitted),
    })
    .await
}

/// Reading the process table and waiting for its rows to go blocks; it has a thread of its own.
async fn looking<T: Send + 'static>(
    scope: Scope,
    look: impl FnOnce(Scope) -> Result<T, WorkFault> + Send + 'static,
) -> Result<T, WorkFault> {
    tokio::task::spawn_blocking(move || look(scope)).await.map_err(|_| WorkFault::NotPermitted)?
}

fn members(scope: &Scope) -> Result<Vec<Member>, WorkFault> {
    processes::members(scope).map_err(|_| WorkFault::NotPermitted)
}

fn tasks(scope: &Scope) -> Result<Vec<Member>, WorkFault> {
    Ok(members(scope)?.into_iter().filter(|member| member.role == Role::Task).collect())
}

/// Again and again, until a look finds nobody running: a task may start another while it is being looked at. Whether
/// anybody was stopped, too.
fn freeze_processes(
    scope: &Scope,
    until: Instant,
    by_engine: bool,
    given_up: &AtomicBool,
) -> (bool, Result<(), WorkFault>) {
    let mut found = false;
    loop {
        let running: Vec<Member> = match tasks(scope) {
            Ok(tasks) => tasks.into_iter().filter(|member| !member.row.is_frozen()).collect(),
            Err(fault) => return (found, Err(fault)),
        };
        if running.is_empty() || given_up.load(Ordering::SeqCst) {
            return (found, Ok(()));
        }
        let mut sent = Vec::new();
        for member in &running {
            let stop = signals::send(&member.row, Signal::STOP);
            found |= stop == Sent::Yes;
            sent.extend((!is_engines(member, stop, by_engine)).then_some(stop));
        }
        if sent.is_empty() {
            return (found, Ok(()));
        }
        if sent.iter().all(|sent| *sent == Sent::Refused) {
            return (found, Err(WorkFault::NotPermitted));
        }
        if Instant::now() >= until {
            return (found, Err(WorkFault::StillThere { left: sent.len() as u32 }));
        }
        std::thread::yield_now();
    }
}

/// A container's processes may be another user's: where an engine is there, it answers for those.
fn is_engines(member: &Member, sent: Sent, by_engine: bool) -> bool {
    sent == Sent::Refused && member.contained && by_engine
}

fn thaw_processes(scope: &Scope, by_engine: bool) -> Result<(), WorkFault> {
    let mut refused = false;
    // An executor may have left its task's group just as it was frozen there.
    for member in members(scope)?.iter().filter(|member| matches!(member.role, Role::Task | Role::Executor)) {
        // The hold keeps the number from meaning somebody else while its threads are slowed down.
        let Some(handle) = Handle::of(&member.row) else { continue };
        if member.role == Role::Task {
            slow_down(member.row.pid);
        }
        let sent = handle.send(Signal::CONT);
        refused |= sent == Sent::Refused && !is_engines(member, sent, by_engine);
    }
    if refused { Err(WorkFault::NotPermitted) } else { Ok(()) }
}

/// On Linux each thread has its own priority.
fn slow_down(pid: i32) {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    for thread in threads.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
        let _ = setpriority_process(Pid::from_raw(thread), 19);
    }
}

fn end_processes(scope: &Scope, patience: Duration) -> Result<(), WorkFault> {
    let mut found = ask_to_leave(scope, patience)?;
    let mut refused = 0;
    for roles in [&[Role::Task][..], &[Role::Task, Role::Executor, Role::Logmon, Role::Agent]] {
        let deadline = Instant::now() + KILL_WITHIN;
        while found.iter().any(|member| roles.contains(&member.role)) && Instant::now() < deadline {
            let sent = kill(&found, roles);
            refused += sent.refused;
            if sent.taken == 0 {
                break;
            }
            found = members(scope)?;
        }
    }
    if refused > 0 { Err(WorkFault::NotPermitted) } else { Ok(()) }
}

/// SIGTERM once to every task, also to those that appear meanwhile, and a SIGCONT for those that are frozen. Who is there
/// then.
fn ask_to_leave(scope: &Scope, patience: Duration) -> Result<Vec<Member>, WorkFault> {
    let deadline = Instant::now() + patience;
    let mut asked = std::collections::BTreeSet::new();
    loop {
        let found = members(scope)?;
        let tasks = || found.iter().filter(|member| member.role == Role::Task);
        let handles: Vec<Handle> = tasks().filter_map(|member| Handle::of(&member.row)).collect();
        for member in tasks() {
            if asked.insert((member.row.pid, member.row.started)) {
                signals::send(&member.row, Signal::TERM);
                signals::send(&member.row, Signal::CONT);
            }
        }
        if tasks().next().is_none() || Instant::now() >= deadline {
            return Ok(found);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        signals::all_gone(&handles, left.min(Duration::from_millis(200)));
    }
}

/// How many took a signal, and how many are not this user's to end.
struct Killed {
    taken: usize,
    refused: usize,
}

/// One that may not be ended is no reason to leave the others. One in a container is its engine's to end.
fn kill(members: &[Member], roles: &[Role]) -> Killed {
    let mut taken = Vec::new();
    let mut refused = 0;
    for member in members.iter().filter(|member| roles.contains(&member.role)) {
        match Handle::of(&member.row) {
            Some(handle) if handle.send(Signal::KILL) != Sent::Refused => taken.push(handle),
            Some(_) if !member.contained => refused += 1,
            Some(_) | None => {}
        }
    }
    signals::all_gone(&taken, DIES_WITHIN);
    Killed { taken: taken.len(), refused }
}

struct Left {
    /// Processes and containers.
    running: u32,
    /// Containers.
    ended: u32,
}

async fn left(scope: Scope, docker: Option<&Path>) -> Result<Left, WorkFault> {
    let containers = containers::all(&scope, docker).await;
    let processes = looking(scope, |scope| Ok(members(&scope)?.len())).await?;
    let containers = containers?;
    let ended = containers.iter().filter(|container| container.has_ended()).count();
    Ok(Left { running: (processes + containers.len() - ended) as u32, ended: ended as u32 })
}
