//! Mutual TLS: who is let in, and what the log of the one who is not says.

use anyhow::{Result, ensure};
use reqwest::Method;
use rustix::process::Signal;
use serde_json::Value;

use super::LIMIT;
use crate::{
    ClientAgent, Options, Region,
    pki::{Pki, Valid},
    region::REGION,
};

const ROLE: &str = "client.eu.nomad";

pub async fn an_expired_certificate_is_refused_in_go_s_words(region: &Region) -> Result<()> {
    for (file, valid) in [("expired", Valid::NoLonger), ("not-yet", Valid::NotYet)] {
        let pair = region.pki.client(file, &[ROLE], valid)?;
        let agent = region.client(Options { certificate: Some(pair), ..Options::default() }).await?;
        refused(&agent, "remote error: tls: expired certificate").await?;
        ensure!(region.server_output().contains("failed TLS handshake"), "the server did not log it");
    }
    Ok(())
}

pub async fn a_certificate_of_another_authority_is_refused(region: &Region) -> Result<()> {
    let other = Pki::new(&region.path().join("other"), REGION)?;
    let pair = other.client("stranger", &[ROLE], Valid::Now)?;
    let agent = region.client(Options { certificate: Some(pair), ..Options::default() }).await?;

    refused(&agent, "remote error: tls: unknown certificate authority").await
}

pub async fn a_certificate_of_another_region_is_refused(region: &Region) -> Result<()> {
    let other = region.pki.client("no-role", &["somebody.client.eu.nomad"], Valid::Now)?;
    let agent = region.client(Options { certificate: Some(other), ..Options::default() }).await?;
    refused(&agent, "remote error: tls: bad certificate").await?;

    let agent = region.client(Options { region: Some("us".into()), ..Options::default() }).await?;
    let is_named = |line: &Value| {
        let error = line["error"].as_str().unwrap_or_default();
        error.contains("certificate is valid for server.eu.nomad, localhost, not server.us.nomad")
    };
    agent
        .logged("a wrong name", LIMIT, |line| line["@message"] == "error registering" && is_named(line))
        .await?;
    Ok(())
}

pub async fn a_client_that_trusts_another_authority_says_so(region: &Region) -> Result<()> {
    let other = Pki::new(&region.path().join("other"), REGION)?;
    let agent = region.client(Options { ca_file: Some(other.ca_file()), ..Options::default() }).await?;

    let line =
        agent.logged("a distrusted server", LIMIT, |line| line["@message"] == "error registering").await?;
    let recorded = "rpc error: failed to get conn: tls: failed to verify certificate: x509: certificate signed by unknown authority";
    // The lines of the calls that run beside it may differ in the middle.
    ensure!(line["error"].as_str().is_some_and(|error| error.starts_with(recorded)), "{line}");
    Ok(())
}

pub async fn a_missing_certificate_ends_the_agent(region: &Region) -> Result<()> {
    let mut pair = region.pki.client("there", &[ROLE], Valid::Now)?;
    pair.cert = region.path().join("nothing.pem");
    let mut agent = region.client(Options { certificate: Some(pair), ..Options::default() }).await?;

    ensure!(agent.process()?.exit_code(LIMIT).await? == 1, "not exit status 1");
    let wanted = format!(
        "Error starting agent: client setup failed: Failed to load cert/key pair: Failed to load cert/key pair: open {}: no such file or directory",
        region.path().join("nothing.pem").display()
    );
    let log = agent.log();
    ensure!(
        log.iter().any(|line| line["@message"] == wanted.as_str() && line["@module"] == "agent"),
        "{}",
        agent.tail()
    );
    Ok(())
}

pub async fn a_server_name_from_the_clients_authority_is_refused(region: &Region) -> Result<()> {
    for (file, names) in [("forged", vec!["server.eu.nomad"]), ("forged-both", vec![ROLE, "server.eu.nomad"])]
    {
        let pair = region.pki.client(file, &names, Valid::Now)?;
        let http = region.status_with(&pair, "/v1/status/leader").await;
        ensure!(http.is_err(), "{names:?} got {http:?} from the HTTPS API");
        let agent = region.client(Options { certificate: Some(pair), ..Options::default() }).await?;
        refused(&agent, "remote error: tls: bad certificate").await?;
    }
    let honest = region.pki.client("honest", &[ROLE, "d-1.client.eu.nomad"], Valid::Now)?;
    ensure!(
        region.status_with(&honest, "/v1/status/leader").await? == 200,
        "an honest certificate is refused"
    );
    Ok(())
}

pub async fn a_replaced_certificate_is_taken_on_hangup(region: &Region) -> Result<()> {
    let mut agent = region.ready_client(Options::default()).await?;
    let fresh = region.pki.client("fresh", &[ROLE], Valid::Now)?;
    std::fs::copy(&fresh.cert, &agent.certificate.cert)?;
    std::fs::copy(&fresh.key, &agent.certificate.key)?;

    agent.process()?.signal(Signal::HUP);

    agent
        .logged("the new certificate", LIMIT, |line| {
            line["@message"] == "reloading HTTP server with new TLS configuration"
        })
        .await?;
    std::fs::write(&agent.certificate.key, "broken")?;
    agent.process()?.signal(Signal::HUP);
    let failed =
        |line: &Value| line["@message"] == "failed to reload the config" && line["@level"] == "error";
    agent.logged("the broken key", LIMIT, failed).await?;
    ensure!(agent.process()?.is_running(), "the agent ended");
    agent.healthy().await?;
    let health = agent.request(Method::GET, "/v1/agent/health", "", None).await?;
    ensure!(health.status == 200, "{health:?}");
    Ok(())
}

/// The agent says that the server refused it, lives on, and calls itself healthy.
async fn refused(agent: &ClientAgent, words: &str) -> Result<()> {
    let is = |line: &Value| line["@message"].as_str().is_some_and(|message| message.contains(words));
    let line = agent.logged(words, LIMIT, is).await?;
    ensure!(line["@module"] == "client" && line["@level"] == "error", "{line}");
    agent.healthy().await
}
