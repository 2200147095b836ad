//! Agent processes, what they leave behind, and waiting for things to become true.

use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// A child whose output goes to files; dropping it kills it.
pub struct Process {
    child: Child,
    pub stdout: PathBuf,
    pub stderr: PathBuf,
}

impl Process {
    pub fn start(command: &mut Command, dir: &Path) -> Result<Self> {
        let (stdout, stderr) = (dir.join("stdout"), dir.join("stderr"));
        let child = command
            .stdin(Stdio::null())
            .stdout(File::options().create(true).append(true).open(&stdout)?)
            .stderr(File::options().create(true).append(true).open(&stderr)?)
            .spawn()
            .with_context(|| format!("{command:?}"))?;
        Ok(Self { child, stdout, stderr })
    }

    pub fn signal(&self, signal: Signal) {
        // It may have ended already.
        _ = Pid::from_raw(self.child.id() as i32).map(|pid| kill_process(pid, signal));
    }

    /// The exit code (128 + n for a signal n), or an error when it still runs after `limit`.
    pub async fn exit_code(&mut self, limit: Duration) -> Result<i32> {
        let until = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.code().unwrap_or(128 + status.signal().unwrap_or(0)));
            }
            if Instant::now() > until {
                bail!("the agent still runs after {limit:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub fn stdout_text(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap_or_default()
    }

    pub fn output(&self) -> String {
        self.stdout_text() + &fs::read_to_string(&self.stderr).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Polls until `look` gives something; the error says what was waited for.
pub async fn wait_for<T, F>(what: &str, limit: Duration, mut look: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let until = Instant::now() + limit;
    loop {
        let seen = look().await;
        if let Ok(Some(found)) = seen {
            return Ok(found);
        }
        if Instant::now() > until {
            let last = seen.err().map(|error| format!(" (last: {error:#})")).unwrap_or_default();
            bail!("{what}: not within {limit:?}{last}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Every process whose environment or command line names something below `dir`.
pub fn processes_below(dir: &Path) -> Vec<u32> {
    let needle = dir.to_string_lossy().into_owned();
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != std::process::id())
        .filter(|pid| {
            let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
            let has = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).contains(&needle);
            let open = || {
                let fds = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
                fds.filter_map(|fd| fs::read_link(fd.path()).ok()).any(|target| target.starts_with(dir))
            };
            has(read("environ")) || has(read("cmdline")) || open()
        })
        .collect()
}

/// Ends what agents left running below `dir`, and undoes the mounts that a real agent makes as root.
pub fn sweep(dir: &Path) {
    for pid in processes_below(dir) {
        _ = Pid::from_raw(pid as i32).map(|pid| kill_process(pid, Signal::KILL));
    }
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    for target in mounts.lines().filter_map(|line| line.split(' ').nth(1)) {
        if Path::new(target).starts_with(dir) {
            _ = rustix::mount::unmount(target, rustix::mount::UnmountFlags::DETACH);
        }
    }
}

pub fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}
