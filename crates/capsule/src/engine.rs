//! The capsule's own container engine: Docker's, with containerd and runc, on a socket and a disk of its own. The owner's is never asked.

use std::path::Path;

use serde_json::{Value, json};

use crate::filter::{BRIDGE, CONTAINERS, RESOLVER};
use crate::inside::ENGINE;

/// Where it keeps images and containers, inside.
pub const DATA: &str = "/data/engine";
/// The control group above all containers, as the capsule sees it. Nomad's driver expects that name.
pub const JOBS: &str = "docker";

/// Its whole configuration. What leaves a container is translated in the moat, so it lays no rules of its own. `cards`: the program that
/// starts a container with a card, where there is one.
pub fn configuration(cards: Option<&Path>) -> Value {
    let mut configuration = json!({
        "data-root": DATA,
        "exec-root": "/run/docker",
        "pidfile": "/run/docker.pid",
        "hosts": [format!("unix://{ENGINE}")],
        "bip": format!("{BRIDGE}/{}", CONTAINERS.1),
        "dns": [RESOLVER.to_string()],
        "mtu": MTU,
        "iptables": false,
        "ip6tables": false,
        "ip-masq": false,
        "live-restore": false,
        "log-level": "warn",
        "storage-driver": "overlay2",
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
        "cgroup-parent": format!("/{JOBS}"),
        "no-new-privileges": true,
        "shutdown-timeout": 1,
    });
    if let Some(program) = cards {
        configuration["runtimes"] = json!({ "nvidia": { "path": program } });
    }
    configuration
}

/// What the user-mode network carries best: at 1,500 a job had a twelfth of the throughput.
pub const MTU: u32 = 65_520;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_engine_is_the_capsules_alone() {
        // In an order that does not depend on how the rest of the workspace is built.
        let sorted: BTreeMap<String, Value> = serde_json::from_value(configuration(None)).unwrap();
        let text = serde_json::to_string_pretty(&sorted).unwrap();

        insta::assert_snapshot!("engine", text);
        assert!(!text.contains("docker.sock"), "the owner's engine is somewhere else");
        assert!(!text.contains("tcp://"));
        let with_cards = configuration(Some(Path::new("/usr/bin/nvidia-container-runtime")));
        assert_eq!(with_cards["runtimes"]["nvidia"]["path"], "/usr/bin/nvidia-container-runtime");
    }
}
