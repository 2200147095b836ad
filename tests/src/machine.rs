//! One machine without a desktop: a PC's folders and programs, and what a test does to them and reads of them.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use ionet_core::{Phase, ProblemCode, Snapshot};
use ionet_stage::Stage;
use rustix::process::Signal;
use serde_json::Value;

use crate::pc::{Pc, Resident};
use crate::processes::{self, Process};
use crate::wait::PATIENCE;
use crate::{card, read};

/// One machine. Declared after its site, it ends before it.
#[derive(Debug)]
pub struct Machine {
    pub pc: Pc,
    resident: Option<Resident>,
    token_file: PathBuf,
    /// What the card's double reads.
    pub card: PathBuf,
}

impl Machine {
    /// With a card, and a token to enrol by; nothing runs on it yet. `folder` is its own.
    pub fn new(folder: &Path, stage: &Stage, programs: &Path, token: &str) -> Result<Self> {
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        // What a service manager gives a program.
        let environment = vec![
            variable("HOME", &folder.to_string_lossy()),
            variable("PATH", "/usr/local/bin:/usr/bin:/bin"),
            variable("LANG", "C.UTF-8"),
        ];
        let mut pc = Pc::new(&folder.join("home"), &folder.join("notes"), programs, environment)?;
        pc.set("NOMAD", &stage.agent().path.to_string_lossy());
        stage.endpoints().install(pc.home())?;
        if !card::is_real() {
            card::put(&mut pc, &folder.join("card"), programs)?;
        }
        let token_file = folder.join("token");
        std::fs::write(&token_file, token)?;
        Ok(Self { pc, resident: None, token_file, card: card::script(&folder.join("card")) })
    }

    /// Starts the app as a service manager would, agreement and token included.
    pub fn start(&mut self) {
        let token = self.token_file.to_string_lossy().into_owned();
        self.start_with(&["--enrolment-token-file", &token, "--agree"]);
    }

    /// The next start finds no device here, and a token of another account. The agent's folders stay as they are.
    pub fn becomes_anothers(&mut self, token: &str) {
        let identity = self.pc.folders().identity();
        std::fs::rename(&identity, identity.with_extension("aside")).unwrap();
        std::fs::write(&self.token_file, token).unwrap();
    }

    /// Starts the app as its owner does, who has yet to sign in. There is no desktop to show it on.
    pub fn start_as_owner(&mut self) {
        self.resident = Some(self.pc.resident("resident", &["run"]).unwrap());
    }

    /// Starts the app in a network of its own, which leads nowhere. Needs root.
    pub fn start_cut_off(&mut self) {
        let token = self.token_file.to_string_lossy().into_owned();
        let arguments = ["run", "--headless", "--enrolment-token-file", &token, "--agree"];
        self.resident = Some(self.pc.resident_by(&["unshare", "--net"], "resident", &arguments).unwrap());
    }

    /// Shifts this machine's clock; what is written into the file that is given moves it again. The agent keeps the
    /// right time: it takes no part in this.
    pub fn false_clock(&mut self, library: &Path, shift: &str) -> PathBuf {
        let file = self.token_file.with_file_name("clock");
        std::fs::write(&file, shift).unwrap();
        self.pc.set("LD_PRELOAD", &library.to_string_lossy());
        self.pc.set("FAKETIME_TIMESTAMP_FILE", &file.to_string_lossy());
        self.pc.set("FAKETIME_NO_CACHE", "1");
        self.pc.set("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        file
    }

    pub fn start_with(&mut self, arguments: &[&str]) {
        let arguments = [&["run", "--headless"], arguments].concat();
        self.resident = Some(self.pc.resident("resident", &arguments).unwrap());
    }

    pub fn resident_pid(&self) -> u32 {
        self.resident.as_ref().and_then(Resident::pid).unwrap()
    }

    /// SIGTERM; gives the exit code.
    pub async fn leave(&mut self) -> Option<i32> {
        self.end(Signal::TERM).await
    }

    /// SIGHUP, as by a terminal that is closed; gives the exit code.
    pub async fn hang_up(&mut self) -> Option<i32> {
        self.end(Signal::HUP).await
    }

    /// SIGKILL, as by a crash.
    pub async fn kill(&mut self) {
        self.end(Signal::KILL).await;
    }

    async fn end(&mut self, signal: Signal) -> Option<i32> {
        let mut resident = self.resident.take().unwrap();
        processes::signal(resident.pid().unwrap(), signal).unwrap();
        resident.ended(PATIENCE).await.unwrap()
    }

    pub async fn snapshot(&self) -> Snapshot {
        self.pc.snapshot().await.unwrap()
    }

    pub async fn until(&self, what: &str, wanted: impl Fn(&Snapshot) -> bool) -> Snapshot {
        self.pc.snapshot_with(what, PATIENCE, wanted).await.unwrap()
    }

    pub async fn phase(&self, phase: &Phase) -> Snapshot {
        self.until(&format!("it is {phase:?}"), |now| read::phase(now) == phase).await
    }

    /// Puts the example's image into its capsule's engine, as if a job had brought it: no region of a rehearsal has a registry.
    pub fn offer_example(&self) {
        ionet_stage::offer_example(&self.pc.folders().guard_run().join("engine.sock")).unwrap();
    }

    /// Waits until it is online with nothing in its way.
    pub async fn online(&self) -> Snapshot {
        self.until("it is online and well", |now| *read::phase(now) == Phase::Waiting && read::is_well(now))
            .await
    }

    /// Waits until it is online with nothing in its way, whether or not a job has come by then.
    pub async fn at_work(&self) -> Snapshot {
        let online = |now: &Snapshot| matches!(read::phase(now), Phase::Waiting | Phase::Earning);
        self.until("it is online and well", |now| online(now) && read::is_well(now)).await
    }

    /// Waits until it has this problem, and reads it from `status --json`: the exit code and what was printed.
    pub async fn says(&self, code: ProblemCode) -> (Option<i32>, Value) {
        self.until(&format!("it says {}", code.as_str()), |now| read::problems(now).contains(&code)).await;
        let (exit, told) = self.status().await;
        assert!(read::problem(&told, code).is_some(), "{code:?} is not said in {told}");
        (exit, told)
    }

    /// `status --json`: the exit code and what was printed.
    pub async fn status(&self) -> (Option<i32>, Value) {
        let output = self.pc.command(&["status", "--json"]).await.unwrap();
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
    }

    pub async fn command(&self, argument: &str) {
        let output = self.pc.command(&[argument]).await.unwrap();
        assert!(output.status.success(), "{argument}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The region's id of this machine.
    pub async fn node(&self) -> String {
        read::node(&self.snapshot().await).unwrap()
    }

    /// The id that it is enrolled under.
    pub async fn device(&self) -> String {
        read::device(&self.snapshot().await).unwrap()
    }

    /// The Nomad agents that run here.
    pub fn agents(&self) -> Vec<Process> {
        let agent = |process: &Process| process.command.contains(" agent -config ");
        self.pc.processes(None).into_iter().filter(agent).collect()
    }

    /// Waits until nothing of ours runs here but the resident program.
    pub async fn idle(&self, patience: Duration) {
        let resident = self.resident_pid();
        let counts = |process: &Process| process.pid != resident;
        self.pc.nothing_left(patience, counts).await.unwrap();
    }

    /// How many lines the allocation's task has printed.
    pub fn printed(&self, allocation: &str) -> usize {
        let file = format!("alloc/{allocation}/alloc/logs/work.stdout.0");
        let plain = self.pc.folders().agent_data().join(&file);
        let file = self.pc.of_agent(&format!("/data/agent/{file}"), plain);
        let text = file.and_then(|file| Ok(std::fs::read_to_string(file)?)).unwrap_or_default();
        text.lines().count()
    }
}
