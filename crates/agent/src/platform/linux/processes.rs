//! Which living processes are ours, from `/proc` alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, WaitOptions, getpid, waitpid};

use crate::disk::Disk;
use crate::guard::MARK;
use crate::workloads::Role;

/// Ids of the containers that our agent has made.
pub(crate) type Containers = Arc<Mutex<BTreeSet<String>>>;

/// What is ours: everything that belongs to this data folder.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// As given, and with its links resolved.
    folders: Vec<PathBuf>,
    disk: Arc<Disk>,
    /// The guard, when it is the one that looks: whoever has lost their parent to it is ours.
    guard: Option<i32>,
    /// Ids of containers that are ours, as far as they are known without asking the engine.
    containers: BTreeSet<String>,
}

impl Scope {
    pub(crate) fn new(data_dir: &Path) -> Self {
        let disk = Disk::of(data_dir);
        let folders = [data_dir.to_owned()].into_iter().chain(disk.see().real).collect();
        Self { folders, disk, guard: None, containers: BTreeSet::new() }
    }

    /// As this guard sees it.
    pub(crate) fn of_guard(data_dir: &Path) -> Self {
        Self { guard: Some(getpid().as_raw_nonzero().get()), ..Self::new(data_dir) }
    }

    /// Containers of ours are found by their control groups too, whatever their engine does.
    pub(crate) fn know(&mut self, containers: Containers) {
        self.containers.clone_from(&containers.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    pub(crate) fn holds(&self, path: &Path) -> bool {
        self.folders.iter().any(|folder| path != folder && path.starts_with(folder))
    }

    fn is(&self, path: &Path) -> bool {
        self.folders.iter().any(|folder| path == folder)
    }

    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Ids of the allocations that have a folder here, or had one when the disk last answered.
    pub(crate) fn allocations(&self) -> BTreeSet<String> {
        let mut names = self.disk.see().allocations;
        names.retain(|name| is_allocation(name));
        names
    }
}

/// One row of the process table. The start time tells a process from a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    /// As in `/proc/PID/stat`: `R`, `S`, `T`, `Z` …
    pub(crate) state: u8,
    /// Clock ticks since the kernel started.
    pub(crate) started: u64,
}

impl Row {
    pub(crate) fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }

    /// Or stops before its next step: one that waits in the kernel obeys as it comes back. One that has just made a
    /// child may wait there for as long as that child is stopped, and one in a paused container until that is let go.
    pub(crate) fn is_frozen(&self) -> bool {
        matches!(self.state, b'T' | b't') || (matches!(self.state, b'D' | b'S') && self.is_to_stop())
    }

    /// Whether SIGSTOP waits for it: it takes no further step of its own.
    pub(crate) fn is_to_stop(&self) -> bool {
        let status = told(self.pid, "status");
        let status = String::from_utf8_lossy(&status);
        let of =
            |line: &'_ str| line.strip_prefix("ShdPnd:").or(line.strip_prefix("SigPnd:")).map(str::to_owned);
        let stop = 1_u64 << (Signal::STOP.as_raw() - 1);
        let mut pending = status.lines().filter_map(of);
        pending.any(|mask| u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask & stop != 0))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) row: Row,
    pub(crate) role: Role,
    pub(crate) alloc_id: Option<String>,
    /// It runs in a container of ours: what a signal may not do to it, its engine does.
    pub(crate) contained: bool,
}

/// Every living process of ours. Never the caller itself, nor the guard.
pub(crate) fn members(scope: &Scope) -> io::Result<Vec<Member>> {
    let rows = table()?;
    let allocations = scope.allocations();
    let own = std::process::id() as i32;
    let living = || rows.values().filter(|row| row.pid != own && !row.is_dead());
    let mut family =
        Family { rows: &rows, known: BTreeMap::new(), guards: scope.guard.into_iter().collect() };
    let mut named = BTreeSet::new();
    let mut contained = BTreeSet::new();
    for row in living() {
        let facts = Facts::read(row.pid, scope, &allocations);
        // It starts the agent, and takes in what the agent leaves: whoever names it rightly is its child.
        if let Some(guard) = facts.guard(scope)
            && row.parent == guard.0
            && rows.get(&guard.0).is_some_and(|row| row.started == guard.1 && says_to_be_a_guard(row.pid))
        {
            named.insert(guard.0);
        }
        if let Some(found) = facts.role(scope, &allocations) {
            family.known.insert(row.pid, found);
        }
        if facts.contained(scope) {
            contained.insert(row.pid);
        }
    }
    named.retain(|guard| !rows.get(guard).is_some_and(|row| family.is_task(row)));
    family.guards.extend(named);
    let found = living().filter(|row| !family.guards.contains(&row.pid)).filter_map(|row| {
        let (role, alloc_id) = family.role(row)?;
        Some(Member { row: *row, role, alloc_id, contained: contained.contains(&row.pid) })
    });
    Ok(found.collect())
}

/// The living processes, by number.
pub(crate) fn table() -> io::Result<BTreeMap<i32, Row>> {
    let mut rows = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let pid = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(row) = pid.and_then(row) {
            rows.insert(row.pid, row);
        }
    }
    Ok(rows)
}

/// Takes note of ended children of this process that have nobody else, but of that one.
pub(crate) fn reap(but: Option<i32>) {
    let own = std::process::id() as i32;
    let rows = table().unwrap_or_default();
    for row in rows.values().filter(|row| row.parent == own && row.is_dead() && Some(row.pid) != but) {
        let _ = waitpid(Pid::from_raw(row.pid), WaitOptions::NOHANG);
    }
}

pub(crate) fn row(pid: i32) -> Option<Row> {
    let stat = told(pid, "stat");
    // The name may be of any bytes.
    let stat = String::from_utf8_lossy(&stat);
    // The name in brackets may hold anything, brackets too.
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let parent = fields.next()?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    Some(Row { pid, parent, state, started })
}

/// What a process is, with the allocation it belongs to.
type Known = (Role, Option<String>);

struct Family<'a> {
    rows: &'a BTreeMap<i32, Row>,
    /// By what they are alone.
    known: BTreeMap<i32, Known>,
    guards: BTreeSet<i32>,
}

impl Family<'_> {
    /// Whoever comes from an executor or a task is a task: a job chooses what its processes say, but not their parents. Else
    /// the nearest that is known decides; one that lost its parent to a guard is somebody's left-over task.
    fn role(&self, row: &Row) -> Option<Known> {
        let mut nearest = self.known.get(&row.pid);
        if matches!(nearest, Some((Role::Task, _))) {
            return nearest.cloned();
        }
        let mut at = row.parent;
        for _ in 0..self.rows.len() {
            if self.guards.contains(&at) {
                return Some(nearest.cloned().unwrap_or((Role::Task, None)));
            }
            match self.known.get(&at) {
                Some((Role::Executor | Role::Task, alloc_id)) => return Some((Role::Task, alloc_id.clone())),
                found => nearest = nearest.or(found),
            }
            let Some(row) = self.rows.get(&at) else { break };
            at = row.parent;
        }
        nearest.cloned()
    }

    fn is_task(&self, row: &Row) -> bool {
        self.role(row).is_some_and(|(role, _)| role == Role::Task)
    }
}

/// What a process tells about itself. Empty where this user may not read it: then it is not ours either.
struct Facts {
    pid: i32,
    arguments: Vec<Vec<u8>>,
    environment: Vec<u8>,
    /// Its control groups, where they can tell anything.
    groups: String,
}

impl Facts {
    fn read(pid: i32, scope: &Scope, allocations: &BTreeSet<String>) -> Self {
        let arguments = arguments(pid);
        let known = !scope.containers.is_empty() || !allocations.is_empty();
        let groups = if known { told(pid, "cgroup") } else { Vec::new() };
        let groups = String::from_utf8_lossy(&groups).into_owned();
        Self { pid, arguments, environment: told(pid, "environ"), groups }
    }

    /// Where it is, then what it says: that is a job's to choose. An executor enters its task's group as it starts that, on
    /// the older control groups, and is one of the job's for so long.
    fn role(&self, scope: &Scope, allocations: &BTreeSet<String>) -> Option<Known> {
        if let Some(alloc_id) = self.allocation_of_group(allocations) {
            return Some((Role::Task, Some(alloc_id)));
        }
        if self.contained(scope) {
            return Some((Role::Task, None));
        }
        let marked = self.mark().is_some_and(|(_, folder)| scope.is(folder));
        match self.argument(1) {
            b"executor" if self.log_of_executor().is_some_and(|log| scope.holds(&log)) => {
                let alloc_id = self.log_of_executor().and_then(|log| alloc_of(&log));
                return Some((Role::Executor, alloc_id));
            }
            b"logmon" | b"docker_logger" if self.variable("NOMAD_PLUGIN_MAGIC_COOKIE").is_some() => {
                let open = self.open_file_in(scope);
                return (marked || open.is_some())
                    .then(|| (Role::Logmon, open.as_deref().and_then(alloc_of)));
            }
            b"agent" if marked || self.open_file_in(scope).is_some() => return Some((Role::Agent, None)),
            _ => {}
        }
        let folders = ["NOMAD_ALLOC_DIR", "NOMAD_TASK_DIR", "NOMAD_SECRETS_DIR"];
        let named = folders.iter().filter_map(|name| self.variable(name)).map(path_of);
        if let Some(folder) = named.into_iter().find(|folder| scope.holds(folder)) {
            let alloc_id = self.variable("NOMAD_ALLOC_ID").map(|id| String::from_utf8_lossy(id).into_owned());
            return Some((Role::Task, alloc_id.or_else(|| alloc_of(folder))));
        }
        marked.then_some((Role::Agent, None))
    }

    /// The guard's number and start time, as it wrote them into the environment of what it started.
    fn guard(&self, scope: &Scope) -> Option<(i32, u64)> {
        let (guard, folder) = self.mark()?;
        scope.is(folder).then_some(guard)
    }

    fn mark(&self) -> Option<((i32, u64), &Path)> {
        let mut parts = self.variable(MARK)?.splitn(3, |byte| *byte == b':');
        let mut number = || std::str::from_utf8(parts.next()?).ok()?.parse::<u64>().ok();
        let guard = (number()? as i32, number()?);
        Some((guard, path_of(parts.next()?)))
    }

    fn argument(&self, index: usize) -> &[u8] {
        self.arguments.get(index).map(Vec::as_slice).unwrap_or_default()
    }

    fn variable(&self, name: &str) -> Option<&[u8]> {
        self.environment
            .split(|byte| *byte == 0)
            .find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    }

    /// Nomad hands its executor a JSON object whose `LogFile` lies in the task's folder.
    fn log_of_executor(&self) -> Option<PathBuf> {
        let handed: serde_json::Value = serde_json::from_slice(self.argument(2)).ok()?;
        handed["LogFile"].as_str().map(PathBuf::from)
    }

    fn open_file_in(&self, scope: &Scope) -> Option<PathBuf> {
        let files = fs::read_dir(format!("/proc/{}/fd", self.pid)).ok()?;
        files.flatten().filter_map(|file| fs::read_link(file.path()).ok()).find(|target| scope.holds(target))
    }

    /// Nomad names a task's control group `ALLOC.TASK`, whatever the hierarchy.
    fn allocation_of_group(&self, allocations: &BTreeSet<String>) -> Option<String> {
        let mut ids = self.parts_of_groups().filter_map(|part| part.split_once('.')).map(|(id, _)| id);
        ids.find(|id| allocations.contains(*id)).map(ToOwned::to_owned)
    }

    /// Engines name a container's control group after its id.
    fn contained(&self, scope: &Scope) -> bool {
        let mut ids =
            self.parts_of_groups().map(|part| part.trim_start_matches("docker-").trim_end_matches(".scope"));
        ids.any(|id| scope.containers.contains(id))
    }

    fn parts_of_groups(&self) -> impl Iterator<Item = &str> {
        self.groups.split(['/', '\n'])
    }
}

/// `PROGRAM guard …`.
fn says_to_be_a_guard(pid: i32) -> bool {
    arguments(pid).get(1).is_some_and(|argument| argument == b"guard")
}

fn arguments(pid: i32) -> Vec<Vec<u8>> {
    told(pid, "cmdline").split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

/// What the kernel tells of a process; empty where it does not. It never says how long that is: most fits into one page.
fn told(pid: i32, name: &str) -> Vec<u8> {
    let mut said = Vec::with_capacity(4096);
    let read = fs::File::open(format!("/proc/{pid}/{name}")).and_then(|mut file| file.read_to_end(&mut said));
    if read.is_ok() { said } else { Vec::new() }
}

/// The allocation that a path below a data folder belongs to: the part after `alloc` that looks like an id.
fn alloc_of(path: &Path) -> Option<String> {
    let parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    let pair = parts.windows(2).find(|pair| pair[0] == "alloc" && is_allocation(&pair[1]))?;
    Some(pair[1].to_string())
}

pub(super) fn is_allocation(name: &str) -> bool {
    let plain = name.chars().all(|letter| letter.is_ascii_hexdigit() || letter == '-');
    plain && name.len() == 36 && name.split('-').count() == 5
}

fn path_of(bytes: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

#[cfg(test)]
#[path = "processes_tests.rs"]
mod tests;
