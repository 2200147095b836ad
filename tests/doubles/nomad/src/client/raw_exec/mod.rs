//! The `raw_exec` driver: a task is a process of its own below an executor of its own, and both outlive
//! the agent. A log collector (`logmon`) stands beside them. Linux only; elsewhere no such driver is found.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "other.rs")]
mod imp;

#[cfg(target_os = "linux")]
mod executor;
#[cfg(target_os = "linux")]
mod logmon;

pub(crate) use imp::{DETECTED, end_logmon, finish, is_alive, plugin, signal, start, wait};

/// What to run, and where its output goes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Launch {
    pub(crate) alloc_id: String,
    pub(crate) task: String,
    pub(crate) command: String,
    pub(crate) args: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) task_dir: PathBuf,
    pub(crate) log_dir: PathBuf,
    pub(crate) max_files: u64,
    pub(crate) max_file_bytes: u64,
}

/// How to find a started task again, also after a restart of the agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Handle {
    pub(crate) socket: PathBuf,
    pub(crate) executor_pid: u32,
    pub(crate) logmon_pid: u32,
    pub(crate) pid: u32,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Exit {
    pub(crate) code: i32,
    pub(crate) signal: i32,
}
