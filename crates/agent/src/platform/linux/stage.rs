//! For tests: real processes that come from each other as Nomad's do, in a data folder of their own, gone when the test is.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::processes::{Family, Member, Role, row};

pub(super) const ALLOC: &str = "fedbb3b1-dae0-a47b-538b-62dec51212a9";

/// One that comes from this stage's guard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OurProcess {
    pub(super) pid: u32,
    pub(super) role: Role,
    pub(super) frozen: bool,
}

pub(super) struct Stage {
    pub(super) dir: tempfile::TempDir,
    /// One that stands for guard and agent at once.
    played: Option<Child>,
}

impl Stage {
    pub(super) fn new() -> Self {
        let stage = Self { dir: tempfile::tempdir().unwrap(), played: None };
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

    /// An executor of this stage's own agent, with this shell text as a task's parent.
    pub(super) fn executor(&mut self, text: &str) -> Family {
        let executor = self.script("executor", text);
        let agent = Command::new("/bin/sh")
            .args(["-c", r#""$0" & wait"#])
            .arg(executor)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pid = agent.id() as i32;
        self.played = Some(agent);
        Family { guard: pid, agent: Some(pid), program: None }
    }

    /// Nobody, where no guard of this stage is there, and no stand-in.
    pub(super) fn family(&self) -> Option<Family> {
        if let Some(played) = &self.played {
            let pid = played.id() as i32;
            return Some(Family { guard: pid, agent: Some(pid), program: None });
        }
        let keeper = self.keeper()?;
        let below = |pid| Family { guard: pid, agent: None, program: None };
        let child = |of: i32| below(of).members().unwrap().into_iter().find(|member| member.row.parent == of);
        let Some(guard) = child(keeper) else { return Some(below(keeper)) };
        let mut agents = below(guard.row.pid).members().unwrap().into_iter().filter(|member| {
            let said = fs::read(format!("/proc/{}/cmdline", member.row.pid)).unwrap_or_default();
            member.row.parent == guard.row.pid && said.split(|byte| *byte == 0).any(|word| word == b"-config")
        });
        let agent = agents.next_back().map(|agent| agent.row.pid);
        let program = agent.and_then(super::processes::program);
        Some(Family { guard: guard.row.pid, agent, program })
    }

    /// Of whom this stage's guard comes: the test's own child, by what the test has told it.
    fn keeper(&self) -> Option<i32> {
        let told = format!("IONET_TEST_GUARD={}", self.dir.path().join("run").display());
        let own = std::process::id() as i32;
        let ours = Family { guard: own, agent: None, program: None }.members().unwrap();
        let mut children = ours.into_iter().map(|member| member.row).filter(|row| row.parent == own);
        let keeper = children.find(|row| {
            let said = fs::read(format!("/proc/{}/environ", row.pid)).unwrap_or_default();
            said.split(|byte| *byte == 0).any(|variable| variable == told.as_bytes())
        });
        keeper.map(|row| row.pid)
    }

    pub(super) async fn ours(&self) -> Vec<OurProcess> {
        let ours = |member: Member| {
            let Member { row, role } = member;
            OurProcess { pid: row.pid as u32, role, frozen: row.is_frozen() }
        };
        self.members().into_iter().map(ours).collect()
    }

    pub(super) async fn tasks(&self) -> Vec<OurProcess> {
        self.ours().await.into_iter().filter(|process| process.role == Role::Task).collect()
    }

    fn members(&self) -> Vec<Member> {
        self.family().map(|family| family.members().unwrap()).unwrap_or_default()
    }

    /// Until that many tasks run.
    pub(super) async fn until_tasks(&self, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.tasks().await.len() < count {
            assert!(Instant::now() < deadline, "{:?}", self.ours().await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Until guard and keeper are gone.
    pub(super) async fn until_unguarded(&self) {
        until("the end of guard and keeper", || self.keeper().is_none()).await;
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for member in self.members() {
            super::signals::send(&member.row, super::signals::Signal::KILL);
        }
        if let Some(played) = &mut self.played {
            let _ = played.kill();
            let _ = played.wait();
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
    row(pid as i32).is_some_and(|row| !row.is_dead())
}
