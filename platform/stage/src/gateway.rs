//! The supplier gateway as a process of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use reqwest::Certificate;
use serde_json::{Value, json};

use crate::bucket::{BUCKET, Bucket, LOCATION};
use crate::child::{self, Child};
use crate::pki::Pki;
use crate::ports;
use crate::servers::{DATACENTER, NODE_POOL, Servers, Tokens};

const CONFIG: &str = "gateway.toml";
const READY: Duration = Duration::from_secs(30);
/// What a demo job earns that asks for no card: a thousandth a second, so that a person sees it move.
const MICROS_PER_HOUR: u32 = 3_600_000;
/// What one earns on these cards. The first is the one that is played where there is none.
const MICROS_BY_GPU: [(&str, u32); 2] =
    [("nvidia-geforce-rtx-4090", 2 * MICROS_PER_HOUR), ("nvidia-geforce-rtx-3060", MICROS_PER_HOUR / 2)];

/// The gateway; it may be stopped and started again at the same address, with its database kept.
#[derive(Debug)]
pub(crate) struct Gateway {
    program: PathBuf,
    dir: PathBuf,
    url: String,
    http: reqwest::Client,
    child: Option<Child>,
}

/// What the gateway is told about the rest of the stage.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) region: &'a str,
    pub(crate) pki: &'a Pki,
    pub(crate) issuer: &'a str,
    pub(crate) servers: &'a Servers,
    pub(crate) tokens: &'a Tokens,
    pub(crate) bucket: &'a Bucket,
    /// None: the gateway's own default, seven days.
    pub(crate) certificate_life: Option<Duration>,
}

impl Gateway {
    /// Writes `gateway.toml` into `dir` and starts the gateway; ready when `/healthz` answers.
    pub(crate) async fn start(program: PathBuf, dir: &Path, around: &Surroundings<'_>) -> Result<Self> {
        ionet_private::folder(dir)?;
        let [port] = ports::free()?;
        ionet_private::replace(
            &dir.join(CONFIG),
            toml::to_string_pretty(&config(dir, port, around))?.as_bytes(),
        )?;
        // Somebody in this process may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let ca = std::fs::read(&around.pki.ca).context("the root certificate cannot be read")?;
        let http = reqwest::Client::builder()
            .tls_certs_only([Certificate::from_pem(&ca)?])
            .no_proxy()
            .timeout(Duration::from_secs(5))
            .build()?;
        let url = url(port);
        let mut gateway = Self { program, dir: dir.to_owned(), url, http, child: None };
        gateway.resume().await?;
        Ok(gateway)
    }

    pub(crate) async fn resume(&mut self) -> Result<()> {
        if self.child.is_some() {
            return Ok(());
        }
        let mut command = child::clean_command(&self.program, &self.dir);
        command.arg("--config").arg(self.config_file());
        let child = Child::spawn("gateway", command, &self.dir.join("gateway.log"))?;
        child.wait_until(READY, async || self.health().await.ok().map(drop)).await?;
        self.child = Some(child);
        Ok(())
    }

    /// What `/healthz` says.
    pub(crate) async fn health(&self) -> Result<String> {
        let answer = self.http.get(format!("{}healthz", self.url)).send().await?.error_for_status()?;
        Ok(answer.text().await?)
    }

    pub(crate) fn stop(&mut self) {
        self.child = None;
    }

    pub(crate) fn kill(&mut self) {
        if let Some(child) = self.child.take() {
            child.kill();
        }
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::pid)
    }

    /// `https://localhost:PORT/`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.dir.join(CONFIG)
    }

    pub(crate) fn database(&self) -> PathBuf {
        database(&self.dir)
    }
}

fn url(port: u16) -> String {
    format!("https://localhost:{port}/")
}

fn database(dir: &Path) -> PathBuf {
    dir.join("gateway.db")
}

/// In the order of `platform/gateway/gateway.example.toml`.
fn config(dir: &Path, port: u16, around: &Surroundings<'_>) -> Value {
    let pki = around.pki;
    json!({
        "listen": format!("127.0.0.1:{port}"),
        "public_url": url(port),
        "database_url": format!("sqlite://{}", database(dir).display()),
        "tls": { "certificate": pki.gateway.cert, "key": pki.gateway.key },
        "devices": devices(pki, around.certificate_life),
        "accounts": { "issuer": around.issuer, "audience": "urn:ionet:gateway" },
        "region": region(around),
        "s3": storage(around.bucket),
        "prices": {
            "default_micros_per_hour": MICROS_PER_HOUR,
            "gpus": BTreeMap::from(MICROS_BY_GPU),
        },
    })
}

fn devices(pki: &Pki, certificate_life: Option<Duration>) -> Value {
    let mut devices = json!({
        "root_ca": pki.ca,
        "intermediate": pki.devices.cert,
        "intermediate_key": pki.devices.key,
    });
    if let Some(life) = certificate_life {
        devices["lifetime_s"] = json!(life.as_secs());
    }
    devices
}

fn region(around: &Surroundings<'_>) -> Value {
    let api = &around.pki.gateway_api;
    json!({
        "name": around.region,
        "datacenter": DATACENTER,
        "node_pool": NODE_POOL,
        "servers": [around.servers.rpc_address()],
        "nomad": [around.servers.operator_files().address],
        "ca": around.pki.ca,
        "certificate": api.cert,
        "key": api.key,
        "token_file": around.tokens.gateway,
    })
}

fn storage(bucket: &Bucket) -> Value {
    let (access_key_file, secret_key_file) = bucket.key_files();
    json!({
        "endpoint": bucket.url(),
        "region": LOCATION,
        "bucket": BUCKET,
        "access_key_file": access_key_file,
        "secret_key_file": secret_key_file,
    })
}
