//! Every option of the docker driver of Nomad 2.0.5, one by one, and what it comes to at the gate (`options.toml`). An option that is
//! not there fails the test, and so does one that comes to something else.

use hyper::{Method, Uri};
use serde::Deserialize;
use serde_json::{Value, json};

use super::tests::{MIB, built, pc, plain};
use super::way;

/// As `drivers/docker/config.go` names what a task may set, blocks with their parts.
const OF_A_TASK: &str = "
image advertise_ipv6_address args auth auth.username auth.password auth.email auth.server_address auth_soft_fail cap_add
cap_drop cgroupns command cpuset_cpus cpu_hard_limit cpu_cfs_period container_exists_attempts devices devices.host_path
devices.container_path devices.cgroup_permissions dns_search_domains dns_options dns_servers entrypoint extra_hosts force_pull
group_add healthchecks healthchecks.disable hostname init interactive ipc_mode ipv4_address ipv6_address isolation labels load
logging logging.type logging.driver logging.config mac_address memory_hard_limit mount mount.type mount.target mount.source
mount.readonly mount.bind_options mount.bind_options.propagation mount.tmpfs_options mount.tmpfs_options.size
mount.tmpfs_options.mode mount.volume_options mount.volume_options.no_copy mount.volume_options.labels
mount.volume_options.driver_config mount.volume_options.driver_config.name mount.volume_options.driver_config.options mounts
network_aliases network_mode oom_score_adj runtime pids_limit pid_mode ports port_map privileged image_pull_timeout
readonly_rootfs security_opt shm_size storage_opt sysctl tty ulimit uts_mode userns_mode volumes volume_driver work_dir";

/// And what the driver's own block in the agent's configuration may set.
const OF_THE_DRIVER: &str = "
endpoint auth auth.config auth.helper tls tls.cert tls.key tls.ca extra_labels logging logging.type logging.config gc gc.image
gc.image_delay gc.container gc.dangling_containers gc.dangling_containers.enabled gc.dangling_containers.period
gc.dangling_containers.creation_grace gc.dangling_containers.dry_run volumes volumes.enabled volumes.selinuxlabel
allow_privileged allow_caps nvidia_runtime allow_runtimes infra_image infra_image_pull_timeout image_pull_timeout
container_exists_attempts oom_score_adj pull_activity_timeout pids_limit disable_log_collection
windows_allow_insecure_container_admin allowed_modes allowed_modes.pid allowed_modes.ipc allowed_modes.userns
allowed_modes.uts";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Made {
    /// As it is asked for, where it is well formed.
    Taken,
    /// Up to what is sound.
    Bounded,
    /// The same for every container, whatever is asked.
    Ours,
    Refused,
    /// It says nothing to the engine any more.
    Dropped,
    /// It is the driver's own business.
    Drivers,
}

/// What the driver sends for it, and what comes of that.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Case {
    /// In this place of a description this value, and what the engine hears in that or another place.
    Gives(String, String, String, String),
    /// And the field that the refusal names.
    Names(String, String, String),
    /// Another request than for a container.
    Asks(String, String),
}

#[derive(Debug, Deserialize)]
struct Row {
    option: String,
    made: Made,
    why: String,
    #[serde(default)]
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
struct Table {
    /// What a task may set.
    task: Vec<Row>,
    /// What the agent's configuration says of each of the driver's own, or why it says nothing.
    driver: Vec<Row>,
}

fn table() -> Table {
    toml::from_str(include_str!("options.toml")).unwrap()
}

#[test]
fn every_option_of_the_docker_driver_stands_in_the_table_with_what_it_comes_to() {
    let table = table();
    for (options, rows) in [(OF_A_TASK, &table.task), (OF_THE_DRIVER, &table.driver)] {
        let mut listed: Vec<&str> = options.split_whitespace().collect();
        let mut known: Vec<&str> = rows.iter().map(|row| row.option.as_str()).collect();
        listed.sort_unstable();
        known.sort_unstable();
        assert_eq!(listed, known);
    }
    for Row { option, made, why, cases } in table.task.iter().chain(&table.driver) {
        let is_shown = !cases.is_empty() || !matches!(made, Made::Refused | Made::Bounded | Made::Dropped);
        assert!(is_shown && !why.is_empty(), "{option} has nothing that shows it");
    }
}

#[test]
fn each_option_comes_to_what_the_table_says() {
    let pc = pc();
    let table = table();
    for Row { option, cases, .. } in table.task.iter().chain(&table.driver) {
        for case in cases {
            match case {
                Case::Gives(place, value, heard, expected) => {
                    let built = built(&pc, &asked(pc.path(), place, value));
                    let built = built.unwrap_or_else(|refusal| panic!("{option}: {refusal}"));
                    let heard = built.pointer(heard).unwrap_or(&Value::Null);
                    assert_eq!(heard, &read(expected), "{option}");
                }
                Case::Names(place, value, field) => {
                    let refused = built(&pc, &asked(pc.path(), place, value)).expect_err(option).to_string();
                    assert_eq!(refused, format!("this PC does not allow {field}"), "{option}");
                }
                Case::Asks(method, target) => {
                    let method: Method = method.parse().unwrap();
                    assert!(way(&method, &target.parse::<Uri>().unwrap()).is_err(), "{option}");
                }
            }
        }
    }
}

/// As the driver asks for a task with this value in this place.
fn asked(data_dir: &std::path::Path, place: &str, value: &str) -> Value {
    let mut asked = plain(data_dir);
    assert_eq!(asked["HostConfig"]["Memory"], 64 * MIB);
    let (parent, name) = place.rsplit_once('/').unwrap();
    let parent = asked.pointer_mut(parent).unwrap_or_else(|| panic!("{place}"));
    parent.as_object_mut().unwrap().insert(name.to_owned(), json!(read(value)));
    asked
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}
