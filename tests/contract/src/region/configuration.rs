//! The configuration files of the region's agents. What every agent says is written once.

use std::{fmt::Write, path::Path};

use anyhow::Result;

use super::cards::Cards;
use super::{ClientAgent, Options, POOL, REGION, Region, free_port};
use crate::pki::Pair;

impl Region {
    pub(super) fn server_configuration(&self, dir: &Path, pair: &Pair) -> Result<String> {
        let mut text = Common {
            region: REGION,
            name: "server-1",
            data_dir: &dir.join("data"),
            http_port: self.http_port,
            rpc_port: self.rpc_port,
            https: true,
            ca_file: &self.pki.ca_file(),
            pair,
        }
        .text()?;
        text += SERVER;
        Ok(text)
    }

    #[expect(clippy::too_many_lines, reason = "one document")]
    pub(super) fn client_configuration(&self, agent: &ClientAgent, options: &Options) -> Result<String> {
        let ca_file = options.ca_file.clone().unwrap_or_else(|| self.pki.ca_file());
        let denied = options
            .env_denylist
            .as_ref()
            .map(|list| format!("\"env.denylist\" = \"{list}\""))
            .unwrap_or_default();
        let mut text = Common {
            region: options.region.as_deref().unwrap_or(REGION),
            name: &agent.name,
            data_dir: &agent.data_dir(),
            http_port: agent.http_port,
            rpc_port: free_port()?,
            https: false,
            ca_file: &ca_file,
            pair: &agent.certificate,
        }
        .text()?;
        write!(
            text,
            r#"
leave_on_interrupt = true
log_json = true
log_file = "{log}"
client {{
  enabled = true
  servers = ["127.0.0.1:{server}"]
  node_pool = "{POOL}"
  network_interface = "lo"
  max_kill_timeout = "{kill}"
  meta {{
    "ionet.host" = "{name}"
  }}
  options {{
    "driver.allowlist" = "raw_exec"
    "fingerprint.denylist" = "{aws}env_gce,env_azure,env_digitalocean,consul,vault"
    {denied}
  }}
  drain_on_shutdown {{
    deadline = "{drain}"
    force = false
    ignore_system_jobs = false
  }}
}}
plugin "raw_exec" {{
  config {{
    enabled = true
  }}
}}
telemetry {{
  prometheus_metrics = true
  publish_allocation_metrics = true
  publish_node_metrics = true
  disable_hostname = true
}}
"#,
            log = agent.dir.join("client.log").display(),
            server = self.rpc_port,
            kill = options.max_kill_timeout.unwrap_or("2s"),
            name = agent.name,
            aws = if options.probe_aws { "" } else { "env_aws," },
            drain = options.drain_deadline.unwrap_or("5s"),
        )?;
        text += &options.cards.as_ref().map(Cards::configuration).unwrap_or_default();
        Ok(text)
    }
}

const SERVER: &str = r#"
log_level = "INFO"
server {
  enabled = true
  bootstrap_expect = 1
  heartbeat_grace = "9s"
  min_heartbeat_ttl = "2s"
  client_introduction {
    enforcement = "strict"
    default_identity_ttl = "5m"
    max_identity_ttl = "30m"
  }
}
"#;

/// Where any agent stands, and by which certificate it is known.
struct Common<'a> {
    region: &'a str,
    name: &'a str,
    data_dir: &'a Path,
    http_port: u16,
    rpc_port: u16,
    /// Servers serve HTTPS and know their callers; a client's listener is plain and local.
    https: bool,
    ca_file: &'a Path,
    pair: &'a Pair,
}

impl Common<'_> {
    fn text(&self) -> Result<String> {
        let Self { region, name, http_port, rpc_port, https, .. } = self;
        Ok(format!(
            r#"
region = "{region}"
datacenter = "home"
name = "{name}"
data_dir = "{data}"
bind_addr = "127.0.0.1"
disable_update_check = true
ports {{
  http = {http_port}
  rpc = {rpc_port}
  serf = {serf}
}}
advertise {{
  http = "127.0.0.1"
  rpc = "127.0.0.1"
  serf = "127.0.0.1"
}}
tls {{
  http = {https}
  rpc = true
  ca_file = "{ca}"
  cert_file = "{cert}"
  key_file = "{key}"
  verify_server_hostname = true
  verify_https_client = {https}
}}
acl {{
  enabled = true
}}
"#,
            data = self.data_dir.display(),
            serf = free_port()?,
            ca = self.ca_file.display(),
            cert = self.pair.cert.display(),
            key = self.pair.key.display(),
        ))
    }
}
