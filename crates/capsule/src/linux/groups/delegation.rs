//! A control group of an ordinary user's own, for the capsules of one holder. The user's systemd gives one to whoever asks, as a scope in
//! which nobody else is; where there is none to ask, the group that the holder was started in may be this user's already.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{geteuid, getpid};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use super::{ROOT, lacking};
use crate::fault::Missing;
use crate::linux::tools::find;

const OWN: &str = "/proc/self/cgroup";
/// Where the holder and whoever it starts are, beside their capsules: version 2 limits no group that has both processes and groups below.
const OUTSIDE: &str = "outside";
/// Of systemd: the answer, then what it does.
const GIVEN_WITHIN: Duration = Duration::from_secs(5);
const ASIDE_WITHIN: Duration = Duration::from_secs(1);

/// The group, below the top, with this process out of the way in it.
///
/// # Errors
/// What is missing, and what would mend it.
pub(crate) async fn of_user(name: &str) -> Result<PathBuf, Missing> {
    let top = Path::new(ROOT);
    if !top.join("cgroup.controllers").exists() {
        return Err(lacks("version 2 of control groups, which systemd.unified_cgroup_hierarchy=1 turns on"));
    }
    let group = match by_systemd(name).await {
        Ok(group) => delegated(top, group, &format!("user@{}.service", geteuid().as_raw()))?,
        Err(why) => {
            tracing::info!(why, "no scope by this user's systemd");
            let own = fs::read_to_string(OWN).unwrap_or_default();
            let group = above(&own).ok_or_else(|| lacks("a control group of version 2"))?;
            let group = of_this_user(top, group, &why)?;
            delegated(top, group, "whatever started this app")?
        }
    };
    let aside = stand_aside(&top.join(&group)).await;
    aside.map_err(|error| lacks(format!("one that this app may divide: {error}")))?;
    Ok(group)
}

fn lacks(what: impl Into<String>) -> Missing {
    Missing::ControlGroup(what.into())
}

/// Has the user's systemd make a scope around this process. It says that it has begun; that it is done, the kernel says.
async fn by_systemd(name: &str) -> Result<PathBuf, String> {
    let scope = format!("ionet-capsule-{name}-{}.scope", getpid().as_raw_nonzero());
    let within = || {
        let own = fs::read_to_string(OWN).ok()?;
        group_of(&own).filter(|group| group.iter().any(|part| part == scope.as_str())).map(Path::to_owned)
    };
    let of_scope = |group: PathBuf| {
        let depth = group.iter().position(|part| part == scope.as_str()).unwrap_or_default();
        group.iter().take(depth + 1).collect()
    };
    if within().is_none() {
        ask(&scope).await?;
    }
    let deadline = Instant::now() + GIVEN_WITHIN;
    loop {
        match within() {
            Some(group) => return Ok(of_scope(group)),
            None if Instant::now() >= deadline => return Err("it made no scope in time".to_owned()),
            None => sleep(Duration::from_millis(5)).await,
        }
    }
}

async fn ask(scope: &str) -> Result<(), String> {
    let bus = format!("/run/user/{}/bus", geteuid().as_raw());
    if !Path::new(&bus).exists() {
        return Err("no user manager of systemd's is there".to_owned());
    }
    let busctl = find("busctl").map_err(|missing| missing.to_string())?;
    let said = Command::new(busctl)
        .arg(format!("--address=unix:path={bus}"))
        .args(["--quiet", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1"])
        .args(["org.freedesktop.systemd1.Manager", "StartTransientUnit", "ssa(sv)a(sa(sv))", scope, "fail"])
        .args(["3", "Delegate", "b", "true", "CollectMode", "s", "inactive-or-failed", "PIDs", "au", "1"])
        .args([&getpid().as_raw_nonzero().to_string(), "0"])
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    match timeout(GIVEN_WITHIN, said).await {
        Ok(Ok(said)) if said.status.success() => Ok(()),
        Ok(Ok(said)) => Err(String::from_utf8_lossy(&said.stderr).trim().to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it does not answer".to_owned()),
    }
}

/// The kernel's word about a process: its group of version 2, below the top.
fn group_of(said: &str) -> Option<&Path> {
    said.lines().find_map(|line| line.strip_prefix("0::/")).map(Path::new)
}

/// The group that an earlier holder has divided already, if it is in the part that is beside its capsules.
fn above(said: &str) -> Option<PathBuf> {
    let own = group_of(said)?;
    let divided = own.file_name().is_some_and(|name| name == OUTSIDE);
    Some(if divided { own.parent()? } else { own }.to_owned())
}

/// A group whose folder alone is theirs would let nobody in.
fn of_this_user(top: &Path, group: PathBuf, why: &str) -> Result<PathBuf, Missing> {
    use std::os::unix::fs::MetadataExt as _;
    let theirs = |name: &str| {
        let file = fs::metadata(top.join(&group).join(name));
        file.is_ok_and(|file| file.uid() == geteuid().as_raw())
    };
    if ["", "cgroup.procs", "cgroup.subtree_control"].into_iter().all(theirs) {
        return Ok(group);
    }
    Err(lacks(format!("one of this user's own ({why}, and /{} is somebody else's)", group.display())))
}

fn delegated(top: &Path, group: PathBuf, by: &str) -> Result<PathBuf, Missing> {
    match lacking(&top.join(&group)) {
        none if none.is_empty() => Ok(group),
        some => Err(lacks(format!("{}, which {by} does not delegate", some.join(", ")))),
    }
}

/// Whoever is in the group itself goes into one of their own below it.
async fn stand_aside(group: &Path) -> io::Result<()> {
    let outside = group.join(OUTSIDE);
    match fs::create_dir(&outside) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let deadline = Instant::now() + ASIDE_WITHIN;
    loop {
        let there = fs::read_to_string(group.join("cgroup.procs"))?;
        let mut refused = None;
        for pid in there.lines() {
            // Who is no longer there need not go, and who may not is still there.
            refused = fs::write(outside.join("cgroup.procs"), pid).err().or(refused);
        }
        if there.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(refused.unwrap_or_else(|| io::ErrorKind::TimedOut.into()));
        }
        sleep(Duration::from_millis(1)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_version_2_is_found_beside_those_of_version_1_and_is_the_one_that_was_divided_before() {
        let hybrid = "9:name=systemd:/user.slice\n8:pids:/\n0::/user.slice/user-1000.slice/a.scope\n";
        assert_eq!(above(hybrid), Some("user.slice/user-1000.slice/a.scope".into()));
        assert_eq!(above("0::/a.scope/outside\n"), Some("a.scope".into()));
        assert_eq!(above("0::/\n"), Some(PathBuf::new()));
        assert_eq!(above("4:memory:/\n"), None);
    }

    /// Of a tree as the kernel shows it.
    fn played(controllers: &str) -> tempfile::TempDir {
        let top = tempfile::tempdir().unwrap();
        let group = top.path().join("app.service");
        fs::create_dir(&group).unwrap();
        fs::write(group.join("cgroup.controllers"), format!("{controllers}\n")).unwrap();
        for name in ["cgroup.procs", "cgroup.subtree_control"] {
            fs::write(group.join(name), "").unwrap();
        }
        top
    }

    #[test]
    fn what_is_not_delegated_is_named_and_who_would_have_to_delegate_it() {
        let of = |controllers: &str| {
            let top = played(controllers);
            delegated(top.path(), "app.service".into(), "user@1000.service")
        };
        assert_eq!(of("cpu memory pids"), Ok("app.service".into()), "what systemd delegates by itself");
        assert_eq!(of("cpuset cpu io memory pids"), Ok("app.service".into()));
        let lacks = "cpu, memory, which user@1000.service does not delegate";
        assert_eq!(of("pids"), Err(Missing::ControlGroup(lacks.to_owned())));
    }

    #[test]
    fn a_group_whose_steering_is_somebody_elses_is_none_of_this_users() {
        let top = played("cpu memory pids");
        let of = || of_this_user(top.path(), "app.service".into(), "no systemd");
        assert_eq!(of(), Ok("app.service".into()));

        fs::remove_file(top.path().join("app.service/cgroup.subtree_control")).unwrap();

        let lacks = "one of this user's own (no systemd, and /app.service is somebody else's)";
        assert_eq!(of(), Err(Missing::ControlGroup(lacks.to_owned())));
    }

    /// In the kernel's own tree of version 2, with controllers or without.
    #[tokio::test]
    async fn whoever_is_in_a_group_goes_aside_before_it_is_divided() {
        let tops = [ROOT, "/sys/fs/cgroup/unified"].map(Path::new);
        let top = tops.into_iter().find(|top| top.join("cgroup.controllers").exists());
        let group = top.map(|top| top.join(format!("ionet-aside-{}", std::process::id())));
        let Some(group) = group.filter(|group| fs::create_dir(group).is_ok()) else {
            println!("skipped: needs a control group of version 2");
            return;
        };
        let mut sleeps = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        fs::write(group.join("cgroup.procs"), sleeps.id().to_string()).unwrap();

        stand_aside(&group).await.unwrap();

        let there = |below: &str| fs::read_to_string(group.join(below).join("cgroup.procs")).unwrap();
        assert_eq!((there(""), there(OUTSIDE)), (String::new(), format!("{}\n", sleeps.id())));
        sleeps.kill().unwrap();
        sleeps.wait().unwrap();
        for left in [group.join(OUTSIDE), group] {
            fs::remove_dir(left).unwrap();
        }
    }
}
