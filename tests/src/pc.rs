//! One PC: the app's folders, its environment, and its programs.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use ionet_core::{Intent, Snapshot};
use ionet_wire::client::Client;
use ionet_wire::message::Kind;
use ionet_wire::paths::Folders;
use serde_json::json;
use tokio::process::{Child, Command};

use crate::processes::{self, Process};
use crate::read;
use crate::wait::{until, until_seen};

#[derive(Debug)]
pub struct Pc {
    home: PathBuf,
    notes: PathBuf,
    programs: PathBuf,
    environment: Vec<(String, String)>,
}

/// The resident program, started as a child of ours.
#[derive(Debug)]
pub struct Resident {
    pub child: Child,
}

impl Pc {
    /// `home` becomes `IONET_HOME`, so it has to be short; `notes` is where the programs' outputs are kept.
    pub fn new(
        home: &Path,
        notes: &Path,
        programs: &Path,
        mut environment: Vec<(String, String)>,
    ) -> Result<Self> {
        ionet_wire::paths::private_folder(home)?;
        std::fs::create_dir_all(notes)?;
        environment.push((ionet_wire::paths::HOME_VARIABLE.to_owned(), home.to_string_lossy().into_owned()));
        Ok(Self {
            home: home.to_owned(),
            notes: notes.to_owned(),
            programs: programs.to_owned(),
            environment,
        })
    }

    /// A PC in this folder whose io.net side is not there: nobody signs in.
    pub fn without_a_cloud(
        folder: &Path,
        programs: &Path,
        environment: Vec<(String, String)>,
    ) -> Result<Self> {
        let pc = Self::new(&folder.join("pc"), &folder.join("notes"), programs, environment)?;
        let config = pc.folders().config;
        ionet_wire::paths::private_folder(&config)?;
        let nowhere =
            json!({"issuer": "http://127.0.0.1:1", "client_id": "nobody", "gateway": "https://127.0.0.1:1/"});
        std::fs::write(config.join("endpoints.json"), nowhere.to_string())?;
        Ok(pc)
    }

    pub fn home(&self) -> &Path {
        &self.home
    }

    pub fn folders(&self) -> Folders {
        let below = |name: &str| self.home.join(name);
        Folders { config: below("config"), data: below("data"), logs: below("logs"), run: below("run") }
    }

    pub fn environment(&self) -> Vec<(String, String)> {
        self.environment.clone()
    }

    /// Adds or replaces a variable for everything that is started from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// As everything is that ships: agent and jobs live in a capsule.
    pub fn with_capsule(&mut self) {
        self.set(crate::capsule::VARIABLE, "yes");
    }

    pub fn has_capsule(&self) -> bool {
        self.environment.iter().any(|(name, _)| name == crate::capsule::VARIABLE)
    }

    /// Where that path of the agent's lies, seen from here.
    ///
    /// # Errors
    /// Its capsule is not there.
    pub fn of_agent(&self, inside: &str, plain: PathBuf) -> Result<PathBuf> {
        if !self.has_capsule() {
            return Ok(plain);
        }
        Ok(crate::capsule::root(&self.folders().guard_run())?.join(inside.trim_start_matches('/')))
    }

    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// Where output is kept, opened for adding to it.
    pub fn log_file(&self, name: &str) -> Result<File> {
        Ok(File::options().create(true).append(true).open(self.notes.join(name))?)
    }

    pub fn note(&self, name: &str) -> Result<String> {
        Ok(std::fs::read_to_string(self.notes.join(name))?)
    }

    /// Runs `ionet-supplier ARGUMENTS` to its end.
    pub async fn command(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = self.supplier(&[], arguments);
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
        tokio::time::timeout(Duration::from_secs(60), output)
            .await
            .with_context(|| format!("`ionet-supplier {}` did not end", arguments.join(" ")))?
            .context("ionet-supplier cannot be started")
    }

    /// Starts `ionet-supplier ARGUMENTS` as a child, its output in `NAME.out` and `NAME.err`.
    pub fn resident(&self, name: &str, arguments: &[&str]) -> Result<Resident> {
        self.resident_by(&[], name, arguments)
    }

    /// The same through another program, which becomes it.
    pub fn resident_by(&self, through: &[&str], name: &str, arguments: &[&str]) -> Result<Resident> {
        let child = self
            .supplier(through, arguments)
            .stdin(Stdio::null())
            .stdout(self.log_file(&format!("{name}.out"))?)
            .stderr(self.log_file(&format!("{name}.err"))?)
            .kill_on_drop(true)
            .spawn()
            .context("ionet-supplier cannot be started")?;
        Ok(Resident { child })
    }

    /// A watcher of its own, as the command line is one.
    pub async fn watch(&self, patience: Duration) -> Result<Client> {
        let meeting = self.folders().meeting();
        until("the resident program answers", patience, || async {
            Ok(Some(Client::connect(&meeting, Kind::Command).await?))
        })
        .await
    }

    /// What the resident program says now.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        Ok(Client::connect(&self.folders().meeting(), Kind::Command).await?.next().await?)
    }

    pub async fn ask(&self, intent: Intent) -> Result<()> {
        Ok(Client::connect(&self.folders().meeting(), Kind::Command).await?.send(intent).await?)
    }

    /// Waits for a snapshot that `wanted` accepts; `what` says it in words.
    pub async fn snapshot_with(
        &self,
        what: &str,
        patience: Duration,
        wanted: impl Fn(&Snapshot) -> bool,
    ) -> Result<Snapshot> {
        until(what, patience, || async {
            let snapshot = self.snapshot().await?;
            anyhow::ensure!(
                wanted(&snapshot),
                "phase {:?}, problems {:?}",
                read::phase(&snapshot),
                read::problems(&snapshot)
            );
            Ok(Some(snapshot))
        })
        .await
    }

    /// The resident program's process id, from the program itself.
    pub async fn resident_pid(&self) -> Result<u32> {
        Ok(Client::connect(&self.folders().meeting(), Kind::Command).await?.resident_pid)
    }

    /// Everything alive that was started for this PC, leaving out the family of `but`.
    pub fn processes(&self, but: Option<u32>) -> Vec<Process> {
        let mut ours = processes::of_folder(&self.home);
        let capsule = crate::capsule::processes(&self.folders().guard_run());
        ours.extend(
            capsule
                .into_iter()
                .filter(|inside| !ours.iter().any(|one| one.pid == inside.pid))
                .collect::<Vec<_>>(),
        );
        if let Some(root) = but {
            let family = processes::family(root, &processes::all());
            ours.retain(|process| !family.contains(&process.pid));
        }
        ours
    }

    /// Windows that are open, by process id.
    pub fn windows(&self) -> Vec<Process> {
        let named = |process: &Process| process.name() == "ionet-supplier-window";
        self.processes(None).into_iter().filter(named).collect()
    }

    /// Waits until no process passes `counts` and nothing of a capsule is left; says what was when patience is over.
    pub async fn nothing_left(&self, patience: Duration, counts: impl Fn(&Process) -> bool) -> Result<()> {
        until_seen("nothing of the app's work is left", patience, || {
            let left: Vec<Process> =
                self.processes(None).into_iter().filter(|process| counts(process)).collect();
            anyhow::ensure!(left.is_empty(), "still there: {}", processes::listed(&left));
            self.capsule_gone()?;
            Ok(Some(()))
        })
        .await
    }

    /// # Errors
    /// What is left of its capsule, where it has them.
    pub fn capsule_gone(&self) -> Result<()> {
        let left = if self.has_capsule() { crate::capsule::left(&self.folders()) } else { Vec::new() };
        anyhow::ensure!(left.is_empty(), "of the capsule is left: {left:?}");
        Ok(())
    }

    fn supplier(&self, through: &[&str], arguments: &[&str]) -> Command {
        let program = self.program("ionet-supplier").into_os_string();
        let mut words = through.iter().map(OsString::from).chain([program]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args(arguments).env_clear().envs(self.environment()).current_dir("/");
        command
    }
}

impl Resident {
    /// Waits for its end; gives its exit code.
    pub async fn ended(&mut self, patience: Duration) -> Result<Option<i32>> {
        let status = tokio::time::timeout(patience, self.child.wait())
            .await
            .context("the resident program did not end")??;
        Ok(status.code())
    }

    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }
}
