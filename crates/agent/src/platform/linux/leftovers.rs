//! What ended tasks leave behind: mounts, control groups and files.

use std::collections::BTreeSet;
use std::ffi::{CString, OsString};
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

use super::processes::{self, Scope};
use super::remove::remove_at;

/// Memory file systems that Nomad mounted for secrets, deepest first.
pub(crate) fn mounts(scope: &Scope) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = mounted()
        .into_iter()
        .filter(|(point, kind)| kind == "tmpfs" && scope.holds(point))
        .map(|(point, _)| point)
        .collect();
    found.sort_by_key(|point| std::cmp::Reverse(point.components().count()));
    found
}

/// Whether all could be unmounted.
pub(crate) fn unmount_all(scope: &Scope) -> bool {
    unmount_below(scope, Path::new("/"))
}

fn unmount_below(scope: &Scope, folder: &Path) -> bool {
    mounts(scope)
        .iter()
        .filter(|point| point.starts_with(folder))
        .map(|point| unmount(point, UnmountFlags::DETACH))
        .filter(|result| !matches!(result, Err(Errno::INVAL | Errno::NOENT)))
        .all(|result| result.is_ok())
}

/// Removes the control groups of our allocations that nobody is in any more.
pub(crate) fn remove_groups(scope: &Scope) {
    let allocations = scope.allocations();
    let roots = mounted()
        .into_iter()
        .filter(|(_, kind)| kind == "cgroup" || kind == "cgroup2")
        .map(|(point, _)| point);
    for folder in roots.flat_map(|root| GROUPS.map(|group| root.join(group))) {
        for group in groups(&folder, &allocations) {
            let _ = fs::remove_dir(group);
        }
    }
}

/// Where Nomad keeps them, on both versions of control groups.
const GROUPS: [&str; 6] = [
    "nomad",
    "nomad/share",
    "nomad/reserve",
    "nomad.slice",
    "nomad.slice/share.slice",
    "nomad.slice/reserve.slice",
];

fn groups(folder: &Path, allocations: &BTreeSet<String>) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let id = name.to_str().and_then(|name| name.split_once('.')).map(|(id, _)| id);
            id.is_some_and(|id| allocations.contains(id))
        })
        .map(|entry| entry.path())
        .collect()
}

/// Removes the files of all allocations, once nothing of them runs. How many allocations' files stay: those that this
/// user may not remove, that something is mounted in, or that there was no time for: `go_on` is asked before and after each file.
pub(crate) fn remove_allocations(scope: &Scope, go_on: &dyn Fn() -> bool) -> u32 {
    let points: Vec<PathBuf> = mounted().into_iter().map(|(point, _)| point).collect();
    // Given with its links resolved where it has any: the last one is where the files are.
    let Some(data_dir) = scope.folders().last() else { return 0 };
    let entries = FOLDERS.iter().filter_map(|name| fs::read_dir(data_dir.join(name)).ok());
    let mut left = 0;
    for entry in entries.flatten().flatten() {
        left += u32::from(!remove(&entry.path(), &points, go_on));
    }
    left
}

/// The same for one. Whether nothing of it is left.
pub(crate) fn remove_allocation(scope: &Scope, id: &str, go_on: &dyn Fn() -> bool) -> bool {
    let Some(data_dir) = scope.folders().last().filter(|_| processes::is_allocation(id)) else { return true };
    let removed = FOLDERS.map(|name| data_dir.join(name).join(id)).map(|folder| {
        unmount_below(scope, &folder);
        let points: Vec<PathBuf> = mounted().into_iter().map(|(point, _)| point).collect();
        remove(&folder, &points, go_on)
    });
    removed == [true; FOLDERS.len()]
}

/// Where Nomad makes a folder for each allocation.
const FOLDERS: [&str; 2] = ["alloc", "alloc_mounts"];

/// Whether nothing of it is left. Does not go where something is mounted.
fn remove(path: &Path, points: &[PathBuf], go_on: &dyn Fn() -> bool) -> bool {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return false };
    if points.iter().any(|point| point.starts_with(path)) {
        return false;
    }
    let removed = CString::new(name.as_bytes()).map_err(|_| Errno::INVAL).and_then(|name| {
        let parent = open(parent, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        remove_at(parent.as_fd(), &name, go_on)
    });
    matches!(removed, Ok(()) | Err(Errno::NOENT))
}

/// Every mount point, with its kind of file system.
fn mounted() -> Vec<(PathBuf, String)> {
    let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
    table.split(|byte| *byte == b'\n').filter_map(mount).collect()
}

/// The mount point and the kind of file system in a line of `mountinfo`.
fn mount(line: &[u8]) -> Option<(PathBuf, String)> {
    let mut fields = line.split(|byte| *byte == b' ');
    let point = unescaped(fields.nth(4)?);
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    Some((point, String::from_utf8_lossy(kind).into_owned()))
}

/// Blanks and backslashes are written in octal.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut at = 0;
    while at < field.len() {
        let octal = field.get(at + 1..at + 4).filter(|_| field[at] == b'\\');
        let code = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                at += 4;
            }
            None => {
                bytes.push(field[at]);
                at += 1;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
#[path = "leftovers_tests.rs"]
mod tests;
