//! The servers' HTTPS API as one caller sees it: mTLS, and a token.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Certificate, Identity, Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Where the API listens and what a caller shows there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApiFiles {
    /// Whose servers they are.
    pub region: String,
    /// `https://127.0.0.1:PORT`.
    pub address: String,
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// A Nomad ACL token. Never printed.
#[derive(Clone)]
pub struct Token(String);

/// The region refused or could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum RegionError {
    #[error("the region does not answer: {0}")]
    Unreachable(#[from] reqwest::Error),
    #[error("the region answered {status} to {request}: {body}")]
    Refused { request: String, status: StatusCode, body: String },
    #[error("the region's answer to {request} is not JSON: {body}")]
    Garbled { request: String, body: String },
}

/// One caller of the region's API.
#[derive(Debug, Clone)]
pub struct Region {
    name: String,
    address: String,
    http: reqwest::Client,
}

impl Region {
    /// Prepares a caller; nothing is sent yet.
    ///
    /// # Errors
    /// A certificate or key cannot be read.
    pub fn connect(files: &ApiFiles, token: Option<&Token>) -> Result<Self> {
        // Somebody in this process may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let read =
            |path: &Path| std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()));
        let mut identity = read(&files.cert)?;
        identity.extend(read(&files.key)?);
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(&token.0)?;
            value.set_sensitive(true);
            headers.insert("X-Nomad-Token", value);
        }
        let http = reqwest::Client::builder()
            .tls_certs_only([Certificate::from_pem(&read(&files.ca)?)?])
            .identity(Identity::from_pem(&identity)?)
            .default_headers(headers)
            .no_proxy()
            .timeout(Duration::from_secs(15))
            .build()?;
        Ok(Self { name: files.region.clone(), address: files.address.clone(), http })
    }

    /// Reads `path` (`/v1/…`, with any query).
    ///
    /// # Errors
    /// See [`RegionError`].
    pub async fn get(&self, path: &str) -> Result<Value, RegionError> {
        self.send(Method::GET, path, None).await
    }

    /// Sends `body` to `path`. An empty answer, which Nomad gives to some, is `null`.
    ///
    /// # Errors
    /// See [`RegionError`].
    pub async fn put(&self, path: &str, body: &Value) -> Result<Value, RegionError> {
        self.send(Method::PUT, path, Some(body)).await
    }

    /// Deletes `path`.
    ///
    /// # Errors
    /// See [`RegionError`].
    pub async fn delete(&self, path: &str) -> Result<Value, RegionError> {
        self.send(Method::DELETE, path, None).await
    }

    /// Submits a job in the form of Nomad's API, `{"Job": {…}}`, to this region unless it names another; gives the evaluation's id.
    ///
    /// # Errors
    /// See [`RegionError`].
    pub async fn submit(&self, job: &Value) -> Result<String, RegionError> {
        let mut job = job.clone();
        if job["Job"]["Region"].is_null() {
            job["Job"]["Region"] = json!(self.name);
        }
        let answer = self.put("/v1/jobs", &job).await?;
        Ok(answer["EvalID"].as_str().unwrap_or_default().to_owned())
    }

    /// Stops a job.
    ///
    /// # Errors
    /// See [`RegionError`].
    pub async fn stop_job(&self, id: &str) -> Result<(), RegionError> {
        self.delete(&format!("/v1/job/{id}")).await.map(drop)
    }

    /// The job's allocations, as Nomad lists them.
    ///
    /// # Errors
    /// See [`RegionError`].
    pub async fn allocations(&self, job: &str) -> Result<Vec<Value>, RegionError> {
        let answer = self.get(&format!("/v1/job/{job}/allocations")).await?;
        Ok(answer.as_array().cloned().unwrap_or_default())
    }

    /// What the region's event stream tells of nodes and allocations, from the oldest that it still knows until `enough`.
    ///
    /// # Errors
    /// See [`RegionError`]; also when it is not enough after some seconds.
    pub async fn told(&self, enough: impl Fn(&[Value]) -> bool) -> Result<Vec<Value>, RegionError> {
        let url = format!("{}/v1/event/stream?topic=Node&topic=Allocation", self.address);
        let mut answer = self.http.get(url).send().await?;
        let (mut unread, mut lines) = (Vec::new(), Vec::new());
        while !enough(&lines) {
            let Some(chunk) = answer.chunk().await? else { break };
            unread.extend_from_slice(&chunk);
            while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = unread.drain(..=end).collect();
                lines.extend(serde_json::from_slice::<Value>(&line));
            }
        }
        Ok(lines)
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, RegionError> {
        let request = format!("{method} {path}");
        let mut call = self.http.request(method, format!("{}{path}", self.address));
        if let Some(body) = body {
            call = call.json(body);
        }
        let answer = call.send().await?;
        let status = answer.status();
        let body = answer.text().await?;
        if !status.is_success() {
            return Err(RegionError::Refused { request, status, body });
        }
        if body.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&body).map_err(|_| RegionError::Garbled { request, body })
    }
}

impl Token {
    pub fn new(secret: &str) -> Self {
        Self(secret.trim().to_owned())
    }

    /// # Errors
    /// The file cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path);
        Ok(Self::new(&text.with_context(|| format!("{} cannot be read", path.display()))?))
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        ionet_private::replace(path, self.0.as_bytes())
            .with_context(|| format!("{} cannot be written", path.display()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The demo's job (`platform/region/jobs`) under a name of its own, so that several can run, for PCs of this machine's kind.
pub fn example_job(name: &str, in_container: bool) -> Value {
    let text = if in_container {
        include_str!("../../region/jobs/example-docker.json")
    } else {
        include_str!("../../region/jobs/example.json")
    };
    let mut job: Value = serde_json::from_str(text).unwrap_or_else(|_| json!({}));
    job["Job"]["ID"] = json!(name);
    job["Job"]["Name"] = json!(name);
    job["Job"]["Constraints"][1]["RTarget"] = json!(std::env::consts::ARCH);
    job
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_cannot_be_printed() {
        assert_eq!(format!("{:?}", Token::new("secret\n")), "[redacted]");
    }

    #[test]
    fn the_two_example_jobs_differ_in_their_driver_alone() {
        let mut plain = example_job("a", false);
        let mut contained = example_job("a", true);
        let task = |job: &mut Value| job["Job"]["TaskGroups"][0]["Tasks"][0].take();
        let (plain_task, contained_task) = (task(&mut plain), task(&mut contained));

        assert_eq!(plain, contained);
        assert_eq!(plain_task["Driver"], "raw_exec");
        assert_eq!(contained_task["Driver"], "docker");
        assert_eq!(plain_task["Config"]["args"], contained_task["Config"]["args"]);
    }

    #[test]
    fn the_example_job_is_placed_by_tags() {
        let job = example_job("demo", false);

        let constraints = job["Job"]["Constraints"].as_array().unwrap();

        let targets: Vec<_> = constraints.iter().filter_map(|one| one["LTarget"].as_str()).collect();
        assert_eq!(targets, ["${meta.ionet.os}", "${meta.ionet.arch}"]);
        assert_eq!(job["Job"]["ID"], "demo");
    }
}
