//! What is refused of a configuration that reads well.

use super::Config;

impl Config {
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
                    self.port(service),
                ));
            }
        }
        Ok(())
    }
}

fn is_pool_name(name: &str) -> bool {
    (1..=128).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}
