//! The region's Nomad server on loopback: its own part of the configuration, its process, and what is set once after the first start.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::child::{self, Child};
use crate::pki::Pki;
use crate::ports;
use crate::region::{ApiFiles, Region, Token};

const SERVER_HCL: &str = include_str!("../../region/server.hcl");
const GATEWAY_POLICY: &str = include_str!("../../region/policies/gateway.hcl");
const CUSTOMER_POLICY: &str = include_str!("../../region/policies/customer.hcl");
const GAMERS_POOL: &str = include_str!("../../region/pools/gamers.json");

/// Where PCs are, for the scheduler: the same in every region, as `platform/region` has it.
pub(crate) const DATACENTER: &str = "home";
pub(crate) const NODE_POOL: &str = "gamers";

const READY: Duration = Duration::from_secs(30);

/// How soon the servers notice that a PC is gone. Nomad's own defaults are 10 s and 10 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// The least time between two heartbeats of a node; the servers spread up to as much again on top.
    pub min_ttl: Duration,
    pub grace: Duration,
}

/// The three ports of an agent on 127.0.0.1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) http: u16,
    pub(crate) rpc: u16,
    pub(crate) serf: u16,
}

/// A Nomad server that may be stopped and started again with the same addresses and data.
#[derive(Debug)]
pub(crate) struct Servers {
    agent: Agent,
    dir: PathBuf,
    ports: Ports,
    operator: ApiFiles,
    child: Option<Child>,
}

/// The tokens made after the first start. All are files of mode 0600 too.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    pub(crate) operator: PathBuf,
    pub(crate) gateway: PathBuf,
    pub(crate) customer: PathBuf,
}

impl Servers {
    /// Writes the configuration below `dir` and starts the server; ready when the region has a leader.
    pub(crate) async fn start(
        agent: &Agent,
        dir: &Path,
        region: &str,
        pki: &Pki,
        heartbeat: Option<Heartbeat>,
    ) -> Result<Self> {
        let dir = dir.to_owned();
        ionet_private::folder(&dir)?;
        let [http, rpc, serf] = ports::free()?;
        let ports = Ports { http, rpc, serf };
        std::fs::write(dir.join("server.hcl"), SERVER_HCL)?;
        let own = this_machine(&dir, region, pki, ports, heartbeat);
        ionet_private::replace(&dir.join("this-machine.hcl"), own.as_bytes())?;

        let operator = ApiFiles {
            region: region.to_owned(),
            address: format!("https://127.0.0.1:{http}"),
            ca: pki.ca.clone(),
            cert: pki.operator.cert.clone(),
            key: pki.operator.key.clone(),
        };
        let mut servers = Self { agent: agent.clone(), dir, ports, operator, child: None };
        servers.resume().await?;
        Ok(servers)
    }

    /// Starts the server again after [`Self::stop`]. Does nothing while it runs.
    pub(crate) async fn resume(&mut self) -> Result<()> {
        if self.child.is_some() {
            return Ok(());
        }
        let mut command = child::clean_command(&self.agent.path, &self.dir);
        command.arg("agent");
        command.arg("-config").arg(self.dir.join("server.hcl"));
        command.arg("-config").arg(self.dir.join("this-machine.hcl"));
        let child = Child::spawn("nomad", command, &self.dir.join("server.log"))?;
        let region = Region::connect(&self.operator, None)?;
        child
            .wait_until(READY, async || {
                let leader = region.get("/v1/status/leader").await.ok()?;
                leader.as_str().filter(|leader| !leader.is_empty()).map(drop)
            })
            .await?;
        self.child = Some(child);
        Ok(())
    }

    /// The region is gone: its ports answer nobody.
    pub(crate) fn stop(&mut self) {
        self.child = None;
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::pid)
    }

    /// Address and certificates for the HTTPS API as the operator.
    pub(crate) fn operator_files(&self) -> &ApiFiles {
        &self.operator
    }

    /// `host:port` for PCs.
    pub(crate) fn rpc_address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.rpc)
    }

    /// Bootstraps ACLs and sets policies, tokens and the node pool. Once in a region's life.
    pub(crate) async fn set_up(&self) -> Result<Tokens> {
        let nobody = Region::connect(&self.operator, None)?;
        let child = self.child.as_ref().context("the region is not running")?;
        // A leader that was just elected refuses for a moment.
        let management = child
            .wait_until(READY, async || {
                let answer = nobody.put("/v1/acl/bootstrap", &json!({})).await.ok()?;
                Some(Token::new(answer["SecretID"].as_str()?))
            })
            .await?;
        let region = Region::connect(&self.operator, Some(&management))?;
        region.put("/v1/node/pools", &serde_json::from_str(GAMERS_POOL)?).await?;
        let tokens = Tokens {
            operator: self.token_file("operator"),
            gateway: self.token_file("gateway"),
            customer: self.token_file("customer"),
        };
        management.write(&tokens.operator)?;
        grant(&region, "gateway", GATEWAY_POLICY).await?.write(&tokens.gateway)?;
        grant(&region, "customer", CUSTOMER_POLICY).await?.write(&tokens.customer)?;
        Ok(tokens)
    }

    fn token_file(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.token"))
    }
}

/// Sets a policy and gives a token that has it and nothing else.
async fn grant(region: &Region, name: &str, rules: &str) -> Result<Token> {
    let policy = json!({"Name": name, "Rules": rules});
    region.put(&format!("/v1/acl/policy/{name}"), &policy).await?;
    let token = json!({"Name": name, "Type": "client", "Policies": [name]});
    let answer: Value = region.put("/v1/acl/token", &token).await?;
    answer["SecretID"].as_str().map(Token::new).context("the region gave no token")
}

/// What differs from one machine to the next. Merged by Nomad over `server.hcl`.
fn this_machine(dir: &Path, region: &str, pki: &Pki, ports: Ports, heartbeat: Option<Heartbeat>) -> String {
    let gossip_key = ports::random_base64_32();
    let Ports { http, rpc, serf } = ports;
    let heartbeat = heartbeat.map_or_else(String::new, |heartbeat| {
        format!(
            "  min_heartbeat_ttl = {}\n  heartbeat_grace   = {}\n",
            seconds(heartbeat.min_ttl),
            seconds(heartbeat.grace)
        )
    });
    format!(
        r#"# Made by the stage: this machine's part of the server's configuration.
region    = "{region}"
name      = "server-1"
data_dir  = {data_dir}
bind_addr = "127.0.0.1"

ports {{
  http = {http}
  rpc  = {rpc}
  serf = {serf}
}}

advertise {{
  http = "127.0.0.1"
  rpc  = "127.0.0.1"
  serf = "127.0.0.1"
}}

server {{
  bootstrap_expect  = 1
  encrypt           = "{gossip_key}"
{heartbeat}}}

tls {{
  ca_file   = {ca}
  cert_file = {cert}
  key_file  = {key}
}}
"#,
        data_dir = quoted(&dir.join("data")),
        ca = quoted(&pki.ca),
        cert = quoted(&pki.server.cert),
        key = quoted(&pki.server.key),
    )
}

fn seconds(time: Duration) -> String {
    format!("\"{}ms\"", time.as_millis())
}

/// An HCL string. `${` would be an interpolation.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace("${", "$${"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::NomadChoice;
    use crate::pki::KeyPairFiles;
    use crate::region::RegionError;

    fn pki() -> Pki {
        let pair = |name: &str| KeyPairFiles {
            cert: format!("/pki/{name}.pem").into(),
            key: format!("/pki/{name}-key.pem").into(),
        };
        Pki {
            ca: "/pki/ca.pem".into(),
            server: pair("server"),
            devices: pair("devices"),
            gateway: pair("gateway"),
            gateway_api: pair("gateway-api"),
            customer: pair("customer"),
            operator: pair("operator"),
        }
    }

    const PORTS: Ports = Ports { http: 1, rpc: 2, serf: 3 };

    #[test]
    fn this_machines_part_names_ports_folders_and_certificates_and_no_policy() {
        let text = this_machine(Path::new("/stage/nomad"), "us", &pki(), PORTS, None);

        for line in [
            "region    = \"us\"",
            "data_dir  = \"/stage/nomad/data\"",
            "bind_addr = \"127.0.0.1\"",
            "  http = 1",
            "  rpc  = 2",
            "  serf = 3",
            "  ca_file   = \"/pki/ca.pem\"",
            "  cert_file = \"/pki/server.pem\"",
            "  key_file  = \"/pki/server-key.pem\"",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains("acl") && !text.contains("verify") && !text.contains("heartbeat"), "{text}");
    }

    #[test]
    fn a_shorter_heartbeat_is_written_only_when_asked_for() {
        let heartbeat = Heartbeat { min_ttl: Duration::from_secs(1), grace: Duration::from_millis(500) };

        let text = this_machine(Path::new("/stage/nomad"), "us", &pki(), PORTS, Some(heartbeat));

        assert!(
            text.contains("  min_heartbeat_ttl = \"1000ms\"\n  heartbeat_grace   = \"500ms\"\n}"),
            "{text}"
        );
    }

    #[test]
    fn a_folder_with_odd_characters_stays_one_string() {
        assert_eq!(quoted(Path::new("/a \"b\"/${c}")), "\"/a \\\"b\\\"/$${c}\"");
    }

    #[test]
    fn the_common_part_turns_every_guard_on() {
        for guard in [
            "enforcement          = \"strict\"",
            "verify_server_hostname = true",
            "verify_https_client    = true",
            "acl {\n  enabled = true\n}",
        ] {
            assert!(SERVER_HCL.contains(guard), "{guard}");
        }
    }

    /// A region of its own, by the Nomad that is at hand; none where nothing is built yet.
    async fn region() -> Option<(Servers, Tokens, Pki, tempfile::TempDir)> {
        let agent = match NomadChoice::Found.resolve() {
            Ok(agent) => agent,
            Err(error) => {
                println!("skipped: needs a Nomad: {error:#}");
                return None;
            }
        };
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::make(dir.path(), "us").unwrap();
        let servers = Servers::start(&agent, &dir.path().join("nomad"), "us", &pki, None).await.unwrap();
        let tokens = servers.set_up().await.unwrap();
        Some((servers, tokens, pki, dir))
    }

    fn caller(servers: &Servers, pair: &KeyPairFiles, token: &Path) -> Region {
        let files =
            ApiFiles { cert: pair.cert.clone(), key: pair.key.clone(), ..servers.operator_files().clone() };
        Region::connect(&files, Some(&Token::read(token).unwrap())).unwrap()
    }

    fn status(answer: Result<Value, RegionError>) -> u16 {
        match answer {
            Ok(_) => 200,
            Err(RegionError::Refused { status, .. }) => status.as_u16(),
            Err(error) => panic!("{error}"),
        }
    }

    #[tokio::test]
    async fn the_gateway_and_the_customer_may_what_they_need_and_no_more() {
        let Some((servers, tokens, pki, _dir)) = region().await else { return };
        let gateway = caller(&servers, &pki.gateway_api, &tokens.gateway);
        let customer = caller(&servers, &pki.customer, &tokens.customer);
        let job = crate::region::example_job("a", false);

        let introduction = json!({"NodeName": "d-1", "NodePool": "gamers", "TTL": "5m"});
        let introduced =
            gateway.put("/v1/acl/identity/client-introduction-token", &introduction).await.unwrap();
        assert!(introduced["JWT"].is_string());
        assert_eq!(gateway.get("/v1/node/pool/gamers").await.unwrap()["Name"], "gamers");
        assert_eq!(gateway.get("/v1/nodes").await.unwrap(), json!([]));
        assert_eq!(status(gateway.put("/v1/jobs", &job).await), 403);

        customer.submit(&job).await.unwrap();
        assert_eq!(customer.get("/v1/job/a").await.unwrap()["NodePool"], "gamers");
        assert_eq!(customer.allocations("a").await.unwrap(), Vec::<Value>::new());
        assert_eq!(status(customer.get("/v1/nodes").await), 403);
        assert_eq!(
            status(customer.put("/v1/acl/identity/client-introduction-token", &introduction).await),
            403
        );
    }

    #[tokio::test]
    async fn a_region_that_comes_back_still_knows_its_jobs() {
        let Some((mut servers, tokens, pki, _dir)) = region().await else { return };
        let customer = caller(&servers, &pki.customer, &tokens.customer);
        customer.submit(&crate::region::example_job("a", false)).await.unwrap();

        servers.stop();
        let gone = customer.get("/v1/job/a").await;
        servers.resume().await.unwrap();

        assert!(matches!(gone, Err(RegionError::Unreachable(_))));
        assert_eq!(customer.get("/v1/job/a").await.unwrap()["ID"], "a");
    }

    #[tokio::test]
    async fn nobody_without_a_certificate_reaches_the_regions_api() {
        let Some((servers, _tokens, pki, _dir)) = region().await else { return };
        let ca = reqwest::Certificate::from_pem(&std::fs::read(&pki.ca).unwrap()).unwrap();
        let stranger = reqwest::Client::builder().tls_certs_only([ca]).no_proxy().build().unwrap();

        let answer =
            stranger.get(format!("{}/v1/status/leader", servers.operator_files().address)).send().await;

        assert!(answer.is_err());
    }
}
