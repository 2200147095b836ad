//! What ended tasks leave behind: mounts and control groups.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

use super::processes::Scope;

/// Memory file systems that Nomad mounted for secrets, deepest first.
pub(crate) fn mounts(scope: &Scope) -> Vec<PathBuf> {
    let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
    let mut found: Vec<PathBuf> = table
        .split(|byte| *byte == b'\n')
        .filter_map(mount)
        .filter(|(point, kind)| kind == "tmpfs" && scope.holds(point))
        .map(|(point, _)| point)
        .collect();
    found.sort_by_key(|point| std::cmp::Reverse(point.components().count()));
    found
}

/// Whether all could be unmounted.
pub(crate) fn unmount_all(scope: &Scope) -> bool {
    mounts(scope)
        .iter()
        .map(|point| unmount(point, UnmountFlags::DETACH))
        .filter(|result| !matches!(result, Err(Errno::INVAL | Errno::NOENT)))
        .all(|result| result.is_ok())
}

/// Removes the control groups of our allocations that nobody is in any more.
pub(crate) fn remove_groups(scope: &Scope) {
    let allocations = scope.allocations();
    let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
    let roots = table
        .split(|byte| *byte == b'\n')
        .filter_map(mount)
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
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_with_a_blank_is_read_with_its_kind() {
        let line =
            br"36 35 0:32 / /home/a\040b/alloc/x/t/secrets rw,noexec shared:1 - tmpfs tmpfs rw,size=1024k";

        let (point, kind) = mount(line).unwrap();

        assert_eq!(point, Path::new("/home/a b/alloc/x/t/secrets"));
        assert_eq!(kind, "tmpfs");
    }
}
