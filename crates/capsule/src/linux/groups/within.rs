//! The capsule's own view of its control groups: what it is in is their root.

use std::fs;
use std::io;
use std::path::Path;

use rustix::mount::{MountFlags, mount};

use super::{NEEDED_ONE, ROOT, enable, inherit_cpus};
use crate::engine::JOBS;

pub(crate) fn mount_all() -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let own = fs::read_to_string("/proc/self/cgroup")?;
    // On version 2 alone the only line is that of the one hierarchy.
    if own.lines().all(|line| line.starts_with("0::")) {
        return Ok(mount("cgroup2", ROOT, "cgroup2", flags, None)?);
    }
    mount("cgroup", ROOT, "tmpfs", flags, c"mode=755,size=1m")?;
    for controller in NEEDED_ONE {
        let at = Path::new(ROOT).join(controller);
        fs::create_dir(&at)?;
        let option = std::ffi::CString::new(controller).map_err(io::Error::other)?;
        mount("cgroup", &at, "cgroup", flags, option.as_c_str())?;
    }
    let at = Path::new(ROOT).join("systemd");
    fs::create_dir(&at)?;
    // The engine's runtime looks for one that is nobody's controller; not every system has it.
    let _ = mount("cgroup", &at, "cgroup", flags, c"none,name=systemd");
    Ok(())
}

/// Nobody is in a group that has others below it, and the one above all jobs is there from the start.
pub(crate) fn arrange() -> io::Result<()> {
    let root = Path::new(ROOT);
    if !root.join("cgroup.subtree_control").exists() {
        for controller in NEEDED_ONE {
            let jobs = root.join(controller).join(JOBS);
            fs::create_dir(&jobs)?;
            inherit_cpus(&jobs)?;
        }
        return Ok(());
    }
    let own = root.join("init");
    fs::create_dir(&own)?;
    fs::write(own.join("cgroup.procs"), "0")?;
    enable(root)?;
    fs::create_dir(root.join(JOBS))
}
