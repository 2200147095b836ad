//! A container's network is its own or none, and what it offers is reached from this PC alone.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;
use serde_json::Value;

use super::read::Fields;
use super::{Refusal, is_plain};

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Network {
    network_mode: &'static str,
    port_bindings: BTreeMap<String, Vec<Binding>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    extra_hosts: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Binding {
    host_ip: &'static str,
    host_port: String,
}

/// `{}`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Nothing {}

/// Another's network may be the owner's; another container's, too.
const MODES: [&str; 3] = ["default", "bridge", "none"];
const LOOPBACK: &str = "127.0.0.1";
/// Names or ports of one container.
const MOST: usize = 64;

impl Network {
    pub(super) fn read(host: &mut Fields, asked: &mut Fields) -> Result<Self, Refusal> {
        let mode = host.word("NetworkMode", &MODES)?;
        endpoints(asked)?;
        Ok(Self {
            network_mode: if mode.is_empty() { "default" } else { mode },
            port_bindings: bindings(host)?,
            extra_hosts: hosts(host)?,
        })
    }
}

pub(super) fn exposed(asked: &mut Fields) -> Result<BTreeMap<String, Nothing>, Refusal> {
    let ports = asked.object("ExposedPorts")?.entries();
    let is_sound = ports.len() <= 2 * MOST && ports.keys().all(|port| is_port(port));
    if is_sound {
        Ok(ports.into_iter().map(|(port, _)| (port, Nothing {})).collect())
    } else {
        Err(Refusal::of("ExposedPorts"))
    }
}

/// Its driver names the network there once more, where an address or a name in it is asked for. It gets neither.
fn endpoints(asked: &mut Fields) -> Result<(), Refusal> {
    const NAME: &str = "NetworkingConfig";
    let mut config = asked.object(NAME)?;
    let mut endpoints = config.object("EndpointsConfig")?;
    for mode in MODES {
        endpoints.object(mode)?.done().map_err(|_| Refusal::of(NAME))?;
    }
    let is_empty = endpoints.entries().is_empty();
    if is_empty { config.done() } else { Err(Refusal::of(NAME)) }
}

/// What would be reached from another address is not published at all: the port exists within the container only.
fn bindings(host: &mut Fields) -> Result<BTreeMap<String, Vec<Binding>>, Refusal> {
    const NAME: &str = "PortBindings";
    let mut bound = BTreeMap::new();
    for (port, places) in host.object(NAME)?.entries() {
        let places = if places.is_null() { Vec::new() } else { list(places, NAME)? };
        if !is_port(&port) || places.len() > MOST || bound.len() >= 2 * MOST {
            return Err(Refusal::of(NAME));
        }
        let mut kept = Vec::new();
        for place in places {
            let mut place = Fields::inner(place, NAME)?;
            let (host_ip, host_port) = (place.text("HostIp")?, place.text("HostPort")?);
            place.done().map_err(|_| Refusal::of(NAME))?;
            let is_free = host_port.parse::<u16>().is_ok_and(|number| number >= 1024);
            if !is_free {
                return Err(Refusal::of(NAME));
            }
            if host_ip == LOOPBACK {
                kept.push(Binding { host_ip: LOOPBACK, host_port });
            }
        }
        if !kept.is_empty() {
            bound.insert(port, kept);
        }
    }
    Ok(bound)
}

fn list(value: Value, name: &'static str) -> Result<Vec<Value>, Refusal> {
    if let Value::Array(list) = value { Ok(list) } else { Err(Refusal::of(name)) }
}

fn is_port(port: &str) -> bool {
    let number = port.strip_suffix("/tcp").or_else(|| port.strip_suffix("/udp"));
    number.and_then(|number| number.parse::<u16>().ok().filter(|known| known.to_string() == number)) > Some(0)
}

/// Lines of its own `/etc/hosts`. The engine has a word for this PC's address, which is none.
fn hosts(host: &mut Fields) -> Result<Vec<String>, Refusal> {
    let lines = host.texts("ExtraHosts")?;
    let is_line = |line: &String| {
        let parts = line.split_once(':').or_else(|| line.split_once('='));
        parts.is_some_and(|(name, address)| is_plain(name) && address.parse::<IpAddr>().is_ok())
    };
    if lines.len() <= MOST && lines.iter().all(is_line) { Ok(lines) } else { Err(Refusal::of("ExtraHosts")) }
}
