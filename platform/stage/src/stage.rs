use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::Value;

use crate::agent::Agent;
use crate::bucket::Bucket;
use crate::facts::{Endpoints, Facts, replace_json};
use crate::identity::Identity;
use crate::options::{Ground, Options};
use crate::pki::Pki;
use crate::region::{Region, RegionError};
use crate::regions::{Shared, StagedRegion};

/// The running io.net side. Dropping it ends every process, in the reverse order of their start.
#[must_use]
#[derive(Debug)]
pub struct Stage {
    // Fields drop from the top: what was started last ends first.
    /// At least one.
    regions: Vec<StagedRegion>,
    bucket: Bucket,
    identity: Identity,
    agent: Agent,
    dir: PathBuf,
    containers: Option<PathBuf>,
    /// Held as long as the stage stands.
    _lock: File,
}

impl Stage {
    /// Starts everything, each part when the one before it is ready, and writes `stage.json` and `endpoints.json` into the folder.
    ///
    /// # Errors
    /// A part is missing or does not come up; what was started until then is ended.
    pub async fn start(options: Options) -> Result<Self> {
        let Ground { dir, lock, agent, gateway } = Ground::prepare(&options)?;
        tracing::info!("starting the identity provider");
        let identity =
            Identity::start(&options.identity, &dir.join("identity"), options.access_token_life).await?;
        let bucket = Bucket::start(&dir.join("s3"))?;
        let shared = Shared {
            agent: &agent,
            gateway: &gateway,
            issuer: identity.issuer(),
            bucket: &bucket,
            heartbeat: options.heartbeat,
            certificate_life: options.certificate_life,
        };
        let mut regions = Vec::new();
        for name in &options.regions {
            regions.push(StagedRegion::start(name, &dir.join("regions").join(name), &shared).await?);
        }
        let containers = options.containers;
        let stage = Self { regions, bucket, identity, agent, dir, containers, _lock: lock };
        replace_json(&stage.dir.join(Endpoints::FILE), &stage.endpoints())?;
        stage.write_facts()?;
        Ok(stage)
    }

    /// Ends everything and returns when nothing of it is left. Its files stay.
    pub async fn stop(self) {
        // Waiting for processes blocks a thread for a moment.
        if tokio::task::spawn_blocking(move || drop(self)).await.is_err() {
            tracing::error!("a part of the stage did not end cleanly");
        }
    }

    /// What `stage.json` holds, as of now.
    pub fn facts(&self) -> Facts {
        Facts {
            agent: self.agent.clone(),
            issuer: self.identity.issuer().to_owned(),
            regions: self.regions.iter().map(StagedRegion::facts).collect(),
            bucket: self.bucket.folder().to_owned(),
            pids: self.pids(),
            containers: self.containers.clone(),
        }
    }

    /// What the app needs to find this side, in the first region.
    pub fn endpoints(&self) -> Endpoints {
        Endpoints {
            issuer: self.identity.issuer().to_owned(),
            client_id: "ionet-supplier".to_owned(),
            gateway: self.home().gateway_url().to_owned(),
            gateway_ca_pem: std::fs::read_to_string(&self.home().pki().ca).ok(),
            region_roots_pem: std::fs::read_to_string(&self.home().pki().ca).into_iter().collect(),
            upload_hosts: vec![self.bucket.url().trim_start_matches("http://").to_owned()],
        }
    }

    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Every process of the stage that runs just now, by name. S3 runs inside this process.
    pub fn pids(&self) -> BTreeMap<String, u32> {
        let identity = self.identity.pid().map(|pid| ("identity".to_owned(), pid));
        identity.into_iter().chain(self.regions.iter().flat_map(StagedRegion::pids)).collect()
    }

    pub fn regions(&self) -> &[StagedRegion] {
        &self.regions
    }

    /// The first region: what follows is about this one.
    pub fn home(&self) -> &StagedRegion {
        &self.regions[0]
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn pki(&self) -> &Pki {
        self.home().pki()
    }

    /// The folder of the bucket: an object's key is its path below.
    pub fn bucket_dir(&self) -> &Path {
        self.bucket.folder()
    }

    pub fn gateway_db(&self) -> PathBuf {
        self.home().gateway.database()
    }

    /// What the gateway's `/healthz` says.
    ///
    /// # Errors
    /// It does not answer, or says that it is not well.
    pub async fn gateway_health(&self) -> Result<String> {
        self.home().gateway.health().await
    }

    /// For the gateway's own commands: `ionet-gateway --config FILE lost DEVICE`.
    pub fn gateway_config(&self) -> PathBuf {
        self.home().gateway.config_file()
    }

    /// The region with the management token: sees and may everything.
    pub fn operator(&self) -> &Region {
        self.home().operator()
    }

    /// The region as the demo's customer.
    pub fn customer(&self) -> &Region {
        self.home().customer()
    }

    /// Submits a job (`{"Job": {…}}`) as the customer; gives the evaluation's id.
    ///
    /// # Errors
    /// See [`RegionError`].
    pub async fn submit_job(&self, job: &Value) -> Result<String, RegionError> {
        self.customer().submit(job).await
    }

    /// Reads from the region with the management token.
    ///
    /// # Errors
    /// See [`RegionError`].
    pub async fn nomad_get(&self, path: &str) -> Result<Value, RegionError> {
        self.operator().get(path).await
    }

    /// The region vanishes: its server ends and its ports answer nobody.
    ///
    /// # Errors
    /// `stage.json` cannot be written.
    pub fn stop_region(&mut self) -> Result<()> {
        self.regions[0].servers.stop();
        self.write_facts()
    }

    /// The region comes back at the same addresses with the same data.
    ///
    /// # Errors
    /// It does not come up.
    pub async fn start_region(&mut self) -> Result<()> {
        self.regions[0].servers.resume().await?;
        self.write_facts()
    }

    /// The gateway ends in its own good order.
    ///
    /// # Errors
    /// `stage.json` cannot be written.
    pub fn stop_gateway(&mut self) -> Result<()> {
        self.regions[0].gateway.stop();
        self.write_facts()
    }

    /// The gateway dies as in a crash.
    ///
    /// # Errors
    /// `stage.json` cannot be written.
    pub fn kill_gateway(&mut self) -> Result<()> {
        self.regions[0].gateway.kill();
        self.write_facts()
    }

    /// # Errors
    /// It does not come up.
    pub async fn start_gateway(&mut self) -> Result<()> {
        self.regions[0].gateway.resume().await?;
        self.write_facts()
    }

    /// # Errors
    /// `stage.json` cannot be written.
    pub fn stop_identity(&mut self) -> Result<()> {
        self.identity.stop();
        self.write_facts()
    }

    /// # Errors
    /// It does not come up.
    pub async fn start_identity(&mut self) -> Result<()> {
        self.identity.resume().await?;
        self.write_facts()
    }

    /// Every file that holds a secret which no PC may ever see: tokens of the regions, keys of the store.
    pub fn secret_files(&self) -> Vec<PathBuf> {
        let (access, secret) = self.bucket.key_files();
        let tokens = self.regions.iter().flat_map(StagedRegion::token_files);
        tokens.chain([access.to_owned(), secret.to_owned()]).collect()
    }

    /// From now on the bucket answers every request with 403, or serves again.
    pub fn refuse_uploads(&self, refuse: bool) {
        self.bucket.refuse(refuse);
    }

    fn write_facts(&self) -> Result<()> {
        replace_json(&self.dir.join(Facts::FILE), &self.facts())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Who finds the file may believe it.
        let _ = std::fs::remove_file(self.dir.join(Facts::FILE));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::child;

    /// None where something of it has not been built or installed: `./dev test` sees to that first.
    fn everything_is_here(options: &Options) -> bool {
        let missing = [
            options.nomad.resolve().err().map(|error| error.to_string()),
            child::sibling("ionet-gateway").err().map(|error| error.to_string()),
            (!options.identity.join("node_modules").is_dir())
                .then(|| "npm ci in platform/identity".to_owned()),
        ];
        missing.iter().flatten().for_each(|what| println!("skipped: needs {what}"));
        missing.iter().all(Option::is_none)
    }

    #[cfg(target_os = "linux")]
    fn alive(pid: u32) -> bool {
        Path::new(&format!("/proc/{pid}")).exists()
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_stage_comes_up_whole_survives_a_lost_region_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options::new(dir.path().join("stage"));
        if !everything_is_here(&options) {
            return;
        }

        let mut stage = Stage::start(options).await.unwrap();
        let file = stage.dir().join(Facts::FILE);
        let names: Vec<String> = stage.pids().into_keys().collect();
        assert_eq!(names, ["gateway eu", "identity", "nomad eu"]);
        assert_eq!(Facts::read(stage.dir()).unwrap().pids, stage.pids());

        stage.stop_region().unwrap();
        assert!(stage.nomad_get("/v1/status/leader").await.is_err());
        stage.start_region().await.unwrap();
        assert!(stage.nomad_get("/v1/status/leader").await.is_ok());

        let pids = stage.pids();
        assert!(pids.values().all(|&pid| alive(pid)));
        stage.stop().await;
        assert!(!pids.values().any(|&pid| alive(pid)), "{pids:?}");
        assert!(!file.exists());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn two_regions_stand_side_by_side_and_share_neither_jobs_nor_certificates() {
        let dir = tempfile::tempdir().unwrap();
        let mut options = Options::new(dir.path().join("stage"));
        options.regions = ["us", "asia"].map(str::to_owned).into();
        if !everything_is_here(&options) {
            return;
        }

        let stage = Stage::start(options).await.unwrap();
        let [us, asia] = stage.regions() else { panic!("{:?}", stage.regions()) };
        us.customer().submit(&crate::region::example_job("a", false)).await.unwrap();
        let own = us.customer().get("/v1/job/a").await.unwrap();
        let others = asia.customer().get("/v1/jobs").await.unwrap();
        let facts = Facts::read(stage.dir()).unwrap();

        assert_eq!((&own["ID"], &own["Region"], others), (&json!("a"), &json!("us"), json!([])));
        assert_eq!(
            facts.regions.iter().map(|region| region.name.as_str()).collect::<Vec<_>>(),
            ["us", "asia"]
        );
        assert_eq!(stage.endpoints().gateway, us.gateway_url());
        assert_ne!(us.gateway_url(), asia.gateway_url());
        let config = std::fs::read_to_string(asia.gateway.config_file()).unwrap();
        assert!(config.contains("name = \"asia\"") && !config.contains("\"us\""), "{config}");
        let names: Vec<String> = stage.pids().into_keys().collect();
        assert_eq!(names, ["gateway asia", "gateway us", "identity", "nomad asia", "nomad us"]);
        stage.stop().await;
    }
}
