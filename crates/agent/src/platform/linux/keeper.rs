//! A guard's parent, which ends whoever the guard leaves behind when it is killed. A guard whose keeper is killed ends all by itself, so
//! that nothing goes on unless both are killed at once.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use ionet_core::fault::{AgentFault, WorkFault};
use ionet_private::{Lock, LockError};
use rustix::process::{
    Signal, getpid, getppid, set_child_subreaper, set_parent_process_death_signal, setsid,
};

use super::processes::{self, Family, Role};
use super::{clear, work};
use crate::files;

/// The keeper's number, as its guard is told it.
const KEEPER: &str = "IONET_GUARDS_KEEPER";

/// What was killed goes at once, unless it waits in the kernel for a disk that hangs.
const GONE_WITHIN: Duration = Duration::from_secs(2);
/// A guard that ends by itself has given those who are there their time before.
const LET_GO_WITHIN: Duration = Duration::from_secs(5);

/// To be asked first of all in a process that is to be the guard of this folder: it becomes the keeper of another one like it. False in
/// that other one, and true once that has ended and nobody is left of whoever came from it. Blocks for so long.
///
/// # Errors
/// `NoGuard` when another one holds the folder, when it cannot be used, or when the guard has failed.
pub fn keep(run_dir: &Path) -> Result<bool, AgentFault> {
    match std::env::var_os(KEEPER) {
        Some(keeper) => is_kept(keeper.to_str().and_then(|keeper| keeper.parse().ok())).map(|()| false),
        None => keeps(run_dir).map(|()| true),
    }
}

fn is_kept(keeper: Option<i32>) -> Result<(), AgentFault> {
    set_child_subreaper(Some(getpid())).map_err(no_guard)?;
    set_parent_process_death_signal(Some(Signal::TERM)).map_err(no_guard)?;
    if getppid().map(|parent| parent.as_raw_nonzero().get()) == keeper {
        Ok(())
    } else {
        Err(no_guard("its keeper is gone"))
    }
}

fn keeps(run_dir: &Path) -> Result<(), AgentFault> {
    // Refused to the leader of a group: somebody started it by hand, from a shell.
    let _ = setsid();
    set_child_subreaper(Some(getpid())).map_err(no_guard)?;
    files::private_folder(run_dir).map_err(no_guard)?;
    // Whoever has it knows that nobody is left of a guard that was killed.
    let _alone = Lock::take(&lock_of_keeper(run_dir)).map_err(no_guard)?;
    let mut said = std::env::args_os();
    // The very file that runs, whatever an upgrade has put in its place.
    let mut guard = Command::new("/proc/self/exe")
        .arg0(said.next().unwrap_or_default())
        .args(said)
        .env(KEEPER, own().to_string())
        .spawn()
        .map_err(no_guard)?;
    let ended = guard.wait().map_err(no_guard)?;
    end_all();
    if ended.success() { Ok(()) } else { Err(no_guard(ended)) }
}

/// Whoever a guard leaves behind comes to its keeper.
fn end_all() {
    let family = Family { guard: own(), agent: None, program: None };
    let deadline = Instant::now() + GONE_WITHIN;
    loop {
        let left = family.members().unwrap_or_default();
        let refused = work::kill(&left, &[Role::Task, Role::Agent]).refused;
        processes::reap(None);
        if refused == left.len() || Instant::now() >= deadline {
            return;
        }
    }
}

/// Removes what is left of jobs in that folder, once guard and keeper are gone and so is whoever came from them.
pub(crate) async fn after_guard(run_dir: &Path, data_dir: &Path) -> Result<(), WorkFault> {
    let deadline = Instant::now() + LET_GO_WITHIN;
    let _nobody_kept = gone(&lock_of_keeper(run_dir), deadline).await?;
    let _no_guard = gone(&lock_of_guard(run_dir), deadline).await?;
    clear::all(data_dir).await
}

/// Held from then on. A folder that holds no lock has held no guard.
async fn gone(lock: &Path, deadline: Instant) -> Result<Option<Lock>, WorkFault> {
    loop {
        match Lock::take(lock) {
            Err(LockError::Held) if Instant::now() >= deadline => {
                return Err(WorkFault::StillThere { left: 1 });
            }
            Err(LockError::Held) => tokio::time::sleep(Duration::from_millis(20)).await,
            taken => return Ok(taken.ok()),
        }
    }
}

fn lock_of_keeper(run_dir: &Path) -> PathBuf {
    run_dir.join("keeper.lock")
}

pub(super) fn lock_of_guard(run_dir: &Path) -> PathBuf {
    run_dir.join("guard.lock")
}

fn own() -> i32 {
    getpid().as_raw_nonzero().get()
}

fn no_guard(why: impl ToString) -> AgentFault {
    AgentFault::NoGuard(why.to_string())
}
