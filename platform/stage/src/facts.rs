//! What a person, a script or another program needs to know of a running stage: `stage.json`, and the app's `endpoints.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::agent::Agent;
use crate::region::{ApiFiles, Region, Token};

/// `stage.json`. Holds no secret, only where the secrets lie.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Facts {
    pub agent: Agent,
    pub issuer: String,
    /// At least one; the app's endpoints are the first one's.
    pub regions: Vec<RegionFacts>,
    /// The folder of the bucket: an object's key is its path below.
    pub bucket: PathBuf,
    /// The processes that run just now, by name.
    pub pids: BTreeMap<String, u32>,
    /// Where jobs are containers: the socket of the engine that runs them.
    pub containers: Option<PathBuf>,
}

/// One region of the stage.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegionFacts {
    pub name: String,
    /// `https://localhost:PORT/`.
    pub gateway: String,
    pub gateway_db: PathBuf,
    /// The root certificate, PEM.
    pub ca_pem: PathBuf,
    pub nomad: CustomerAccess,
}

/// The region as the demo's customer reaches it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CustomerAccess {
    #[serde(flatten)]
    pub api: ApiFiles,
    pub token_file: PathBuf,
    /// `host:port` for agents.
    pub rpc: String,
}

/// `endpoints.json`, as the app's packages ship it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Endpoints {
    pub issuer: String,
    pub client_id: String,
    pub gateway: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_ca_pem: Option<String>,
    /// The roots of the region's servers, PEM.
    pub region_roots_pem: Vec<String>,
    /// `host:port` of the stores that logs may go to.
    pub upload_hosts: Vec<String>,
}

impl Facts {
    pub(crate) const FILE: &str = "stage.json";

    /// Reads the facts of the stage that runs in `dir`.
    ///
    /// # Errors
    /// None runs there.
    pub fn read(dir: &Path) -> Result<Self> {
        let file = dir.join(Self::FILE);
        let text = std::fs::read(&file).with_context(|| format!("no stage runs in {}", dir.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} cannot be understood", file.display()))
    }

    /// The region of this name, or the first.
    ///
    /// # Errors
    /// The stage has no such region.
    pub fn region(&self, name: Option<&str>) -> Result<&RegionFacts> {
        let wanted = |region: &&RegionFacts| name.is_none_or(|name| region.name == name);
        self.regions.iter().find(wanted).with_context(|| format!("the stage has no region {name:?}"))
    }
}

impl RegionFacts {
    /// The region's API as the demo's customer.
    ///
    /// # Errors
    /// A certificate or the token cannot be read.
    pub fn customer(&self) -> Result<Region> {
        Region::connect(&self.nomad.api, Some(&Token::read(&self.nomad.token_file)?))
    }
}

impl Endpoints {
    pub(crate) const FILE: &str = "endpoints.json";

    /// Puts the file where the app that lives in `home` (its `IONET_HOME`) reads it.
    ///
    /// # Errors
    /// The folder cannot be made or written.
    pub fn install(&self, home: &Path) -> Result<()> {
        let config = home.join("config");
        std::fs::create_dir_all(&config).with_context(|| format!("{} cannot be made", config.display()))?;
        replace_json(&config.join(Self::FILE), self)
    }
}

/// Writes whole or not at all, so that a reader never sees half a file.
pub(crate) fn replace_json(file: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)? + "\n";
    ionet_private::replace(file, text.as_bytes())
        .with_context(|| format!("{} cannot be written", file.display()))
}
