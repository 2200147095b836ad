//! What a client says of its machine.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Map, Value, json};

use super::raw_exec;
use crate::{
    VERSION,
    config::{Client, Config},
    host,
    model::{Driver, Eligibility, Node, NodeStatus, rfc3339_now, unix_seconds},
};

/// The node as it registers first. `id` and `secret_id` are those kept in the data directory.
pub(super) fn node(config: &Config, plan: &Client, id: String, secret_id: String) -> Node {
    Node {
        id,
        secret_id,
        name: config.name.clone(),
        datacenter: config.datacenter.clone(),
        node_pool: plan.node_pool.clone(),
        node_class: plan.node_class.clone(),
        attributes: attributes(config),
        meta: plan.meta.clone(),
        drivers: drivers(plan),
        status: NodeStatus::Initializing,
        status_description: String::new(),
        status_updated_at: unix_seconds(),
        scheduling_eligibility: Eligibility::Eligible,
        drain: false,
        drain_strategy: None,
        last_drain: None,
        events: Vec::new(),
        create_index: 0,
        modify_index: 0,
        rest: rest(config),
    }
}

pub(super) fn tell_devices(node: &mut Node, devices: Value) {
    if let Some(resources) = node.rest.get_mut("NodeResources") {
        resources["Devices"] = devices;
    }
}

/// The real agent cannot make its AWS probe's HTTP client when this variable is set, and ends.
pub(super) fn aws(plan: &Client) -> Result<(), String> {
    let denied = plan.options.get("fingerprint.denylist").map_or("", String::as_str);
    let probes = !denied.split(',').any(|name| name.trim() == "env_aws");
    if probes && std::env::var_os("AWS_CA_BUNDLE").is_some() {
        return Err(
            "client setup failed: fingerprinting failed: failed to load custom CA bundle PEM file".into()
        );
    }
    Ok(())
}

fn attributes(config: &Config) -> BTreeMap<String, String> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let os = |key: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.map(|value| value.trim_matches('"').to_owned()).unwrap_or_default()
    };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = cores();
    let mut attributes: BTreeMap<String, String> = [
        ("cpu.arch", go_arch().to_owned()),
        ("cpu.numcores", cores.to_string()),
        ("cpu.totalcompute", (cores * 1000).to_string()),
        ("kernel.arch", std::env::consts::ARCH.to_owned()),
        ("kernel.name", std::env::consts::OS.to_owned()),
        ("kernel.version", kernel.trim().to_owned()),
        ("memory.totalbytes", memory_bytes().to_string()),
        ("nomad.version", VERSION.to_owned()),
        ("os.name", os("ID")),
        ("os.version", os("VERSION_ID")),
        ("unique.advertise.address", config.advertised("http")),
        ("unique.hostname", host::name()),
        ("unique.network.ip-address", config.address("http").to_string()),
        // The one attribute that no real agent has.
        ("ionet.double", "true".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    if raw_exec::DETECTED {
        attributes.insert("driver.raw_exec".into(), "1".into());
    }
    attributes
}

fn drivers(plan: &Client) -> BTreeMap<String, Driver> {
    let allowed = |name: &str| {
        let list = plan.options.get("driver.allowlist").filter(|list| !list.is_empty());
        list.is_none_or(|list| list.split(',').any(|entry| entry.trim() == name))
    };
    let enabled = plan.raw_exec || plan.options.get("driver.raw_exec.enable").is_some_and(|on| on == "1");
    let ready = raw_exec::DETECTED && enabled;
    let mut drivers = BTreeMap::new();
    if allowed("raw_exec") {
        let attributes =
            if ready { [("driver.raw_exec".to_owned(), "true".to_owned())].into() } else { BTreeMap::new() };
        drivers.insert(
            "raw_exec".to_owned(),
            driver(ready, attributes, if ready { "Healthy" } else { "disabled" }),
        );
    }
    if allowed("docker") {
        // The double runs no containers, whatever engine there is.
        drivers.insert("docker".into(), driver(false, BTreeMap::new(), "Failed to connect to docker daemon"));
    }
    drivers
}

fn driver(ready: bool, attributes: BTreeMap<String, String>, description: &str) -> Driver {
    Driver {
        attributes,
        detected: ready,
        healthy: ready,
        health_description: description.into(),
        update_time: rfc3339_now(),
    }
}

fn rest(config: &Config) -> Map<String, Value> {
    let memory = memory_bytes() / (1 << 20);
    let rest = json!({
        "CSIControllerPlugins": {}, "CSINodePlugins": {}, "CgroupParent": "nomad.slice", "ComputedClass": "",
        "GCVolumesOnNodeGC": false, "HTTPAddr": config.advertised("http"), "HostNetworks": null, "HostVolumes": {},
        "IdentitySigningKeyID": "", "LastAllocUpdateIndex": 0, "LastMissedHeartbeatIndex": 0, "Links": {},
        "NodeMaxAllocs": 0, "TLSEnabled": config.tls.http,
        "NodeResources": {
            "Cpu": {
                "CpuShares": cores() * 1000, "ReservableCpuCores": (0..cores()).collect::<Vec<_>>(),
                "TotalCpuCores": cores(),
            },
            "Devices": null, "Disk": { "DiskMB": 10_000 }, "MaxDynamicPort": 32_000,
            "Memory": { "MemoryMB": memory }, "MinDynamicPort": 20_000, "Networks": [], "NodeNetworks": [],
            "Processors": { "Topology": {
                "Cores": [], "Distances": null, "Nodes": [0], "OverrideTotalCompute": 0, "OverrideWitholdCompute": 0,
            }},
        },
        "ReservedResources": {
            "Cpu": { "CpuShares": 0, "ReservedCpuCores": null }, "Disk": { "DiskMB": 0 }, "Memory": { "MemoryMB": 0 },
            "Networks": { "ReservedHostPorts": "" },
        },
    });
    if let Value::Object(map) = rest { map } else { Map::new() }
}

pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

pub(super) fn memory_bytes() -> u64 {
    let text = fs::read_to_string(Path::new("/proc/meminfo")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn go_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
