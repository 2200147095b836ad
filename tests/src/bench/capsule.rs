//! `./dev bench capsule`: how quickly a capsule is there, stands still and is gone, and what it takes, beside a plain engine on the same PC.

#![expect(clippy::print_stderr, reason = "who waits sees how far it is")]

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ionet_capsule::Wish;
use ionet_capsule::holder::Holder;
use ionet_capsule::place::Jobs;
use ionet_stage::{AgentKind, Engine, NomadChoice, offer_example};
use reqwest::{Client, Method};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::sleep;

use super::{Bench, Figure, Peer, cost};
use crate::processes::Process;
use crate::report::{Agent, AgentKind as Kind};
use crate::wait::PATIENCE;
use crate::window::free_port;
use crate::{needs, processes};

/// How many starts and freezes the figures are medians of.
const TURNS: usize = 5;
/// Jobs that are frozen at once, and that an end takes with it.
const CONTAINERS: usize = 50;
const FROZEN_GOAL: f64 = 0.03;
const GONE_GOAL: f64 = 1.0;
const DISK: u64 = 4 << 30;
/// Until what a start allocates has gone back.
const REST: Duration = Duration::from_secs(10);

/// # Errors
/// When something is missing that a capsule needs, or does not do what is to be measured.
pub(super) async fn bench(mut samples: File) -> Result<Bench> {
    let programs = needs::programs()?;
    let agent = NomadChoice::Found.resolve()?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Without a real one everything but its memory is measured.
    let missing = needs::missing_for_capsules(&programs, AgentKind::Nomad);
    ensure!(missing.is_empty(), "needs {}", missing.join(", "));
    let mut measured = Measured::default();
    for turn in 1..=TURNS {
        eprintln!("capsule and plain engine, {turn} of {TURNS}");
        measured.turn(&programs, turn == TURNS).await?;
    }
    writeln!(samples, "{}", serde_json::to_string(&measured.all)?)?;
    let kind = match agent.kind {
        AgentKind::Nomad => Kind::Nomad,
        AgentKind::Double => Kind::Double,
    };
    let nomad = if agent.kind == AgentKind::Nomad { Some(client_pss(&agent.path).await?) } else { None };
    let nomad = nomad.map(|value| Peer { name: format!("nomad {}, a client", agent.version), value });
    let figures = measured.figures(nomad)?;
    Ok(Bench::new("capsule", Agent { kind, version: agent.version }, figures))
}

#[derive(Default)]
struct Measured {
    all: std::collections::BTreeMap<&'static str, Vec<f64>>,
}

impl Measured {
    /// Both sides once; their containers and memory with the last.
    async fn turn(&mut self, programs: &Path, with_jobs: bool) -> Result<()> {
        let mut capsule = Capsule::open(programs).await?;
        self.take("ready", capsule.ready);
        let folder = tempfile::tempdir()?;
        let began = Instant::now();
        let plain = Engine::alone(folder.path()).await?;
        self.take("plain_ready", began.elapsed());
        if with_jobs {
            sleep(REST).await;
            self.memory(&capsule)?;
            self.freezes(&capsule, &plain).await?;
        }
        drop(plain);
        let gone = capsule.end_by_force().await?;
        if with_jobs {
            self.take("gone", gone);
        }
        Ok(())
    }

    /// All its jobs stand still, and go on; the plain engine is asked for each of its own.
    async fn freezes(&mut self, capsule: &Capsule, plain: &Engine) -> Result<()> {
        eprintln!("{CONTAINERS} containers on each …");
        let socket = plain.host().trim_start_matches("unix://").to_owned();
        let (ours, theirs) =
            (Containers::begin(&capsule.engine()).await?, Containers::begin(Path::new(&socket)).await?);
        for _ in 0..TURNS {
            let began = Instant::now();
            capsule.holder.freeze(&Jobs::All).await?;
            self.take("frozen", began.elapsed());
            let began = Instant::now();
            capsule.holder.thaw(&Jobs::All).await?;
            self.take("thawed", began.elapsed());
            self.take("plain_frozen", theirs.all("pause").await?);
            self.take("plain_thawed", theirs.all("unpause").await?);
        }
        ensure!(ours.run().await?, "a job has ended meanwhile");
        Ok(())
    }

    fn memory(&mut self, capsule: &Capsule) -> Result<()> {
        let all = capsule.processes();
        let of = |which: fn(&str) -> bool| {
            let pids: Vec<u32> = all.iter().filter(|one| which(&one.command)).map(|one| one.pid).collect();
            cost::pss(&pids)
        };
        let engine = of(is_engine)?;
        let network = of(is_network)?;
        let rest = of(|command| !is_engine(command) && !is_network(command))?;
        for (name, bytes) in [("engine_pss", engine), ("network_pss", network), ("rest_pss", rest)] {
            self.all.entry(name).or_default().push(bytes as f64);
        }
        Ok(())
    }

    fn take(&mut self, name: &'static str, took: Duration) {
        self.all.entry(name).or_default().push(took.as_secs_f64());
    }

    fn median(&self, name: &str) -> Result<f64> {
        let mut values = self.all.get(name).cloned().with_context(|| format!("{name} was not measured"))?;
        values.sort_by(f64::total_cmp);
        Ok((values[values.len() / 2] * 10_000.0).round() / 10_000.0)
    }

    fn figures(&self, nomad: Option<Peer>) -> Result<Vec<Figure>> {
        let plain = |name: &str, what: &str| -> Result<Option<Peer>> {
            Ok(Some(Peer { name: what.to_owned(), value: self.median(name)? }))
        };
        let (engine, each) = ("a plain engine", "a plain engine, each of 50");
        Ok(vec![
            Figure::told("ready", self.median("ready")?, "s").beside(plain("plain_ready", engine)?),
            Figure::within("fifty_frozen", self.median("frozen")?, "s", FROZEN_GOAL)
                .beside(plain("plain_frozen", each)?),
            Figure::told("fifty_thawed", self.median("thawed")?, "s").beside(plain("plain_thawed", each)?),
            Figure::within("killed_to_nothing_left", self.median("gone")?, "s", GONE_GOAL),
            Figure::told("engine_pss", self.median("engine_pss")?, "B").beside(nomad),
            Figure::told("network_pss", self.median("network_pss")?, "B"),
            Figure::told("rest_pss", self.median("rest_pss")?, "B"),
        ])
    }
}

fn is_engine(command: &str) -> bool {
    command.contains("dockerd") || command.contains("containerd")
}

fn is_network(command: &str) -> bool {
    command.contains("network.pid")
}

/// One that nothing else is done with; its engine has the example's image.
struct Capsule {
    dir: TempDir,
    holder: Holder,
    /// From nothing to that.
    ready: Duration,
}

impl Capsule {
    async fn open(programs: &Path) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let holder = Holder::at(&dir.path().join("run"));
        let capsule = Self { holder, dir, ready: Duration::ZERO };
        let program = programs.join("ionet-capsule");
        let began = Instant::now();
        let wish = Wish { disk: Some(DISK), memory: None, rate: None, granted: Vec::new(), led: Vec::new() };
        capsule.holder.open(&wish, None, || Some(capsule.serve(&program))).await?;
        let deadline = began + PATIENCE;
        let engine = client(&capsule.engine())?;
        while ask(&engine, Method::GET, "_ping", &json!({})).await.is_err() {
            ensure!(Instant::now() < deadline, "its engine does not answer");
            sleep(Duration::from_millis(2)).await;
        }
        offer_example(&capsule.engine())?;
        Ok(Self { ready: began.elapsed(), ..capsule })
    }

    fn serve(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.args(["serve", "--name", &format!("bench{}", std::process::id())]);
        command.arg("--folder").arg(self.dir.path().join("disk"));
        command.arg("--run").arg(self.dir.path().join("run"));
        // Nobody here speaks with its guard.
        command.args(["--alone", "600"]).env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn engine(&self) -> PathBuf {
        self.dir.path().join("run/engine.sock")
    }

    fn processes(&self) -> Vec<Process> {
        crate::capsule::processes(&self.dir.path().join("run"))
    }

    /// Kills the first process inside: how long it takes until nobody is left of whom there was, but the holder.
    async fn end_by_force(&mut self) -> Result<Duration> {
        let all = self.processes();
        let first =
            all.iter().find(|one| one.command.contains("ionet-capsule init")).context("no capsule")?;
        let inside = processes::family(first.pid, &all);
        let began = Instant::now();
        processes::signal(first.pid, Signal::KILL)?;
        while inside.iter().any(|pid| Process::read(*pid).is_some_and(|one| one.is_alive())) {
            ensure!(began.elapsed() < PATIENCE, "somebody is left");
            sleep(Duration::from_millis(1)).await;
        }
        let took = began.elapsed();
        self.holder.end(|| None).await?;
        Ok(took)
    }
}

/// Containers that do nothing.
struct Containers {
    engine: Client,
    ids: Vec<String>,
}

impl Containers {
    async fn begin(socket: &Path) -> Result<Self> {
        let engine = client(socket)?;
        let asked = json!({
            "Image": "ionet-example:1", "Cmd": ["/bin/sleep", "3600"], "HostConfig": {"NetworkMode": "none"},
        });
        let mut ids = Vec::new();
        for _ in 0..CONTAINERS {
            let made = ask(&engine, Method::POST, "containers/create", &asked).await?;
            let id = made["Id"].as_str().context("a container without an id")?.to_owned();
            ask(&engine, Method::POST, &format!("containers/{id}/start"), &json!({})).await?;
            ids.push(id);
        }
        Ok(Self { engine, ids })
    }

    /// Has the engine do that to each of them, one after the other.
    async fn all(&self, deed: &str) -> Result<Duration> {
        let began = Instant::now();
        for id in &self.ids {
            ask(&self.engine, Method::POST, &format!("containers/{id}/{deed}"), &json!({})).await?;
        }
        Ok(began.elapsed())
    }

    async fn run(&self) -> Result<bool> {
        let listed = ask(&self.engine, Method::GET, "containers/json", &json!({})).await?;
        Ok(listed.as_array().is_some_and(|running| running.len() == self.ids.len()))
    }
}

fn client(socket: &Path) -> Result<Client> {
    Ok(Client::builder().unix_socket(socket.to_owned()).timeout(PATIENCE).build()?)
}

async fn ask(engine: &Client, method: Method, path: &str, body: &Value) -> Result<Value> {
    let asked = engine.request(method, format!("http://engine/{path}"));
    let answer = asked.json(body).send().await?.error_for_status()?.bytes().await?;
    Ok(serde_json::from_slice(&answer).unwrap_or_default())
}

/// What a Nomad client takes that waits, on this PC as it is.
async fn client_pss(nomad: &Path) -> Result<f64> {
    let dir = tempfile::tempdir()?;
    let (http, rpc) = (free_port()?, free_port()?);
    let config = format!(
        "data_dir = \"{data}\"\nbind_addr = \"127.0.0.1\"\nports {{\n  http = {http}\n  rpc = {rpc}\n}}\n\
         advertise {{\n  http = \"127.0.0.1\"\n  rpc = \"127.0.0.1\"\n}}\ndisable_update_check = true\n\
         client {{\n  enabled = true\n  servers = [\"127.0.0.1:1\"]\n  options = {{\n    \"fingerprint.denylist\" = \
         \"env_aws,env_gce,env_azure,env_digitalocean,consul,vault\"\n  }}\n}}\n",
        data = dir.path().join("data").display(),
    );
    let file = dir.path().join("client.hcl");
    std::fs::write(&file, config)?;
    let mut child = Command::new(nomad)
        .args(["agent", "-config"])
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .kill_on_drop(true)
        .spawn()?;
    let pid = child.id().context("it ended at once")?;
    let client = Client::new();
    let deadline = Instant::now() + PATIENCE;
    while client.get(format!("http://127.0.0.1:{http}/v1/agent/self")).send().await.is_err() {
        ensure!(Instant::now() < deadline, "a Nomad client does not come up");
        sleep(Duration::from_millis(50)).await;
    }
    sleep(REST).await;
    let taken = cost::pss(&processes::family(pid, &processes::all()))?;
    child.kill().await?;
    Ok(taken as f64)
}
