//! The gateway as a process of its own, and what stands around it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use ionet_gateway_api::{Certificate, EnrolRequest, path};
use ionet_stage::Pki;
use rcgen::{CertificateParams, KeyPair};
use reqwest::Client;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::time::Instant;

use self::issuer::Issuer;
use self::region::FakeRegion;

#[expect(dead_code, clippy::unwrap_used, reason = "it is the gateway's tests', which use more of it")]
#[path = "../../platform/gateway/tests/gateway/issuer.rs"]
pub(crate) mod issuer;
#[expect(dead_code, clippy::unwrap_used, reason = "it is the gateway's tests', which use more of it")]
#[path = "../../platform/gateway/tests/gateway/region.rs"]
pub(crate) mod region;

use crate::{PATIENCE, platform};

const READY: Duration = Duration::from_secs(30);

/// Everything but the callers.
pub(crate) struct World {
    pub(crate) issuer: Issuer,
    pub(crate) region: Arc<FakeRegion>,
    pub(crate) url: String,
    pub(crate) port: u16,
    roots: Arc<rustls::RootCertStore>,
    folder: PathBuf,
    gateway: Option<Child>,
}

/// An enrolled device.
pub(crate) struct Device {
    pub(crate) id: String,
    pub(crate) key: KeyPair,
    chain: Vec<CertificateDer<'static>>,
}

impl World {
    /// Starts the gateway that lies beside this program.
    pub(crate) async fn start(folder: &Path) -> Result<Self> {
        let issuer = Issuer::start().await;
        let region = FakeRegion::start().await;
        let pki = Pki::make(folder, "eu")?;
        let port = tokio::net::TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
        for (name, text) in [("token", "gateway-token\n"), ("access", "access"), ("secret", "secret")] {
            std::fs::write(folder.join(name), text)?;
        }
        let config = config(folder, port, &pki, &issuer.url, &region.url);
        std::fs::write(folder.join("gateway.toml"), toml::to_string_pretty(&config)?)?;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&pki.ca)?)?;
        let mut world = Self {
            issuer,
            region,
            url: format!("https://localhost:{port}"),
            port,
            roots: Arc::new(roots),
            folder: folder.to_owned(),
            gateway: None,
        };
        world.resume().await?;
        Ok(world)
    }

    /// Ends the gateway in its own good order and starts it again.
    pub(crate) async fn restart(&mut self) -> Result<()> {
        self.stop().await;
        self.resume().await
    }

    /// Ends the gateway.
    pub(crate) async fn stop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            // Waiting for a process blocks a thread for a moment.
            let _ = tokio::task::spawn_blocking(move || platform::end(gateway)).await;
        }
    }

    async fn resume(&mut self) -> Result<()> {
        let program = std::env::current_exe()?.with_file_name("ionet-gateway");
        let log = std::fs::File::options().create(true).append(true).open(self.folder.join("gateway.log"))?;
        let mut command = Command::new(&program);
        command.arg("--config").arg(self.folder.join("gateway.toml"));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.gateway =
            Some(command.spawn().with_context(|| format!("{} cannot be started", program.display()))?);
        let (nobody, end) = (self.nobody(Ipv4Addr::LOCALHOST)?, Instant::now() + READY);
        let health = format!("{}{}", self.url, path::HEALTH);
        while !nobody.get(&health).send().await.is_ok_and(|answer| answer.status().is_success()) {
            ensure!(Instant::now() < end, "the gateway does not come up: {}", self.last_words());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.folder.join("gateway.log")).unwrap_or_default();
        log.lines().rev().take(3).collect::<Vec<_>>().join(" | ")
    }

    /// A client's side of TLS; with a device's certificate, or another chain and key.
    pub(crate) fn tls(
        &self,
        identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    ) -> Result<rustls::ClientConfig> {
        let builder = rustls::ClientConfig::builder().with_root_certificates(Arc::clone(&self.roots));
        let mut config = match identity {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    /// A client at an address of this machine without a certificate.
    pub(crate) fn nobody(&self, from: Ipv4Addr) -> Result<Client> {
        client(from, self.tls(None)?)
    }

    /// The same for a device.
    pub(crate) fn device(&self, from: Ipv4Addr, device: &Device) -> Result<Client> {
        client(from, self.tls(Some(device.identity()))?)
    }

    /// Enrols a device with a new key for an account.
    pub(crate) async fn enrol(&self, client: &Client, subject: &str) -> Result<Device> {
        let key = KeyPair::generate()?;
        let body = EnrolRequest { csr_pem: csr(&key)?, label: "PC".to_owned(), agreement: 1 };
        let url = format!("{}{}", self.url, path::DEVICES);
        let answer = client.post(url).bearer_auth(self.issuer.token(subject)).json(&body).send().await?;
        if answer.status() != 201 {
            bail!("a device was not enrolled: {}", answer.text().await?);
        }
        let given: Certificate = answer.json().await?;
        let chain = CertificateDer::pem_slice_iter(given.chain_pem.as_bytes()).collect::<Result<_, _>>()?;
        Ok(Device { id: given.device, key, chain })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            platform::end(gateway);
        }
    }
}

impl Device {
    pub(crate) fn identity(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (self.chain.clone(), key_der(&self.key))
    }
}

pub(crate) fn key_der(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::Pkcs8(key.serialize_der().into())
}

pub(crate) fn csr(key: &KeyPair) -> Result<String> {
    Ok(CertificateParams::default().serialize_request(key)?.pem()?)
}

fn client(from: Ipv4Addr, tls: rustls::ClientConfig) -> Result<Client> {
    let builder =
        Client::builder().no_proxy().timeout(Duration::from_secs(90)).local_address(IpAddr::from(from));
    Ok(builder.tls_backend_preconfigured(tls).build()?)
}

fn config(folder: &Path, port: u16, pki: &Pki, issuer: &str, nomad: &str) -> Value {
    json!({
        "listen": format!("127.0.0.1:{port}"),
        "public_url": format!("https://localhost:{port}/"),
        "database_url": format!("sqlite://{}", folder.join("gateway.db").display()),
        "tls": { "certificate": pki.gateway.cert, "key": pki.gateway.key },
        "devices": {
            "root_ca": pki.ca,
            "intermediate": pki.devices.cert,
            "intermediate_key": pki.devices.key,
        },
        "accounts": { "issuer": issuer, "audience": "urn:ionet:gateway" },
        "region": {
            "name": "eu", "datacenter": "home", "node_pool": "gamers", "servers": ["127.0.0.1:4647"],
            "nomad": [nomad], "token_file": folder.join("token"),
        },
        "s3": {
            "endpoint": "http://127.0.0.1:9", "region": "eu", "bucket": "logs",
            "access_key_file": folder.join("access"), "secret_key_file": folder.join("secret"),
        },
        "prices": { "default_micros_per_hour": 3_600_000 },
    })
}
