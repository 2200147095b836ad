//! The stage's regions. Each has a name, and of its own whatever goes by it: certificates, servers with their ports and tokens, and a gateway.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::agent::Agent;
use crate::bucket::Bucket;
use crate::facts::{CustomerAccess, RegionFacts};
use crate::gateway::{Gateway, Surroundings};
use crate::pki::Pki;
use crate::region::{ApiFiles, Region, Token};
use crate::servers::{Heartbeat, Servers, Tokens};

/// The region of a stage that is not told of any.
pub(crate) const DEFAULT: &str = "eu";

/// A region that stands.
#[derive(Debug)]
pub struct StagedRegion {
    // Fields drop from the top: what was started last ends first.
    pub(crate) gateway: Gateway,
    pub(crate) servers: Servers,
    name: String,
    pki: Pki,
    tokens: Tokens,
    operator: Region,
    customer: Region,
}

/// What all regions of a stage have in common.
#[derive(Debug)]
pub(crate) struct Shared<'a> {
    pub(crate) agent: &'a Agent,
    pub(crate) gateway: &'a Path,
    pub(crate) issuer: &'a str,
    pub(crate) bucket: &'a Bucket,
    pub(crate) heartbeat: Option<Heartbeat>,
    pub(crate) certificate_life: Option<Duration>,
}

impl StagedRegion {
    /// Starts servers and gateway, each when what it needs is ready; their files lie in `dir`.
    pub(crate) async fn start(name: &str, dir: &Path, shared: &Shared<'_>) -> Result<Self> {
        let Shared { agent, gateway, issuer, bucket, heartbeat, certificate_life } = *shared;
        let pki_dir = dir.join("pki");
        ionet_private::folder(&pki_dir)?;
        let pki = Pki::make(&pki_dir, name)?;
        tracing::info!(region = name, agent = ?agent.kind, version = agent.version, "starting the servers");
        let servers = Servers::start(agent, &dir.join("nomad"), name, &pki, heartbeat).await?;
        let tokens = servers.set_up().await?;
        tracing::info!(region = name, "starting the gateway");
        let around = Surroundings {
            region: name,
            pki: &pki,
            issuer,
            servers: &servers,
            tokens: &tokens,
            bucket,
            certificate_life,
        };
        let gateway = Gateway::start(gateway.to_owned(), &dir.join("gateway"), &around).await?;
        let operator = Region::connect(servers.operator_files(), Some(&Token::read(&tokens.operator)?))?;
        let customer =
            Region::connect(&customer_files(&servers, &pki), Some(&Token::read(&tokens.customer)?))?;
        Ok(Self { gateway, servers, name: name.to_owned(), pki, tokens, operator, customer })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// The servers with the management token: it sees and may everything.
    pub fn operator(&self) -> &Region {
        &self.operator
    }

    /// The servers as the demo's customer reaches them.
    pub fn customer(&self) -> &Region {
        &self.customer
    }

    /// `https://localhost:PORT/`.
    pub fn gateway_url(&self) -> &str {
        self.gateway.url()
    }

    /// Where the gateway's Nomad token lies.
    pub fn gateway_token_file(&self) -> &Path {
        &self.tokens.gateway
    }

    pub(crate) fn token_files(&self) -> [PathBuf; 3] {
        [&self.tokens.operator, &self.tokens.gateway, &self.tokens.customer].map(Clone::clone)
    }

    pub(crate) fn facts(&self) -> RegionFacts {
        RegionFacts {
            name: self.name.clone(),
            gateway: self.gateway.url().to_owned(),
            gateway_db: self.gateway.database(),
            ca_pem: self.pki.ca.clone(),
            nomad: CustomerAccess {
                api: customer_files(&self.servers, &self.pki),
                token_file: self.tokens.customer.clone(),
                rpc: self.servers.rpc_address(),
            },
        }
    }

    /// Its processes that run just now.
    pub(crate) fn pids(&self) -> impl Iterator<Item = (String, u32)> {
        let parts = [("nomad", self.servers.pid()), ("gateway", self.gateway.pid())];
        parts.into_iter().filter_map(|(part, pid)| Some((format!("{part} {}", self.name), pid?)))
    }
}

/// Names become parts of host names and folders.
pub(crate) fn check_names(names: &[String]) -> Result<()> {
    ensure!(!names.is_empty(), "a stage has at least one region");
    for (place, name) in names.iter().enumerate() {
        let letters = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if name.is_empty() || !letters {
            bail!("a region's name is made of small letters and digits, and {name:?} is not");
        }
        ensure!(!names[..place].contains(name), "there are two regions with the name {name:?}");
    }
    Ok(())
}

fn customer_files(servers: &Servers, pki: &Pki) -> ApiFiles {
    ApiFiles {
        region: servers.operator_files().region.clone(),
        address: servers.operator_files().address.clone(),
        ca: pki.ca.clone(),
        cert: pki.customer.cert.clone(),
        key: pki.customer.key.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_no_part_of_a_host_name_or_stands_twice_is_refused() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();

        assert!(check_names(&names(&["eu", "us2"])).is_ok());
        for wrong in [&[][..], &[""], &["eu.nomad"], &["../eu"], &["EU"], &["eu", "us", "eu"]] {
            assert!(check_names(&names(wrong)).is_err(), "{wrong:?}");
        }
    }
}
