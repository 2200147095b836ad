//! An account's own way to the gateway, beside the app's: what the owner's other screen, or a data centre's script, is.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use ionet_cloud::visitor;
use ionet_gateway_api::{DeviceList, EnrolmentToken, path};
use ionet_stage::Endpoints;
use reqwest::{Certificate, Client, Method, Response};
use serde_json::Value;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
const AUDIENCE: &str = "urn:ionet:gateway";

#[derive(Debug)]
pub struct Account {
    http: Client,
    gateway: String,
    token: String,
}

impl Account {
    /// Signs in by device code, with a session of its own.
    pub async fn sign_in(endpoints: &Endpoints, login: &str, password: &str) -> Result<Self> {
        // Somebody in this process may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = Client::builder().no_proxy().timeout(Duration::from_secs(20));
        if let Some(pem) = &endpoints.gateway_ca_pem {
            http = http.tls_certs_only([Certificate::from_pem(pem.as_bytes())?]);
        }
        let http = http.build()?;
        let token = access_token(&http, endpoints, login, password).await?;
        Ok(Self { http, gateway: endpoints.gateway.trim_end_matches('/').to_owned(), token })
    }

    pub async fn devices(&self) -> Result<DeviceList> {
        self.ask(Method::GET, path::DEVICES).await
    }

    pub async fn enrolment_token(&self) -> Result<EnrolmentToken> {
        self.ask(Method::POST, path::ENROLMENT_TOKENS).await
    }

    /// Says that one of this account's PCs is lost.
    pub async fn report_lost(&self, device: &str) -> Result<()> {
        self.send(Method::POST, &path::DEVICE_LOST.replace("{device}", device)).await.map(drop)
    }

    async fn ask<T: serde::de::DeserializeOwned>(&self, method: Method, path: &str) -> Result<T> {
        Ok(self.send(method, path).await?.json().await?)
    }

    async fn send(&self, method: Method, path: &str) -> Result<Response> {
        let request = self.http.request(method, format!("{}{path}", self.gateway)).bearer_auth(&self.token);
        let answer = request.send().await?;
        let status = answer.status();
        if !status.is_success() {
            bail!("the gateway answered {status} to {path}: {}", answer.text().await?);
        }
        Ok(answer)
    }
}

async fn access_token(http: &Client, endpoints: &Endpoints, login: &str, password: &str) -> Result<String> {
    let issuer = endpoints.issuer.trim_end_matches('/');
    let found: Value =
        http.get(format!("{issuer}/.well-known/openid-configuration")).send().await?.json().await?;
    let endpoint = |name: &str| found[name].as_str().with_context(|| format!("the provider has no {name}"));
    let client = endpoints.client_id.as_str();
    let asked = [("client_id", client), ("scope", "openid email"), ("resource", AUDIENCE)];
    let code = post(http, endpoint("device_authorization_endpoint")?, &asked).await?;
    let text = |name: &str| code[name].as_str().with_context(|| format!("the provider gave no {name}"));
    visitor::walk_device_code(text("verification_uri")?, text("user_code")?, login, password).await?;
    let asked = [
        ("grant_type", GRANT),
        ("client_id", client),
        ("device_code", text("device_code")?),
        ("resource", AUDIENCE),
    ];
    let answer = post(http, endpoint("token_endpoint")?, &asked).await?;
    let token = answer["access_token"].as_str();
    token.map(str::to_owned).with_context(|| format!("no access token: {}", answer["error"]))
}

async fn post(http: &Client, url: &str, form: &[(&str, &str)]) -> Result<Value> {
    let request = http.post(url).header("Accept", "application/json").form(form);
    Ok(request.send().await?.json().await?)
}
