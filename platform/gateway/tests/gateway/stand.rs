//! Everything around a gateway under test: certificates, an issuer, a scripted region. All on loopback, all ended with
//! the stand.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use ionet_gateway::Config;
use ionet_gateway_api::{Certificate, DeviceState, EnrolRequest, Problem, path};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    KeyPair, KeyUsagePurpose, NameConstraints,
};
use reqwest::{Client, Method, Response};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::issuer::Issuer;
use self::region::FakeRegion;

#[path = "issuer.rs"]
pub(crate) mod issuer;
#[path = "region.rs"]
pub(crate) mod region;

/// Deadline against hanging, on a machine that is busy with other things too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at what tells nobody when it changes: the processor is for whoever changes it.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Waits until a look finds it so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !is_so().await {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("waited for {what}"));
}

/// Where everybody is who has no other address.
pub(crate) const HOME: Ipv4Addr = Ipv4Addr::LOCALHOST;

pub(crate) struct Stand {
    pub(crate) folder: TempDir,
    pub(crate) issuer: Issuer,
    pub(crate) region: Arc<FakeRegion>,
    pub(crate) config: Config,
    pub(crate) url: String,
    pub(crate) intermediate: CertifiedIssuer<'static, KeyPair>,
    root_pem: String,
    shutdown: CancellationToken,
    running: Option<JoinHandle<anyhow::Result<()>>>,
    /// How often the region's lists had been read when the gateway was last started.
    lists: usize,
}

/// A gateway beside the stand's own.
pub(crate) struct Second {
    shutdown: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
}

impl Second {
    pub(crate) async fn end(self) {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.running).await.expect("it should end").unwrap().unwrap();
    }
}

/// A PC: its key, what enrolment gave it, and a client with its certificate.
pub(crate) struct Pc {
    pub(crate) key: KeyPair,
    pub(crate) certificate: Certificate,
    pub(crate) http: Client,
}

impl Stand {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let issuer = Issuer::start().await;
        let region = FakeRegion::start().await;
        let (intermediate, root_pem) = write_certificates(&folder);
        let mut config = config(&folder, &issuer.url, &region.url);
        change(&mut config);
        let mut stand = Self {
            folder,
            issuer,
            region,
            config,
            url: String::new(),
            intermediate,
            root_pem,
            shutdown: CancellationToken::new(),
            running: None,
            lists: 0,
        };
        stand.resume().await;
        stand
    }

    /// Starts the gateway (again), on a new port and the same database.
    pub(crate) async fn resume(&mut self) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        self.shutdown = CancellationToken::new();
        self.lists = self.region.lists();
        let serving = ionet_gateway::serve(self.config.clone(), listener, self.shutdown.clone());
        self.running = Some(tokio::spawn(serving));
        let healthy = self.get(&self.nobody(), path::HEALTH).await;
        assert_eq!(healthy.status(), 200);
    }

    /// Waits until the gateway learns of every change from the stream, in order: it reads the lists before it opens the
    /// stream and once more then, and not again for a minute.
    pub(crate) async fn until_following(&self) {
        self.region.until_listed(self.lists + 2).await;
    }

    /// A second gateway on the same database and region, as while one takes over from the other.
    pub(crate) async fn another_gateway(&self) -> Second {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shutdown = CancellationToken::new();
        let serving = ionet_gateway::serve(self.config.clone(), listener, shutdown.clone());
        Second { shutdown, running: tokio::spawn(serving) }
    }

    /// Waits until exactly these allocations are disputed in the ledger.
    pub(crate) async fn until_disputed(&self, allocations: &[&str]) {
        let options: SqliteConnectOptions = self.config.database_url.parse().unwrap();
        let pool = SqlitePool::connect_with(options).await.unwrap();
        let query = "SELECT allocation FROM allocations WHERE disputed = 1 ORDER BY allocation";
        until("disputes", async || {
            sqlx::query_scalar::<_, String>(query).fetch_all(&pool).await.unwrap() == allocations
        })
        .await;
    }

    /// Ends the gateway as SIGTERM does, and waits for it.
    pub(crate) async fn pause(&mut self) {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.running.take().unwrap()).await;
        ended.expect("the gateway should end").unwrap().unwrap();
    }

    /// Tells the gateway to end, without waiting.
    pub(crate) fn cancel(&self) {
        self.shutdown.cancel();
    }

    pub(crate) fn nobody(&self) -> Client {
        self.client(None)
    }

    /// A client that shows this certificate and key, PEM.
    pub(crate) fn client(&self, identity: Option<String>) -> Client {
        self.client_at(HOME, identity)
    }

    /// The same at another address of this machine.
    pub(crate) fn client_at(&self, address: Ipv4Addr, identity: Option<String>) -> Client {
        let root = reqwest::Certificate::from_pem(self.root_pem.as_bytes()).unwrap();
        let mut builder =
            Client::builder().no_proxy().timeout(Duration::from_secs(90)).tls_certs_only([root]);
        builder = builder.local_address(IpAddr::from(address));
        if let Some(pem) = identity {
            builder = builder.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap());
        }
        builder.build().unwrap()
    }

    pub(crate) async fn get(&self, client: &Client, path: &str) -> Response {
        client.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    pub(crate) async fn send(
        &self,
        client: &Client,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Response {
        let mut request = client.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    /// The same for an account, or for the bearer of any token.
    pub(crate) async fn send_as(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Response {
        let mut request = self.nobody().request(method, format!("{}{path}", self.url)).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    /// Enrols a PC with a key of its own for an account.
    pub(crate) async fn enrol(&self, subject: &str) -> Pc {
        let key = KeyPair::generate().unwrap();
        let token = self.issuer.token(subject);
        let answer = self.send_as(&token, Method::POST, path::DEVICES, Some(enrolment(&key))).await;
        assert_eq!(answer.status(), 201);
        self.pc(key, answer.json().await.unwrap())
    }

    /// The gateway's port.
    pub(crate) fn port(&self) -> u16 {
        self.url.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// A client's side of TLS, without a certificate of its own.
    pub(crate) fn tls(&self) -> rustls::ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.root_pem.as_bytes()).unwrap()).unwrap();
        rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
    }

    pub(crate) fn pc(&self, key: KeyPair, certificate: Certificate) -> Pc {
        let http = self.client(Some(format!("{}{}", key.serialize_pem(), certificate.chain_pem)));
        Pc { key, certificate, http }
    }

    /// What the gateway tells a PC now.
    pub(crate) async fn state(&self, pc: &Pc) -> DeviceState {
        read(self.get(&pc.http, path::WATCH).await).await
    }

    /// Waits until what the gateway tells a PC holds.
    pub(crate) async fn until(&self, pc: &Pc, holds: impl Fn(&DeviceState) -> bool) -> DeviceState {
        let waiting = async {
            let mut index = 0;
            loop {
                let path = format!("{}?index={index}&wait=1", path::WATCH);
                let state: DeviceState = read(self.get(&pc.http, &path).await).await;
                if holds(&state) {
                    return state;
                }
                index = state.index;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("the state should come to hold")
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Pc {
    pub(crate) fn id(&self) -> &str {
        &self.certificate.device
    }
}

pub(crate) fn csr(key: &KeyPair) -> String {
    CertificateParams::default().serialize_request(key).unwrap().pem().unwrap()
}

pub(crate) fn enrolment(key: &KeyPair) -> Value {
    serde_json::to_value(EnrolRequest { csr_pem: csr(key), label: "My PC".to_owned(), agreement: 1 }).unwrap()
}

pub(crate) fn renewal(device: &str, key: &KeyPair) -> Value {
    json!({ "device": device, "csr_pem": csr(key) })
}

/// The answer's content; the answer must be a yes.
pub(crate) async fn read<T: DeserializeOwned>(response: Response) -> T {
    let status = response.status();
    let text = response.text().await.unwrap();
    assert!(status.is_success(), "{status}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// Status and code of a problem; the answer must be one.
pub(crate) async fn problem(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let kind = response.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
    let text = response.text().await.unwrap();
    assert_eq!(kind.as_deref(), Some("application/problem+json"), "{status}: {text}");
    let problem: Problem = serde_json::from_str(&text).unwrap();
    assert_eq!(problem.status, status);
    (status, problem.code)
}

pub(crate) fn is(code: &str, status: u16) -> (u16, String) {
    (status, code.to_owned())
}

fn write_certificates(folder: &TempDir) -> (CertifiedIssuer<'static, KeyPair>, String) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, "test root");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();

    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, "test intermediate");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("client.eu.nomad".to_owned())],
        excluded_subtrees: Vec::new(),
    });
    let intermediate = CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &root).unwrap();

    let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    let server = params.signed_by(&key, &root).unwrap();

    let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
    write("root.pem", root.pem());
    write("intermediate.pem", intermediate.pem());
    write("intermediate-key.pem", intermediate.key().serialize_pem());
    write("server.pem", server.pem());
    write("server-key.pem", key.serialize_pem());
    write("nomad.token", "gateway-token\n".to_owned());
    write("s3.access", "access".to_owned());
    write("s3.secret", "very-secret".to_owned());
    let root_pem = root.pem();
    (intermediate, root_pem)
}

fn config(folder: &TempDir, issuer: &str, nomad: &str) -> Config {
    let at = |name: &str| folder.path().join(name);
    let text = json!({
        "listen": "127.0.0.1:0",
        "public_url": "https://localhost/",
        "database_url": format!("sqlite://{}", at("gateway.db").display()),
        "tls": { "certificate": at("server.pem"), "key": at("server-key.pem") },
        "devices": {
            "root_ca": at("root.pem"),
            "intermediate": at("intermediate.pem"),
            "intermediate_key": at("intermediate-key.pem"),
        },
        "accounts": { "issuer": issuer, "audience": "urn:ionet:gateway" },
        "region": {
            "name": "eu", "datacenter": "home", "node_pool": "gamers", "servers": ["127.0.0.1:4647"],
            "nomad": [nomad], "token_file": at("nomad.token"),
        },
        "s3": {
            "endpoint": "http://127.0.0.1:9", "region": "eu", "bucket": "logs",
            "access_key_file": at("s3.access"), "secret_key_file": at("s3.secret"),
        },
        "prices": { "default_micros_per_hour": 3_600_000 },
    });
    serde_json::from_value(text).unwrap()
}
