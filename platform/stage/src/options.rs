//! How to set a stage, and what must be there for it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::agent::{Agent, NomadChoice};
use crate::ground::take_over;
use crate::servers::Heartbeat;
use crate::{child, regions};

/// How to set the stage.
#[derive(Debug, Clone)]
pub struct Options {
    /// A folder for everything: made when absent, emptied when an earlier stage left it, refused when it holds anything else.
    pub dir: PathBuf,
    pub nomad: NomadChoice,
    /// None: Nomad's own defaults.
    pub heartbeat: Option<Heartbeat>,
    /// The life of a device's certificate; None: seven days. At least a minute.
    pub certificate_life: Option<Duration>,
    /// The life of an access token; None: five minutes.
    pub access_token_life: Option<Duration>,
    /// Where jobs are containers: the socket of the engine that runs them, of the app's capsule. None: plain processes.
    pub containers: Option<PathBuf>,
    /// The regions' names. The app's endpoints are the first one's.
    pub regions: Vec<String>,
    /// Where `platform/identity` lies.
    pub identity: PathBuf,
    /// None: `ionet-gateway` beside the running program.
    pub gateway: Option<PathBuf>,
}

impl Options {
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            nomad: NomadChoice::default(),
            heartbeat: None,
            certificate_life: None,
            access_token_life: None,
            containers: None,
            regions: vec![regions::DEFAULT.to_owned()],
            identity: Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("identity"),
            gateway: None,
        }
    }
}

/// What must be there before the first process starts.
pub(crate) struct Ground {
    pub(crate) dir: PathBuf,
    pub(crate) lock: File,
    pub(crate) agent: Agent,
    /// The gateway's program.
    pub(crate) gateway: PathBuf,
}

impl Ground {
    pub(crate) fn prepare(options: &Options) -> Result<Self> {
        regions::check_names(&options.regions)?;
        let (dir, lock) = take_over(&options.dir)?;
        let agent = options.nomad.resolve()?;
        let gateway = options.gateway.clone().map_or_else(|| child::sibling("ionet-gateway"), Ok)?;
        Ok(Self { dir, lock, agent, gateway })
    }
}
