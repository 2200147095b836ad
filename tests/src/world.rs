//! Everything that a walk needs, set up and ended as one: the io.net side, a desktop, a PC, and what was learnt on
//! the way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ionet_stage::{AgentKind as StageAgent, Stage};
use rustix::process::Signal;
use serde_json::Value;

use crate::desktop::Desktop;
use crate::pc::{Pc, Resident};
use crate::processes;
use crate::report::{Agent, AgentKind};
use crate::root::Root;
use crate::step::Step;
use crate::window::Window;
use crate::{card, needs, region};

/// How to walk.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Break this step for real.
    pub broken: Option<Step>,
    /// Walk as production does: jobs in containers, in a capsule.
    pub engine: bool,
    /// Keep everything here; else a temporary folder is used and removed.
    pub dir: Option<PathBuf>,
}

#[derive(Debug)]
pub struct World {
    pub options: Options,
    // What was started last ends first, and fields drop from the top.
    pub window: Option<Window>,
    pub resident: Option<Resident>,
    pub pc: Pc,
    pub stage: Stage,
    pub desktop: Desktop,
    pub learnt: Learnt,
    /// How long the step under way waits for a condition.
    pub patience: Duration,
    root: Root,
}

/// What earlier steps found out for later ones.
#[derive(Debug, Default)]
pub struct Learnt {
    /// What the keyring keeps for the app. For comparing, never for printing.
    pub kept_secrets: Vec<Vec<u8>>,
    pub device: Option<String>,
    pub node: Option<String>,
    /// Job ids in the order of their submission.
    pub jobs: Vec<String>,
    /// Measures from the owner's last deed, the agreement, to the app's own word that it is online.
    pub online: Option<tokio::task::JoinHandle<Option<Duration>>>,
    /// Durations of the walk by figure name, for the bench.
    pub measured: BTreeMap<&'static str, Duration>,
    /// The card that the jobs ask for, as the region's node has it.
    pub card: Option<String>,
    /// The first job: its allocation, and everything that it printed, read when it had ended.
    pub first_allocation: Option<String>,
    pub printed: Vec<u8>,
}

impl Learnt {
    pub fn device(&self) -> Result<&str> {
        self.device.as_deref().context("this PC has no device id")
    }

    pub fn node(&self) -> Result<&str> {
        self.node.as_deref().context("this PC's node is not known")
    }

    pub fn job(&self) -> Result<&str> {
        self.jobs.last().map(String::as_str).context("no job was submitted")
    }
}

impl World {
    pub async fn start(options: Options) -> Result<Self> {
        let root = Root::new(options.dir.as_deref())?;
        let programs = needs::met()?;
        let stage_options = stage_options(&root, &programs);
        if options.engine {
            let missing = needs::missing_for_capsules(&programs, stage_options.nomad.resolve()?.kind);
            ensure!(missing.is_empty(), "needs {}", missing.join(", "));
        }
        let desktop_folder = root.path().join("desktop");
        std::fs::create_dir_all(&desktop_folder)?;
        let (stage, desktop) = tokio::join!(Stage::start(stage_options), Desktop::start(&desktop_folder));
        let (stage, desktop) = (stage.context("the io.net side")?, desktop.context("the desktop")?);
        let mut pc =
            Pc::new(&root.path().join("pc"), &root.path().join("notes"), &programs, desktop.environment())?;
        pc.set("NOMAD", &stage.agent().path.to_string_lossy());
        if options.engine {
            pc.with_capsule();
        }
        stage.endpoints().install(pc.home())?;
        let card_folder = root.path().join("card");
        if !card::is_real() || options.broken == Some(Step::Detection) {
            card::put(&mut pc, &card_folder, &programs)?;
        }
        Ok(Self {
            options,
            window: None,
            resident: None,
            pc,
            stage,
            desktop,
            learnt: Learnt::default(),
            patience: Duration::ZERO,
            root,
        })
    }

    pub fn agent(&self) -> Agent {
        let agent = self.stage.agent();
        let kind = match agent.kind {
            StageAgent::Nomad => AgentKind::Nomad,
            StageAgent::Double => AgentKind::Double,
        };
        Agent { kind, version: agent.version.clone() }
    }

    pub fn is_broken(&self, step: Step) -> bool {
        self.options.broken == Some(step)
    }

    /// A folder of this walk's own for what a step writes.
    pub fn notes(&self, name: &str) -> PathBuf {
        self.root.path().join("notes").join(name)
    }

    /// What the NVML double reads.
    pub fn card_script(&self) -> PathBuf {
        card::script(&self.root.path().join("card"))
    }

    pub fn window(&self) -> Result<&Window> {
        self.window.as_ref().context("the window is not open under WebDriver")
    }

    pub async fn open_window(&mut self) -> Result<()> {
        self.window = Some(Window::open(&self.pc).await?);
        Ok(())
    }

    pub async fn close_window(&mut self) -> Result<()> {
        match self.window.take() {
            Some(window) => window.close().await,
            None => Ok(()),
        }
    }

    /// This PC's node as the region has it now.
    pub async fn node(&self) -> Result<Value> {
        let node = self.learnt.node()?;
        Ok(self.stage.nomad_get(&format!("/v1/node/{node}")).await?)
    }

    /// The region's list of this node's allocations.
    pub async fn allocations(&self) -> Result<Vec<Value>> {
        region::allocations(&self.stage, self.learnt.node()?).await
    }

    /// Those that hold the PC: pending or running.
    pub async fn live_allocations(&self) -> Result<Vec<Value>> {
        region::live(&self.stage, self.learnt.node()?).await
    }

    /// The app of a walk that did not come to its end is asked to leave, as a PC that is switched off asks it.
    async fn end_app(&self) {
        const LEAVING: Duration = Duration::from_secs(20);
        let Ok(resident) = self.pc.resident_pid().await else { return };
        let asked = processes::signal(resident, Signal::TERM);
        if let Err(error) = asked.and(self.pc.nothing_left(LEAVING, |_| true).await) {
            tracing::debug!(%error, "the app did not leave");
        }
    }

    /// Ends everything. Gives what had to be killed although its owner should have ended it.
    pub async fn end(mut self) -> Vec<String> {
        if let Err(error) = self.close_window().await {
            tracing::debug!(%error, "the window did not close");
        }
        self.end_app().await;
        let left = processes::sweep(self.pc.home());
        let Self { stage, desktop, root, .. } = self;
        stage.stop().await;
        if let Err(error) = desktop.end().await {
            tracing::debug!(%error, "the desktop did not end");
        }
        let after = processes::sweep(root.path());
        left.iter().chain(&after).map(|process| processes::listed(std::slice::from_ref(process))).collect()
    }
}

fn stage_options(root: &Root, programs: &Path) -> ionet_stage::Options {
    let mut stage = ionet_stage::Options::new(root.path().join("stage"));
    stage.gateway = Some(programs.join("ionet-gateway"));
    stage
}
