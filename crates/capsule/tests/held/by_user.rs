//! A capsule that an ordinary user holds, whom nobody else on this PC knows.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Held, PROGRAM};

/// By a user whom only this capsule's holder knows: the files of this PC that say who there is are others in its mount namespace.
pub(crate) fn held_by_user(name: &str, user: u32, delegated: &Delegated, more: &str) -> Held {
    let dir = tempfile::tempdir().unwrap();
    for (file, line) in [
        ("passwd", format!("root:x:0:0::/root:/bin/sh\ncapsule-test:x:{user}:{user}::/:/bin/sh\n")),
        ("subuid", format!("capsule-test:{}:65536\n", 0x7200_0000)),
        ("subgid", format!("capsule-test:{}:65536\n", 0x7200_0000)),
    ] {
        fs::write(dir.path().join(file), line).unwrap();
    }
    // The test's own program lies in a folder that others may not enter.
    let program = dir.path().join("ionet-capsule");
    fs::copy(PROGRAM, &program).unwrap();
    for folder in ["disk", "run"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
        chown(dir.path().join(folder), Some(user), Some(user)).unwrap();
    }
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let there = dir.path().display().to_string();
    Held::again(name, dir, |hold| {
        let args: Vec<String> = hold.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
        let mounts =
            ["passwd", "subuid", "subgid"].map(|file| format!("mount --bind {there}/{file} /etc/{file}"));
        // Everybody's, as systems have it.
        let tun = format!("mknod --mode 666 {there}/tun c 10 200; mount --bind {there}/tun /dev/net/tun");
        let group = &delegated.name;
        let enter = delegated.enter();
        let script = format!(
            "set -e; {}; {tun}; {enter}; exec setpriv --reuid {user} --regid {user} --clear-groups env -i PATH=/usr/bin \
             {} {} --group {group} {more}",
            mounts.join("; "),
            program.display(),
            args.join(" ")
        );
        let mut unshared = Command::new("unshare");
        unshared.args(["--mount", "sh", "-c", &script]);
        unshared
    })
}

/// A control group of this PC that is that user's.
pub(crate) struct Delegated {
    name: String,
    folders: Vec<PathBuf>,
}

impl Delegated {
    pub(crate) fn to(user: u32) -> Option<Self> {
        let top = Path::new("/sys/fs/cgroup");
        let name = format!("ionet-delegated-{}-{user}", std::process::id());
        let one = ["cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids"];
        let folders: Vec<_> = match top.join("cgroup.controllers").exists() {
            true => vec![top.join(&name)],
            false => one.iter().map(|controller| top.join(controller).join(&name)).collect(),
        };
        for folder in &folders {
            fs::create_dir(folder).ok()?;
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if let Ok(all) = fs::read(folder.with_file_name(file)) {
                    fs::write(folder.join(file), all).ok()?;
                }
            }
            chown(folder, Some(user), Some(user)).ok()?;
            for file in fs::read_dir(folder).ok()?.flatten() {
                chown(file.path(), Some(user), Some(user)).ok()?;
            }
        }
        Some(Self { name, folders })
    }

    /// As a shell does it.
    fn enter(&self) -> String {
        let each = self.folders.iter().map(|folder| format!("echo $$ > {}/cgroup.procs", folder.display()));
        each.collect::<Vec<_>>().join("; ")
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        for folder in &self.folders {
            let _ = fs::remove_dir(folder);
        }
    }
}
