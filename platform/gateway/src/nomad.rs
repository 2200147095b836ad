//! The region's HTTP API, as much of it as the gateway needs. Nothing outside this file knows its paths or words.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

pub(crate) use self::demand::{AllocationFull, Demand, Tags};
pub(crate) use self::types::{Allocation, Event, EventLine, Node, NodeStub, NodeUpdate};
use crate::config::Region;

mod demand;
mod events;
mod types;

pub(crate) use self::events::EventStream;

/// Set by the project's double of Nomad on every answer.
pub(crate) const DOUBLE_HEADER: &str = "x-ionet-double";

const TIMEOUT: Duration = Duration::from_secs(8);
/// A server that has not answered after this is not waited for alone: the next one is asked as well.
const HEDGE: Duration = Duration::from_millis(300);
/// The same for a page of a list, which takes its time.
const LIST_HEDGE: Duration = Duration::from_secs(2);
const PAGE: &str = "500";

/// Why the region did not do as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NomadError {
    #[error("no server answers")]
    Unreachable(#[source] reqwest::Error),
    #[error("the server answered {0}")]
    Refused(StatusCode),
    #[error("the server's answer cannot be read")]
    Garbage(#[source] reqwest::Error),
    #[error("the event stream is silent: the token may not read it, or the server is gone")]
    Silent,
    #[error("the event stream sent a line that cannot be read")]
    BadLine(#[source] serde_json::Error),
    #[error("the event stream sent a line that is too long")]
    LongLine,
    #[error("the list has no end")]
    Endless,
    #[error("the token file cannot be read")]
    Token(#[source] std::io::Error),
}

impl NomadError {
    /// The thing asked about does not exist there.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(StatusCode::NOT_FOUND))
    }
}

/// A client of one region's servers.
pub(crate) struct Nomad {
    client: reqwest::Client,
    servers: Vec<Url>,
    token_file: PathBuf,
    double: AtomicBool,
    /// The server that answered last, by its place in the list: it is asked first.
    answering: AtomicUsize,
}

/// A list of the region, read to its end.
#[derive(Debug)]
pub(crate) struct Listed<T> {
    pub(crate) items: Vec<T>,
    /// The ids of all that it holds, also of what could not be read.
    pub(crate) ids: HashSet<String>,
    /// How many entries could not be read.
    pub(crate) unread: usize,
    /// Every entry has an id: what is not among them is not there.
    pub(crate) is_whole: bool,
}

impl Nomad {
    /// Reads the certificates that the configuration names. Connects to nothing yet.
    pub(crate) fn new(region: &Region) -> anyhow::Result<Self> {
        Ok(Self {
            client: client(region)?,
            servers: region.nomad.clone(),
            token_file: region.token_file.clone(),
            double: AtomicBool::new(false),
            answering: AtomicUsize::new(0),
        })
    }

    /// Whether the last answer came from the project's double of Nomad.
    pub(crate) fn is_double(&self) -> bool {
        self.double.load(Ordering::Relaxed)
    }

    /// An introduction token (a secret) for exactly this node name and pool, for five minutes.
    pub(crate) async fn introduce(&self, node_name: &str, node_pool: &str) -> Result<String, NomadError> {
        #[derive(serde::Deserialize)]
        struct Answer {
            #[serde(rename = "JWT")]
            jwt: String,
        }
        let body = json!({ "NodeName": node_name, "NodePool": node_pool, "TTL": "5m" });
        let response = self.put("/v1/acl/identity/client-introduction-token", body).await?;
        read(response).await.map(|answer: Answer| answer.jwt)
    }

    /// Every node of the region, in short, in pages.
    pub(crate) async fn nodes(&self) -> Result<Listed<NodeStub>, NomadError> {
        self.pages("/v1/nodes", &[]).await
    }

    /// One node, or none if the region does not know it.
    pub(crate) async fn node(&self, node: &str) -> Result<Option<Node>, NomadError> {
        optional(self.get(&format!("/v1/node/{node}")).await)
    }

    /// Every allocation that the servers still remember, of all namespaces, in pages.
    pub(crate) async fn allocations(&self) -> Result<Listed<Allocation>, NomadError> {
        self.pages("/v1/allocations", &[("namespace", "*")]).await
    }

    /// One node's allocations.
    pub(crate) async fn node_allocations(&self, node: &str) -> Result<Vec<Allocation>, NomadError> {
        let found: Option<Option<Vec<Allocation>>> =
            optional(self.get(&format!("/v1/node/{node}/allocations")).await)?;
        Ok(found.flatten().unwrap_or_default())
    }

    /// One allocation with its job, or none if the region does not know it.
    pub(crate) async fn allocation(&self, allocation: &str) -> Result<Option<AllocationFull>, NomadError> {
        optional(self.get(&format!("/v1/allocation/{allocation}")).await)
    }

    /// Lets the scheduler place work on a node, or not.
    pub(crate) async fn set_eligible(&self, node: &str, eligible: bool) -> Result<(), NomadError> {
        let word = if eligible { "eligible" } else { "ineligible" };
        let body = json!({ "Eligibility": word });
        self.put(&format!("/v1/node/{node}/eligibility"), body).await.map(drop)
    }

    /// Drains a node at once (force) and leaves it ineligible.
    pub(crate) async fn drain_now(&self, node: &str, reason: &str) -> Result<(), NomadError> {
        let body = json!({
            "DrainSpec": { "Deadline": -1, "IgnoreSystemJobs": false },
            "MarkEligible": false,
            "Meta": { "reason": reason },
        });
        self.put(&format!("/v1/node/{node}/drain"), body).await.map(drop)
    }

    /// Asks for one allocation to be stopped; its job may be placed elsewhere.
    pub(crate) async fn stop_allocation(&self, allocation: &str) -> Result<(), NomadError> {
        self.put(&format!("/v1/allocation/{allocation}/stop"), json!({})).await.map(drop)
    }

    /// Opens the event stream. `after`: the last index that was read; replays of older events have to be expected.
    /// `everywhere`: of all namespaces, which is silent unless the token may read every one of them.
    pub(crate) async fn events(
        &self,
        after: Option<i64>,
        everywhere: bool,
    ) -> Result<EventStream, NomadError> {
        let mut query = vec![("topic", "Node".to_owned()), ("topic", "Allocation".to_owned())];
        query.extend(everywhere.then(|| ("namespace", "*".to_owned())));
        query.extend(after.map(|index| ("index", index.to_string())));
        let ask = |url: Url| self.client.get(url).query(&query);
        let opening = tokio::time::timeout(TIMEOUT, self.send("/v1/event/stream", HEDGE, ask));
        Ok(EventStream::new(opening.await.map_err(|_| NomadError::Silent)??))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, NomadError> {
        let response = self.send(path, HEDGE, |url| self.client.get(url).timeout(TIMEOUT)).await?;
        read(response).await
    }

    async fn put(&self, path: &str, body: Value) -> Result<reqwest::Response, NomadError> {
        let ask = |url: Url| self.client.put(url).timeout(TIMEOUT).json(&body);
        self.send(path, HEDGE, ask).await
    }

    async fn pages<T: DeserializeOwned>(
        &self,
        path: &str,
        fixed: &[(&'static str, &'static str)],
    ) -> Result<Listed<T>, NomadError> {
        let mut all = Listed { items: Vec::new(), ids: HashSet::new(), unread: 0, is_whole: true };
        let mut seen = HashSet::new();
        let mut next: Option<String> = None;
        loop {
            let mut query = vec![("per_page", PAGE.to_owned())];
            query.extend(fixed.iter().map(|(name, value)| (*name, (*value).to_owned())));
            query.extend(next.take().map(|token| ("next_token", token)));
            let ask = |url: Url| self.client.get(url).query(&query).timeout(TIMEOUT);
            let response = self.send(path, LIST_HEDGE, ask).await?;
            let token = response.headers().get("x-nomad-nexttoken").and_then(|value| value.to_str().ok());
            next = token.filter(|token| !token.is_empty()).map(str::to_owned);
            let page: Option<Vec<Value>> = read(response).await?;
            page.into_iter().flatten().for_each(|entry| all.take(path, entry));
            match &next {
                None => return Ok(all),
                Some(token) if !seen.insert(token.clone()) => return Err(NomadError::Endless),
                Some(_) => {}
            }
        }
    }

    /// Asks the server that answered last; the next ones as well when it fails, or does not answer in time. The first
    /// yes counts, and so does a no that is not the server's own failing. Every request of this client may be sent
    /// twice without harm.
    async fn send(
        &self,
        path: &str,
        hedge: Duration,
        ask: impl Fn(Url) -> reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, NomadError> {
        let token = tokio::fs::read_to_string(&self.token_file).await.map_err(NomadError::Token)?;
        let first = self.answering.load(Ordering::Relaxed);
        let places = (0..self.servers.len()).map(|step| (first + step) % self.servers.len());
        let mut waiting: Vec<usize> = places.rev().collect();
        let mut asked = FuturesUnordered::new();
        let mut failure = NomadError::Silent;
        loop {
            if let Some(place) = waiting.pop() {
                let mut url = self.servers[place].clone();
                url.set_path(path);
                let request = ask(url).header("X-Nomad-Token", token.trim());
                asked.push(async move { (place, request.send().await) });
            }
            let patience = if waiting.is_empty() { TIMEOUT } else { hedge };
            match tokio::time::timeout(patience, asked.next()).await {
                Ok(Some((place, answer))) => match self.judge(place, answer) {
                    Ok(response) => return Ok(response),
                    Err((error, true)) => return Err(error),
                    Err((error, false)) => failure = error,
                },
                Ok(None) => return Err(failure),
                // Asked alone for long enough; and at the end the requests' own time limits decide.
                Err(_) => {}
            }
        }
    }

    /// What a server's answer is worth; with a failure, whether it is the last word.
    fn judge(
        &self,
        place: usize,
        answer: Result<reqwest::Response, reqwest::Error>,
    ) -> Result<reqwest::Response, (NomadError, bool)> {
        let response = answer.map_err(|error| (NomadError::Unreachable(error.without_url()), false))?;
        self.double.store(response.headers().contains_key(DOUBLE_HEADER), Ordering::Relaxed);
        let status = response.status();
        if status.is_server_error() {
            return Err((NomadError::Refused(status), false));
        }
        self.answering.store(place, Ordering::Relaxed);
        if status.is_success() { Ok(response) } else { Err((NomadError::Refused(status), true)) }
    }
}

impl<T: DeserializeOwned> Listed<T> {
    fn take(&mut self, path: &str, entry: Value) {
        let id = entry.get("ID").and_then(Value::as_str).map(str::to_owned);
        self.is_whole &= id.is_some();
        match serde_json::from_value(entry) {
            Ok(item) => self.items.push(item),
            Err(error) => {
                self.unread += 1;
                tracing::warn!(path, id, error = %error, "an entry of the region's list cannot be read");
            }
        }
        self.ids.extend(id);
    }
}

async fn read<T: DeserializeOwned>(response: reqwest::Response) -> Result<T, NomadError> {
    response.json().await.map_err(|error| NomadError::Garbage(error.without_url()))
}

fn optional<T>(answer: Result<T, NomadError>) -> Result<Option<T>, NomadError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

fn client(region: &Region) -> anyhow::Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(2))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("ionet-gateway/", env!("CARGO_PKG_VERSION")));
    if let Some(ca) = &region.ca {
        let pem = std::fs::read(ca).with_context(|| format!("reading {}", ca.display()))?;
        builder = builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(&pem)?);
    }
    if let (Some(certificate), Some(key)) = (&region.certificate, &region.key) {
        let mut pem = std::fs::read(key).with_context(|| format!("reading {}", key.display()))?;
        pem.push(b'\n');
        pem.extend(std::fs::read(certificate).with_context(|| format!("reading {}", certificate.display()))?);
        builder = builder.identity(reqwest::Identity::from_pem(&pem)?);
    }
    Ok(builder.build()?)
}
