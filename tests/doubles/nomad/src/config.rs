//! The part of an agent's configuration that this project uses, under Nomad's own names. A key that
//! Nomad has and this project does not use is refused: the double must not pretend to obey it.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    hcl::{self, Item, Value},
    log::{Level, LogPlan},
};

#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) region: String,
    pub(crate) datacenter: String,
    pub(crate) name: String,
    pub(crate) data_dir: PathBuf,
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

#[derive(Debug, Clone, Default)]
pub(crate) struct Tls {
    pub(crate) http: bool,
    pub(crate) rpc: bool,
    pub(crate) ca_file: PathBuf,
    pub(crate) cert_file: PathBuf,
    pub(crate) key_file: PathBuf,
    pub(crate) verify_server_hostname: bool,
    pub(crate) verify_https_client: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) heartbeat_grace: Duration,
    pub(crate) min_heartbeat_ttl: Duration,
    pub(crate) failover_heartbeat_ttl: Duration,
    pub(crate) enforcement: Enforcement,
    pub(crate) default_identity_ttl: Duration,
    pub(crate) max_identity_ttl: Duration,
    pub(crate) event_buffer_size: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Enforcement {
    None,
    Warn,
    Strict,
}

#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) servers: Vec<String>,
    pub(crate) node_pool: String,
    pub(crate) node_class: String,
    pub(crate) max_kill_timeout: Duration,
    pub(crate) meta: BTreeMap<String, String>,
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) drain_on_shutdown: Option<DrainOnShutdown>,
    pub(crate) raw_exec: bool,
    pub(crate) publish_allocation_metrics: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct DrainOnShutdown {
    pub(crate) deadline: Duration,
    pub(crate) ignore_system_jobs: bool,
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
            let text = std::fs::read_to_string(file).map_err(|e| {
                let reason = if e.kind() == std::io::ErrorKind::NotFound {
                    format!("stat {}: no such file or directory", file.display())
                } else {
                    e.to_string()
                };
                format!("Error loading configuration from {}: {reason}", file.display())
            })?;
            let items = if file.extension().is_some_and(|e| e == "json") {
                json_items(&text)?
            } else {
                hcl::parse(&text)
                    .map_err(|e| format!("Error loading configuration from {}: {e}", file.display()))?
            };
            config
                .apply(items)
                .map_err(|e| format!("Error loading configuration from {}: {e}", file.display()))?;
            config.files.push(file.clone());
        }
        if config.name.is_empty() {
            config.name = crate::client::fingerprint::hostname();
        }
        Ok(config)
    }

    /// What `config validate` and the agent's start refuse beyond the syntax.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.server.is_none() && self.client.is_none() {
            return Err("Must specify either server, client or dev mode for the agent.".into());
        }
        if self.data_dir.as_os_str().is_empty() {
            return Err("Must specify \"data_dir\" config option or \"data-dir\" CLI flag".into());
        }
        if !self.data_dir.is_absolute() {
            return Err("data-dir must be given as an absolute path".into());
        }
        if self.client.as_ref().is_some_and(|c| c.node_pool == "all" || !is_pool_name(&c.node_pool)) {
            return Err("Invalid node pool: node_pool must be a valid name other than \"all\"".into());
        }
        Ok(())
    }

    /// The agent, unlike the validation, insists that a loopback address is advertised knowingly.
    pub(crate) fn check_advertised(&self) -> Result<(), String> {
        for service in ["http", "rpc"] {
            if self.address(service).is_loopback() && !self.advertise.contains_key(service) {
                let name = service.to_uppercase();
                return Err(format!(
                    "Failed to parse {name} advertise address (, {}, {}, false): Defaulting advertise to localhost is unsafe, please set advertise manually",
                    self.address(service),
                    if service == "http" { self.http_port } else { self.rpc_port },
                ));
            }
        }
        Ok(())
    }

    pub(crate) fn address(&self, service: &str) -> IpAddr {
        self.addresses.get(service).and_then(|a| a.parse().ok()).unwrap_or(self.bind_addr)
    }

    /// `HOST:PORT` under which others reach `service` (`http` or `rpc`).
    pub(crate) fn advertised(&self, service: &str) -> String {
        let port = if service == "http" { self.http_port } else { self.rpc_port };
        match self.advertise.get(service) {
            Some(address) if address.rsplit(':').next().is_some_and(|p| p.parse::<u16>().is_ok()) => {
                address.clone()
            }
            Some(address) => format!("{address}:{port}"),
            None => format!("{}:{port}", self.address(service)),
        }
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
        top.skip(&["disable_update_check", "enable_debug", "plugin_dir", "log_rotate_duration"]);
        self.apply_log(&mut top)?;
        if let Some(mut ports) = top.block("ports")? {
            ports.number("http", &mut self.http_port)?;
            ports.number("rpc", &mut self.rpc_port)?;
            ports.skip(&["serf"]);
            ports.end()?;
        }
        self.addresses.extend(top.texts("addresses")?);
        self.advertise.extend(top.texts("advertise")?);
        if let Some(mut acl) = top.block("acl")? {
            acl.flag("enabled", &mut self.acl_enabled)?;
            acl.skip(&["token_ttl", "policy_ttl", "role_ttl", "replication_token"]);
            acl.end()?;
        }
        if let Some(mut tls) = top.block("tls")? {
            self.apply_tls(&mut tls)?;
            tls.end()?;
        }
        let publish = apply_telemetry(&mut top)?;
        let raw_exec = apply_plugins(&mut top)?;
        for service in ["consul", "vault"] {
            if let Some(mut ignored) = top.block(service)? {
                ignored.skip(&["auto_advertise", "client_auto_join", "server_auto_join", "enabled"]);
                ignored.end()?;
            }
        }
        if let Some(mut server) = top.block("server")? {
            self.server = server_block(&mut server, self.server.take())?;
            server.end()?;
        }
        if let Some(mut client) = top.block("client")? {
            self.client = client_block(&mut client, self.client.take())?;
            client.end()?;
        }
        if let Some(client) = &mut self.client {
            client.publish_allocation_metrics |= publish;
            client.raw_exec |= raw_exec;
        }
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

    fn apply_tls(&mut self, block: &mut Block) -> Result<(), String> {
        block.flag("http", &mut self.tls.http)?;
        block.flag("rpc", &mut self.tls.rpc)?;
        block.path("ca_file", &mut self.tls.ca_file)?;
        block.path("cert_file", &mut self.tls.cert_file)?;
        block.path("key_file", &mut self.tls.key_file)?;
        block.flag("verify_server_hostname", &mut self.tls.verify_server_hostname)?;
        block.flag("verify_https_client", &mut self.tls.verify_https_client)?;
        block.skip(&["tls_min_version"]);
        Ok(())
    }
}

fn apply_telemetry(top: &mut Block) -> Result<bool, String> {
    let mut publish = false;
    if let Some(mut telemetry) = top.block("telemetry")? {
        telemetry.flag("publish_allocation_metrics", &mut publish)?;
        telemetry.skip(&[
            "prometheus_metrics",
            "publish_node_metrics",
            "disable_hostname",
            "collection_interval",
        ]);
        telemetry.end()?;
    }
    Ok(publish)
}

/// True when a `plugin "raw_exec"` block enables the driver. A bad plugin block is not detected here,
/// as in the real `config validate`.
fn apply_plugins(top: &mut Block) -> Result<bool, String> {
    let mut raw_exec = false;
    for item in top.take_all("plugin") {
        let Value::Object(items) = item.value else { continue };
        if item.keys.get(1).map(String::as_str) != Some("raw_exec") {
            continue;
        }
        let mut plugin = Block::new("plugin", items);
        if let Some(mut config) = plugin.block("config")? {
            config.flag("enabled", &mut raw_exec)?;
        }
    }
    Ok(raw_exec)
}

fn server_block(block: &mut Block, before: Option<Server>) -> Result<Option<Server>, String> {
    let mut enabled = before.is_some();
    block.flag("enabled", &mut enabled)?;
    let mut server = before.unwrap_or(Server {
        heartbeat_grace: Duration::from_secs(10),
        min_heartbeat_ttl: Duration::from_secs(10),
        failover_heartbeat_ttl: Duration::from_secs(300),
        enforcement: Enforcement::None,
        default_identity_ttl: Duration::from_secs(300),
        max_identity_ttl: Duration::from_secs(1800),
        event_buffer_size: 100,
    });
    block.duration("heartbeat_grace", &mut server.heartbeat_grace)?;
    block.duration("min_heartbeat_ttl", &mut server.min_heartbeat_ttl)?;
    block.duration("failover_heartbeat_ttl", &mut server.failover_heartbeat_ttl)?;
    block.number("event_buffer_size", &mut server.event_buffer_size)?;
    block.skip(&[
        "bootstrap_expect",
        "encrypt",
        "raft_protocol",
        "max_heartbeats_per_second",
        "authoritative_region",
        "job_gc_threshold",
        "node_gc_threshold",
        "eval_gc_threshold",
        "batch_eval_gc_threshold",
        "deployment_gc_threshold",
    ]);
    if let Some(mut join) = block.block("server_join")? {
        join.skip(&["retry_join", "retry_interval", "retry_max"]);
        join.end()?;
    }
    if let Some(mut intro) = block.block("client_introduction")? {
        if let Some(word) = intro.maybe_text("enforcement")? {
            server.enforcement = match word.as_str() {
                "none" => Enforcement::None,
                "warn" => Enforcement::Warn,
                "strict" => Enforcement::Strict,
                _ => return Err(format!("invalid client_introduction enforcement {word:?}")),
            };
        }
        intro.duration("default_identity_ttl", &mut server.default_identity_ttl)?;
        intro.duration("max_identity_ttl", &mut server.max_identity_ttl)?;
        intro.end()?;
    }
    Ok(enabled.then_some(server))
}

fn client_block(block: &mut Block, before: Option<Client>) -> Result<Option<Client>, String> {
    let mut enabled = before.is_some();
    block.flag("enabled", &mut enabled)?;
    let mut client = before.unwrap_or(Client {
        servers: Vec::new(),
        node_pool: "default".into(),
        node_class: String::new(),
        max_kill_timeout: Duration::from_secs(30),
        meta: BTreeMap::new(),
        options: BTreeMap::new(),
        drain_on_shutdown: None,
        raw_exec: false,
        publish_allocation_metrics: false,
    });
    if let Some(Value::List(list)) = block.take("servers") {
        client.servers = list.into_iter().filter_map(text_of).collect();
    }
    block.text("node_pool", &mut client.node_pool)?;
    block.text("node_class", &mut client.node_class)?;
    block.duration("max_kill_timeout", &mut client.max_kill_timeout)?;
    client.meta.extend(block.texts("meta")?);
    client.options.extend(block.texts("options")?);
    if let Some(mut drain) = block.block("drain_on_shutdown")? {
        let mut plan = DrainOnShutdown { deadline: Duration::from_secs(3600), ignore_system_jobs: false };
        // A bad duration is not refused by the real agent's validation either.
        _ = drain.duration("deadline", &mut plan.deadline);
        drain.flag("ignore_system_jobs", &mut plan.ignore_system_jobs)?;
        drain.skip(&["force"]);
        drain.end()?;
        client.drain_on_shutdown = Some(plan);
    }
    if let Some(mut reserved) = block.block("reserved")? {
        reserved.skip(&["cpu", "memory", "disk", "cores", "reserved_ports"]);
        reserved.end()?;
    }
    if let Some(mut join) = block.block("server_join")? {
        join.skip(&["retry_join", "retry_interval", "retry_max"]);
        join.end()?;
    }
    block.skip(&[
        "network_interface",
        "gc_interval",
        "gc_max_allocs",
        "gc_disk_usage_threshold",
        "gc_inode_usage_threshold",
        "gc_parallel_destroys",
        "no_host_uuid",
        "state_dir",
        "alloc_dir",
        "cpu_total_compute",
        "memory_total_mb",
        "min_dynamic_port",
        "max_dynamic_port",
        "bridge_network_name",
        "cni_path",
        "cgroup_parent",
    ]);
    Ok(enabled.then_some(client))
}

fn is_pool_name(name: &str) -> bool {
    (1..=128).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// A block whose keys are taken one by one; what is left over at the end is refused.
struct Block {
    name: &'static str,
    items: Vec<Item>,
}

impl Block {
    fn new(name: &'static str, items: Vec<Item>) -> Self {
        Self { name, items }
    }

    fn take_all(&mut self, key: &str) -> Vec<Item> {
        let (taken, rest) = std::mem::take(&mut self.items).into_iter().partition(|item| item.keys[0] == key);
        self.items = rest;
        taken
    }

    fn take(&mut self, key: &str) -> Option<Value> {
        self.take_all(key).pop().map(|item| item.value)
    }

    fn skip(&mut self, keys: &[&str]) {
        self.items.retain(|item| !keys.contains(&item.keys[0].as_str()));
    }

    fn maybe_text(&mut self, key: &str) -> Result<Option<String>, String> {
        match self.take(key) {
            None => Ok(None),
            Some(value) => text_of(value).map(Some).ok_or_else(|| format!("{key} must be a string")),
        }
    }

    fn text(&mut self, key: &str, into: &mut String) -> Result<(), String> {
        if let Some(text) = self.maybe_text(key)? {
            *into = text;
        }
        Ok(())
    }

    fn path(&mut self, key: &str, into: &mut PathBuf) -> Result<(), String> {
        if let Some(text) = self.maybe_text(key)? {
            *into = Path::new(&text).to_path_buf();
        }
        Ok(())
    }

    fn flag(&mut self, key: &str, into: &mut bool) -> Result<(), String> {
        match self.take(key) {
            None => Ok(()),
            Some(Value::Bool(flag)) => {
                *into = flag;
                Ok(())
            }
            Some(_) => Err(format!("{key} must be true or false")),
        }
    }

    fn number<T: TryFrom<u64>>(&mut self, key: &str, into: &mut T) -> Result<(), String> {
        match self.take(key) {
            None => Ok(()),
            Some(Value::Number(number)) if number >= 0.0 && number.fract() == 0.0 => {
                *into = T::try_from(number as u64).map_err(|_| format!("{key} is out of range"))?;
                Ok(())
            }
            Some(_) => Err(format!("{key} must be a number")),
        }
    }

    fn duration(&mut self, key: &str, into: &mut Duration) -> Result<(), String> {
        if let Some(text) = self.maybe_text(key)? {
            *into = duration(&text).ok_or_else(|| format!("time: invalid duration {text:?}"))?;
        }
        Ok(())
    }

    fn block(&mut self, key: &'static str) -> Result<Option<Block>, String> {
        let mut items = Vec::new();
        let found = self.take_all(key);
        let any = !found.is_empty();
        for item in found {
            let Value::Object(inner) = item.value else { return Err(format!("{key} must be a block")) };
            items.extend(inner);
        }
        Ok(any.then(|| Block::new(key, items)))
    }

    fn texts(&mut self, key: &'static str) -> Result<BTreeMap<String, String>, String> {
        let Some(block) = self.block(key)? else { return Ok(BTreeMap::new()) };
        let pair = |item: Item| {
            let name = item.keys.join(".");
            text_of(item.value)
                .map(|text| (name.clone(), text))
                .ok_or(format!("{key} {name} must be a string"))
        };
        block.items.into_iter().map(pair).collect()
    }

    fn end(self) -> Result<(), String> {
        let left: Vec<_> = self.items.iter().map(|item| item.keys[0].as_str()).collect();
        if left.is_empty() {
            return Ok(());
        }
        let space = if self.name.is_empty() { "" } else { " " };
        Err(format!("{}{space}unexpected keys {}", self.name, left.join(", ")))
    }
}

fn text_of(value: Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::List(_) | Value::Object(_) => None,
    }
}

fn json_items(text: &str) -> Result<Vec<Item>, String> {
    let map = serde_json::from_str(text).map_err(|e| e.to_string())?;
    Ok(object_items(map))
}

fn object_items(map: serde_json::Map<String, serde_json::Value>) -> Vec<Item> {
    map.into_iter().map(|(key, value)| Item { keys: vec![key], value: from_json(value) }).collect()
}

fn from_json(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Text(String::new()),
        serde_json::Value::Bool(flag) => Value::Bool(flag),
        serde_json::Value::Number(number) => Value::Number(number.as_f64().unwrap_or_default()),
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Array(list) => match <[serde_json::Value; 1]>::try_from(list) {
            // JSON configuration writes a block as a list of one object.
            Ok([serde_json::Value::Object(map)]) => Value::Object(object_items(map)),
            Ok([one]) => Value::List(vec![from_json(one)]),
            Err(list) => Value::List(list.into_iter().map(from_json).collect()),
        },
        serde_json::Value::Object(map) => Value::Object(object_items(map)),
    }
}

/// A Go duration such as `1h30m`, `250ms` or `-1s` (which reads as zero).
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('-').map_or(text, |_| "0");
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut total, mut rest) = (0.0, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |n| digits + n);
        total += number
            * match &rest[digits..unit_end] {
                "ns" => 1e-9,
                "us" | "µs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return None,
            };
        rest = &rest[unit_end..];
    }
    (!text.is_empty()).then(|| Duration::from_secs_f64(total))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_relative_data_dir_is_refused() {
        assert!(read("data_dir = \"d\"\nclient {\n enabled = true\n}").is_err());
    }

    #[test]
    fn durations_are_read_as_go_writes_them() {
        assert_eq!(duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("nope"), None);
    }
}
