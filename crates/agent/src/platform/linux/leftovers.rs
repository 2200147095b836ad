//! What ended tasks leave behind: mounts, control groups and files.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

use super::processes::{self, Scope};

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
    mounts(scope)
        .iter()
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
/// user may not remove, that something is mounted in, or that there was no time for.
pub(crate) fn remove_allocations(scope: &Scope, until: Instant) -> u32 {
    let points: Vec<PathBuf> = mounted().into_iter().map(|(point, _)| point).collect();
    // Given with its links resolved where it has any: the last one is where the files are.
    let Some(data_dir) = scope.folders().last() else { return 0 };
    let entries = FOLDERS.iter().filter_map(|name| fs::read_dir(data_dir.join(name)).ok());
    let mut left = 0;
    for entry in entries.flatten().flatten() {
        left += u32::from(Instant::now() >= until || !remove(&entry.path(), &points));
    }
    left
}

/// The same for one. Whether nothing of it is left.
pub(crate) fn remove_allocation(scope: &Scope, id: &str) -> bool {
    let points: Vec<PathBuf> = mounted().into_iter().map(|(point, _)| point).collect();
    let Some(data_dir) = scope.folders().last().filter(|_| processes::is_allocation(id)) else { return true };
    FOLDERS.iter().map(|name| data_dir.join(name).join(id)).all(|folder| {
        let secrets = points.iter().filter(|point| point.starts_with(&folder));
        let unmounted =
            secrets.map(|point| unmount(point, UnmountFlags::DETACH)).all(|result| result.is_ok());
        unmounted && remove(&folder, &[])
    })
}

/// Where Nomad makes a folder for each allocation.
const FOLDERS: [&str; 2] = ["alloc", "alloc_mounts"];

/// Follows no link: what a job has linked to is not its own. Nor does it go where something is mounted.
fn remove(path: &Path, points: &[PathBuf]) -> bool {
    if points.iter().any(|point| point.starts_with(path)) {
        return false;
    }
    let gone = |result: io::Result<()>| match result {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => {
            gone(fs::remove_dir_all(path)) || {
                // A job may have taken its own rights away.
                open_up(path);
                gone(fs::remove_dir_all(path))
            }
        }
        Ok(_) => gone(fs::remove_file(path)),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Gives this user all rights to a folder and those below it.
fn open_up(folder: &Path) {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let _ = fs::set_permissions(&folder, fs::Permissions::from_mode(0o700));
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        folders.extend(
            entries
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path()),
        );
    }
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

    fn data_dir() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("agent").join("alloc").join(ALLOC).join("t/local")).unwrap();
        dir
    }

    const ALLOC: &str = "fedbb3b1-dae0-a47b-538b-62dec51212a9";

    fn far() -> Instant {
        Instant::now() + std::time::Duration::from_secs(60)
    }

    #[test]
    fn files_of_allocations_go_and_what_they_link_to_stays() {
        let dir = data_dir();
        let (data, own) = (dir.path().join("agent"), dir.path().join("photographs"));
        let task = data.join("alloc").join(ALLOC).join("t/local");
        fs::create_dir(&own).unwrap();
        fs::write(own.join("cat.jpg"), "cat").unwrap();
        std::os::unix::fs::symlink(&own, task.join("link")).unwrap();
        std::os::unix::fs::symlink(&own, data.join("alloc/another-link")).unwrap();
        fs::write(data.join("alloc/a file"), "x").unwrap();
        fs::create_dir_all(data.join("client")).unwrap();
        fs::set_permissions(&task, fs::Permissions::from_mode(0o500)).unwrap();

        let left = remove_allocations(&Scope::new(&data), far());

        assert_eq!(left, 0);
        assert_eq!(fs::read_dir(data.join("alloc")).unwrap().count(), 0);
        assert!(own.join("cat.jpg").exists() && data.join("client").exists());
    }

    #[test]
    fn what_there_is_no_time_for_is_counted() {
        let dir = data_dir();
        let data = dir.path().join("agent");

        assert_eq!(remove_allocations(&Scope::new(&data), Instant::now()), 1);
        assert!(data.join("alloc").join(ALLOC).exists());
        assert!(remove_allocation(&Scope::new(&data), ALLOC));
        assert!(!data.join("alloc").join(ALLOC).exists());
    }

    #[test]
    fn a_name_that_is_no_allocations_removes_nothing() {
        let dir = data_dir();
        let data = dir.path().join("agent");

        for name in ["..", "../..", "/", "", "../../photographs"] {
            assert!(remove_allocation(&Scope::new(&data), name));
        }

        assert!(data.join("alloc").join(ALLOC).exists());
    }

    #[test]
    fn what_is_mounted_below_an_allocation_and_stays_so_is_not_emptied() {
        let dir = data_dir();
        let allocation = dir.path().join("agent/alloc").join(ALLOC);
        fs::write(allocation.join("t/local/file"), "the owner's, by a mount").unwrap();

        assert!(!remove(&allocation, &[allocation.join("t/local")]));

        assert!(allocation.join("t/local/file").exists());
    }
}
