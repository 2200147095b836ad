//! The capsule's control groups, from outside: `above` has its limits and is ours; `in` below it is the capsule's own, and the group of
//! all jobs below that. On version 1 each controller has them of its own.

pub(crate) mod delegation;
mod freezer;
pub(crate) mod within;

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::geteuid;

use crate::engine::JOBS;
use crate::fault::{Fault, Missing};
use crate::linux::control::{Groups, Version};
use crate::linux::ids;

pub(crate) const ROOT: &str = "/sys/fs/cgroup";
/// The capsule's own root of control groups.
pub(crate) const IN: &str = "in";
/// Without these a job has no limits. On version 2 the kernel itself freezes.
const NEEDED_TWO: [&str; 3] = ["cpu", "memory", "pids"];
/// An ordinary user's systemd has them where an administrator says so. Without them no job has processors of its own.
const GOOD_TWO: [&str; 2] = ["cpuset", "io"];
/// On version 1 the freezer is one of them.
pub(crate) const NEEDED_ONE: [&str; 8] =
    ["cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids"];

/// Programs of all jobs together; a PC's own limit is far above it.
const PROCESSES: u32 = 16_384;

impl Groups {
    /// Where those of this capsule are to be: below a group that was delegated, or (for root) below the top.
    ///
    /// # Errors
    /// Which controllers are missing.
    pub(crate) fn of(name: &str, delegated: Option<&Path>) -> Result<Self, Missing> {
        Self::below(Path::new(ROOT), name, delegated)
    }

    fn below(top: &Path, name: &str, delegated: Option<&Path>) -> Result<Self, Missing> {
        let own = |path: PathBuf| path.join(format!("ionet-{name}"));
        let below = |top: &Path| delegated.map_or(top.to_owned(), |group| top.join(group));
        if top.join("cgroup.controllers").exists() {
            let at = below(top);
            let lacks = lacking(&at).into_iter();
            return usable(lacks, [&at]).map(|()| Self { version: Version::Two, above: vec![own(at)] });
        }
        let folders: Vec<(&str, PathBuf)> =
            NEEDED_ONE.into_iter().map(|controller| (controller, below(&top.join(controller)))).collect();
        let lacks = folders.iter().filter(|(_, folder)| !folder.is_dir()).map(|(controller, _)| *controller);
        usable(lacks, folders.iter().map(|(_, folder)| folder))?;
        Ok(Self {
            version: Version::One,
            above: folders.into_iter().map(|(_, folder)| own(folder)).collect(),
        })
    }

    /// Bytes that all in them take now. None where the kernel does not say.
    pub(crate) fn memory(&self) -> Option<u64> {
        self.said(&["memory.current", "memory.usage_in_bytes"])
    }

    /// How many processes all jobs have. None where the kernel does not say.
    pub(crate) fn jobs(&self) -> Option<u64> {
        self.said(&[&format!("{IN}/{JOBS}/pids.current")])
    }

    fn said(&self, names: &[&str]) -> Option<u64> {
        let files = self.above.iter().flat_map(|above| names.iter().map(|name| above.join(name)));
        files.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok()).next()
    }

    /// Makes them, with the limits of all together.
    pub(crate) fn make(&self, memory: Option<u64>) -> io::Result<()> {
        for above in &self.above {
            if self.version == Version::Two {
                enable(above.parent().unwrap_or(above))?;
            }
            make_dir(above)?;
            inherit_cpus(above)?;
            match self.version {
                Version::Two => enable(above)?,
                Version::One => {}
            }
            make_dir(&above.join(IN))?;
            inherit_cpus(&above.join(IN))?;
            let limit = |file: &str, value: String| {
                let file = above.join(file);
                if file.exists() { fs::write(file, value) } else { Ok(()) }
            };
            limit("pids.max", PROCESSES.to_string())?;
            if let Some(bytes) = memory {
                limit("memory.max", bytes.to_string())?;
                limit("memory.limit_in_bytes", bytes.to_string())?;
            }
        }
        Ok(())
    }

    /// Moves that process in, then gives the capsule what is below: the folder and what steers it, never a limit above.
    pub(crate) fn enter(&self, pid: i32) -> io::Result<()> {
        for above in &self.above {
            let group = above.join(IN);
            fs::write(group.join("cgroup.procs"), pid.to_string())?;
            let whose = Some(ids::ROOT);
            chown(&group, whose, whose)?;
            match self.version {
                Version::Two => {
                    for file in ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
                        chown(group.join(file), whose, whose)?;
                    }
                }
                Version::One => {
                    for file in fs::read_dir(&group)?.flatten() {
                        chown(file.path(), whose, whose)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether anybody is in them.
    pub(crate) fn populated(&self) -> bool {
        self.above.iter().any(|above| {
            let mut found = false;
            walk(above, &mut |group| {
                found |=
                    fs::read_to_string(group.join("cgroup.procs")).is_ok_and(|who| !who.trim().is_empty());
            });
            found
        })
    }

    /// Ends whoever is in them, frozen or not, and removes them.
    ///
    /// # Errors
    /// How many are left after that time.
    pub(crate) fn clear(&self, within: Duration) -> Result<(), Fault> {
        let deadline = Instant::now() + within;
        loop {
            self.kill();
            for above in &self.above {
                walk(above, &mut |group| drop(fs::remove_dir(group)));
            }
            let left = self.above.iter().filter(|above| above.exists()).count();
            if left == 0 {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Fault::at("control groups", format!("{left} are still there")));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// What is frozen on version 1 takes no signal until it is thawed.
    fn kill(&self) {
        for above in &self.above {
            walk(above, &mut |group| {
                match self.version {
                    Version::Two => drop(fs::write(group.join("cgroup.kill"), "1")),
                    Version::One => kill_each(group),
                }
                let state = group.join("freezer.state");
                if state.exists() {
                    let _ = fs::write(state, "THAWED");
                }
            });
        }
    }
}

/// A group that is not this user's limits nothing that this user starts.
fn usable<'a>(
    lacks: impl Iterator<Item = &'a str>,
    folders: impl IntoIterator<Item = &'a PathBuf>,
) -> Result<(), Missing> {
    let lacks: Vec<&str> = lacks.collect();
    if !lacks.is_empty() {
        return Err(Missing::ControlGroup(lacks.join(", ")));
    }
    let user = geteuid();
    let foreign = folders.into_iter().find(|folder| {
        !user.is_root() && !fs::metadata(folder).is_ok_and(|group| group.uid() == user.as_raw())
    });
    match foreign {
        None => Ok(()),
        Some(group) => Err(Missing::ControlGroup(format!("{} is not this user's", group.display()))),
    }
}

/// Version 1 takes nobody into a group without processors, and lets what is made below have the same. Version 2 does so by itself.
pub(crate) fn inherit_cpus(group: &Path) -> io::Result<()> {
    let clones = group.join("cgroup.clone_children");
    if !clones.exists() || !group.join("cpuset.cpus").exists() {
        return Ok(());
    }
    let above = group.parent().unwrap_or(group);
    for file in ["cpuset.cpus", "cpuset.mems"] {
        fs::write(group.join(file), fs::read(above.join(file))?)?;
    }
    fs::write(clones, "1")
}

pub(crate) fn enable(group: &Path) -> io::Result<()> {
    let has = controllers(group);
    let good = GOOD_TWO.into_iter().filter(|good| has.split_whitespace().any(|has| has == *good));
    for controller in NEEDED_TWO.into_iter().chain(good) {
        fs::write(group.join("cgroup.subtree_control"), format!("+{controller}"))?;
    }
    Ok(())
}

/// Which of those that a group of version 2 has to have it has not.
pub(crate) fn lacking(group: &Path) -> Vec<&'static str> {
    let has = controllers(group);
    NEEDED_TWO.into_iter().filter(|needed| !has.split_whitespace().any(|has| has == *needed)).collect()
}

fn controllers(group: &Path) -> String {
    fs::read_to_string(group.join("cgroup.controllers")).unwrap_or_default()
}

fn make_dir(group: &Path) -> io::Result<()> {
    match fs::create_dir(group) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Below first.
fn walk(group: &Path, each: &mut impl FnMut(&Path)) {
    for below in fs::read_dir(group).into_iter().flatten().flatten() {
        if below.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&below.path(), each);
        }
    }
    each(group);
}

fn kill_each(group: &Path) {
    let who = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    for pid in who.lines().filter_map(|pid| pid.parse().ok()).filter_map(rustix::process::Pid::from_raw) {
        // Through a handle: nobody else's number can come in between a look at the group and the signal.
        if let Ok(process) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
            && fs::read_to_string(group.join("cgroup.procs"))
                .is_ok_and(|who| who.lines().any(|line| line.parse() == Ok(pid.as_raw_nonzero().get())))
        {
            let _ = rustix::process::pidfd_send_signal(&process, rustix::process::Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_cannot_limit_and_freeze_is_refused_and_what_it_lacks_is_named() {
        let top = tempfile::tempdir().unwrap();
        let delegated = top.path().join("mine");
        fs::create_dir(&delegated).unwrap();
        fs::write(top.path().join("cgroup.controllers"), "cpuset cpu io memory pids\n").unwrap();
        let of = || Groups::below(top.path(), "t", Some(Path::new("mine")));

        fs::write(delegated.join("cgroup.controllers"), "io pids\n").unwrap();
        assert_eq!(of(), Err(Missing::ControlGroup("cpu, memory".to_owned())));
        fs::write(delegated.join("cgroup.controllers"), "cpuset cpu io memory pids hugetlb\n").unwrap();
        assert_eq!(of().unwrap().above, [delegated.join("ionet-t")]);
    }

    #[test]
    fn version_1_without_a_group_of_this_users_own_is_refused() {
        let top = tempfile::tempdir().unwrap();
        for controller in NEEDED_ONE.into_iter().filter(|controller| *controller != "freezer") {
            fs::create_dir(top.path().join(controller)).unwrap();
        }
        let lacks = Missing::ControlGroup("freezer".to_owned());
        assert_eq!(Groups::below(top.path(), "t", None), Err(lacks));
    }
}
