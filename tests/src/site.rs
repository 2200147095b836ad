//! One harness for all that is tried without a desktop: the io.net side, and machines that enrol by a token. It ends the
//! test at the first thing that is not as it should be.

#![expect(clippy::print_stdout, reason = "a test that is left out says so")]
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ionet_core::Phase;
use ionet_stage::{NomadChoice, Options, Stage};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::account::Account;
use crate::audit::{self, Audit, Books};
use crate::machine::Machine;
use crate::processes::{self, Process};
use crate::root::Root;
use crate::wait::{PATIENCE, until};
use crate::{needs, region};

/// Each site has a region of its own.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

#[derive(Debug)]
pub struct Site {
    // Fields drop from the top.
    pub stage: Stage,
    pub account: Account,
    programs: PathBuf,
    root: Root,
    /// Its machines' jobs live in capsules, as everybody's do.
    contained: bool,
    _turn: SemaphorePermit<'static>,
}

impl Site {
    /// None, and said, where something is missing that a walk needs.
    pub async fn start() -> Option<Self> {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut Options)) -> Option<Self> {
        let programs = needs::programs().unwrap();
        let missing = needs::missing_for_headless(&programs);
        if !missing.is_empty() {
            println!("skipped: needs {}", missing.join(", "));
            return None;
        }
        let turn = AT_ONCE.acquire().await.unwrap();
        let root = Root::new(None).unwrap();
        let mut options = Options::new(root.path().join("stage"));
        options.gateway = Some(programs.join("ionet-gateway"));
        change(&mut options);
        let stage = Stage::start(options).await.unwrap();
        let account = Account::sign_in(&stage.endpoints(), "alice", "demo").await.unwrap();
        Some(Self { stage, account, programs, root, contained: false, _turn: turn })
    }

    /// One whose machines have capsules. None, and said, where a capsule or a real Nomad cannot be had.
    pub async fn with_capsules() -> Option<Self> {
        let programs = needs::programs().unwrap();
        let missing = needs::missing_for_capsules(&programs, NomadChoice::Found.resolve().unwrap().kind);
        if !missing.is_empty() {
            println!("skipped: needs {}", missing.join(", "));
            return None;
        }
        let site = Self::start().await?;
        Some(Self { contained: true, ..site })
    }

    /// A machine with a card, and a token to enrol by; nothing runs on it yet.
    pub async fn machine(&self, name: &str) -> Machine {
        let token = self.account.enrolment_token().await.unwrap().token;
        let mut machine = Machine::new(&self.folder(name), &self.stage, &self.programs, &token).unwrap();
        if self.contained {
            machine.pc.with_capsule();
        }
        machine
    }

    /// A folder of a machine's own.
    pub fn folder(&self, machine: &str) -> PathBuf {
        self.root.path().join(machine)
    }

    /// Submits the example under this name for one machine alone, in a container where machines have capsules, and waits
    /// until it runs there and the app says so;
    /// gives the allocation's id.
    pub async fn job(&self, name: &str, machine: &Machine) -> String {
        let device = machine.device().await;
        if self.contained {
            machine.offer_example();
        }
        let mut job = ionet_stage::example_job(name, self.contained);
        let constraint = json!({"LTarget": "${node.unique.name}", "RTarget": device, "Operand": "="});
        job["Job"]["Constraints"].as_array_mut().unwrap().push(constraint);
        self.stage.submit_job(&job).await.unwrap();
        machine.phase(&Phase::Earning).await;
        let node = machine.node().await;
        let found = until("the region runs the job there", PATIENCE, || async {
            let live = self.live(&node).await?;
            Ok(live.into_iter().find(|one| one["JobID"] == name && one["ClientStatus"] == "running"))
        });
        found.await.unwrap()["ID"].as_str().unwrap().to_owned()
    }

    pub async fn allocation(&self, id: &str) -> Value {
        self.stage.nomad_get(&format!("/v1/allocation/{id}")).await.unwrap()
    }

    /// The node's allocations that are pending or running.
    pub async fn live(&self, node: &str) -> anyhow::Result<Vec<Value>> {
        region::live(&self.stage, node).await
    }

    /// The nodes that bear this device's name.
    pub async fn nodes(&self, device: &str) -> anyhow::Result<Vec<Value>> {
        let list = self.stage.nomad_get("/v1/nodes").await?;
        Ok(list
            .as_array()
            .cloned()
            .unwrap_or_default()
            .into_iter()
            .filter(|one| one["Name"] == device)
            .collect())
    }

    /// Waits until the region takes nothing more for this node and has nothing on it.
    pub async fn held(&self, node: &str) {
        until("the region holds the node and has nothing on it", PATIENCE, || async {
            let now = self.stage.nomad_get(&format!("/v1/node/{node}")).await?;
            anyhow::ensure!(now["SchedulingEligibility"] == "ineligible", "the node is still eligible");
            let live = self.live(node).await?;
            anyhow::ensure!(live.is_empty(), "{} allocations hold the machine", live.len());
            Ok(Some(()))
        })
        .await
        .unwrap();
    }

    /// The second opinion on all that this node earned by `job`, whose allocation has ended.
    pub async fn audit(&self, job: &str, allocation: &str, node: &str) -> anyhow::Result<Audit> {
        let events = self.stage.operator().told(|lines| audit::tells_the_end(lines, allocation)).await?;
        let books = Books {
            allocations: &self.stage.nomad_get("/v1/allocations").await?,
            events: &Value::Array(events),
            jobs: &json!({job: self.stage.nomad_get(&format!("/v1/job/{job}")).await?}),
            prices: &region::prices(&self.stage)?,
            ledger: &self.stage.gateway_db(),
            node,
            as_of_ns: i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?,
        };
        audit::recompute(&self.folder("audit"), &books).await
    }
}

/// The allocation's processes on this machine, Nomad's own helpers left out.
pub fn work(allocation: &str) -> Vec<(u32, u64)> {
    // A shell's own children come and go, and are shells until they are something else; it is the shell that is the task.
    let mut shells = processes::of_allocation(allocation);
    shells.retain(|process: &Process| process.command.starts_with("/bin/sh"));
    let tasks = shells.iter().filter(|one| shells.iter().all(|other| other.pid != one.parent));
    tasks.map(|one| (one.pid, one.started)).collect()
}

pub fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Lets `link` lead to `target` from one moment to the next.
pub fn point(link: &Path, target: &Path) {
    let beside = link.with_extension("new");
    std::os::unix::fs::symlink(target, &beside).unwrap();
    std::fs::rename(&beside, link).unwrap();
}
