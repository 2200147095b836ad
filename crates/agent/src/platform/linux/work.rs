//! Freezing, thawing and ending whoever comes from the guard.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ionet_core::fault::WorkFault;
use rustix::process::{Pid, setpriority_process};
use tokio::time::timeout;

use super::clear;
use super::engine::Engine;
use super::processes::{Family, Member, Role};
use super::signals::{self, Handle, Sent, Signal};
use crate::guard::Place;

/// One look of the guard's. It looks again.
const LOOK_WITHIN: Duration = Duration::from_millis(400);
/// Tasks, and then what Nomad runs for them.
const KILL_WITHIN: Duration = Duration::from_secs(1);
/// What was killed goes at once, unless it waits in the kernel for a disk: then nobody can hurry it, and nothing else of it
/// goes on.
const DIES_WITHIN: Duration = Duration::from_millis(300);
/// A container that is being stopped has the tasks' time; the engine itself has this much besides.
const ENGINE_WITHIN: Duration = Duration::from_millis(900);

/// Freezes the jobs that run now, in a bounded time, and tells whether any did. Ends early when it is given up.
pub(crate) async fn freeze(family: Family, given_up: Arc<AtomicBool>) -> (bool, Result<(), WorkFault>) {
    let until = Instant::now() + LOOK_WITHIN;
    let looked = looking(move || Ok(freeze_tasks(&family, until, &given_up)));
    looked.await.unwrap_or_else(|fault| (false, Err(fault)))
}

pub(crate) async fn thaw(family: Family) -> Result<(), WorkFault> {
    looking(move || thaw_tasks(&family)).await
}

/// Whatever the engine does, the rest goes on: what can be ended by a signal is ended, and all else is reported.
pub(crate) async fn sweep(
    family: Family,
    place: Option<&Place>,
    patience: Duration,
) -> Result<(), WorkFault> {
    let engine = place.and_then(|place| place.docker_socket.as_deref());
    let (ended, removed) =
        tokio::join!(looking(move || end(&family, patience)), remove_containers(engine, patience));
    // Nobody writes any more.
    let cleared = match place {
        Some(place) => clear::all(&place.data_dir).await,
        None => Ok(()),
    };
    ended.and(removed).and(cleared)
}

pub(crate) async fn in_new_world(data_dir: &Path, engine: &Path) -> Result<(), WorkFault> {
    let removed = remove_containers(Some(engine), Duration::ZERO).await;
    removed.and(clear::all(data_dir).await)
}

/// All of the engine's, each with that much time to leave. None where no engine has its socket.
async fn remove_containers(engine: Option<&Path>, patience: Duration) -> Result<(), WorkFault> {
    let Some(engine) = Engine::at(engine, ENGINE_WITHIN) else { return Ok(()) };
    // One that is silent is given up at its first answer that does not come; this is for one that is slow.
    let within = patience + ENGINE_WITHIN * 3;
    timeout(within, engine.remove_all(patience)).await.unwrap_or(Err(WorkFault::EngineDown))
}

/// Reading the process table and waiting for its rows to go blocks; it has a thread of its own.
async fn looking<T: Send + 'static>(
    look: impl FnOnce() -> Result<T, WorkFault> + Send + 'static,
) -> Result<T, WorkFault> {
    tokio::task::spawn_blocking(look).await.map_err(|_| WorkFault::NotPermitted)?
}

fn members(family: &Family) -> Result<Vec<Member>, WorkFault> {
    family.members().map_err(|_| WorkFault::NotPermitted)
}

fn tasks(family: &Family) -> Result<Vec<Member>, WorkFault> {
    Ok(members(family)?.into_iter().filter(|member| member.role == Role::Task).collect())
}

/// Again and again, until a look finds nobody running: a task may start another while it is being looked at. Whether
/// anybody was stopped, too.
fn freeze_tasks(family: &Family, until: Instant, given_up: &AtomicBool) -> (bool, Result<(), WorkFault>) {
    let mut found = false;
    loop {
        let running: Vec<Member> = match tasks(family) {
            Ok(tasks) => tasks.into_iter().filter(|member| !member.row.is_frozen()).collect(),
            Err(fault) => return (found, Err(fault)),
        };
        if running.is_empty() || given_up.load(Ordering::SeqCst) {
            return (found, Ok(()));
        }
        let sent: Vec<Sent> = running.iter().map(|member| signals::send(&member.row, Signal::STOP)).collect();
        found |= sent.contains(&Sent::Yes);
        if sent.iter().all(|sent| *sent == Sent::Refused) {
            return (found, Err(WorkFault::NotPermitted));
        }
        if Instant::now() >= until {
            return (found, Err(WorkFault::StillThere { left: sent.len() as u32 }));
        }
        std::thread::yield_now();
    }
}

fn thaw_tasks(family: &Family) -> Result<(), WorkFault> {
    let mut refused = false;
    for member in tasks(family)? {
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

/// Jobs first, with as much time to leave as that; Nomad's helpers after them, so that the last lines of a log are written.
fn end(family: &Family, patience: Duration) -> Result<(), WorkFault> {
    let mut found = ask_to_leave(family, patience)?;
    let mut refused = 0;
    for roles in [&[Role::Task][..], &[Role::Task, Role::Agent]] {
        let deadline = Instant::now() + KILL_WITHIN;
        while found.iter().any(|member| roles.contains(&member.role)) && Instant::now() < deadline {
            let sent = kill(&found, roles);
            refused += sent.refused;
            if sent.taken == 0 {
                break;
            }
            found = members(family)?;
        }
    }
    match members(family)?.len() as u32 {
        0 => Ok(()),
        _ if refused > 0 => Err(WorkFault::NotPermitted),
        left => Err(WorkFault::StillThere { left }),
    }
}

/// SIGTERM once to every task, also to those that appear meanwhile, and a SIGCONT for those that are frozen. Who is there
/// then.
fn ask_to_leave(family: &Family, patience: Duration) -> Result<Vec<Member>, WorkFault> {
    let deadline = Instant::now() + patience;
    let mut asked = BTreeSet::new();
    loop {
        let found = members(family)?;
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
pub(super) struct Killed {
    taken: usize,
    pub(super) refused: usize,
}

/// One that may not be ended is no reason to leave the others.
pub(super) fn kill(members: &[Member], roles: &[Role]) -> Killed {
    let mut taken = Vec::new();
    let mut refused = 0;
    for member in members.iter().filter(|member| roles.contains(&member.role)) {
        match Handle::of(&member.row) {
            Some(handle) if handle.send(Signal::KILL) != Sent::Refused => taken.push(handle),
            Some(_) => refused += 1,
            None => {}
        }
    }
    signals::all_gone(&taken, DIES_WITHIN);
    Killed { taken: taken.len(), refused }
}
