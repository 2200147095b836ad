//! The `server` block.

use std::time::Duration;

use super::{block::Block, skip_server_join};

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

/// What becomes of a node that nobody has introduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Enforcement {
    None,
    Warn,
    Strict,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            heartbeat_grace: Duration::from_secs(10),
            min_heartbeat_ttl: Duration::from_secs(10),
            failover_heartbeat_ttl: Duration::from_secs(300),
            enforcement: Enforcement::None,
            default_identity_ttl: Duration::from_secs(300),
            max_identity_ttl: Duration::from_secs(1800),
            event_buffer_size: 100,
        }
    }
}

impl Server {
    /// `before` is what earlier files said; `None` = the agent is no server.
    pub(super) fn read(block: &mut Block, before: Option<Self>) -> Result<Option<Self>, String> {
        let mut enabled = before.is_some();
        block.flag("enabled", &mut enabled)?;
        let mut server = before.unwrap_or_default();
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
        skip_server_join(block)?;
        block.within("client_introduction", |intro| server.apply_introduction(intro))?;
        Ok(enabled.then_some(server))
    }

    fn apply_introduction(&mut self, block: &mut Block) -> Result<(), String> {
        if let Some(word) = block.maybe_text("enforcement")? {
            self.enforcement = match word.as_str() {
                "none" => Enforcement::None,
                "warn" => Enforcement::Warn,
                "strict" => Enforcement::Strict,
                _ => return Err(format!("invalid client_introduction enforcement {word:?}")),
            };
        }
        block.duration("default_identity_ttl", &mut self.default_identity_ttl)?;
        block.duration("max_identity_ttl", &mut self.max_identity_ttl)
    }
}
