//! Clients and servers of the services that a plugin of Nomad's speaks, from their methods alone: the messages are written by
//! hand in `src/protocol.rs`, so that no build needs Protocol Buffers' compiler.

use tonic_build::manual::{Builder, Method, Service};

const NOMAD: &str = "hashicorp.nomad.plugins";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let base = Service::builder()
        .name("BasePlugin")
        .package(format!("{NOMAD}.base.proto"))
        .method(method("plugin_info", "PluginInfo", EMPTY, "crate::protocol::PluginInfo"))
        .method(method("config_schema", "ConfigSchema", EMPTY, "crate::protocol::ConfigSchema"))
        .method(method("set_config", "SetConfig", "crate::protocol::Config", EMPTY));
    let device = Service::builder()
        .name("DevicePlugin")
        .package(format!("{NOMAD}.device"))
        .method(stream("fingerprint", "Fingerprint", EMPTY, "crate::protocol::Fingerprint"))
        .method(method("reserve", "Reserve", "crate::protocol::ReserveRequest", "crate::protocol::Reserved"))
        .method(stream("stats", "Stats", "crate::protocol::StatsRequest", "crate::protocol::Stats"));
    let controller = Service::builder()
        .name("GRPCController")
        .package("plugin")
        .method(method("shutdown", "Shutdown", EMPTY, EMPTY));
    let stdio = Service::builder().name("GRPCStdio").package("plugin").method(stream(
        "stream_stdio",
        "StreamStdio",
        EMPTY,
        "crate::protocol::Printed",
    ));
    let health = Service::builder().name("Health").package("grpc.health.v1").method(method(
        "check",
        "Check",
        "crate::protocol::HealthQuestion",
        "crate::protocol::Health",
    ));
    let services = [base, device, controller, stdio, health].map(|service| service.build());
    Builder::new().build_transport(false).compile(&services);
}

const EMPTY: &str = "crate::protocol::Empty";

fn method(name: &str, route: &str, takes: &str, gives: &str) -> Method {
    of(name, route, takes, gives).build()
}

fn stream(name: &str, route: &str, takes: &str, gives: &str) -> Method {
    of(name, route, takes, gives).server_streaming().build()
}

fn of(name: &str, route: &str, takes: &str, gives: &str) -> tonic_build::manual::MethodBuilder {
    Method::builder()
        .name(name)
        .route_name(route)
        .input_type(takes)
        .output_type(gives)
        .codec_path("crate::protocol::Codec")
}
