//! Who is ours: whoever comes from the guard. It takes in everybody below it who loses their parent, so that one walk from parents to
//! children finds all of them, whatever they call themselves.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::PathBuf;

use rustix::process::{Pid, Signal, WaitOptions, waitpid};

/// A guard with all who come from it.
#[derive(Debug, Clone)]
pub(crate) struct Family {
    pub(crate) guard: i32,
    /// Nomad, while it is there.
    pub(crate) agent: Option<i32>,
    /// What Nomad runs, as its helpers do that it leaves behind.
    pub(crate) program: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Nomad itself, and what it runs for its own ends.
    Agent,
    /// A job.
    Task,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) row: Row,
    pub(crate) role: Role,
}

impl Family {
    /// Everybody who lives, but for the guard.
    ///
    /// # Errors
    /// Where the process table cannot be read.
    pub(crate) fn members(&self) -> io::Result<Vec<Member>> {
        let mut children = BTreeMap::<i32, Vec<Row>>::new();
        for row in living()?.into_values() {
            children.entry(row.parent).or_default().push(row);
        }
        let (mut members, mut parents) = (Vec::new(), vec![self.guard]);
        while let Some(parent) = parents.pop() {
            let found = children.remove(&parent).unwrap_or_default();
            parents.extend(found.iter().map(|row| row.pid));
            members.extend(found.into_iter().map(|row| Member { row, role: self.role(&row) }));
        }
        Ok(members)
    }

    /// Nomad starts its own helpers, and those start jobs. Of those who have lost their parent, its helpers run its program.
    fn role(&self, row: &Row) -> Role {
        let is_nomads = self.agent.is_some_and(|agent| [row.pid, row.parent].contains(&agent));
        let is_left =
            || row.parent == self.guard && self.program.is_some() && program(row.pid) == self.program;
        if is_nomads || is_left() { Role::Agent } else { Role::Task }
    }
}

/// What that process runs.
pub(crate) fn program(pid: i32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/exe")).ok()
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
    /// child may wait there for as long as that child is stopped.
    pub(crate) fn is_frozen(&self) -> bool {
        matches!(self.state, b'T' | b't') || (matches!(self.state, b'D' | b'S') && self.is_to_stop())
    }

    /// Whether SIGSTOP waits for it: it takes no further step of its own.
    fn is_to_stop(&self) -> bool {
        let status = told(self.pid, "status");
        let status = String::from_utf8_lossy(&status);
        let of =
            |line: &'_ str| line.strip_prefix("ShdPnd:").or(line.strip_prefix("SigPnd:")).map(str::to_owned);
        let stop = 1_u64 << (Signal::STOP.as_raw() - 1);
        let mut pending = status.lines().filter_map(of);
        pending.any(|mask| u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask & stop != 0))
    }
}

/// Those who live, by number. Whose parent ended while the table was read has another by now.
fn living() -> io::Result<BTreeMap<i32, Row>> {
    let mut rows = table()?;
    rows.retain(|_, row| !row.is_dead());
    let left: Vec<i32> =
        rows.values().filter(|row| !rows.contains_key(&row.parent)).map(|row| row.pid).collect();
    for pid in left {
        match row(pid).filter(|row| !row.is_dead()) {
            Some(row) => rows.insert(pid, row),
            None => rows.remove(&pid),
        };
    }
    Ok(rows)
}

fn table() -> io::Result<BTreeMap<i32, Row>> {
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

/// What the kernel tells of a process; empty where it does not. It never says how long that is: most fits into one page.
fn told(pid: i32, name: &str) -> Vec<u8> {
    let mut said = Vec::with_capacity(4096);
    let read = fs::File::open(format!("/proc/{pid}/{name}")).and_then(|mut file| file.read_to_end(&mut said));
    if read.is_ok() { said } else { Vec::new() }
}

#[cfg(test)]
#[path = "processes_tests.rs"]
mod tests;
