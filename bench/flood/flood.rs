//! The floods: fifty a second of one kind, all from one address.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ionet_gateway_api::{JobsAnswer, path};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair};
use reqwest::{Client, Method, RequestBuilder};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::history;
use crate::report::Samples;
use crate::world::issuer::sign;
use crate::world::{Device, World, csr, key_der};

/// Where every flood comes from.
pub(crate) const FLOOD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);
const A_SECOND: u32 = 50;
/// Whoever floods does not wait for longer, so that what is under way stays bounded.
const LONGEST: Duration = Duration::from_secs(10);
/// Jobs in the past that is asked for.
const JOBS: usize = 10_000;
const BOUNDARIES: i64 = 1_000;

/// The kinds, in the order in which they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Anonymous,
    Handshakes,
    BadCertificates,
    BadTokens,
    Renewals,
    Wanted,
    Uploads,
    History,
    SlowHeads,
    Enrolments,
}

impl Kind {
    pub(crate) const ALL: [Self; 10] = [
        Self::Anonymous,
        Self::Handshakes,
        Self::BadCertificates,
        Self::BadTokens,
        Self::Renewals,
        Self::Wanted,
        Self::Uploads,
        Self::History,
        Self::SlowHeads,
        Self::Enrolments,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Handshakes => "handshakes",
            Self::BadCertificates => "bad_certificates",
            Self::BadTokens => "bad_tokens",
            Self::Renewals => "renewals",
            Self::Wanted => "wanted",
            Self::Uploads => "uploads",
            Self::History => "history",
            Self::SlowHeads => "slow_heads",
            Self::Enrolments => "enrolments",
        }
    }
}

/// What the flooders have: an enrolled device, an account with a long past, a certificate and a token that are worth
/// nothing, and all the time in the world.
#[derive(Clone)]
pub(crate) struct Ground(Arc<Inner>);

struct Inner {
    url: String,
    port: u16,
    nobody: Client,
    by_device: Client,
    device: Device,
    plain: Arc<rustls::ClientConfig>,
    worthless: Arc<rustls::ClientConfig>,
    bad_token: String,
    account: String,
    seq: AtomicU64,
}

impl Ground {
    /// Enrols the flooders' device and gives it a past.
    pub(crate) async fn prepare(world: &mut World) -> Result<Self> {
        let nobody = world.nobody(FLOOD)?;
        let device = world.enrol(&nobody, "flooder").await?;
        let by_device = world.device(FLOOD, &device)?;
        give_a_past(world, &device, &by_device).await?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([format!("{}.client.eu.nomad", device.id)])?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let foreign = params.self_signed(&key)?;
        let worthless = world.tls(Some((vec![foreign.der().clone()], key_der(&key))))?;
        let claims = world.issuer.claims(json!({}));
        Ok(Self(Arc::new(Inner {
            url: world.url.clone(),
            port: world.port,
            plain: Arc::new(world.tls(None)?),
            worthless: Arc::new(worthless),
            bad_token: sign(&key, "unknown", jsonwebtoken::Algorithm::ES256, &claims),
            account: world.issuer.token("flooder"),
            nobody,
            by_device,
            device,
            seq: AtomicU64::new(1),
        })))
    }

    /// Times how long the past takes; nobody floods meanwhile.
    pub(crate) async fn read_history(&self, samples: &Samples) -> Result<()> {
        history::read(&self.0.by_device, &self.0.at(path::DEVICE_JOBS), JOBS, samples).await
    }
}

/// Jobs of the past, which the gateway reads from the region's lists when it starts; then the region forgets them.
async fn give_a_past(world: &mut World, device: &Device, client: &Client) -> Result<()> {
    let begin = (crate::world::region::now_s() - 30 * 86_400) * 1_000_000_000;
    world.region.node("flooders-node", &device.id, json!({}));
    for number in 0..JOBS {
        let placed = begin + number as i64 * 200_000_000_000;
        let task = json!({ "t": { "StartedAt": null, "Events": [{ "Type": "Started", "Time": placed }] } });
        let changes = json!({
            "ClientStatus": "complete", "CreateTime": placed, "ModifyTime": placed + 150_000_000_000_i64,
            "TaskStates": task,
        });
        world.region.allocation_silently(&past(number), "flooders-node", changes);
    }
    world.restart().await?;
    let question = json!({ "from_ms": 0, "to_ms": begin / 1_000_000 + 1, "limit": 1 });
    let (url, end) =
        (format!("{}{}", world.url, path::DEVICE_JOBS), Instant::now() + Duration::from_secs(60));
    // When the last of the list is known, all are.
    loop {
        let answer = client.post(&url).json(&question).send().await?.error_for_status()?;
        if !answer.json::<JobsAnswer>().await?.jobs.is_empty() {
            break;
        }
        ensure!(Instant::now() < end, "the gateway does not read the region's lists");
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    for number in 0..JOBS {
        world.region.forget_allocation(&past(number));
    }
    Ok(())
}

/// The region lists by name: the oldest comes last.
fn past(number: usize) -> String {
    format!("past-{:05}", JOBS - number)
}

/// Floods for so long. What is still under way then is given up.
pub(crate) async fn run(kind: Kind, ground: &Ground, samples: &Samples, duration: Duration) {
    let mut tick = interval(Duration::from_secs(1) / A_SECOND);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (end, mut under_way) = (Instant::now() + duration, JoinSet::new());
    while Instant::now() < end {
        tick.tick().await;
        let (ground, samples) = (ground.clone(), samples.clone());
        under_way.spawn(async move {
            let one = timeout(LONGEST, ground.0.one(kind)).await;
            let outcome = one.map_or(Outcome::Silent, |done| done.unwrap_or(Outcome::Cut));
            samples.flood(kind.name(), outcome);
        });
        while under_way.try_join_next().is_some() {}
    }
}

/// What became of one request of a flood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered(u16),
    /// The handshake was all that was asked for.
    Shaken,
    /// The connection was refused or closed.
    Cut,
    Silent,
}

impl Inner {
    async fn one(&self, kind: Kind) -> Result<Outcome> {
        match kind {
            Kind::Anonymous => self.send(self.nobody.get(self.at(path::OPENAPI))).await,
            Kind::Handshakes => self.shake(&self.plain).await.map(|_| Outcome::Shaken),
            Kind::BadCertificates => self.shake_and_wait(&self.worthless).await,
            Kind::BadTokens => {
                self.send(self.nobody.get(self.at(path::DEVICES)).bearer_auth(&self.bad_token)).await
            }
            Kind::Renewals => {
                let body = json!({ "device": self.device.id, "csr_pem": csr(&self.device.key)? });
                self.send(self.nobody.post(self.at(path::RENEWALS)).json(&body)).await
            }
            Kind::Wanted => {
                let seq = self.seq.fetch_add(1, Ordering::Relaxed);
                let body = json!({ "seq": seq, "eligible": seq.is_multiple_of(2), "holds": [] });
                self.ask(Method::PUT, path::WANTED, &body).await
            }
            Kind::Uploads => {
                let object = json!({ "name": "x", "length": 1, "sha256": "00".repeat(32) });
                self.ask(Method::POST, path::UPLOADS, &json!({ "objects": vec![object; 32] })).await
            }
            Kind::History => {
                let now = crate::world::region::now_s() * 1_000;
                let month = 30 * 86_400_000;
                let moments: Vec<i64> =
                    (0..BOUNDARIES).map(|i| now - month + i * (month / BOUNDARIES)).collect();
                let body = json!({ "boundaries_ms": moments });
                let request = self.nobody.post(self.at(path::ACCOUNT_PERIODS)).bearer_auth(&self.account);
                self.send(request.json(&body)).await
            }
            Kind::SlowHeads => self.drip().await,
            Kind::Enrolments => {
                let body = json!({ "csr_pem": csr(&KeyPair::generate()?)?, "label": "x", "agreement": 1 });
                let request = self.nobody.post(self.at(path::DEVICES)).bearer_auth(&self.account);
                self.send(request.json(&body)).await
            }
        }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    async fn ask(&self, method: Method, path: &str, body: &Value) -> Result<Outcome> {
        self.send(self.by_device.request(method, self.at(path)).json(body)).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Outcome> {
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let _ = answer.bytes().await;
        Ok(Outcome::Answered(status))
    }

    async fn shake(&self, tls: &Arc<rustls::ClientConfig>) -> Result<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(IpAddr::from(FLOOD), 0))?;
        let stream = socket.connect(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), self.port)).await?;
        let name = ServerName::try_from("localhost").context("a name")?;
        Ok(TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?)
    }

    /// In TLS 1.3 the client has shaken hands before the server has looked at its certificate.
    async fn shake_and_wait(&self, tls: &Arc<rustls::ClientConfig>) -> Result<Outcome> {
        let mut stream = self.shake(tls).await?;
        let read = stream.read(&mut [0; 1]).await?;
        Ok(if read == 0 { Outcome::Cut } else { Outcome::Shaken })
    }

    /// A head of a request that never ends.
    async fn drip(&self) -> Result<Outcome> {
        let mut plain = rustls::ClientConfig::clone(&self.plain);
        plain.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut stream = self.shake(&Arc::new(plain)).await?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").await?;
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            stream.write_all(b"x").await?;
            stream.flush().await?;
        }
    }
}
