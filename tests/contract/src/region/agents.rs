//! Client agents of the region.

use std::{fs, path::PathBuf, sync::atomic::Ordering, time::Duration};

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::Value;

use super::cards::Cards;
use super::{POOL, REGION, Region, Reply, api::send, free_port, set_up::start_agent};
use crate::{
    pki::{Pair, Valid},
    process::{self, Process, wait_for},
};

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
    /// Its plugin for cards, and those that are played.
    pub cards: Option<Cards>,
}

impl Region {
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
            certificate,
            env: options.env.clone(),
            process: None,
        };
        agent.env.extend(options.cards.iter().flat_map(Cards::env));
        fs::write(agent.dir.join("client.hcl"), self.client_configuration(&agent, &options)?)?;
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
        let file = self.dir.join("client.hcl");
        self.process = Some(start_agent(&self.binary, &file, &self.dir, &self.env)?);
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
