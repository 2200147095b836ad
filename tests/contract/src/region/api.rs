//! The region as a caller of its HTTPS API asks it, and waits for what it says.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};

use super::Region;
use crate::{pki::Pair, process::wait_for};

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub content_type: String,
    pub index: Option<u64>,
    pub is_double: bool,
    pub text: String,
    pub body: Value,
}

impl Region {
    /// Status and body of one request; a JSON body is parsed, anything else is a JSON string.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<&str>,
    ) -> Result<Reply> {
        send(self.api.request(method, self.url(path)), token, body).await
    }

    pub async fn get(&self, path: &str) -> Result<Value> {
        self.request(Method::GET, path, &self.gateway, None).await?.ok(&format!("GET {path}"))
    }

    pub async fn put(&self, path: &str, token: &str, body: &Value) -> Result<Value> {
        self.request(Method::PUT, path, token, Some(&body.to_string())).await?.ok(&format!("PUT {path}"))
    }

    /// The raw response, for streams and headers.
    pub async fn open(&self, path: &str, token: &str) -> Result<reqwest::Response> {
        Ok(self.api.get(self.url(path)).header("X-Nomad-Token", token).send().await?)
    }

    /// A caller of the HTTPS API with another certificate than the servers' own.
    pub async fn status_with(&self, pair: &Pair, path: &str) -> Result<StatusCode> {
        let api = https(&self.pki.ca_file(), pair)?;
        Ok(api.get(self.url(path)).send().await?.status())
    }

    pub async fn mint(&self, name: &str, pool: &str, ttl: &str) -> Result<String> {
        let asked = json!({ "NodeName": name, "NodePool": pool, "TTL": ttl });
        let minted = self.put("/v1/acl/identity/client-introduction-token", &self.gateway, &asked).await?;
        Ok(minted["JWT"].as_str().context("no JWT")?.to_owned())
    }

    pub async fn submit(&self, job: &Value) -> Result<Value> {
        self.put("/v1/jobs", &self.management, &json!({ "Job": job })).await
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

    fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.http_port)
    }
}

impl Reply {
    /// The body, if the status is 200; `asked` names the request in the error.
    pub(super) fn ok(self, asked: &str) -> Result<Value> {
        ensure!(self.status == 200, "{asked}: {} {}", self.status, self.body);
        Ok(self.body)
    }
}

pub(super) async fn send(request: reqwest::RequestBuilder, token: &str, body: Option<&str>) -> Result<Reply> {
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

/// A caller that knows the servers by this authority, and is known by this certificate.
pub(super) fn https(ca: &Path, pair: &Pair) -> Result<reqwest::Client> {
    let mut roots = rustls::RootCertStore::empty();
    for der in CertificateDer::pem_file_iter(ca)? {
        roots.add(der?)?;
    }
    let chain = CertificateDer::pem_file_iter(&pair.cert)?.collect::<Result<Vec<_>, _>>()?;
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(&pair.key)?)?;
    let timeout = Duration::from_secs(60);
    Ok(reqwest::Client::builder().no_proxy().timeout(timeout).tls_backend_preconfigured(config).build()?)
}
