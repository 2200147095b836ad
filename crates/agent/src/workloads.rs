//! The work that the agent has brought: which processes and containers are ours, and stopping them where they stand.
//!
//! A job may say of its processes what it likes: where one runs and whom it comes from decide before that.
//!
//! A process is ours when its environment names a folder below the data folder, when Nomad's executor for that
//! folder is among its ancestors, when it lies in one of our allocations' control groups, or when it has lost its
//! parent to our guard. A container is ours when it bears Nomad's label and mounts something below the data folder:
//! the owner may run a Nomad too.

use std::path::Path;

use ionet_core::fault::WorkFault;

use crate::platform;

/// What a process is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Nomad itself, and what it runs for its own ends.
    Agent,
    /// Nomad's log collector of one task.
    Logmon,
    /// Nomad's parent of one task.
    Executor,
    /// The job.
    Task,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OurProcess {
    pub pid: u32,
    pub role: Role,
    /// The allocation it belongs to, where that can be told.
    pub alloc_id: Option<String>,
    /// Stopped by a signal, as [`freeze`] does.
    pub frozen: bool,
}

/// Every living process of ours.
///
/// # Errors
/// `NotPermitted` where the process table cannot be read.
pub async fn list(data_dir: &Path) -> Result<Vec<OurProcess>, WorkFault> {
    platform::work::list(data_dir).await
}

/// Processes and containers that a sweep would have to end.
pub async fn count(data_dir: &Path, docker: Option<&Path>) -> Result<u32, WorkFault> {
    platform::work::count(data_dir, docker).await
}

/// Stops every job where it stands, and returns when all have stopped, also those that were started meanwhile.
/// Nomad's own processes go on: a frozen log collector would fill its pipe.
///
/// # Errors
/// `StillThere` when something would not stop within two seconds, `EngineDown` when the engine did not answer by then;
/// everything else is frozen all the same. A guard can keep it so: [`crate::Guard::freeze`].
pub async fn freeze(data_dir: &Path, docker: Option<&Path>) -> Result<(), WorkFault> {
    platform::work::freeze(data_dir, docker).await
}

/// Lets frozen jobs run again at the lowest priority (nice 19, the smallest share of a container).
pub async fn thaw(data_dir: &Path, docker: Option<&Path>) -> Result<(), WorkFault> {
    platform::work::thaw(data_dir, docker).await
}
