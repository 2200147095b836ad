//! The agent's configuration: a plan of what may differ between PCs, and the one text made from it.
//!
//! Everything that guards the owner is written here and nowhere else, so a snapshot of the text is the proof.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use hcl::expr::{Expression, ObjectKey};
use hcl::structure::{Block, BlockBuilder};
use hcl::{Attribute, Body};

pub use self::drivers::Drivers;
use crate::find::CARD_PLUGIN;
use crate::ports::Ports;

mod drivers;

/// What differs from PC to PC.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The node's name: the device id.
    pub name: String,
    pub region: String,
    pub datacenter: String,
    pub node_pool: String,
    /// RPC addresses, `host:port`.
    pub servers: Vec<String>,
    /// Absolute. Nomad's own folder, nobody else's.
    pub data_dir: PathBuf,
    pub log_dir: PathBuf,
    pub ca_file: PathBuf,
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
    pub ports: Ports,
    /// The node's static metadata. Keys are dotted identifiers.
    pub tags: BTreeMap<String, String>,
    pub drivers: Drivers,
    /// Absolute. Holds the program that gives jobs their cards and nothing else: the agent would run it.
    pub plugins: PathBuf,
    /// The ids of the cards that are lent; none where jobs cannot be given a card. The agent may speak of no other.
    pub cards: BTreeSet<String>,
}

impl Plan {
    /// Where the guard keeps what the agent prints, without the words of its jobs: see [`crate::guard::Start::agent_log`].
    /// Older ones lie beside it as `client-<unix nanoseconds>.log`.
    pub fn log_file(&self) -> PathBuf {
        self.log_dir.join("client.log")
    }
}

/// The agent's configuration file.
pub fn render(plan: &Plan) -> String {
    let body = Body::builder()
        .add_attributes(general(plan))
        .add_block(addresses("ports", plan.ports.http, plan.ports.rpc, plan.ports.serf))
        .add_block(addresses("advertise", LOOPBACK, LOOPBACK, LOOPBACK))
        .add_block(client(plan))
        .add_block(plan.drivers.plugin())
        .add_block(plugin(CARD_PLUGIN, cards(&plan.cards)))
        .add_block(tls(plan))
        .add_block(telemetry())
        .add_block(Block::builder("acl").add_attribute(("enabled", true)).build())
        .add_block(Block::builder("consul").add_attribute(("client_auto_join", false)).build())
        .build();
    hcl::format::to_string(&body).expect("plain values can always be written")
}

const LOOPBACK: &str = "127.0.0.1";

/// The cloud probes take two seconds of every start; Consul and Vault are not ours to look for.
const FINGERPRINT_DENYLIST: &str = "env_aws,env_gce,env_azure,env_digitalocean,consul,vault";

/// What tasks must not inherit. Setting the list replaces Nomad's own, so that is repeated here in full.
const ENV_DENYLIST: [&str; 18] = [
    "NOMAD_CLIENT_INTRO_TOKEN",
    "CONSUL_TOKEN",
    "CONSUL_HTTP_TOKEN",
    "CONSUL_HTTP_TOKEN_FILE",
    "NOMAD_TOKEN",
    "VAULT_TOKEN",
    "CONSUL_LICENSE",
    "NOMAD_LICENSE",
    "VAULT_LICENSE",
    "CONSUL_LICENSE_PATH",
    "NOMAD_LICENSE_PATH",
    "VAULT_LICENSE_PATH",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_METADATA_URL",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_OAUTH_ACCESS_TOKEN",
];

fn general(plan: &Plan) -> Vec<Attribute> {
    vec![
        ("region", plan.region.as_str()).into(),
        ("datacenter", plan.datacenter.as_str()).into(),
        ("name", plan.name.as_str()).into(),
        ("data_dir", text(&plan.data_dir)).into(),
        ("plugin_dir", text(&plan.plugins)).into(),
        ("bind_addr", LOOPBACK).into(),
        ("disable_update_check", true).into(),
        ("leave_on_interrupt", true).into(),
        ("leave_on_terminate", false).into(),
        ("log_level", "INFO").into(),
        // To its standard output alone, which the guard reads: a file of its own would hold its jobs' words.
        ("log_json", true).into(),
    ]
}

fn addresses<V>(name: &str, http: V, rpc: V, serf: V) -> Block
where
    V: Into<Expression>,
{
    Block::builder(name).add_attributes([("http", http), ("rpc", rpc), ("serf", serf)]).build()
}

fn client(plan: &Plan) -> Block {
    let mut client = Block::builder("client").add_attributes([
        Attribute::from(("enabled", true)),
        ("servers", plan.servers.clone()).into(),
        ("node_pool", plan.node_pool.as_str()).into(),
        ("max_kill_timeout", "2s").into(),
        // The files of a job that has ended go by the guard, once the end of its output is taken over. On a full disk
        // the agent's own collector would be quicker than that.
        ("gc_disk_usage_threshold", 100).into(),
        ("gc_inode_usage_threshold", 100).into(),
    ]);
    if let Some(interface) = plan.drivers.network_interface() {
        client = client.add_attribute(("network_interface", interface));
    }
    let options = BTreeMap::from([
        ("driver.allowlist".to_owned(), plan.drivers.allowlist().to_owned()),
        ("fingerprint.denylist".to_owned(), FINGERPRINT_DENYLIST.to_owned()),
        ("env.denylist".to_owned(), ENV_DENYLIST.join(",")),
    ]);
    client
        .add_attribute(("meta", pairs(&plan.tags)))
        .add_attribute(("options", pairs(&options)))
        .add_block(
            Block::builder("drain_on_shutdown")
                .add_attribute(("deadline", "5s"))
                .add_attributes([("force", false), ("ignore_system_jobs", false)])
                .build(),
        )
        .build()
}

fn plugin(name: &str, config: BlockBuilder) -> Block {
    Block::builder("plugin").add_label(name).add_block(config.build()).build()
}

/// The plugin offers no other card than these.
fn cards(lent: &BTreeSet<String>) -> BlockBuilder {
    Block::builder("config").add_attribute(("cards", lent.iter().cloned().collect::<Vec<_>>()))
}

fn tls(plan: &Plan) -> Block {
    Block::builder("tls")
        .add_attributes([("http", false), ("rpc", true), ("verify_server_hostname", true)])
        .add_attributes([
            ("ca_file", text(&plan.ca_file)),
            ("cert_file", text(&plan.cert_file)),
            ("key_file", text(&plan.key_file)),
        ])
        .build()
}

fn telemetry() -> Block {
    Block::builder("telemetry")
        .add_attributes([
            ("prometheus_metrics", true),
            ("disable_hostname", true),
            ("publish_node_metrics", true),
            ("publish_allocation_metrics", true),
        ])
        .build()
}

/// As an attribute: block bodies cannot hold dotted keys.
fn pairs(pairs: &BTreeMap<String, String>) -> Expression {
    pairs
        .iter()
        .map(|(key, value)| (ObjectKey::Expression(plain(key).into()), Expression::from(plain(value))))
        .collect::<hcl::expr::Object<_, _>>()
        .into()
}

/// Without what Nomad's older HCL would take for a template or cannot hold.
fn plain(value: &str) -> String {
    value.replace("${", "$ {").replace("%{", "% {").chars().filter(|letter| !letter.is_control()).collect()
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(drivers: Drivers) -> Plan {
        Plan {
            name: "d-0123456789abcdef0123456789abcdef".to_owned(),
            region: "eu".to_owned(),
            datacenter: "home".to_owned(),
            node_pool: "gamers".to_owned(),
            servers: vec!["127.0.0.1:4647".to_owned()],
            data_dir: "/home/alice/.local/share/ionet-supplier/agent".into(),
            log_dir: "/home/alice/.local/state/ionet-supplier/agent".into(),
            ca_file: "/home/alice/.local/share/ionet-supplier/identity/ca.pem".into(),
            cert_file: "/home/alice/.local/share/ionet-supplier/identity/chain.pem".into(),
            key_file: "/home/alice/.local/share/ionet-supplier/identity/device-key.pem".into(),
            ports: Ports { http: 20001, rpc: 20002, serf: 20003 },
            tags: BTreeMap::from([
                ("ionet.gpu.count".to_owned(), "1".to_owned()),
                ("ionet.gpu.0.name".to_owned(), "NVIDIA \"GeForce\" ${RTX} %{4090}\n".to_owned()),
            ]),
            drivers,
            plugins: "/home/alice/.local/share/ionet-supplier/plugins".into(),
            cards: ids(["GPU-1"]),
        }
    }

    fn ids<const N: usize>(ids: [&str; N]) -> BTreeSet<String> {
        ids.map(str::to_owned).into()
    }

    #[test]
    fn a_production_plan_allows_unprivileged_containers_and_nothing_else() {
        let text = render(&plan(production()));

        insta::assert_snapshot!("production", text);
        assert!(text.contains(r#""driver.allowlist" = "docker""#));
        assert!(!text.contains("raw_exec"));
        assert!(text.contains("allow_privileged = false"));
        assert!(!text.contains("host_network"));
        assert!(!text.contains("network_interface"));
        assert!(!text.contains("docker.sock"), "the engine itself is out of the agent's reach");
    }

    #[test]
    fn where_the_engine_tells_files_apart_by_labels_a_jobs_own_folders_get_one_and_nothing_else_changes() {
        let plain = render(&plan(production().with_labels(false)));
        let labelled = render(&plan(production().with_labels(true)));

        assert!(!plain.contains("selinuxlabel"));
        let more: Vec<&str> =
            labelled.lines().filter(|line| !plain.lines().any(|other| other == *line)).collect();
        assert_eq!(more, ["      selinuxlabel = \"z\""]);
    }

    #[test]
    fn a_plan_names_the_cards_that_are_lent_and_offers_none_where_none_can_be_given() {
        let of = |cards| render(&Plan { cards, ..plan(production()) });
        let only = of(ids(["GPU-2", "GPU-1"]));
        let words: String = only.split_whitespace().collect();
        assert!(words.contains(r#"cards=["GPU-1","GPU-2"]"#), "{only}");
        let none: String = of(ids([])).split_whitespace().collect();
        assert!(none.contains("cards=[]"));
    }

    #[cfg(feature = "rehearsal")]
    #[test]
    fn a_rehearsal_plan_runs_raw_processes_on_loopback_and_touches_no_engine() {
        let text = render(&plan(Drivers::rehearsal()));

        insta::assert_snapshot!("rehearsal", text);
        assert!(!text.contains("docker"));
    }

    #[test]
    fn nomads_own_list_of_secrets_is_restated_when_ours_replaces_it() {
        let list = ENV_DENYLIST.join(",");

        assert_eq!(list.split(',').count(), 18);
        for secret in ["NOMAD_CLIENT_INTRO_TOKEN", "NOMAD_TOKEN", "AWS_SECRET_ACCESS_KEY"] {
            assert!(list.split(',').any(|name| name == secret), "{secret}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_real_nomad_takes_both_plans() {
        let Some(nomad) = std::env::var_os(crate::find::VARIABLE) else {
            eprintln!("skipped: needs NOMAD=/path");
            return;
        };
        let version = std::process::Command::new(&nomad).arg("version").output().unwrap();
        if String::from_utf8_lossy(&version.stdout).contains("rehearsal double") {
            eprintln!("skipped: needs NOMAD=/path of a real Nomad");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        for (name, drivers) in all() {
            let file = dir.path().join(format!("{name}.hcl"));
            std::fs::write(&file, render(&plan(drivers))).unwrap();

            let output =
                std::process::Command::new(&nomad).args(["config", "validate"]).arg(&file).output().unwrap();

            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name}: {said}");
        }
    }

    fn production() -> Drivers {
        Drivers::production("/var/run/docker.sock", "/run/user/1000/ionet-supplier/guard/engine.sock")
    }

    #[cfg(unix)]
    fn all() -> Vec<(&'static str, Drivers)> {
        vec![
            ("production", production()),
            ("labelled", production().with_labels(true)),
            #[cfg(feature = "rehearsal")]
            ("rehearsal", Drivers::rehearsal()),
        ]
    }
}
