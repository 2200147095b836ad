//! The part of an agent's configuration that this project uses, under Nomad's own names. A key that
//! Nomad has and this project does not use is refused: the double must not pretend to obey it.

mod block;
mod check;
mod client;
mod file;
mod server;
mod tls;

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use self::{block::Block, client::Plugins};
pub(crate) use self::{
    client::Client,
    server::{Enforcement, Server},
    tls::Tls,
};
use crate::{
    hcl::Item,
    log::{Level, LogPlan},
};

#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) region: String,
    pub(crate) datacenter: String,
    pub(crate) name: String,
    pub(crate) data_dir: PathBuf,
    plugin_dir: PathBuf,
    pub(crate) bind_addr: IpAddr,
    pub(crate) addresses: BTreeMap<String, String>,
    pub(crate) advertise: BTreeMap<String, String>,
    pub(crate) http_port: u16,
    pub(crate) rpc_port: u16,
    pub(crate) leave_on_interrupt: bool,
    pub(crate) leave_on_terminate: bool,
    pub(crate) log: LogPlan,
    pub(crate) acl_enabled: bool,
    pub(crate) tls: Tls,
    pub(crate) server: Option<Server>,
    pub(crate) client: Option<Client>,
}

impl Default for Config {
    fn default() -> Self {
        let log = LogPlan { json: false, level: Level::Info, file: None, rotate_bytes: 0, max_files: 0 };
        Self {
            files: Vec::new(),
            region: "global".into(),
            datacenter: "dc1".into(),
            name: String::new(),
            data_dir: PathBuf::new(),
            plugin_dir: PathBuf::new(),
            bind_addr: IpAddr::from([0, 0, 0, 0]),
            addresses: BTreeMap::new(),
            advertise: BTreeMap::new(),
            http_port: 4646,
            rpc_port: 4647,
            leave_on_interrupt: false,
            leave_on_terminate: false,
            log,
            acl_enabled: false,
            tls: Tls::default(),
            server: None,
            client: None,
        }
    }
}

impl Config {
    /// Reads the files in order; a later one overrides what an earlier one set. The error is a
    /// sentence ready for the standard error stream.
    pub(crate) fn read(files: &[PathBuf]) -> Result<Self, String> {
        let mut config = Self::default();
        for file in files {
            let items = file::items(file)?;
            config.apply(items).map_err(|e| file::not_loaded(file, e))?;
            config.files.push(file.clone());
        }
        if config.name.is_empty() {
            config.name = crate::host::name();
        }
        Ok(config)
    }

    pub(crate) fn address(&self, service: &str) -> IpAddr {
        self.addresses.get(service).and_then(|a| a.parse().ok()).unwrap_or(self.bind_addr)
    }

    pub(crate) fn plugin_dir(&self) -> PathBuf {
        let named = Some(&self.plugin_dir).filter(|named| !named.as_os_str().is_empty());
        named.cloned().unwrap_or_else(|| self.data_dir.join("plugins"))
    }

    /// `HOST:PORT` under which others reach `service` (`http` or `rpc`).
    pub(crate) fn advertised(&self, service: &str) -> String {
        let port = self.port(service);
        match self.advertise.get(service) {
            Some(address) if address.rsplit(':').next().is_some_and(|p| p.parse::<u16>().is_ok()) => {
                address.clone()
            }
            Some(address) => format!("{address}:{port}"),
            None => format!("{}:{port}", self.address(service)),
        }
    }

    fn port(&self, service: &str) -> u16 {
        if service == "http" { self.http_port } else { self.rpc_port }
    }

    fn apply(&mut self, items: Vec<Item>) -> Result<(), String> {
        let mut top = Block::new("", items);
        top.text("region", &mut self.region)?;
        top.text("datacenter", &mut self.datacenter)?;
        top.text("name", &mut self.name)?;
        top.path("data_dir", &mut self.data_dir)?;
        if let Some(text) = top.maybe_text("bind_addr")? {
            self.bind_addr = text.parse().map_err(|_| format!("invalid bind_addr {text:?}"))?;
        }
        top.flag("leave_on_interrupt", &mut self.leave_on_interrupt)?;
        top.flag("leave_on_terminate", &mut self.leave_on_terminate)?;
        top.path("plugin_dir", &mut self.plugin_dir)?;
        top.skip(&["disable_update_check", "enable_debug", "log_rotate_duration"]);
        self.apply_log(&mut top)?;
        top.within("ports", |ports| {
            ports.number("http", &mut self.http_port)?;
            ports.number("rpc", &mut self.rpc_port)?;
            ports.skip(&["serf"]);
            Ok(())
        })?;
        self.addresses.extend(top.texts("addresses")?);
        self.advertise.extend(top.texts("advertise")?);
        top.within("acl", |acl| {
            acl.flag("enabled", &mut self.acl_enabled)?;
            acl.skip(&["token_ttl", "policy_ttl", "role_ttl", "replication_token"]);
            Ok(())
        })?;
        top.within("tls", |tls| self.tls.apply(tls))?;
        self.apply_roles(&mut top)?;
        top.end()
    }

    fn apply_log(&mut self, top: &mut Block) -> Result<(), String> {
        if let Some(level) = top.maybe_text("log_level")? {
            self.log.level = Level::named(&level).ok_or_else(|| format!("Invalid log level: {level}"))?;
        }
        top.flag("log_json", &mut self.log.json)?;
        if let Some(file) = top.maybe_text("log_file")? {
            self.log.file = Some(file.into());
        }
        top.number("log_rotate_bytes", &mut self.log.rotate_bytes)?;
        top.number("log_rotate_max_files", &mut self.log.max_files)
    }

    /// What the agent is: a server, a client, or both.
    fn apply_roles(&mut self, top: &mut Block) -> Result<(), String> {
        let publishes = client::publishes_allocation_metrics(top)?;
        let plugins = Plugins::read(top)?;
        for service in ["consul", "vault"] {
            let keys = ["auto_advertise", "client_auto_join", "server_auto_join", "enabled"];
            top.skip_within(service, &keys)?;
        }
        top.within("server", |block| {
            self.server = Server::read(block, self.server.take())?;
            Ok(())
        })?;
        top.within("client", |block| {
            self.client = Client::read(block, self.client.take())?;
            Ok(())
        })?;
        if let Some(client) = &mut self.client {
            client.publish_allocation_metrics |= publishes;
            client.raw_exec |= plugins.raw_exec;
            client.plugins.extend(plugins.others);
        }
        Ok(())
    }
}

/// Servers and clients alike may be told whom to join.
fn skip_server_join(block: &mut Block) -> Result<(), String> {
    block.skip_within("server_join", &["retry_join", "retry_interval", "retry_max"])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::hcl;

    fn read(text: &str) -> Result<Config, String> {
        let mut config = Config::default();
        config.apply(hcl::parse(text).map_err(|e| e.to_string())?)?;
        config.check().map(|()| config)
    }

    #[test]
    fn a_client_with_dotted_metadata_is_read() {
        let config = read(
            "data_dir = \"/d\"\nclient {\n enabled = true\n node_pool = \"gamers\"\n max_kill_timeout = \"2s\"\n meta {\n  \"ionet.host\" = \"h\"\n }\n}",
        )
        .unwrap();

        let client = config.client.unwrap();
        assert_eq!(client.meta["ionet.host"], "h");
        assert_eq!(client.max_kill_timeout, Duration::from_secs(2));
    }

    #[test]
    fn unknown_keys_are_named_with_their_block() {
        assert_eq!(read("bogus_key = 1").unwrap_err(), "unexpected keys bogus_key");
        assert_eq!(read("client {\n bogus_key = 1\n}").unwrap_err(), "client unexpected keys bogus_key");
    }

    #[test]
    fn what_a_plugin_is_told_is_kept_by_its_name() {
        let config = read(
            "data_dir = \"/d\"\nplugin_dir = \"/p\"\nclient {\n enabled = true\n}\nplugin \"cards\" {\n config {\n  cards = [\"a\", \"b\"]\n }\n}\nplugin \"raw_exec\" {\n config {\n  enabled = true\n }\n}",
        )
        .unwrap();

        let client = config.client.clone().unwrap();
        assert!(client.raw_exec);
        assert_eq!(client.plugins, [("cards".to_owned(), serde_json::json!({ "cards": ["a", "b"] }))].into());
        assert_eq!(config.plugin_dir(), PathBuf::from("/p"));
    }

    #[test]
    fn a_relative_data_dir_is_refused() {
        assert!(read("data_dir = \"d\"\nclient {\n enabled = true\n}").is_err());
    }
}
