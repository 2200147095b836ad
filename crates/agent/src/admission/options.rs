//! Every option of the docker driver of Nomad 2.0.5, one by one, and what it comes to at the gate. An option that is not here
//! fails the test, and so does one that comes to something else.

use hyper::{Method, Uri};
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

use Made::{Bounded, Drivers, Dropped, Ours, Refused, Taken};

/// What the driver sends for it, and what comes of that.
enum Case {
    /// This value in this place of a description, and what the engine hears in that or another place.
    Gives(&'static str, &'static str, &'static str, &'static str),
    /// And the field that the refusal names.
    Names(&'static str, &'static str, &'static str),
    /// Another request than for a container.
    Asks(&'static str, &'static str),
}

use Case::{Asks, Gives, Names};

type Row = (&'static str, Made, &'static str, &'static [Case]);

const TASK: &[Row] = &[
    (
        "image",
        Taken,
        "by the content that a job's pull brought",
        &[Gives("/Image", r#""sha256:45""#, "/Image", r#""sha256:45""#)],
    ),
    ("advertise_ipv6_address", Drivers, "what Nomad tells of a service", &[]),
    ("args", Taken, "the job's program", &[Gives("/Cmd", r#"["a", "b"]"#, "/Cmd", r#"["a", "b"]"#)]),
    ("auth", Taken, "the job's account at its registry goes with the pull alone", &[]),
    ("auth.username", Taken, "see auth", &[]),
    ("auth.password", Taken, "see auth", &[]),
    ("auth.email", Drivers, "the driver reads it not", &[]),
    ("auth.server_address", Taken, "see auth", &[]),
    ("auth_soft_fail", Drivers, "whether it pulls without an account", &[]),
    (
        "cap_add",
        Bounded,
        "within the short list",
        &[
            Gives("/HostConfig/CapAdd", r#"["CAP_CHOWN"]"#, "/HostConfig/CapDrop", r#"["ALL"]"#),
            Names("/HostConfig/CapAdd", r#"["CAP_NET_RAW"]"#, "CapAdd"),
            Names("/HostConfig/CapAdd", r#"["CAP_MKNOD"]"#, "CapAdd"),
        ],
    ),
    (
        "cap_drop",
        Taken,
        "fewer than the short list",
        &[Gives("/HostConfig/CapDrop", r#"["ALL"]"#, "/HostConfig/CapAdd", "[]")],
    ),
    (
        "cgroupns",
        Ours,
        "its own view of control groups",
        &[
            Gives("/HostConfig/CgroupnsMode", r#""private""#, "/HostConfig/CgroupnsMode", r#""private""#),
            Names("/HostConfig/CgroupnsMode", r#""host""#, "CgroupnsMode"),
        ],
    ),
    ("command", Taken, "the job's program", &[Gives("/Cmd", r#"["/bin/x"]"#, "/Cmd", r#"["/bin/x"]"#)]),
    ("cpuset_cpus", Drivers, "the driver sends it not; the processors are the scheduler's to give", &[]),
    ("cpu_hard_limit", Taken, "a lower limit only", &[Names("/HostConfig/CpuQuota", "-1", "CpuQuota")]),
    (
        "cpu_cfs_period",
        Bounded,
        "what a kernel knows",
        &[
            Gives("/HostConfig/CpuPeriod", "100000", "/HostConfig/CpuPeriod", "null"),
            Names("/HostConfig/CpuQuota", "5000", "CpuQuota"),
        ],
    ),
    ("container_exists_attempts", Drivers, "how often it tries", &[]),
    (
        "devices",
        Refused,
        "of the host's devices a job gets the card that its allocation names",
        &[Names("/HostConfig/Devices", r#"[{"PathOnHost": "/dev/kvm"}]"#, "Devices")],
    ),
    (
        "devices.host_path",
        Refused,
        "see devices",
        &[Names("/HostConfig/Devices", r#"[{"PathOnHost": "/dev/nvidia0"}]"#, "Devices")],
    ),
    (
        "devices.container_path",
        Refused,
        "see devices",
        &[Names("/HostConfig/Devices", r#"[{"PathInContainer": "/dev/x"}]"#, "Devices")],
    ),
    (
        "devices.cgroup_permissions",
        Refused,
        "see devices",
        &[Names("/HostConfig/Devices", r#"[{"CgroupPermissions": "m"}]"#, "Devices")],
    ),
    (
        "dns_search_domains",
        Refused,
        "names are resolved in one way",
        &[Names("/HostConfig/DnsSearch", r#"["home.arpa"]"#, "DnsSearch")],
    ),
    (
        "dns_options",
        Refused,
        "names are resolved in one way",
        &[Names("/HostConfig/DnsOptions", r#"["ndots:9"]"#, "DnsOptions")],
    ),
    (
        "dns_servers",
        Refused,
        "names are resolved in one way",
        &[Names("/HostConfig/Dns", r#"["192.168.0.1"]"#, "Dns")],
    ),
    (
        "entrypoint",
        Taken,
        "the job's program",
        &[Gives("/Entrypoint", r#"["/x"]"#, "/Entrypoint", r#"["/x"]"#)],
    ),
    (
        "extra_hosts",
        Bounded,
        "lines of its own file, and none for this PC",
        &[
            Gives(
                "/HostConfig/ExtraHosts",
                r#"["a:10.0.0.1"]"#,
                "/HostConfig/ExtraHosts",
                r#"["a:10.0.0.1"]"#,
            ),
            Names("/HostConfig/ExtraHosts", r#"["pc:host-gateway"]"#, "ExtraHosts"),
        ],
    ),
    ("force_pull", Taken, "a pull like any", &[]),
    (
        "group_add",
        Refused,
        "a number may be a group of the host's",
        &[Names("/HostConfig/GroupAdd", r#"["0"]"#, "GroupAdd")],
    ),
    (
        "healthchecks",
        Ours,
        "none: the engine would run its program as often as an image likes",
        &[Gives("/Healthcheck", "null", "/Healthcheck", r#"{"Test": ["NONE"]}"#)],
    ),
    (
        "healthchecks.disable",
        Ours,
        "see healthchecks",
        &[
            Gives("/Healthcheck", r#"{"Test": ["NONE"]}"#, "/Healthcheck", r#"{"Test": ["NONE"]}"#),
            Names("/Healthcheck", r#"{"Test": ["CMD", "x"]}"#, "Healthcheck"),
        ],
    ),
    (
        "hostname",
        Taken,
        "a plain name",
        &[Gives("/Hostname", r#""db""#, "/Hostname", r#""db""#), Names("/Hostname", r#""a b""#, "Hostname")],
    ),
    (
        "init",
        Taken,
        "the engine's own small program",
        &[Gives("/HostConfig/Init", "true", "/HostConfig/Init", "true")],
    ),
    ("interactive", Taken, "an input that stays open", &[Gives("/OpenStdin", "true", "/OpenStdin", "true")]),
    (
        "ipc_mode",
        Ours,
        "its own",
        &[
            Gives("/HostConfig/IpcMode", r#""""#, "/HostConfig/IpcMode", r#""private""#),
            Names("/HostConfig/IpcMode", r#""host""#, "IpcMode"),
        ],
    ),
    (
        "ipv4_address",
        Refused,
        "its address is the engine's to give",
        &[Names(
            "/NetworkingConfig",
            r#"{"EndpointsConfig": {"bridge": {"IPAMConfig": {"IPv4Address": "172.17.0.9"}}}}"#,
            "NetworkingConfig",
        )],
    ),
    (
        "ipv6_address",
        Refused,
        "its address is the engine's to give",
        &[Names(
            "/NetworkingConfig",
            r#"{"EndpointsConfig": {"bridge": {"IPAMConfig": {"IPv6Address": "fd00::9"}}}}"#,
            "NetworkingConfig",
        )],
    ),
    (
        "isolation",
        Refused,
        "of another system",
        &[Names("/HostConfig/Isolation", r#""process""#, "Isolation")],
    ),
    (
        "labels",
        Dropped,
        "the engine's list must not swell",
        &[Gives("/Labels/x", r#""y""#, "/Labels/x", "null")],
    ),
    ("load", Refused, "an archive may bring another's name", &[Asks("POST", "/v1.41/images/load?quiet=1")]),
    (
        "logging",
        Bounded,
        "in files of the engine's, of a size that is ours",
        &[Names("/HostConfig/LogConfig", r#"{"Type": "gelf"}"#, "LogConfig")],
    ),
    (
        "logging.type",
        Bounded,
        "see logging",
        &[
            Gives(
                "/HostConfig/LogConfig",
                r#"{"Type": "local"}"#,
                "/HostConfig/LogConfig/Type",
                r#""local""#,
            ),
            Names("/HostConfig/LogConfig", r#"{"Type": "syslog"}"#, "LogConfig"),
        ],
    ),
    (
        "logging.driver",
        Bounded,
        "see logging",
        &[Names("/HostConfig/LogConfig", r#"{"Type": "fluentd"}"#, "LogConfig")],
    ),
    (
        "logging.config",
        Bounded,
        "see logging",
        &[
            Gives(
                "/HostConfig/LogConfig/Config/max-size",
                r#""9g""#,
                "/HostConfig/LogConfig/Config/max-size",
                r#""2m""#,
            ),
            Names("/HostConfig/LogConfig/Config/labels", r#""x""#, "LogConfig"),
        ],
    ),
    (
        "mac_address",
        Refused,
        "its address is the engine's to give",
        &[Names(
            "/NetworkingConfig",
            r#"{"EndpointsConfig": {"default": {"MacAddress": "02:42:00:00:00:01"}}}"#,
            "NetworkingConfig",
        )],
    ),
    (
        "memory_hard_limit",
        Bounded,
        "only what was reserved is counted by the scheduler",
        &[Gives("/HostConfig/MemoryReservation", "33554432", "/HostConfig/Memory", "33554432")],
    ),
    (
        "mount",
        Bounded,
        "in memory alone",
        &[Names("/HostConfig/Mounts", r#"[{"Type": "volume", "Source": "x", "Target": "/x"}]"#, "Mounts")],
    ),
    (
        "mount.type",
        Bounded,
        "see mount",
        &[Names("/HostConfig/Mounts", r#"[{"Type": "bind", "Target": "/x"}]"#, "Mounts")],
    ),
    (
        "mount.target",
        Bounded,
        "no folder of the system's or of the driver's",
        &[
            Names("/HostConfig/Mounts", r#"[{"Type": "tmpfs", "Target": "/sys/fs"}]"#, "Mounts"),
            Names("/HostConfig/Mounts", r#"[{"Type": "tmpfs", "Target": "/local/x"}]"#, "Mounts"),
        ],
    ),
    (
        "mount.source",
        Refused,
        "see mount",
        &[Names("/HostConfig/Mounts", r#"[{"Type": "tmpfs", "Source": "/etc", "Target": "/x"}]"#, "Mounts")],
    ),
    (
        "mount.readonly",
        Taken,
        "a folder in memory that stays empty",
        &[Gives(
            "/HostConfig/Mounts",
            r#"[{"Type": "tmpfs", "Target": "/x", "ReadOnly": true}]"#,
            "/HostConfig/Mounts/0/ReadOnly",
            "true",
        )],
    ),
    (
        "mount.bind_options",
        Refused,
        "see mount",
        &[Names(
            "/HostConfig/Mounts",
            r#"[{"Type": "tmpfs", "Target": "/x", "BindOptions": {"NonRecursive": true}}]"#,
            "Mounts",
        )],
    ),
    (
        "mount.bind_options.propagation",
        Refused,
        "see mount",
        &[Names(
            "/HostConfig/Mounts",
            r#"[{"Type": "tmpfs", "Target": "/x", "BindOptions": {"Propagation": "rshared"}}]"#,
            "Mounts",
        )],
    ),
    (
        "mount.tmpfs_options",
        Bounded,
        "it counts as the container's memory",
        &[Names(
            "/HostConfig/Mounts",
            r#"[{"Type": "tmpfs", "Target": "/x", "TmpfsOptions": {"Options": [["suid"]]}}]"#,
            "Mounts",
        )],
    ),
    (
        "mount.tmpfs_options.size",
        Bounded,
        "see mount.tmpfs_options",
        &[Gives(
            "/HostConfig/Mounts",
            r#"[{"Type": "tmpfs", "Target": "/x", "TmpfsOptions": {"SizeBytes": 99999999999}}]"#,
            "/HostConfig/Mounts/0/TmpfsOptions/SizeBytes",
            "67108864",
        )],
    ),
    (
        "mount.tmpfs_options.mode",
        Taken,
        "a mode",
        &[Gives(
            "/HostConfig/Mounts",
            r#"[{"Type": "tmpfs", "Target": "/x", "TmpfsOptions": {"Mode": 511}}]"#,
            "/HostConfig/Mounts/0/TmpfsOptions/Mode",
            "511",
        )],
    ),
    (
        "mount.volume_options",
        Refused,
        "a volume may be the owner's",
        &[Names("/HostConfig/Mounts", r#"[{"Type": "volume", "Target": "/x"}]"#, "Mounts")],
    ),
    (
        "mount.volume_options.no_copy",
        Refused,
        "see mount.volume_options",
        &[Names(
            "/HostConfig/Mounts",
            r#"[{"Type": "tmpfs", "Target": "/x", "VolumeOptions": {"NoCopy": true}}]"#,
            "Mounts",
        )],
    ),
    (
        "mount.volume_options.labels",
        Refused,
        "see mount.volume_options",
        &[Names(
            "/HostConfig/Mounts",
            r#"[{"Type": "tmpfs", "Target": "/x", "VolumeOptions": {"Labels": {"a": "b"}}}]"#,
            "Mounts",
        )],
    ),
    (
        "mount.volume_options.driver_config",
        Refused,
        "see mount.volume_options",
        &[Names(
            "/HostConfig/Mounts",
            r#"[{"Type": "volume", "Target": "/x", "VolumeOptions": {"DriverConfig": {}}}]"#,
            "Mounts",
        )],
    ),
    (
        "mount.volume_options.driver_config.name",
        Refused,
        "see mount.volume_options",
        &[Names(
            "/HostConfig/Mounts",
            r#"[{"Type": "tmpfs", "Target": "/x", "VolumeOptions": {"DriverConfig": {"Name": "nfs"}}}]"#,
            "Mounts",
        )],
    ),
    (
        "mount.volume_options.driver_config.options",
        Refused,
        "see mount.volume_options",
        &[Names(
            "/HostConfig/Mounts",
            r#"[{"Type": "tmpfs", "Target": "/x", "VolumeOptions": {"DriverConfig": {"Options": {"device": "/"}}}}]"#,
            "Mounts",
        )],
    ),
    (
        "mounts",
        Bounded,
        "another way to write mount",
        &[Names("/HostConfig/Mounts", r#"[{"Type": "bind", "Source": "/", "Target": "/x"}]"#, "Mounts")],
    ),
    (
        "network_aliases",
        Refused,
        "names in a network that others are in too",
        &[Names(
            "/NetworkingConfig",
            r#"{"EndpointsConfig": {"bridge": {"Aliases": ["db"]}}}"#,
            "NetworkingConfig",
        )],
    ),
    (
        "network_mode",
        Bounded,
        "its own or none",
        &[
            Gives("/HostConfig/NetworkMode", r#""none""#, "/HostConfig/NetworkMode", r#""none""#),
            Names("/HostConfig/NetworkMode", r#""host""#, "NetworkMode"),
            Names("/HostConfig/NetworkMode", r#""container:x""#, "NetworkMode"),
        ],
    ),
    (
        "oom_score_adj",
        Bounded,
        "it may end before others, and not after",
        &[
            Gives("/HostConfig/OomScoreAdj", "500", "/HostConfig/OomScoreAdj", "500"),
            Names("/HostConfig/OomScoreAdj", "-500", "OomScoreAdj"),
        ],
    ),
    (
        "runtime",
        Bounded,
        "the plain one or the card's",
        &[
            Gives("/HostConfig/Runtime", r#""""#, "/HostConfig/Runtime", r#""runc""#),
            Gives("/HostConfig/Runtime", r#""nvidia""#, "/Env/1", r#""NVIDIA_VISIBLE_DEVICES=void""#),
            Names("/HostConfig/Runtime", r#""kata""#, "Runtime"),
        ],
    ),
    (
        "pids_limit",
        Bounded,
        "4096 or fewer",
        &[
            Gives("/HostConfig/PidsLimit", "100", "/HostConfig/PidsLimit", "100"),
            Gives("/HostConfig/PidsLimit", "1000000", "/HostConfig/PidsLimit", "4096"),
        ],
    ),
    ("pid_mode", Refused, "its own", &[Names("/HostConfig/PidMode", r#""host""#, "PidMode")]),
    (
        "ports",
        Bounded,
        "on this PC's loopback alone",
        &[Gives(
            "/HostConfig/PortBindings",
            r#"{"80/tcp": [{"HostIp": "192.168.0.2", "HostPort": "20000"}]}"#,
            "/HostConfig/PortBindings",
            "{}",
        )],
    ),
    (
        "port_map",
        Bounded,
        "see ports",
        &[Names("/HostConfig/PortBindings", r#"{"80/sctp": []}"#, "PortBindings")],
    ),
    ("privileged", Refused, "no container is", &[Names("/HostConfig/Privileged", "true", "Privileged")]),
    ("image_pull_timeout", Drivers, "how long it waits", &[]),
    (
        "readonly_rootfs",
        Taken,
        "less than it may",
        &[Gives("/HostConfig/ReadonlyRootfs", "true", "/HostConfig/ReadonlyRootfs", "true")],
    ),
    (
        "security_opt",
        Refused,
        "no new privileges and our own profile, for all",
        &[
            Names("/HostConfig/SecurityOpt", r#"["seccomp={\"session\": \"secret\"}"]"#, "SecurityOpt"),
            Names("/HostConfig/SecurityOpt", r#"["apparmor=unconfined"]"#, "SecurityOpt"),
        ],
    ),
    (
        "shm_size",
        Bounded,
        "it counts as the container's memory",
        &[Gives("/HostConfig/ShmSize", "99999999999", "/HostConfig/ShmSize", "67108864")],
    ),
    (
        "storage_opt",
        Refused,
        "its share of the disk is its allocation's",
        &[Names("/HostConfig/StorageOpt", r#"{"size": "900G"}"#, "StorageOpt")],
    ),
    (
        "sysctl",
        Refused,
        "none is needed",
        &[Names("/HostConfig/Sysctls", r#"{"net.core.somaxconn": "9"}"#, "Sysctls")],
    ),
    ("tty", Taken, "a terminal of its own", &[Gives("/Tty", "true", "/Tty", "true")]),
    (
        "ulimit",
        Bounded,
        "open files and locked memory",
        &[
            Gives(
                "/HostConfig/Ulimits",
                r#"[{"Name": "nofile", "Soft": 9, "Hard": -1}]"#,
                "/HostConfig/Ulimits/2/Hard",
                "524288",
            ),
            Names("/HostConfig/Ulimits", r#"[{"Name": "rtprio", "Soft": 9, "Hard": 9}]"#, "Ulimits"),
        ],
    ),
    ("uts_mode", Refused, "its own", &[Names("/HostConfig/UTSMode", r#""host""#, "UTSMode")]),
    ("userns_mode", Refused, "its own", &[Names("/HostConfig/UsernsMode", r#""host""#, "UsernsMode")]),
    (
        "volumes",
        Refused,
        "of the host it sees the driver's own folders",
        &[Names("/HostConfig/Binds", r#"["/etc:/etc"]"#, "Binds")],
    ),
    (
        "volume_driver",
        Refused,
        "see volumes",
        &[Names("/HostConfig/VolumeDriver", r#""nfs""#, "VolumeDriver")],
    ),
    (
        "work_dir",
        Bounded,
        "no folder of the kernel's",
        &[
            Gives("/WorkingDir", r#""/srv""#, "/WorkingDir", r#""/srv""#),
            Names("/WorkingDir", r#""/proc/self/fd/8""#, "WorkingDir"),
        ],
    ),
];

/// What the agent's configuration says of each, or why it says nothing.
const DRIVER: &[Row] = &[
    ("endpoint", Ours, "the gate", &[]),
    ("auth", Drivers, "no account of ours is handed to a job", &[]),
    ("auth.config", Drivers, "see auth", &[]),
    ("auth.helper", Drivers, "see auth", &[]),
    ("tls", Drivers, "the gate is a socket", &[]),
    ("tls.cert", Drivers, "see tls", &[]),
    ("tls.key", Drivers, "see tls", &[]),
    ("tls.ca", Drivers, "see tls", &[]),
    (
        "extra_labels",
        Ours,
        "the task's name is what its folders are known by",
        &[Gives(
            "/Labels/com.hashicorp.nomad.task_name",
            r#""work""#,
            "/Labels/com.hashicorp.nomad.task_name",
            r#""work""#,
        )],
    ),
    ("logging", Drivers, "the gate writes what is kept", &[]),
    ("logging.type", Drivers, "see logging", &[]),
    ("logging.config", Drivers, "see logging", &[]),
    ("gc", Ours, "what jobs brought goes", &[]),
    ("gc.image", Ours, "of what jobs brought, and never by force", &[]),
    ("gc.image_delay", Ours, "an hour", &[]),
    ("gc.container", Ours, "a container goes with its task", &[]),
    ("gc.dangling_containers", Ours, "off: another agent's are no business of this one", &[]),
    ("gc.dangling_containers.enabled", Ours, "see gc.dangling_containers", &[]),
    ("gc.dangling_containers.period", Drivers, "see gc.dangling_containers", &[]),
    ("gc.dangling_containers.creation_grace", Drivers, "see gc.dangling_containers", &[]),
    ("gc.dangling_containers.dry_run", Drivers, "see gc.dangling_containers", &[]),
    ("volumes", Ours, "off", &[]),
    ("volumes.enabled", Ours, "see volumes", &[]),
    ("volumes.selinuxlabel", Ours, "where a system tells files apart by labels", &[]),
    ("allow_privileged", Ours, "off", &[]),
    ("allow_caps", Drivers, "the gate has a shorter list", &[]),
    ("nvidia_runtime", Drivers, "as NVIDIA calls it", &[]),
    ("allow_runtimes", Ours, "the plain one and the card's", &[]),
    (
        "infra_image",
        Refused,
        "a group's own network is not lent: what would hold it outlives its agent",
        &[Names("/HostConfig/RestartPolicy", r#"{"Name": "unless-stopped"}"#, "RestartPolicy")],
    ),
    ("infra_image_pull_timeout", Drivers, "see infra_image", &[]),
    ("image_pull_timeout", Drivers, "how long it waits", &[]),
    ("container_exists_attempts", Drivers, "how often it tries", &[]),
    ("oom_score_adj", Drivers, "see the task's", &[]),
    ("pull_activity_timeout", Drivers, "how long it waits", &[]),
    ("pids_limit", Drivers, "the gate writes it", &[]),
    ("disable_log_collection", Drivers, "Nomad reads a job's output", &[]),
    ("windows_allow_insecure_container_admin", Drivers, "of another system", &[]),
    ("allowed_modes", Ours, "none", &[]),
    ("allowed_modes.pid", Ours, "see allowed_modes", &[]),
    ("allowed_modes.ipc", Ours, "see allowed_modes", &[]),
    ("allowed_modes.userns", Ours, "see allowed_modes", &[]),
    ("allowed_modes.uts", Ours, "see allowed_modes", &[]),
];

#[test]
fn every_option_of_the_docker_driver_stands_in_the_table_with_what_it_comes_to() {
    for (options, rows) in [(OF_A_TASK, TASK), (OF_THE_DRIVER, DRIVER)] {
        let mut listed: Vec<&str> = options.split_whitespace().collect();
        let mut known: Vec<&str> = rows.iter().map(|row| row.0).collect();
        listed.sort_unstable();
        known.sort_unstable();
        assert_eq!(listed, known);
    }
    for (option, made, why, cases) in TASK.iter().chain(DRIVER) {
        let is_shown = !cases.is_empty() || !matches!(made, Refused | Bounded | Dropped);
        assert!(is_shown && !why.is_empty(), "{option} has nothing that shows it");
    }
}

#[test]
fn each_option_comes_to_what_the_table_says() {
    let pc = pc();
    for (option, _, _, cases) in TASK.iter().chain(DRIVER) {
        for case in *cases {
            match case {
                Gives(place, value, heard, expected) => {
                    let built = built(&pc, &asked(pc.path(), place, value));
                    let built = built.unwrap_or_else(|refusal| panic!("{option}: {refusal}"));
                    let heard = built.pointer(heard).unwrap_or(&Value::Null);
                    assert_eq!(heard, &read(expected), "{option}");
                }
                Names(place, value, field) => {
                    let refused = built(&pc, &asked(pc.path(), place, value)).expect_err(option).to_string();
                    assert_eq!(refused, format!("this PC does not allow {field}"), "{option}");
                }
                Asks(method, target) => {
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
