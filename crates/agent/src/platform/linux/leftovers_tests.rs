use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;

use rustix::fs::openat;

use super::super::remove::FOLDER;
use super::*;

#[test]
fn a_mount_point_with_a_blank_is_read_with_its_kind() {
    let line = br"36 35 0:32 / /home/a\040b/alloc/x/t/secrets rw,noexec shared:1 - tmpfs tmpfs rw,size=1024k";

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

    let left = remove_allocations(&data, &|| true);

    assert_eq!(left, 0);
    assert_eq!(fs::read_dir(data.join("alloc")).unwrap().count(), 0);
    assert!(own.join("cat.jpg").exists() && data.join("client").exists());
}

#[test]
fn what_there_is_no_time_for_is_counted() {
    let dir = data_dir();
    let data = dir.path().join("agent");

    assert_eq!(remove_allocations(&data, &|| false), 1);
    assert!(data.join("alloc").join(ALLOC).exists());
    assert!(remove_allocation(&data, ALLOC, &|| true));
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

    assert_eq!(remove_allocations(&data, &go_on), 1);

    let left = fs::read_dir(&local).unwrap().count();
    assert!(left > 50 && left < 100, "{left}");
    assert_eq!(remove_allocations(&data, &|| true), 0);
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

    assert_eq!(remove_allocations(&data, &sign), 0);

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
        remove_allocations(&data, &|| true)
    });

    assert_eq!(cleared.join().unwrap(), 1);
    let left: Vec<_> = fs::read_dir(&local).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["theirs"]);
}

#[test]
fn what_another_user_wrote_and_closed_goes_where_root_removes_it() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root to be two users");
        return;
    }
    let dir = data_dir();
    let data = dir.path().join("agent");
    let closed = data.join("alloc").join(ALLOC).join("t/local/closed");
    fs::create_dir(&closed).unwrap();
    fs::write(closed.join("words"), "a customer's").unwrap();
    std::os::unix::fs::chown(&closed, Some(1234), Some(1234)).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();

    assert!(remove_allocation(&data, ALLOC, &|| true));

    assert!(!data.join("alloc").join(ALLOC).exists());
}

#[test]
fn a_name_that_is_no_allocations_removes_nothing() {
    let dir = data_dir();
    let data = dir.path().join("agent");

    for name in ["..", "../..", "/", "", "../../photographs"] {
        assert!(remove_allocation(&data, name, &|| true));
    }

    assert!(data.join("alloc").join(ALLOC).exists());
}

/// `d/d/d…` by descriptors: no path is as long. Returns the last.
fn nested(top: &Path, levels: usize) -> OwnedFd {
    let mut at = open(top, FOLDER, Mode::empty()).unwrap();
    for _ in 0..levels {
        rustix::fs::mkdirat(&at, c"d", Mode::RWXU).unwrap();
        at = openat(&at, c"d", FOLDER, Mode::empty()).unwrap();
    }
    at
}

fn touch(at: &OwnedFd, name: &CStr) {
    openat(at, name, OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::RWXU).unwrap();
}

#[test]
fn folders_in_folders_without_end_are_removed_to_the_last() {
    let dir = data_dir();
    let (data, own) = (dir.path().join("agent"), dir.path().join("photographs"));
    let local = data.join("alloc").join(ALLOC).join("t/local");
    fs::create_dir(&own).unwrap();
    fs::write(own.join("cat.jpg"), "cat").unwrap();
    let last = nested(&local, 30_000);
    touch(&last, c"file");
    rustix::fs::symlinkat(&own, &last, c"link").unwrap();

    assert_eq!(remove_allocations(&data, &|| true), 0);

    assert_eq!(fs::read_dir(data.join("alloc")).unwrap().count(), 0);
    assert!(own.join("cat.jpg").exists());
}

#[test]
fn many_deep_folders_are_removed_whatever_their_names_and_rights() {
    let dir = data_dir();
    let data = dir.path().join("agent");
    let allocation = data.join("alloc").join(ALLOC);
    for number in 0..20 {
        let deep = nested(&allocation.join("t/local"), 200 - number);
        touch(&deep, c"file");
        fs::create_dir_all(allocation.join(number.to_string()).join("x")).unwrap();
        fs::write(allocation.join((number + 20).to_string()), "x").unwrap();
        rustix::fs::fchmod(&deep, Mode::empty()).unwrap();
        fs::rename(allocation.join("t/local/d"), allocation.join(format!("t/local/{number}"))).unwrap();
    }

    assert_eq!(remove_allocations(&data, &|| true), 0);

    assert!(!allocation.exists());
}

#[test]
fn however_deep_a_job_has_nested_its_folders_few_are_open_at_a_time() {
    let dir = data_dir();
    let data = dir.path().join("agent");
    drop(nested(&data.join("alloc").join(ALLOC).join("t/local"), 1_100));
    let most = std::cell::Cell::new(0);
    let look = || {
        let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
        let ours = open.filter(|fd| fs::read_link(fd.path()).is_ok_and(|at| at.starts_with(&data)));
        most.set(most.get().max(ours.count()));
        true
    };

    assert_eq!(remove_allocations(&data, &look), 0);

    assert!((10..80).contains(&most.get()), "{}", most.get());
}

#[test]
fn what_another_user_left_deep_below_keeps_nothing_else() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root to be two users");
        return;
    }
    let dir = data_dir();
    let data = dir.path().join("agent");
    let allocation = data.join("alloc").join(ALLOC);
    let nobody = rustix::process::Uid::from_raw(65_534);
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let cleared = std::thread::spawn({
        let data = data.clone();
        for folder in allocation.join("t/local").ancestors().take_while(|folder| folder.starts_with(&data)) {
            std::os::unix::fs::chown(folder, Some(nobody.as_raw()), None).unwrap();
        }
        move || {
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            (nested(&allocation.join("t/local"), 300), nested(&allocation.join("t"), 300))
        }
    });
    let (deep, _other) = cleared.join().unwrap();
    rustix::fs::mkdirat(&deep, c"theirs", Mode::RWXU).unwrap();
    touch(&openat(&deep, c"theirs", FOLDER, Mode::empty()).unwrap(), c"x");

    let there = data.clone();
    let left = std::thread::spawn(move || {
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        remove_allocations(&there, &|| true)
    });

    assert_eq!(left.join().unwrap(), 1);
    let mut left = 0;
    let mut folders = vec![data.join("alloc")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            left += 1;
            folders.extend(entry.path().is_dir().then(|| entry.path()));
        }
    }
    assert!(left < 100, "the way to theirs, and no more: {left}");
}

#[test]
fn what_is_mounted_below_an_allocation_and_stays_so_is_not_emptied() {
    let dir = data_dir();
    let allocation = dir.path().join("agent/alloc").join(ALLOC);
    fs::write(allocation.join("t/local/file"), "the owner's, by a mount").unwrap();

    assert!(!remove(&allocation, &[allocation.join("t/local")], &|| true));

    assert!(allocation.join("t/local/file").exists());
}
