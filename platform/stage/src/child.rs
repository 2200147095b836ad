//! One process of the stage: started in its own group, watched, and ended for certain.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child as Process, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use tokio::time::Instant;

use crate::platform::{self, Signal};

/// How long a process may take to leave by itself before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// A running process. Dropping it ends it.
#[must_use]
#[derive(Debug)]
pub(crate) struct Child {
    name: &'static str,
    pid: u32,
    log: PathBuf,
    grace: Duration,
    exit: Arc<Exit>,
}

#[derive(Debug, Default)]
struct Exit {
    status: Mutex<Option<String>>,
    changed: Condvar,
}

impl Child {
    /// Starts `command` with its output going to `log` (appended).
    ///
    /// # Errors
    /// The program cannot be started, or the log cannot be opened.
    pub(crate) fn spawn(name: &'static str, mut command: Command, log: &Path) -> Result<Self> {
        let out = OpenOptions::new().create(true).append(true).open(log);
        let out = out.with_context(|| format!("{} cannot be written", log.display()))?;
        command.stdin(Stdio::null()).stderr(out.try_clone()?).stdout(out);
        platform::own_group(&mut command);

        let exit = Arc::new(Exit::default());
        let (started, pid) = mpsc::channel();
        // The kernel ends the child when the thread that spawned it ends, so one thread stays with each child.
        let watcher = Arc::clone(&exit);
        thread::Builder::new().name(format!("stage-{name}")).spawn(move || match command.spawn() {
            Ok(process) => {
                let _ = started.send(Ok(process.id()));
                watcher.stay_with(process);
            }
            Err(error) => drop(started.send(Err(error))),
        })?;
        let pid = pid.recv()?.with_context(|| format!("{name} cannot be started"))?;
        Ok(Self { name, pid, log: log.to_owned(), grace: GRACE, exit })
    }

    /// Gives it another time to leave than the usual five seconds.
    pub(crate) fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until `ready` gives something, asking every 20 ms.
    ///
    /// # Errors
    /// The process ended, or `deadline` passed; both with the last lines of its log.
    pub(crate) async fn wait_until<T, F>(&self, deadline: Duration, mut ready: F) -> Result<T>
    where
        F: AsyncFnMut() -> Option<T>,
    {
        let end = Instant::now() + deadline;
        loop {
            if let Some(found) = ready().await {
                return Ok(found);
            }
            if let Some(status) = self.exit.status() {
                bail!("{} ended ({status}):\n{}", self.name, self.last_lines());
            }
            if Instant::now() >= end {
                bail!("{} was not ready after {} s:\n{}", self.name, deadline.as_secs(), self.last_lines());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks the process to leave, waits as long as it may take and then kills it and its group. Returns when it is gone.
    pub(crate) fn end(&self) {
        self.exit.signal(self.pid, Signal::Term);
        if !self.exit.wait(self.grace) {
            self.exit.signal(self.pid, Signal::Kill);
            self.exit.wait(GRACE);
        }
    }

    /// Kills it at once, as a crash would.
    pub(crate) fn kill(&self) {
        self.exit.signal(self.pid, Signal::Kill);
        self.exit.wait(GRACE);
    }

    fn last_lines(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end();
    }
}

impl Exit {
    fn stay_with(&self, mut process: Process) {
        let pid = process.id();
        platform::wait_without_reaping(pid);
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        // Whatever it left in its group goes with it, while the zombie still keeps the group's id ours.
        platform::signal_group(pid, Signal::Kill);
        *status = Some(describe(process.wait()));
        self.changed.notify_all();
    }

    fn status(&self) -> Option<String> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Signals only a process that has not been reaped: its id is certainly still its own.
    fn signal(&self, pid: u32, signal: Signal) {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if status.is_none() {
            platform::signal_group(pid, signal);
        }
    }

    /// True once the process is gone.
    fn wait(&self, limit: Duration) -> bool {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let (status, _) = self
            .changed
            .wait_timeout_while(status, limit, |status| status.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        status.is_some()
    }
}

/// A command with nothing inherited but `PATH`: what runs here must not depend on who started it.
pub(crate) fn clean_command(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("HOME", home);
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

/// Finds one of this project's own programs beside the running one; a test's executable lies one folder deeper.
///
/// # Errors
/// It has not been built.
pub(crate) fn sibling(name: &str) -> Result<PathBuf> {
    let here = std::env::current_exe().context("the running program's own path is unknown")?;
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let folders = here.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join(&file)).find(|path| path.is_file());
    found.ok_or_else(|| anyhow!("{name} does not lie beside {}: build it first", here.display()))
}

fn describe(status: std::io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = clean_command(Path::new("/bin/sh"), Path::new("/"));
        command.arg("-c").arg(script);
        command
    }

    fn alive(pid: u32) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
    }

    async fn pid_in(file: &Path, child: &Child) -> Result<u32> {
        let pid = async || std::fs::read_to_string(file).ok()?.trim().parse().ok();
        child.wait_until(Duration::from_secs(5), pid).await
    }

    #[tokio::test]
    async fn ending_a_child_ends_its_whole_group() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let script = format!("sleep 60 & echo $! > {}; wait", file.display());

        let child = Child::spawn("sh", shell(&script), &dir.path().join("log")).unwrap();
        let grandchild = pid_in(&file, &child).await.unwrap();
        assert!(alive(grandchild));
        drop(child);

        let end = std::time::Instant::now() + Duration::from_secs(5);
        while alive(grandchild) && std::time::Instant::now() < end {
            thread::yield_now();
        }
        assert!(!alive(grandchild));
    }

    #[tokio::test]
    async fn a_child_that_ends_early_is_told_with_the_last_lines_of_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let child =
            Child::spawn("sh", shell("echo no such port >&2; exit 3"), &dir.path().join("log")).unwrap();

        let error = child.wait_until(Duration::from_secs(5), async || None::<()>).await.unwrap_err();

        let text = error.to_string();
        assert!(text.contains("exit status: 3") && text.contains("no such port"), "{text}");
    }

    #[tokio::test]
    async fn a_child_inherits_no_variable_but_the_search_path() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("env");
        let script = format!("env > {0}.new; mv {0}.new {0}; sleep 60", file.display());
        let child = Child::spawn("sh", shell(&script), &dir.path().join("log")).unwrap();

        let text = child
            .wait_until(Duration::from_secs(5), async || std::fs::read_to_string(&file).ok())
            .await
            .unwrap();

        let names: Vec<&str> = text.lines().filter_map(|line| line.split('=').next()).collect();
        assert!(
            names.iter().all(|name| ["HOME", "PATH", "PWD", "SHLVL", "_", "OLDPWD"].contains(name)),
            "{names:?}"
        );
    }
}
