//! What Nomad and a plugin say to each other: numbers of fields and names of services are Nomad's and go-plugin's, the words are ours.

use std::collections::BTreeMap;

use prost::{Enumeration, Message, Oneof};

/// Says nothing.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Empty {}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum Kind {
    Unknown = 0,
    Driver = 2,
    Device = 3,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct PluginInfo {
    #[prost(enumeration = "Kind", tag = "1")]
    pub kind: i32,
    #[prost(string, repeated, tag = "2")]
    pub api_versions: Vec<String>,
    #[prost(string, tag = "3")]
    pub version: String,
    #[prost(string, tag = "4")]
    pub name: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct ConfigSchema {
    #[prost(message, optional, tag = "1")]
    pub spec: Option<Spec>,
}

/// What the plugin's `config` block may hold.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Spec {
    #[prost(oneof = "Block", tags = "1, 3")]
    pub block: Option<Block>,
}

#[derive(Clone, PartialEq, Eq, Oneof)]
pub enum Block {
    #[prost(message, tag = "1")]
    Object(Object),
    #[prost(message, tag = "3")]
    Attribute(SpecAttribute),
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct Object {
    #[prost(btree_map = "string, message", tag = "1")]
    pub attributes: BTreeMap<String, Spec>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct SpecAttribute {
    #[prost(string, tag = "1")]
    pub name: String,
    /// `list(string)` and the like.
    #[prost(string, tag = "2")]
    pub kind: String,
    #[prost(bool, tag = "3")]
    pub required: bool,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct Config {
    /// The `config` block as a map.
    #[prost(bytes = "vec", tag = "1")]
    pub msgpack: Vec<u8>,
    #[prost(string, tag = "3")]
    pub api_version: String,
}

/// All cards that there are, anew with every change.
#[derive(Clone, PartialEq, Message)]
pub struct Fingerprint {
    #[prost(message, repeated, tag = "1")]
    pub groups: Vec<Group>,
}

/// Devices that are alike.
#[derive(Clone, PartialEq, Message)]
pub struct Group {
    #[prost(string, tag = "1")]
    pub vendor: String,
    #[prost(string, tag = "2")]
    pub kind: String,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(message, repeated, tag = "4")]
    pub devices: Vec<Device>,
    #[prost(btree_map = "string, message", tag = "5")]
    pub attributes: BTreeMap<String, Attribute>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct Device {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(bool, tag = "2")]
    pub healthy: bool,
    #[prost(string, tag = "3")]
    pub health: String,
    #[prost(message, optional, tag = "4")]
    pub locality: Option<Locality>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct Locality {
    #[prost(string, tag = "1")]
    pub pci: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    #[prost(oneof = "Value", tags = "1, 2, 3, 4")]
    pub value: Option<Value>,
    #[prost(string, tag = "5")]
    pub unit: String,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum Value {
    #[prost(double, tag = "1")]
    Float(f64),
    #[prost(int64, tag = "2")]
    Int(i64),
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(bool, tag = "4")]
    Bool(bool),
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct ReserveRequest {
    #[prost(string, repeated, tag = "1")]
    pub ids: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct Reserved {
    #[prost(message, optional, tag = "1")]
    pub container: Option<Reservation>,
}

/// What a task gets for its devices. It could have mounts (2) and device files (3) too.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Reservation {
    #[prost(btree_map = "string, string", tag = "1")]
    pub envs: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct StatsRequest {
    #[prost(message, optional, tag = "1")]
    pub every: Option<Span>,
}

/// Protocol Buffers' own duration, and their moment, which has the same form.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Span {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Stats {
    #[prost(message, repeated, tag = "1")]
    pub groups: Vec<GroupStats>,
}

#[derive(Clone, PartialEq, Message)]
pub struct GroupStats {
    #[prost(string, tag = "1")]
    pub vendor: String,
    #[prost(string, tag = "2")]
    pub kind: String,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(btree_map = "string, message", tag = "4")]
    pub devices: BTreeMap<String, DeviceStats>,
}

#[derive(Clone, PartialEq, Message)]
pub struct DeviceStats {
    #[prost(message, optional, tag = "1")]
    pub summary: Option<Figure>,
    #[prost(message, optional, tag = "2")]
    pub figures: Option<Figures>,
    #[prost(message, optional, tag = "3")]
    pub at: Option<Span>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Figures {
    #[prost(btree_map = "string, message", tag = "2")]
    pub by_name: BTreeMap<String, Figure>,
}

/// A number, of another where there is one.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Figure {
    #[prost(message, optional, tag = "3")]
    pub number: Option<i64>,
    #[prost(message, optional, tag = "4")]
    pub of: Option<i64>,
    #[prost(string, tag = "7")]
    pub unit: String,
    #[prost(string, tag = "8")]
    pub about: String,
}

/// What a plugin prints, for its host. This one prints nothing there.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Printed {
    #[prost(bytes = "vec", tag = "2")]
    pub bytes: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct HealthQuestion {
    #[prost(string, tag = "1")]
    pub service: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct Health {
    /// 1: it serves.
    #[prost(int32, tag = "1")]
    pub status: i32,
}

/// How all of these travel.
pub(crate) type Codec<Sent, Heard> = tonic_prost::ProstCodec<Sent, Heard>;

macro_rules! service {
    ($($file:literal),+) => {
        $(include!(concat!(env!("OUT_DIR"), "/", $file, ".rs"));)+
    };
}

/// Made by `build.rs`.
#[expect(clippy::too_many_lines, reason = "generated")]
#[expect(clippy::allow_attributes, reason = "generated")]
#[expect(clippy::allow_attributes_without_reason, reason = "generated")]
pub mod services {
    service!(
        "hashicorp.nomad.plugins.base.proto.BasePlugin",
        "hashicorp.nomad.plugins.device.DevicePlugin",
        "plugin.GRPCController",
        "plugin.GRPCStdio",
        "grpc.health.v1.Health"
    );
}
