//! For tests: real processes that look as Nomad's do, in a data folder of their own, gone when the test is.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::workloads::{self, OurProcess, Role};

pub(super) const ALLOC: &str = "fedbb3b1-dae0-a47b-538b-62dec51212a9";

pub(super) struct Stage {
    pub(super) dir: tempfile::TempDir,
    children: Vec<Child>,
}

impl Stage {
    pub(super) fn new() -> Self {
        let stage = Self { dir: tempfile::tempdir().unwrap(), children: Vec::new() };
        fs::create_dir_all(stage.data().join("alloc").join(ALLOC).join("alloc/logs")).unwrap();
        stage
    }

    pub(super) fn data(&self) -> PathBuf {
        self.dir.path().join("agent")
    }

    /// A shell script that can be run. Another process writes it: a file that this one has open for writing, a fork
    /// of another test's may hold open, and then it cannot be run.
    pub(super) fn script(&self, name: &str, text: &str) -> PathBuf {
        let file = self.dir.path().join(name);
        let written = Command::new("/bin/sh")
            .args(["-c", r#"printf '#!/bin/sh\n%s\n' "$2" > "$1""#, "sh"])
            .arg(&file)
            .arg(text)
            .status();
        assert!(written.unwrap().success());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    /// `nomad executor {"LogFile": …}`, running this shell text as its task's parent.
    pub(super) fn executor(&mut self, data_dir: &Path, text: &str) -> u32 {
        let log = data_dir.join("alloc").join(ALLOC).join("t/executor.out");
        let handed = serde_json::json!({"LogFile": log, "LogLevel": "info"}).to_string();
        self.plugin("executor", &[&handed], text)
    }

    /// `nomad NAME …`: the shell takes the plugin's name for that of its script.
    pub(super) fn plugin(&mut self, name: &str, arguments: &[&str], text: &str) -> u32 {
        use std::os::unix::process::CommandExt;
        let cwd = self.dir.path().join(format!("{name}-{}", self.children.len()));
        fs::create_dir(&cwd).unwrap();
        fs::write(cwd.join(name), text).unwrap();
        let child = Command::new("/bin/sh")
            .arg0("/usr/bin/nomad")
            .arg(name)
            .args(arguments)
            .current_dir(cwd)
            .env("NOMAD_PLUGIN_MAGIC_COOKIE", "x")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pid = child.id();
        self.children.push(child);
        pid
    }

    pub(super) async fn ours(&self) -> Vec<OurProcess> {
        workloads::list(&self.data()).await.unwrap()
    }

    pub(super) async fn tasks(&self) -> Vec<OurProcess> {
        self.ours().await.into_iter().filter(|process| process.role == Role::Task).collect()
    }

    /// Until that many tasks run.
    pub(super) async fn until_tasks(&self, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.tasks().await.len() < count {
            assert!(Instant::now() < deadline, "{:?}", self.ours().await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for pid in super::processes::members(&super::processes::Scope::new(&self.data())).unwrap_or_default()
        {
            super::signals::send(&pid.row, super::signals::Signal::KILL);
        }
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(super) async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(super) fn is_alive(pid: u32) -> bool {
    super::processes::row(pid as i32).is_some_and(|row| !row.is_dead())
}
