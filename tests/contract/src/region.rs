//! A region to try expectations on: one server with TLS, ACL and strict introduction, and as many
//! client agents as an expectation starts.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Method, StatusCode};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};

use crate::{
    pki::{Pair, Pki, Valid},
    process::{self, Process, wait_for},
};

pub const REGION: &str = "eu";
pub const POOL: &str = "gamers";
const GATEWAY_POLICY: &str = r#"
node { policy = "write" }
namespace "default" { capabilities = ["read-job", "alloc-lifecycle"] }
node_pool "gamers" { policy = "read" }
"#;

/// What stands behind the region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Double,
    Real,
}

pub struct Region {
    pub kind: Kind,
    binary: PathBuf,
    dir: tempfile::TempDir,
    pub pki: Pki,
    pub http_port: u16,
    pub rpc_port: u16,
    server: Mutex<Option<Process>>,
    api: reqwest::Client,
    pub management: String,
    /// The least policy that the gateway needs, with `alloc-lifecycle`.
    pub gateway: String,
    /// `node:read` alone.
    pub node_read: String,
    clients: AtomicU32,
}

/// What a client agent is started with, where it differs from the usual.
#[derive(Default, Clone)]
pub struct Options {
    pub name: Option<String>,
    /// `None` = a fresh token for its name; `Some("")` = none.
    pub intro_token: Option<String>,
    pub certificate: Option<Pair>,
    pub ca_file: Option<PathBuf>,
    pub region: Option<String>,
    pub env: Vec<(String, String)>,
    /// The token goes into this environment variable instead of its file.
    pub token_in_env: bool,
    pub env_denylist: Option<String>,
    /// The slow probe of Amazon's cloud runs as well.
    pub probe_aws: bool,
    pub max_kill_timeout: Option<&'static str>,
    pub http_port: Option<u16>,
    pub drain_deadline: Option<&'static str>,
}

impl Region {
    /// A region of its own, ready to take clients; `None` (and a line that says why) when there is no
    /// such program to try.
    pub async fn start(kind: Kind) -> Result<Option<Self>> {
        let Some(binary) = program(kind)? else {
            println!("skipped: needs NOMAD=/path");
            return Ok(None);
        };
        // Ignored: another test of this process has installed the same one.
        _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::Builder::new().prefix("contract-").tempdir()?;
        let pki = Pki::new(&dir.path().join("tls"), REGION)?;
        let pair = pki.server(REGION)?;
        let (http_port, rpc_port) = (free_port()?, free_port()?);
        let api = https(&pki.ca_file(), Some(&pair))?;
        let mut region = Self {
            kind,
            binary,
            dir,
            pki,
            http_port,
            rpc_port,
            server: Mutex::new(None),
            api,
            management: String::new(),
            gateway: String::new(),
            node_read: String::new(),
            clients: AtomicU32::new(0),
        };
        region.write_server_config(&pair)?;
        region.start_server()?;
        region.prepare().await?;
        Ok(Some(region))
    }

    pub fn binary(&self) -> &Path {
        &self.binary
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn server_output(&self) -> String {
        self.server().as_ref().map(Process::output).unwrap_or_default()
    }

    fn server(&self) -> MutexGuard<'_, Option<Process>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start_server(&self) -> Result<()> {
        let dir = self.dir.path().join("server");
        let mut command = Command::new(&self.binary);
        clean_env(&mut command).arg("agent").arg("-config").arg(dir.join("server.hcl"));
        *self.server() = Some(Process::start(&mut command, &dir)?);
        Ok(())
    }

    pub fn kill_server(&self) {
        *self.server() = None;
    }

    /// Status and body of one request; a JSON body is parsed, anything else is a JSON string.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<&str>,
    ) -> Result<Reply> {
        let request = self.api.request(method, format!("https://127.0.0.1:{}{path}", self.http_port));
        send(request, token, body).await
    }

    pub async fn get(&self, path: &str) -> Result<Value> {
        let reply = self.request(Method::GET, path, &self.gateway, None).await?;
        ensure!(reply.status == 200, "GET {path}: {} {}", reply.status, reply.body);
        Ok(reply.body)
    }

    pub async fn put(&self, path: &str, token: &str, body: &Value) -> Result<Value> {
        let reply = self.request(Method::PUT, path, token, Some(&body.to_string())).await?;
        ensure!(reply.status == 200, "PUT {path}: {} {}", reply.status, reply.body);
        Ok(reply.body)
    }

    /// The raw response, for streams and headers.
    pub async fn open(&self, path: &str, token: &str) -> Result<reqwest::Response> {
        let url = format!("https://127.0.0.1:{}{path}", self.http_port);
        Ok(self.api.get(url).header("X-Nomad-Token", token).send().await?)
    }

    /// A caller of the HTTPS API with another certificate than the servers' own.
    pub async fn status_with(&self, pair: &Pair, path: &str) -> Result<StatusCode> {
        let api = https(&self.pki.ca_file(), Some(pair))?;
        Ok(api.get(format!("https://127.0.0.1:{}{path}", self.http_port)).send().await?.status())
    }

    pub async fn mint(&self, name: &str, pool: &str, ttl: &str) -> Result<String> {
        let asked = json!({ "NodeName": name, "NodePool": pool, "TTL": ttl });
        let minted = self.put("/v1/acl/identity/client-introduction-token", &self.gateway, &asked).await?;
        Ok(minted["JWT"].as_str().context("no JWT")?.to_owned())
    }

    pub async fn submit(&self, job: &Value) -> Result<Value> {
        self.put("/v1/jobs", &self.management, &json!({ "Job": job })).await
    }

    /// Starts a client agent in a folder of its own.
    pub async fn client(&self, options: Options) -> Result<ClientAgent> {
        let number = self.clients.fetch_add(1, Ordering::Relaxed);
        let name = options.name.clone().unwrap_or_else(|| format!("gamer-{number}"));
        let dir = self.dir.path().join(format!("client-{number}"));
        fs::create_dir_all(dir.join("data").join("client"))?;
        let token = match &options.intro_token {
            Some(token) => token.clone(),
            None => self.mint(&name, POOL, "10m").await?,
        };
        let certificate = match &options.certificate {
            Some(pair) => pair.clone(),
            None => {
                let names = [format!("client.{REGION}.nomad"), format!("{name}.client.{REGION}.nomad")];
                let file = format!("client-{number}");
                self.pki.client(&file, &[&names[0], &names[1]], Valid::Now)?
            }
        };
        let http_port = match options.http_port {
            Some(port) => port,
            None => free_port()?,
        };
        let mut agent = ClientAgent {
            binary: self.binary.clone(),
            dir,
            name,
            http_port,
            certificate: certificate.clone(),
            env: options.env.clone(),
            process: None,
        };
        fs::write(agent.dir.join("client.hcl"), self.client_config(&agent, &options, &certificate)?)?;
        if options.token_in_env {
            agent.env.push(("NOMAD_CLIENT_INTRO_TOKEN".into(), token));
        } else if !token.is_empty() {
            fs::write(agent.data_dir().join("client").join("intro_token.jwt"), token)?;
        }
        agent.start()?;
        Ok(agent)
    }

    /// A client that is ready for work.
    pub async fn ready_client(&self, options: Options) -> Result<ClientAgent> {
        let agent = self.client(options).await?;
        self.ready(&agent.name).await.with_context(|| agent.tail())?;
        Ok(agent)
    }

    /// Waits until the server says that the node of this name is ready, and returns it whole.
    pub async fn ready(&self, name: &str) -> Result<Value> {
        self.node_when(name, "ready", Duration::from_secs(30), |node| node["Status"] == "ready").await
    }

    pub async fn node_when(
        &self,
        name: &str,
        what: &str,
        limit: Duration,
        is: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let is = &is;
        wait_for(&format!("node {name} {what}"), limit, || async move {
            let nodes = self.get("/v1/nodes").await?;
            let found = nodes.as_array().into_iter().flatten().find(|node| node["Name"] == name);
            let Some(id) = found.and_then(|node| node["ID"].as_str()) else { return Ok(None) };
            let node = self.get(&format!("/v1/node/{id}")).await?;
            Ok(is(&node).then_some(node))
        })
        .await
    }

    /// Waits for an allocation of the job for which `is` holds, and returns its list view.
    pub async fn alloc_when(
        &self,
        job: &str,
        what: &str,
        limit: Duration,
        is: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let is = &is;
        wait_for(&format!("allocation of {job} {what}"), limit, || async move {
            let found = self.get(&format!("/v1/job/{job}/allocations")).await?;
            Ok(found.as_array().into_iter().flatten().find(|alloc| is(alloc)).cloned())
        })
        .await
    }

    pub async fn running(&self, job: &str) -> Result<Value> {
        let limit = Duration::from_secs(30);
        self.alloc_when(job, "running", limit, |a| {
            a["ClientStatus"] == "running" && a["DesiredStatus"] == "run"
        })
        .await
    }

    fn write_server_config(&self, pair: &Pair) -> Result<()> {
        let dir = self.dir.path().join("server");
        fs::create_dir_all(&dir)?;
        let serf = free_port()?;
        let (cert, key) = (pair.cert.display(), pair.key.display());
        let text = format!(
            r#"
region = "{REGION}"
datacenter = "home"
name = "server-1"
data_dir = "{data}"
bind_addr = "127.0.0.1"
disable_update_check = true
log_level = "INFO"
ports {{
  http = {http}
  rpc = {rpc}
  serf = {serf}
}}
advertise {{
  http = "127.0.0.1"
  rpc = "127.0.0.1"
  serf = "127.0.0.1"
}}
server {{
  enabled = true
  bootstrap_expect = 1
  heartbeat_grace = "9s"
  min_heartbeat_ttl = "2s"
  client_introduction {{
    enforcement = "strict"
    default_identity_ttl = "5m"
    max_identity_ttl = "30m"
  }}
}}
tls {{
  http = true
  rpc = true
  ca_file = "{ca}"
  cert_file = "{cert}"
  key_file = "{key}"
  verify_server_hostname = true
  verify_https_client = true
}}
acl {{
  enabled = true
}}
"#,
            data = dir.join("data").display(),
            http = self.http_port,
            rpc = self.rpc_port,
            ca = self.pki.ca_file().display(),
        );
        Ok(fs::write(dir.join("server.hcl"), text)?)
    }

    /// Makes the region usable: tokens, policies, the node pool.
    async fn prepare(&mut self) -> Result<()> {
        let this = &*self;
        let bootstrapped = wait_for("ACL bootstrap", Duration::from_secs(30), || async move {
            let reply = this.request(Method::POST, "/v1/acl/bootstrap", "", None).await?;
            if reply.status != 200 {
                bail!("{} {}", reply.status, reply.body);
            }
            Ok(Some(reply.body))
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

    fn client_config(&self, agent: &ClientAgent, options: &Options, certificate: &Pair) -> Result<String> {
        let (rpc, serf) = (free_port()?, free_port()?);
        let ca = options.ca_file.clone().unwrap_or_else(|| self.pki.ca_file());
        let denied = options
            .env_denylist
            .as_ref()
            .map(|list| format!("\"env.denylist\" = \"{list}\""))
            .unwrap_or_default();
        Ok(format!(
            r#"
region = "{region}"
datacenter = "home"
name = "{name}"
data_dir = "{data}"
bind_addr = "127.0.0.1"
disable_update_check = true
leave_on_interrupt = true
log_json = true
log_file = "{log}"
ports {{
  http = {http}
  rpc = {rpc}
  serf = {serf}
}}
advertise {{
  http = "127.0.0.1"
  rpc = "127.0.0.1"
  serf = "127.0.0.1"
}}
client {{
  enabled = true
  servers = ["127.0.0.1:{server}"]
  node_pool = "{POOL}"
  network_interface = "lo"
  max_kill_timeout = "{kill}"
  meta {{
    "ionet.host" = "{name}"
  }}
  options {{
    "driver.allowlist" = "raw_exec"
    "fingerprint.denylist" = "{aws}env_gce,env_azure,env_digitalocean,consul,vault"
    {denied}
  }}
  drain_on_shutdown {{
    deadline = "{drain}"
    force = false
    ignore_system_jobs = false
  }}
}}
plugin "raw_exec" {{
  config {{
    enabled = true
  }}
}}
tls {{
  http = false
  rpc = true
  ca_file = "{ca}"
  cert_file = "{cert}"
  key_file = "{key}"
  verify_server_hostname = true
}}
telemetry {{
  prometheus_metrics = true
  publish_allocation_metrics = true
  publish_node_metrics = true
  disable_hostname = true
}}
acl {{
  enabled = true
}}
"#,
            aws = if options.probe_aws { "" } else { "env_aws," },
            region = options.region.as_deref().unwrap_or(REGION),
            name = agent.name,
            data = agent.data_dir().display(),
            log = agent.dir.join("client.log").display(),
            http = agent.http_port,
            server = self.rpc_port,
            kill = options.max_kill_timeout.unwrap_or("2s"),
            drain = options.drain_deadline.unwrap_or("5s"),
            ca = ca.display(),
            cert = certificate.cert.display(),
            key = certificate.key.display(),
        ))
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        self.kill_server();
        process::sweep(self.dir.path());
    }
}

/// A client agent; dropping it kills it and everything that it started.
pub struct ClientAgent {
    binary: PathBuf,
    pub dir: PathBuf,
    pub name: String,
    pub http_port: u16,
    pub certificate: Pair,
    env: Vec<(String, String)>,
    process: Option<Process>,
}

impl ClientAgent {
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub fn alloc_dir(&self, alloc: &Value) -> PathBuf {
        self.data_dir().join("alloc").join(alloc["ID"].as_str().unwrap_or_default())
    }

    pub fn start(&mut self) -> Result<()> {
        let mut command = Command::new(&self.binary);
        clean_env(&mut command).envs(self.env.iter().map(|(key, value)| (key, value)));
        command.arg("agent").arg("-config").arg(self.dir.join("client.hcl"));
        self.process = Some(Process::start(&mut command, &self.dir)?);
        Ok(())
    }

    pub fn forget_intro_token(&self) {
        _ = fs::remove_file(self.data_dir().join("client").join("intro_token.jwt"));
    }

    pub fn process(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("the agent was not started")
    }

    /// Kills the agent alone; its tasks go on.
    pub fn kill(&mut self) {
        self.process = None;
    }

    pub async fn request(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<&str>,
    ) -> Result<Reply> {
        let api = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build()?;
        send(api.request(method, format!("http://127.0.0.1:{}{path}", self.http_port)), token, body).await
    }

    /// The JSON lines of its log so far.
    pub fn log(&self) -> Vec<Value> {
        let text = self.process.as_ref().map(Process::stdout_text).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    pub async fn logged(&self, what: &str, limit: Duration, is: impl Fn(&Value) -> bool) -> Result<Value> {
        let is = &is;
        let look = || async move { Ok(self.log().into_iter().find(|line| is(line))) };
        wait_for(&format!("log line: {what}"), limit, look).await.with_context(|| self.tail())
    }

    pub async fn healthy(&self) -> Result<()> {
        wait_for("agent health 200", Duration::from_secs(15), || async move {
            let reply = self.request(Method::GET, "/v1/agent/health", "", None).await?;
            Ok((reply.status == 200).then_some(()))
        })
        .await
        .with_context(|| self.tail())
    }

    pub fn tail(&self) -> String {
        let text = self.process.as_ref().map(Process::output).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }
}

impl Drop for ClientAgent {
    fn drop(&mut self) {
        self.process = None;
        process::sweep(&self.dir);
    }
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub content_type: String,
    pub index: Option<u64>,
    pub is_double: bool,
    pub text: String,
    pub body: Value,
}

async fn send(request: reqwest::RequestBuilder, token: &str, body: Option<&str>) -> Result<Reply> {
    let mut request = request;
    if !token.is_empty() {
        request = request.header("X-Nomad-Token", token);
    }
    if let Some(body) = body {
        request = request.body(body.to_owned());
    }
    let response = request.send().await?;
    let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let (content_type, index) = (header("content-type").unwrap_or_default(), header("x-nomad-index"));
    let is_double = header("x-ionet-double").is_some();
    let status = response.status().as_u16();
    let text = response.text().await?;
    let body = serde_json::from_str(&text).unwrap_or_else(|_| json!(text));
    Ok(Reply { status, content_type, index: index.and_then(|i| i.parse().ok()), is_double, text, body })
}

/// The program to try: `NOMAD` for the real one; for the double `NOMAD_DOUBLE`, or what lies beside the
/// test executable.
fn program(kind: Kind) -> Result<Option<PathBuf>> {
    if kind == Kind::Real {
        return Ok(std::env::var_os("NOMAD").filter(|path| !path.is_empty()).map(PathBuf::from));
    }
    if let Some(path) = std::env::var_os("NOMAD_DOUBLE") {
        return Ok(Some(path.into()));
    }
    let test = std::env::current_exe()?;
    let folder = test.parent().and_then(Path::parent).context("the test has no folder")?;
    let path = folder.join("nomad-double");
    ensure!(
        path.exists(),
        "{} is missing: run `cargo build -p nomad-double` first, or set NOMAD_DOUBLE",
        path.display()
    );
    Ok(Some(path))
}

fn https(ca: &Path, pair: Option<&Pair>) -> Result<reqwest::Client> {
    let mut roots = rustls::RootCertStore::empty();
    for der in CertificateDer::pem_file_iter(ca)? {
        roots.add(der?)?;
    }
    let builder = rustls::ClientConfig::builder().with_root_certificates(roots);
    let config = match pair {
        Some(pair) => {
            let chain = CertificateDer::pem_file_iter(&pair.cert)?.collect::<Result<Vec<_>, _>>()?;
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(&pair.key)?)?
        }
        None => builder.with_no_client_auth(),
    };
    let timeout = Duration::from_secs(60);
    Ok(reqwest::Client::builder().no_proxy().timeout(timeout).tls_backend_preconfigured(config).build()?)
}

/// Agents get nothing of the caller's environment but what they need to find programs.
fn clean_env(command: &mut Command) -> &mut Command {
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", "/nonexistent")
}

/// Free now; the kernel gives the same one to nobody else for a while.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn secret_of(token: &Value) -> Result<String> {
    Ok(token["SecretID"].as_str().context("no SecretID")?.to_owned())
}
