//! The `client` block, and what other blocks say about the client.

use std::{collections::BTreeMap, time::Duration};

use super::{block::Block, skip_server_join};
use crate::hcl::Value;

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
    /// What plugins in `plugin_dir` are told, by their names.
    pub(crate) plugins: BTreeMap<String, serde_json::Value>,
    pub(crate) publish_allocation_metrics: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct DrainOnShutdown {
    pub(crate) deadline: Duration,
    pub(crate) ignore_system_jobs: bool,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            node_pool: "default".into(),
            node_class: String::new(),
            max_kill_timeout: Duration::from_secs(30),
            meta: BTreeMap::new(),
            options: BTreeMap::new(),
            drain_on_shutdown: None,
            raw_exec: false,
            plugins: BTreeMap::new(),
            publish_allocation_metrics: false,
        }
    }
}

impl Client {
    /// `before` is what earlier files said; `None` = the agent is no client.
    pub(super) fn read(block: &mut Block, before: Option<Self>) -> Result<Option<Self>, String> {
        let mut enabled = before.is_some();
        block.flag("enabled", &mut enabled)?;
        let mut client = before.unwrap_or_default();
        block.list("servers", &mut client.servers);
        block.text("node_pool", &mut client.node_pool)?;
        block.text("node_class", &mut client.node_class)?;
        block.duration("max_kill_timeout", &mut client.max_kill_timeout)?;
        client.meta.extend(block.texts("meta")?);
        client.options.extend(block.texts("options")?);
        block.within("drain_on_shutdown", |drain| {
            client.drain_on_shutdown = Some(DrainOnShutdown::read(drain)?);
            Ok(())
        })?;
        block.skip_within("reserved", &["cpu", "memory", "disk", "cores", "reserved_ports"])?;
        skip_server_join(block)?;
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
}

impl DrainOnShutdown {
    fn read(block: &mut Block) -> Result<Self, String> {
        let mut plan = Self { deadline: Duration::from_secs(3600), ignore_system_jobs: false };
        // A bad duration is not refused by the real agent's validation either.
        _ = block.duration("deadline", &mut plan.deadline);
        block.flag("ignore_system_jobs", &mut plan.ignore_system_jobs)?;
        block.skip(&["force"]);
        Ok(plan)
    }
}

/// Whether a `telemetry` block asks for the metrics of allocations.
pub(super) fn publishes_allocation_metrics(top: &mut Block) -> Result<bool, String> {
    let mut publishes = false;
    top.within("telemetry", |telemetry| {
        telemetry.flag("publish_allocation_metrics", &mut publishes)?;
        telemetry.skip(&[
            "prometheus_metrics",
            "publish_node_metrics",
            "disable_hostname",
            "collection_interval",
        ]);
        Ok(())
    })?;
    Ok(publishes)
}

/// What the `plugin` blocks say. A bad one is not detected here, as in the real `config validate`.
#[derive(Default)]
pub(super) struct Plugins {
    pub(super) raw_exec: bool,
    pub(super) others: BTreeMap<String, serde_json::Value>,
}

impl Plugins {
    pub(super) fn read(top: &mut Block) -> Result<Self, String> {
        let mut plugins = Self::default();
        for item in top.take_all("plugin") {
            let (Value::Object(items), Some(name)) = (item.value, item.keys.get(1)) else { continue };
            if name != "raw_exec" {
                let config = items.into_iter().find(|item| item.keys[0] == "config");
                plugins
                    .others
                    .insert(name.clone(), config.map(|config| config.value.into()).unwrap_or_default());
            } else if let Some(mut config) = Block::new("plugin", items).block("config")? {
                config.flag("enabled", &mut plugins.raw_exec)?;
            }
        }
        Ok(plugins)
    }
}
