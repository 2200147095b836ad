//! Freezing, thawing and ending what is ours.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ionet_core::fault::WorkFault;
use rustix::process::{Pid, setpriority_process};

use super::engine::Engine;
use super::leftovers;
use super::processes::{self, Member, Scope};
use super::signals::{self, Handle, Sent, Signal};
use crate::workloads::{OurProcess, Role};

const FREEZE_WITHIN: Duration = Duration::from_secs(2);
/// What `max_kill_timeout` promises a task.
const TO_LEAVE: Duration = Duration::from_secs(2);
const KILL_WITHIN: Duration = Duration::from_secs(5);

pub(crate) async fn list(data_dir: &Path) -> Result<Vec<OurProcess>, WorkFault> {
    let members = looking(Scope::new(data_dir), |scope| members(&scope)).await?;
    Ok(members
        .into_iter()
        .map(|member| OurProcess {
            pid: member.row.pid as u32,
            role: member.role,
            frozen: member.row.is_frozen(),
            alloc_id: member.alloc_id,
        })
        .collect())
}

pub(crate) async fn count(data_dir: &Path, docker: Option<&Path>) -> Result<u32, WorkFault> {
    left(Scope::new(data_dir), docker).await
}

pub(crate) async fn freeze(data_dir: &Path, docker: Option<&Path>) -> Result<(), WorkFault> {
    let scope = Scope::new(data_dir);
    let (processes, containers) = tokio::join!(
        looking(scope.clone(), |scope| freeze_processes(&scope)),
        freeze_containers(&scope, docker)
    );
    processes.and(containers)
}

pub(crate) async fn thaw(data_dir: &Path, docker: Option<&Path>) -> Result<(), WorkFault> {
    let scope = Scope::new(data_dir);
    let (processes, containers) =
        tokio::join!(looking(scope.clone(), |scope| thaw_processes(&scope)), thaw_containers(&scope, docker));
    processes.and(containers)
}

pub(crate) async fn sweep(data_dir: &Path, docker: Option<&Path>) -> Result<(), WorkFault> {
    sweep_scope(Scope::new(data_dir), docker).await
}

pub(crate) async fn sweep_scope(scope: Scope, docker: Option<&Path>) -> Result<(), WorkFault> {
    let ended = looking(scope.clone(), |scope| end_processes(&scope)).await;
    let removed = match Engine::at(docker) {
        Some(engine) => engine.remove_all(&scope).await,
        None => Ok(()),
    };
    let unmounted = looking(scope.clone(), |scope| {
        let unmounted = leftovers::unmount_all(&scope);
        leftovers::remove_groups(&scope);
        if unmounted { Ok(()) } else { Err(WorkFault::NotPermitted) }
    })
    .await;
    ended.and(removed).and(unmounted)?;
    match left(scope, docker).await? {
        0 => Ok(()),
        left => Err(WorkFault::StillThere { left }),
    }
}

/// Ends agents that hold this folder and are nobody's any more; their tasks stay, for the next agent to take over.
pub(crate) async fn end_agents(data_dir: PathBuf) -> Result<(), WorkFault> {
    looking(Scope::new(&data_dir), |scope| kill(members(&scope)?, |role| role == Role::Agent)).await
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

/// Again and again, until a look finds nobody running: a task may start another while it is being looked at.
fn freeze_processes(scope: &Scope) -> Result<(), WorkFault> {
    let deadline = Instant::now() + FREEZE_WITHIN;
    loop {
        let running: Vec<Member> =
            tasks(scope)?.into_iter().filter(|member| !member.row.is_frozen()).collect();
        if running.is_empty() {
            return Ok(());
        }
        let sent: Vec<Sent> = running.iter().map(|member| signals::send(&member.row, Signal::STOP)).collect();
        if sent.iter().all(|sent| *sent == Sent::Refused) {
            return Err(WorkFault::NotPermitted);
        }
        if Instant::now() >= deadline {
            return Err(WorkFault::StillThere { left: running.len() as u32 });
        }
        std::thread::yield_now();
    }
}

fn thaw_processes(scope: &Scope) -> Result<(), WorkFault> {
    let mut refused = false;
    for member in tasks(scope)? {
        // The hold keeps the number from meaning somebody else while its threads are slowed down.
        let Some(handle) = Handle::of(&member.row) else { continue };
        slow_down(member.row.pid);
        refused |= handle.send(Signal::CONT) == Sent::Refused;
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

async fn freeze_containers(scope: &Scope, docker: Option<&Path>) -> Result<(), WorkFault> {
    let Some(engine) = Engine::at(docker) else { return Ok(()) };
    let deadline = Instant::now() + FREEZE_WITHIN;
    loop {
        let mut running = engine.containers(scope).await?;
        running.retain(|container| container.is_running());
        if running.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(WorkFault::StillThere { left: running.len() as u32 });
        }
        let paused = running.iter().map(|container| engine.pause(container));
        futures_util::future::join_all(paused).await.into_iter().collect::<Result<(), _>>()?;
    }
}

async fn thaw_containers(scope: &Scope, docker: Option<&Path>) -> Result<(), WorkFault> {
    let Some(engine) = Engine::at(docker) else { return Ok(()) };
    let mut paused = engine.containers(scope).await?;
    paused.retain(|container| container.is_paused());
    let thawed = paused.iter().map(|container| async move {
        // Slower is wished for; running again is needed.
        let _ = engine.slow_down(container).await;
        engine.unpause(container).await
    });
    futures_util::future::join_all(thawed).await.into_iter().collect()
}

fn end_processes(scope: &Scope) -> Result<(), WorkFault> {
    kill(members(scope)?, |role| role == Role::Agent)?;
    ask_to_leave(scope)?;
    let deadline = Instant::now() + KILL_WITHIN;
    for roles in [&[Role::Task][..], &[Role::Task, Role::Executor, Role::Logmon, Role::Agent]] {
        loop {
            let found = members(scope)?;
            if !found.iter().any(|member| roles.contains(&member.role)) || Instant::now() >= deadline {
                break;
            }
            kill(found, |role| roles.contains(&role))?;
        }
    }
    Ok(())
}

/// SIGTERM once to every task, also to those that appear meanwhile, and a SIGCONT for those that are frozen.
fn ask_to_leave(scope: &Scope) -> Result<(), WorkFault> {
    let deadline = Instant::now() + TO_LEAVE;
    let mut asked = std::collections::BTreeSet::new();
    loop {
        let found = tasks(scope)?;
        let handles: Vec<Handle> = found.iter().filter_map(|member| Handle::of(&member.row)).collect();
        for member in &found {
            if asked.insert((member.row.pid, member.row.started)) {
                signals::send(&member.row, Signal::TERM);
                signals::send(&member.row, Signal::CONT);
            }
        }
        if found.is_empty() || Instant::now() >= deadline {
            return Ok(());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        signals::all_gone(&handles, left.min(Duration::from_millis(200)));
    }
}

fn kill(members: Vec<Member>, which: impl Fn(Role) -> bool) -> Result<(), WorkFault> {
    let mut refused = false;
    let mut handles = Vec::new();
    for handle in
        members.iter().filter(|member| which(member.role)).filter_map(|member| Handle::of(&member.row))
    {
        refused |= handle.send(Signal::KILL) == Sent::Refused;
        handles.push(handle);
    }
    if refused {
        return Err(WorkFault::NotPermitted);
    }
    signals::all_gone(&handles, Duration::from_secs(1));
    Ok(())
}

async fn left(scope: Scope, docker: Option<&Path>) -> Result<u32, WorkFault> {
    let containers = match Engine::at(docker) {
        Some(engine) => engine.containers(&scope).await?.len(),
        None => 0,
    };
    let processes = looking(scope, |scope| Ok(members(&scope)?.len())).await?;
    Ok((processes + containers) as u32)
}
