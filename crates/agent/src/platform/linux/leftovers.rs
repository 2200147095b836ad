//! What ended tasks leave behind: mounts and files. Each folder is given as it really is, without a link.

use std::ffi::{CString, OsString};
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

use super::remove::remove_at;

/// Memory file systems that Nomad mounted for secrets, deepest first.
fn mounts(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = mounted()
        .into_iter()
        .filter(|(point, kind)| kind == "tmpfs" && point != folder && point.starts_with(folder))
        .map(|(point, _)| point)
        .collect();
    found.sort_by_key(|point| std::cmp::Reverse(point.components().count()));
    found
}

/// Whether all below that folder could be unmounted.
pub(crate) fn unmount_all(folder: &Path) -> bool {
    mounts(folder)
        .iter()
        .map(|point| unmount(point, UnmountFlags::DETACH))
        .filter(|result| !matches!(result, Err(Errno::INVAL | Errno::NOENT)))
        .all(|result| result.is_ok())
}

/// Removes the files of all allocations, once nothing of them runs. How many allocations' files stay: those that this
/// user may not remove, that something is mounted in, or that there was no time for: `go_on` is asked before and after each file.
pub(crate) fn remove_allocations(data_dir: &Path, go_on: &dyn Fn() -> bool) -> u32 {
    let points: Vec<PathBuf> = mounted().into_iter().map(|(point, _)| point).collect();
    let entries = FOLDERS.iter().filter_map(|name| fs::read_dir(data_dir.join(name)).ok());
    let mut left = 0;
    for entry in entries.flatten().flatten() {
        left += u32::from(!remove(&entry.path(), &points, go_on));
    }
    left
}

/// The same for one. Whether nothing of it is left.
pub(crate) fn remove_allocation(data_dir: &Path, id: &str, go_on: &dyn Fn() -> bool) -> bool {
    if !is_allocation(id) {
        return true;
    }
    let removed = FOLDERS.map(|name| data_dir.join(name).join(id)).map(|folder| {
        unmount_all(&folder);
        let points: Vec<PathBuf> = mounted().into_iter().map(|(point, _)| point).collect();
        remove(&folder, &points, go_on)
    });
    removed == [true; FOLDERS.len()]
}

fn is_allocation(name: &str) -> bool {
    let plain = name.chars().all(|letter| letter.is_ascii_hexdigit() || letter == '-');
    plain && name.len() == 36 && name.split('-').count() == 5
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
