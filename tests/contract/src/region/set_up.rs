//! What it takes before an expectation can be tried: a program, its agents' processes, tokens, a pool.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Kind, POOL, Region};
use crate::process::{Process, wait_for};

const GATEWAY_POLICY: &str = r#"
node { policy = "write" }
namespace "default" { capabilities = ["read-job", "alloc-lifecycle"] }
node_pool "gamers" { policy = "read" }
"#;

impl Region {
    /// Makes the region usable: tokens, policies, the node pool.
    pub(super) async fn prepare(&mut self) -> Result<()> {
        let this = &*self;
        let bootstrapped = wait_for("ACL bootstrap", Duration::from_secs(30), || async move {
            let reply = this.request(Method::POST, "/v1/acl/bootstrap", "", None).await?;
            reply.ok("POST /v1/acl/bootstrap").map(Some)
        })
        .await
        .with_context(|| self.server_output())?;
        self.management = secret_of(&bootstrapped)?;
        self.gateway = self.token_for("gateway", GATEWAY_POLICY).await?;
        self.node_read = self.token_for("node-read", "node { policy = \"read\" }").await?;
        let pool = json!({ "Name": POOL, "Description": "home PCs", "NodeIdentityTTL": "720h" });
        self.put("/v1/node/pools", &self.management, &pool).await?;
        // A young region cannot sign yet: `keyring has not been initialized yet`.
        let this = &*self;
        let able = || async move { this.mint("first", POOL, "1m").await.map(Some) };
        wait_for("the first introduction token", Duration::from_secs(30), able).await?;
        Ok(())
    }

    async fn token_for(&self, name: &str, rules: &str) -> Result<String> {
        let policy = json!({ "Name": name, "Description": "", "Rules": rules });
        self.put(&format!("/v1/acl/policy/{name}"), &self.management, &policy).await?;
        let token = json!({ "Name": name, "Type": "client", "Policies": [name] });
        secret_of(&self.put("/v1/acl/token", &self.management, &token).await?)
    }
}

/// The program to try: `NOMAD` for the real one; for the double `NOMAD_DOUBLE`, or what lies beside the
/// test executable.
pub(super) fn program(kind: Kind) -> Result<Option<PathBuf>> {
    if kind == Kind::Real {
        return Ok(std::env::var_os("NOMAD").filter(|path| !path.is_empty()).map(PathBuf::from));
    }
    if let Some(path) = std::env::var_os("NOMAD_DOUBLE") {
        return Ok(Some(path.into()));
    }
    beside("nomad-double").context("or set NOMAD_DOUBLE").map(Some)
}

/// What was built with this test.
pub(super) fn beside(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.parent().and_then(Path::parent).context("the test has no folder")?;
    let path = folder.join(name);
    ensure!(path.exists(), "{} is missing: run `cargo build` first", path.display());
    Ok(path)
}

/// Starts the agent that `file` configures. It gets nothing of the caller's environment but what it
/// needs to find programs.
pub(super) fn start_agent(
    binary: &Path,
    file: &Path,
    dir: &Path,
    env: &[(String, String)],
) -> Result<Process> {
    let mut command = Command::new(binary);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", "/nonexistent");
    command.envs(env.iter().map(|(key, value)| (key, value)));
    command.arg("agent").arg("-config").arg(file);
    Process::start(&mut command, dir)
}

/// Free now; the kernel gives the same one to nobody else for a while.
pub(super) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn secret_of(token: &Value) -> Result<String> {
    Ok(token["SecretID"].as_str().context("no SecretID")?.to_owned())
}
