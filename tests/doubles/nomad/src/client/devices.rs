//! The plugin that tells this machine's devices and gives them to tasks, if the configuration has one.

use std::{collections::BTreeMap, path::Path, process::Stdio};

use ionet_card_plugin::{
    COOKIE, Handshake,
    protocol::{
        Attribute, Config, Device, Empty, Fingerprint, Group, ReserveRequest, Value as Told,
        services::{base_plugin_client::BasePluginClient, device_plugin_client::DevicePluginClient},
    },
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};
use tonic::{
    Streaming,
    transport::{Channel, Endpoint},
};

use super::fingerprint::tell_devices;
use crate::{log::Logger, model::Node};

/// A plugin that runs; it ends when this is dropped.
pub(super) struct Devices {
    channel: Channel,
    _process: Child,
}

/// What it tells, one change after the other.
pub(super) struct Changes(Streaming<Fingerprint>);

impl Devices {
    /// The one that lies in the folder under a name of the configuration.
    pub(super) async fn start(
        folder: &Path,
        plugins: &BTreeMap<String, Value>,
        log: &Logger,
    ) -> Result<Option<Self>, String> {
        let found = plugins.iter().find(|(name, _)| folder.join(name).is_file());
        let Some((name, config)) = found else { return Ok(None) };
        let started = Self::launch(&folder.join(name), config, log).await;
        started.map(Some).map_err(|reason| format!("failed to initialize plugin loader: {reason}"))
    }

    /// Told to the node as it is before it registers, and from then on with each change.
    pub(super) async fn tell(&self, node: &mut Node) -> Result<Changes, String> {
        let told = DevicePluginClient::new(self.channel.clone()).fingerprint(Empty {}).await;
        let mut changes = Changes(told.map_err(|e| e.to_string())?.into_inner());
        tell_devices(node, changes.next().await.unwrap_or_default());
        Ok(changes)
    }

    async fn launch(program: &Path, config: &Value, log: &Logger) -> Result<Self, String> {
        let mut command = Command::new(program);
        command.env(COOKIE.0, COOKIE.1).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().map_err(|e| e.to_string())?;
        let mut lines = BufReader::new(process.stdout.take().ok_or("no output")?).lines();
        let line = lines.next_line().await.map_err(|e| e.to_string())?.ok_or("it says nothing")?;
        let Handshake { socket } = line.parse().map_err(|e: std::io::Error| e.to_string())?;
        let endpoint =
            Endpoint::try_from(format!("unix://{}", socket.display())).map_err(|e| e.to_string())?;
        let channel = endpoint.connect().await.map_err(|e| e.to_string())?;
        let mut base = BasePluginClient::new(channel.clone());
        let info = base.plugin_info(Empty {}).await.map_err(|e| e.to_string())?.into_inner();
        let fields = json!({ "name": info.name, "plugin_version": info.version, "type": "device" });
        log.info("agent", "detected plugin", fields);
        let config = if config.is_null() { &json!({}) } else { config };
        let msgpack = rmp_serde::to_vec(config).map_err(|e| e.to_string())?;
        let config = Config { msgpack, api_version: "v0.1.0".into() };
        base.set_config(config).await.map_err(|e| e.to_string())?;
        Ok(Self { channel, _process: process })
    }

    /// What the environment of a task gets for these.
    pub(super) async fn reserve(&self, ids: Vec<String>) -> Result<BTreeMap<String, String>, String> {
        let reserved = DevicePluginClient::new(self.channel.clone()).reserve(ReserveRequest { ids }).await;
        let reserved = reserved.map_err(|status| status.message().to_owned())?.into_inner();
        Ok(reserved.container.map(|container| container.envs).unwrap_or_default())
    }
}

impl Changes {
    /// As a node has them in `NodeResources`; none when the plugin is gone.
    pub(super) async fn next(&mut self) -> Option<Value> {
        let told = self.0.message().await.ok()??;
        let groups: Vec<Value> = told.groups.iter().map(group).collect();
        Some(if groups.is_empty() { Value::Null } else { json!(groups) })
    }
}

fn group(told: &Group) -> Value {
    let attributes: BTreeMap<_, _> =
        told.attributes.iter().map(|(name, told)| (name, attribute(told))).collect();
    json!({
        "Attributes": attributes, "Instances": told.devices.iter().map(instance).collect::<Vec<_>>(),
        "Name": told.name, "Type": told.kind, "Vendor": told.vendor,
    })
}

fn instance(told: &Device) -> Value {
    let locality = told.locality.as_ref().map(|locality| json!({ "PciBusID": locality.pci }));
    json!({
        "HealthDescription": told.health, "Healthy": told.healthy, "ID": told.id, "Locality": locality,
    })
}

fn attribute(told: &Attribute) -> Value {
    let mut shown = json!({ "Bool": null, "Float": null, "Int": null, "String": null, "Unit": told.unit });
    match &told.value {
        Some(Told::Bool(value)) => shown["Bool"] = json!(value),
        Some(Told::Float(value)) => shown["Float"] = json!(value),
        Some(Told::Int(value)) => shown["Int"] = json!(value),
        Some(Told::Text(value)) => shown["String"] = json!(value),
        None => {}
    }
    shown
}
