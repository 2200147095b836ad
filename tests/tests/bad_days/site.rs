//! A site for bad days: the io.net side, and machines without a desktop that enrol by a token.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ionet_core::{Phase, ProblemCode, Snapshot};
use ionet_stage::{Options, Stage};
use journeys::account::Account;
use journeys::audit::{self, Audit, Books};
use journeys::pc::{Pc, Resident};
use journeys::processes::{self, Process};
use journeys::wait::until;
use journeys::{card, mounts, needs};
use rustix::process::Signal;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use url::Url;

/// Guards against hanging, and against nothing else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Each site has a region of its own.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

pub(crate) struct Site {
    // Fields drop from the top.
    pub(crate) stage: Stage,
    pub(crate) account: Account,
    programs: PathBuf,
    root: Root,
    _turn: SemaphorePermit<'static>,
}

/// One machine. Declared after its site, it ends before it.
pub(crate) struct Machine {
    pub(crate) pc: Pc,
    resident: Option<Resident>,
    token_file: PathBuf,
    /// What the card's double reads.
    pub(crate) card: PathBuf,
}

/// Where everything lies. Dropping it ends every process that has to do with it, whatever a test came to.
struct Root(TempDir);

impl Drop for Root {
    fn drop(&mut self) {
        processes::sweep(self.0.path());
        mounts::clear(self.0.path());
    }
}

impl Site {
    /// None, and said, where something is missing that a walk needs.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Options)) -> Option<Self> {
        let programs = needs::programs().unwrap();
        let missing = needs::missing_for_headless(&programs);
        if !missing.is_empty() {
            eprintln!("skipped: needs {}", missing.join(", "));
            return None;
        }
        let turn = AT_ONCE.acquire().await.unwrap();
        let root = Root(tempfile::Builder::new().prefix("ionet-").tempdir_in("/tmp").unwrap());
        let mut options = Options::new(root.0.path().join("stage"));
        options.gateway = Some(programs.join("ionet-gateway"));
        change(&mut options);
        let stage = Stage::start(options).await.unwrap();
        let account = Account::sign_in(&stage.endpoints(), "alice", "demo").await.unwrap();
        Some(Self { stage, account, programs, root, _turn: turn })
    }

    /// A machine with a card, and a token to enrol by; nothing runs on it yet.
    pub(crate) async fn machine(&self, name: &str) -> Machine {
        let folder = self.folder(name);
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        // What a service manager gives a program.
        let environment = vec![
            variable("HOME", &folder.to_string_lossy()),
            variable("PATH", "/usr/local/bin:/usr/bin:/bin"),
            variable("LANG", "C.UTF-8"),
        ];
        let mut pc =
            Pc::new(&folder.join("home"), &folder.join("notes"), &self.programs, environment).unwrap();
        pc.set("NOMAD", &self.stage.agent().path.to_string_lossy());
        self.stage.endpoints().install(pc.home()).unwrap();
        if !card::is_real() {
            card::put(&mut pc, &folder.join("card"), &self.programs).unwrap();
        }
        let token_file = folder.join("token");
        std::fs::write(&token_file, self.account.enrolment_token().await.unwrap().token).unwrap();
        Machine { pc, resident: None, token_file, card: card::script(&folder.join("card")) }
    }

    /// A folder of a machine's own.
    pub(crate) fn folder(&self, machine: &str) -> PathBuf {
        self.root.0.path().join(machine)
    }

    /// Submits the example under this name for one machine alone, and waits until it runs there and the app says so;
    /// gives the allocation's id.
    pub(crate) async fn job(&self, name: &str, machine: &Machine) -> String {
        let device = machine.snapshot().await.device.unwrap().id;
        let mut job = ionet_stage::example_job(name, false);
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

    pub(crate) async fn allocation(&self, id: &str) -> Value {
        self.stage.nomad_get(&format!("/v1/allocation/{id}")).await.unwrap()
    }

    /// The node's allocations that are pending or running.
    pub(crate) async fn live(&self, node: &str) -> anyhow::Result<Vec<Value>> {
        let list = self.stage.nomad_get(&format!("/v1/node/{node}/allocations")).await?;
        let live = |one: &Value| matches!(one["ClientStatus"].as_str(), Some("pending" | "running"));
        Ok(list.as_array().cloned().unwrap_or_default().into_iter().filter(live).collect())
    }

    /// The nodes that bear this device's name.
    pub(crate) async fn nodes(&self, device: &str) -> anyhow::Result<Vec<Value>> {
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
    pub(crate) async fn held(&self, node: &str) {
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

    /// The second opinion on all that this node earned by `job`.
    pub(crate) async fn audit(&self, job: &str, node: &str) -> anyhow::Result<Audit> {
        let config: toml::Table =
            toml::from_str(&std::fs::read_to_string(self.stage.dir().join("gateway/gateway.toml"))?)?;
        let price = config["prices"]["default_micros_per_hour"].as_integer().unwrap();
        let books = Books {
            allocations: &self.stage.nomad_get("/v1/allocations").await?,
            jobs: &json!({job: self.stage.nomad_get(&format!("/v1/job/{job}")).await?}),
            prices: &json!({"default_micros_per_hour": price, "gpus": {}}),
            ledger: &self.stage.gateway_db(),
            node,
            as_of_ns: i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?,
        };
        audit::recompute(&self.folder("audit"), &books).await
    }
}

impl Machine {
    /// Starts the app as a service manager would, agreement and token included.
    pub(crate) fn start(&mut self) {
        let token = self.token_file.to_string_lossy().into_owned();
        self.start_with(&["--enrolment-token-file", &token, "--agree"]);
    }

    /// Starts the app as its owner does, who has yet to sign in. There is no desktop to show it on.
    pub(crate) fn start_as_owner(&mut self) {
        self.resident = Some(self.pc.resident("resident", &["run"]).unwrap());
    }

    /// Starts the app in a network of its own, which leads nowhere. Needs root.
    pub(crate) fn start_cut_off(&mut self) {
        let token = self.token_file.to_string_lossy().into_owned();
        let arguments = ["run", "--headless", "--enrolment-token-file", &token, "--agree"];
        self.resident = Some(self.pc.resident_by(&["unshare", "--net"], "resident", &arguments).unwrap());
    }

    /// Shifts this machine's clock; what is written into the file that is given moves it again. The agent keeps the
    /// right time: it takes no part in this.
    pub(crate) fn false_clock(&mut self, library: &Path, shift: &str) -> PathBuf {
        let file = self.token_file.with_file_name("clock");
        std::fs::write(&file, shift).unwrap();
        self.pc.set("LD_PRELOAD", &library.to_string_lossy());
        self.pc.set("FAKETIME_TIMESTAMP_FILE", &file.to_string_lossy());
        self.pc.set("FAKETIME_NO_CACHE", "1");
        self.pc.set("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        file
    }

    pub(crate) fn start_with(&mut self, arguments: &[&str]) {
        let arguments = [&["run", "--headless"], arguments].concat();
        self.resident = Some(self.pc.resident("resident", &arguments).unwrap());
    }

    pub(crate) fn resident_pid(&self) -> u32 {
        self.resident.as_ref().and_then(Resident::pid).unwrap()
    }

    /// SIGTERM; gives the exit code.
    pub(crate) async fn leave(&mut self) -> Option<i32> {
        self.end(Signal::TERM).await
    }

    /// SIGKILL, as by a crash.
    pub(crate) async fn kill(&mut self) {
        self.end(Signal::KILL).await;
    }

    async fn end(&mut self, signal: Signal) -> Option<i32> {
        let mut resident = self.resident.take().unwrap();
        processes::signal(resident.pid().unwrap(), signal).unwrap();
        resident.ended(PATIENCE).await.unwrap()
    }

    pub(crate) async fn snapshot(&self) -> Snapshot {
        self.pc.snapshot().await.unwrap()
    }

    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Snapshot) -> bool) -> Snapshot {
        self.pc.snapshot_with(what, PATIENCE, wanted).await.unwrap()
    }

    pub(crate) async fn phase(&self, phase: &Phase) -> Snapshot {
        self.until(&format!("it is {phase:?}"), |now| now.phase == *phase).await
    }

    /// Waits until it is online with nothing in its way.
    pub(crate) async fn online(&self) -> Snapshot {
        self.until("it is online and well", |now| now.phase == Phase::Waiting && now.problems.is_empty())
            .await
    }

    /// Waits until it is online with nothing in its way, whether or not a job has come by then.
    pub(crate) async fn at_work(&self) -> Snapshot {
        let online = |now: &Snapshot| matches!(now.phase, Phase::Waiting | Phase::Earning);
        self.until("it is online and well", |now| online(now) && now.problems.is_empty()).await
    }

    /// Waits until it has this problem, and reads it from `status --json`: the exit code and what was printed.
    pub(crate) async fn says(&self, code: ProblemCode) -> (Option<i32>, Value) {
        let code = code.as_str();
        let has = |now: &Snapshot| now.problems.iter().any(|problem| problem.code.as_str() == code);
        self.until(&format!("it says {code}"), has).await;
        let (exit, told) = self.status().await;
        let listed = told["problems"].as_array().unwrap().iter().any(|problem| problem["code"] == code);
        assert!(listed, "{code} is not among {}", told["problems"]);
        (exit, told)
    }

    /// `status --json`: the exit code and what was printed.
    pub(crate) async fn status(&self) -> (Option<i32>, Value) {
        let output = self.pc.command(&["status", "--json"]).await.unwrap();
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
    }

    pub(crate) async fn command(&self, argument: &str) {
        let output = self.pc.command(&[argument]).await.unwrap();
        assert!(output.status.success(), "{argument}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The region's id of this machine.
    pub(crate) async fn node(&self) -> String {
        self.snapshot().await.node.unwrap().id
    }

    /// The Nomad agents that run here.
    pub(crate) fn agents(&self) -> Vec<Process> {
        let agent = |process: &Process| process.command.contains(" agent -config ");
        self.pc.processes(None).into_iter().filter(agent).collect()
    }

    /// Waits until nothing of ours runs here but the resident program.
    pub(crate) async fn idle(&self, patience: Duration) {
        let resident = self.resident_pid();
        let counts = |process: &Process| process.pid != resident;
        self.pc.nothing_left(patience, counts).await.unwrap();
    }

    /// How many lines the allocation's task has printed.
    pub(crate) fn printed(&self, allocation: &str) -> usize {
        let file = format!("alloc/{allocation}/alloc/logs/work.stdout.0");
        let text = std::fs::read_to_string(self.pc.folders().agent_data().join(file)).unwrap_or_default();
        text.lines().count()
    }
}

/// Somebody else at the gateway's address, with its certificate.
pub(crate) struct Impostor(tokio::task::JoinHandle<()>);

impl Impostor {
    /// Answers whatever it is asked with this status and page.
    pub(crate) async fn says(stage: &Stage, status: &'static str, page: &'static str) -> Self {
        Self::at_the_gateways_address(stage, Some((status, page))).await
    }

    /// Takes every connection and says nothing.
    pub(crate) async fn silent(stage: &Stage) -> Self {
        Self::at_the_gateways_address(stage, None).await
    }

    pub(crate) async fn leaves(self) {
        self.0.abort();
        let _ = self.0.await;
    }

    async fn at_the_gateways_address(stage: &Stage, answer: Option<Answer>) -> Self {
        let files = &stage.pki().gateway;
        let chain = CertificateDer::pem_file_iter(&files.cert).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
        let config =
            rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        let tls = TlsAcceptor::from(Arc::new(config));
        let port = Url::parse(&stage.endpoints().gateway).unwrap().port().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        Self(tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let tls = tls.clone();
                open.spawn(async move { say(tls.accept(stream).await?, answer).await });
            }
        }))
    }
}

/// A status and a page.
type Answer = (&'static str, &'static str);

async fn say(mut stream: TlsStream<TcpStream>, answer: Option<Answer>) -> std::io::Result<()> {
    stream.read_u8().await?;
    let Some((status, page)) = answer else { return std::future::pending().await };
    let length = page.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(page.as_bytes()).await?;
    stream.shutdown().await
}

/// The allocation's processes on this machine, Nomad's own helpers left out.
pub(crate) fn work(allocation: &str) -> Vec<(u32, u64)> {
    // A shell's own children come and go; it is the shell that is the task.
    let shell = |process: &Process| process.command.starts_with("/bin/sh");
    processes::of_allocation(allocation).into_iter().filter(shell).map(|one| (one.pid, one.started)).collect()
}

pub(crate) fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Lets `link` lead to `target` from one moment to the next.
pub(crate) fn point(link: &Path, target: &Path) {
    let beside = link.with_extension("new");
    std::os::unix::fs::symlink(target, &beside).unwrap();
    std::fs::rename(&beside, link).unwrap();
}
