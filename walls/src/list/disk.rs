//! The drive: what the capsule may take of it, and what of its contents counts outside.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::words;
use crate::attack::{Attack, Deed, Verdict, last_line};
use crate::capsule::DISK;
use crate::sides::{By, Layer};
use crate::stage::Stage;

pub(super) fn all() -> Vec<Attack> {
    let own = |name: &str, by: By, deed: fn(&Stage) -> Result<Verdict>| {
        Attack::new(name, by, Layer::Disk, Deed::Own(deed))
    };
    vec![
        own("space that is not given back", By::Job, given_back).alone(),
        own("more of the drive than its share", By::Job, |stage| fill(stage, By::Job, "/")).alone(),
        own("more of the drive than its share, past containers", By::CapsuleRoot, |stage| {
            fill(stage, By::CapsuleRoot, "/data")
        })
        .alone(),
        own("more files than the drive has room for", By::Job, crowd),
        own("a program on its disk that makes the owner's users somebody else", By::Job, set_user).alone(),
        own("a link on its disk that leads the owner's programs astray", By::CapsuleRoot, link).alone(),
        own("a device on its disk that opens the owner's drive", By::CapsuleRoot, device),
    ]
}

/// Half as much again as it may have.
fn fill(stage: &Stage, by: By, folder: &str) -> Result<Verdict> {
    let said = stage.act(by, &words(&format!("fill {folder} {}", DISK + DISK / 2)))?;
    let taken = stage.capsule().taken()?;
    stage.shell(by, &format!("rm -f {folder}/filled"))?;
    ensure!(last_line(&said.text).starts_with("wrote"), "it wrote nothing: {said:?}");
    ensure!(stage.engine.answers(), "the engine did not outlive a full disk");
    Ok(Verdict {
        succeeded: taken > DISK + DISK / 20,
        detail: format!("{} MiB of the drive are taken", taken >> 20),
    })
}

fn given_back(stage: &Stage) -> Result<Verdict> {
    const SOME: u64 = 200 << 20;
    let before = stage.capsule().taken()?;
    stage.act(By::Job, &words(&format!("fill / {SOME}")))?;
    let full = stage.capsule().taken()?;
    stage.shell(By::Job, "rm /filled; sync")?;
    let deadline = Instant::now() + Duration::from_secs(5);
    let mut after = stage.capsule().taken()?;
    while after > before + SOME / 4 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
        stage.shell(By::PrivilegedJob, "sync")?;
        after = stage.capsule().taken()?;
    }
    ensure!(full > before + SOME / 2, "nothing was taken of the drive: {before} {full}");
    let detail = format!("{} MiB before, {} full, {} after", before >> 20, full >> 20, after >> 20);
    Ok(Verdict { succeeded: after > before + SOME / 4, detail })
}

fn crowd(stage: &Stage) -> Result<Verdict> {
    let free = || rustix::fs::statvfs(&stage.capsule().folder).map(|drive| drive.f_ffree);
    let before = free()?;
    let said = stage.act(By::Job, &words("crowd / 10000"))?;
    let lost = before.saturating_sub(free()?);
    ensure!(last_line(&said.text).starts_with("made"), "it made none: {said:?}");
    Ok(Verdict {
        succeeded: lost > 2500,
        detail: format!("{}; the drive lost {lost}", last_line(&said.text)),
    })
}

/// Where the owner sees what the capsule's disk holds: nowhere, or what is mounted for all to see.
fn seen_outside(stage: &Stage) -> Result<Option<PathBuf>> {
    let device = stage.capsule().device()?;
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let mut fields = mounts.lines().map(|line| line.split(' '));
    Ok(fields.find_map(|mut fields| {
        (fields.next() == Some(&device)).then(|| fields.next().map(PathBuf::from)).flatten()
    }))
}

/// A copy of a program that says who runs it, run by one of the owner's users.
fn set_user(stage: &Stage) -> Result<Verdict> {
    let made = stage.shell(By::Job, "cp /usr/bin/id /who && chmod 6755 /who && stat -c %A /who")?;
    ensure!(made.text.contains("rws"), "it could not be made: {made:?}");
    let inside =
        stage.shell(By::CapsuleRoot, "find /data/engine -path '*/diff/who' -perm -4000 | head -n 1")?;
    let inside = last_line(&inside.text);
    let inside = inside.strip_prefix("/data/").context("it lies nowhere on the disk")?.to_owned();
    let Some(at) = seen_outside(stage)? else {
        return Ok(Verdict { succeeded: false, detail: "the owner's users do not see the disk".to_owned() });
    };
    let program = at.join(inside);
    for folder in program.ancestors().take_while(|folder| folder.starts_with(&at)).skip(1) {
        fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    }
    let copy = fs::File::open(&program)?;
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&copy));
    rustix::io::fcntl_setfd(&copy, rustix::io::FdFlags::empty())?;
    let said = Command::new(path).arg("-u").uid(1000).gid(1000).output()?;
    let said = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    Ok(Verdict { succeeded: !said.is_empty() && said != "1000", detail: format!("user 1000 became {said}") })
}

fn link(stage: &Stage) -> Result<Verdict> {
    let diary = stage.home().join("diary");
    let made = stage.shell(By::CapsuleRoot, &format!("ln -sfn {} /data/log", diary.display()))?;
    ensure!(made.status == 0, "it could not be made: {made:?}");
    let read = seen_outside(stage)?.map(|at| fs::read_to_string(at.join("log")));
    let succeeded = read.is_some_and(|read| read.is_ok());
    Ok(Verdict { succeeded, detail: "the owner's log collector would follow it".to_owned() })
}

fn device(stage: &Stage) -> Result<Verdict> {
    let said = stage
        .shell(By::CapsuleRoot, "rm -f /data/drive; mknod /data/drive b 7 0 && head -c 1 /data/drive")?;
    Ok(Verdict { succeeded: said.status == 0, detail: last_line(&said.text) })
}
