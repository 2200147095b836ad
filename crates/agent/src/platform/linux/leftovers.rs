//! What ended tasks leave behind: mounts, control groups and files.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, OsString};
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, chmod, open, openat, unlinkat};
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
    FOLDERS.iter().map(|name| data_dir.join(name).join(id)).all(|folder| {
        unmount_below(scope, &folder);
        let points: Vec<PathBuf> = mounted().into_iter().map(|(point, _)| point).collect();
        remove(&folder, &points, go_on)
    })
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

const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Follows no link, also not one that is put in a folder's place meanwhile: what a job has linked to is not its own.
fn remove_at(parent: BorrowedFd<'_>, name: &CStr, go_on: &dyn Fn() -> bool) -> rustix::io::Result<()> {
    if !go_on() {
        return Err(Errno::TIMEDOUT);
    }
    match unlinkat(parent, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => {}
        removed => return removed,
    }
    let mut folder = Dir::new(open_up(parent, name)?)?;
    // What this user may not remove (a container's, of another one) keeps nothing else.
    let mut all = Ok(());
    while let Some(entry) = folder.read() {
        let entry = entry?;
        if ![c".", c".."].contains(&entry.file_name()) {
            match remove_at(folder.fd()?, entry.file_name(), go_on) {
                Err(Errno::TIMEDOUT) => return Err(Errno::TIMEDOUT),
                removed => all = all.and(removed),
            }
            // Also where the next one is yet to be found.
            if !go_on() {
                return Err(Errno::TIMEDOUT);
            }
        }
    }
    all.and(unlinkat(parent, name, AtFlags::REMOVEDIR))
}

/// A job may have taken its own rights to its folder away: this user gives them back to itself.
fn open_up(parent: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<OwnedFd> {
    let place = openat(parent, name, FOLDER | OFlags::PATH, Mode::empty())?;
    let _ = chmod(format!("/proc/self/fd/{}", place.as_raw_fd()), Mode::RWXU);
    openat(parent, name, FOLDER | OFlags::RDONLY, Mode::empty())
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
    use std::os::unix::fs::PermissionsExt;

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

        let left = remove_allocations(&Scope::new(&data), &|| true);

        assert_eq!(left, 0);
        assert_eq!(fs::read_dir(data.join("alloc")).unwrap().count(), 0);
        assert!(own.join("cat.jpg").exists() && data.join("client").exists());
    }

    #[test]
    fn what_there_is_no_time_for_is_counted() {
        let dir = data_dir();
        let data = dir.path().join("agent");

        assert_eq!(remove_allocations(&Scope::new(&data), &|| false), 1);
        assert!(data.join("alloc").join(ALLOC).exists());
        assert!(remove_allocation(&Scope::new(&data), ALLOC, &|| true));
        assert!(!data.join("alloc").join(ALLOC).exists());
    }

    #[test]
    fn one_allocation_of_countless_files_takes_no_longer_than_there_is_time() {
        let dir = data_dir();
        let data = dir.path().join("agent");
        let local = data.join("alloc").join(ALLOC).join("t/local");
        for number in 0..100 {
            fs::write(local.join(number.to_string()), "x").unwrap();
        }
        let asked = std::cell::Cell::new(0);
        let go_on = || asked.replace(asked.get() + 1) < 50;

        assert_eq!(remove_allocations(&Scope::new(&data), &go_on), 1);

        let left = fs::read_dir(&local).unwrap().count();
        assert!(left > 50 && left < 100, "{left}");
        assert_eq!(remove_allocations(&Scope::new(&data), &|| true), 0);
    }

    #[test]
    fn a_sign_is_given_between_any_two_files_and_the_looks_for_them() {
        let dir = data_dir();
        let data = dir.path().join("agent");
        let local = data.join("alloc").join(ALLOC).join("t/local");
        fs::write(local.join("one"), "x").unwrap();
        let signs = std::cell::RefCell::new(Vec::new());
        let sign = || {
            signs.borrow_mut().push((local.join("one").exists(), local.exists()));
            true
        };

        assert_eq!(remove_allocations(&Scope::new(&data), &sign), 0);

        assert!(signs.borrow().contains(&(true, true)), "before it");
        assert!(signs.borrow().contains(&(false, true)), "after it, before its folder goes");
    }

    #[test]
    fn what_another_user_left_in_an_allocation_keeps_nothing_else_of_it() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root to be two users");
            return;
        }
        let dir = data_dir();
        let data = dir.path().join("agent");
        let local = data.join("alloc").join(ALLOC).join("t/local");
        for number in 0..20 {
            fs::write(local.join(number.to_string()), "x").unwrap();
        }
        let nobody = rustix::process::Uid::from_raw(65_534);
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for folder in local.ancestors().take_while(|folder| folder.starts_with(&data)) {
            std::os::unix::fs::chown(folder, Some(nobody.as_raw()), None).unwrap();
        }
        fs::create_dir(local.join("theirs")).unwrap();
        fs::write(local.join("theirs/x"), "x").unwrap();

        let cleared = std::thread::spawn(move || {
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            remove_allocations(&Scope::new(&data), &|| true)
        });

        assert_eq!(cleared.join().unwrap(), 1);
        let left: Vec<_> = fs::read_dir(&local).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["theirs"]);
    }

    #[test]
    fn a_name_that_is_no_allocations_removes_nothing() {
        let dir = data_dir();
        let data = dir.path().join("agent");

        for name in ["..", "../..", "/", "", "../../photographs"] {
            assert!(remove_allocation(&Scope::new(&data), name, &|| true));
        }

        assert!(data.join("alloc").join(ALLOC).exists());
    }

    #[test]
    fn what_is_mounted_below_an_allocation_and_stays_so_is_not_emptied() {
        let dir = data_dir();
        let allocation = dir.path().join("agent/alloc").join(ALLOC);
        fs::write(allocation.join("t/local/file"), "the owner's, by a mount").unwrap();

        assert!(!remove(&allocation, &[allocation.join("t/local")], &|| true));

        assert!(allocation.join("t/local/file").exists());
    }
}
