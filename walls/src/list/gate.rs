//! The gate: what a customer may not have of a container, word by word as the driver would ask for it, and requests that the driver never
//! makes. Whether it came true is seen in what the engine says of it.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::attack::{Attack, Deed, Verdict};
use crate::customer::{ALLOCATION, ANOTHER, Customer, OWNERS_WORD};
use crate::sides::{By, Layer};
use crate::stage::Stage;

pub(super) fn all() -> Vec<Attack> {
    let mut all: Vec<Attack> =
        [rights(), powers(), folders(), mounts(), places(), shares(), way_out(), others()]
            .into_iter()
            .flatten()
            .collect();
    all.extend(as_the_engine_reads_it());
    all.extend(by_the_engine_too());
    all
}

/// What it is called, where it stands in a description, what is asked for there, and by what it is known in the engine's words.
type Row = (&'static str, &'static str, Value, Value);

fn rights() -> Vec<Attack> {
    each(vec![
        ("every right (privileged)", "/HostConfig/Privileged", json!(true), json!(true)),
        ("the system's rights (cap_add)", "/HostConfig/CapAdd", json!(["SYS_ADMIN"]), json!("SYS_ADMIN")),
        ("packets of its own (cap_add)", "/HostConfig/CapAdd", json!(["CAP_NET_RAW"]), json!("NET_RAW")),
        (
            "every call (security_opt)",
            "/HostConfig/SecurityOpt",
            json!(["seccomp=unconfined"]),
            json!("unconfined"),
        ),
        (
            "calls by a list of its own (security_opt)",
            "/HostConfig/SecurityOpt",
            json!([r#"seccomp={"defaultAction":"SCMP_ACT_ALLOW"}"#]),
            json!("SCMP_ACT_ALLOW"),
        ),
        (
            "no profile (security_opt)",
            "/HostConfig/SecurityOpt",
            json!(["apparmor=unconfined"]),
            json!("unconfined"),
        ),
        ("no label (security_opt)", "/HostConfig/SecurityOpt", json!(["label=disable"]), json!("label")),
        (
            "rights that grow (security_opt)",
            "/HostConfig/SecurityOpt",
            json!(["no-new-privileges:false"]),
            json!(":false"),
        ),
    ])
}

fn powers() -> Vec<Attack> {
    each(vec![
        ("a group of the system's (group_add)", "/HostConfig/GroupAdd", json!(["0"]), json!("0")),
        ("the masks off the kernel's files", "/HostConfig/MaskedPaths", json!([]), json!([])),
        ("the kernel's settings to write", "/HostConfig/ReadonlyPaths", json!([]), json!([])),
        (
            "a setting of the kernel's (sysctl)",
            "/HostConfig/Sysctls",
            json!({"net.ipv4.ip_forward": "1"}),
            json!("ip_forward"),
        ),
        (
            "a device (devices)",
            "/HostConfig/Devices",
            json!([{"PathOnHost": "/dev/net/tun", "PathInContainer": "/dev/tun", "CgroupPermissions": "rwm"}]),
            json!("/dev/net/tun"),
        ),
        ("devices by a rule", "/HostConfig/DeviceCgroupRules", json!(["a *:* rwm"]), json!("rwm")),
        (
            "a program of the engine's at its health",
            "/Healthcheck",
            json!({"Test": ["CMD", "/x"]}),
            json!("CMD"),
        ),
    ])
}

fn folders() -> Vec<Attack> {
    let bind = |name, bind: String| (name, "/HostConfig/Binds", json!([bind]), json!(bind));
    let own = format!("/data/agent/alloc/{ALLOCATION}");
    each(vec![
        bind("the whole root (volumes)", "/:/root".to_owned()),
        bind("the agent's folder (volumes)", "/data/agent:/own".to_owned()),
        bind("the engine's own socket (volumes)", "/run/engine.sock:/own".to_owned()),
        bind("the gate's folder (volumes)", "/run/guard:/own".to_owned()),
        bind("another allocation's folder (volumes)", format!("/data/agent/alloc/{ANOTHER}/alloc:/alloc")),
        bind("its own folder in another place (volumes)", format!("{own}/alloc:/own")),
        bind("its own folder by a way back (volumes)", format!("{own}/alloc/../../..:/alloc")),
        bind("a volume by a name (volumes)", "own:/own".to_owned()),
        bind("what its folder's mounts spread to (volumes)", format!("{own}/alloc:/alloc:shared")),
    ])
}

fn mounts() -> Vec<Attack> {
    let volume =
        json!({"DriverConfig": {"Name": "local", "Options": {"type": "none", "o": "bind", "device": "/"}}});
    each(vec![
        (
            "the whole root (mount bind)",
            "/HostConfig/Mounts",
            json!([{"Type": "bind", "Source": "/", "Target": "/own"}]),
            json!("bind"),
        ),
        (
            "the whole root (mount volume)",
            "/HostConfig/Mounts",
            json!([{"Type": "volume", "Source": "own", "Target": "/own", "VolumeOptions": volume}]),
            json!("local"),
        ),
        (
            "memory past its share (mount tmpfs)",
            "/HostConfig/Mounts",
            json!([{"Type": "tmpfs", "Target": "/own", "TmpfsOptions": {"SizeBytes": 1_u64 << 40}}]),
            json!("1099511627776"),
        ),
        ("a program for its volumes (volume_driver)", "/HostConfig/VolumeDriver", json!("own"), json!("own")),
        ("another container's volumes", "/HostConfig/VolumesFrom", json!([OTHER]), json!(OTHER)),
        ("a volume by its description", "/Volumes", json!({"/own": {}}), json!("/own")),
        (
            "a folder of the kernel's to begin in (work_dir)",
            "/WorkingDir",
            json!("/proc/self/fd/7"),
            json!("/proc"),
        ),
    ])
}

/// Stands for a container that is there already.
const OTHER: &str = "$OTHER";

fn places() -> Vec<Attack> {
    let mut rows = vec![
        ("the names of others (uts_mode)", "/HostConfig/UTSMode", json!("host"), json!("host")),
        ("the users of others (userns_mode)", "/HostConfig/UsernsMode", json!("host"), json!("host")),
        ("the control groups of others (cgroupns)", "/HostConfig/CgroupnsMode", json!("host"), json!("host")),
        (
            "a control group of its own choice (cgroup_parent)",
            "/HostConfig/CgroupParent",
            json!("/own"),
            json!("/own"),
        ),
        (
            "memory that others share (ipc_mode)",
            "/HostConfig/IpcMode",
            json!("shareable"),
            json!("shareable"),
        ),
    ];
    for (host, other, at) in [
        (
            "the capsule's network (network_mode)",
            "another container's network (network_mode)",
            "/HostConfig/NetworkMode",
        ),
        (
            "the capsule's processes (pid_mode)",
            "another container's processes (pid_mode)",
            "/HostConfig/PidMode",
        ),
        (
            "the capsule's shared memory (ipc_mode)",
            "another container's shared memory (ipc_mode)",
            "/HostConfig/IpcMode",
        ),
    ] {
        rows.push((host, at, json!("host"), json!("host")));
        rows.push((other, at, json!(format!("container:{OTHER}")), json!("container:")));
    }
    each(rows)
}

fn shares() -> Vec<Attack> {
    let much = 900_000_u64 << 20;
    each(vec![
        ("swap without end", "/HostConfig/MemorySwap", json!(-1), json!(-1)),
        ("processes without end (pids_limit)", "/HostConfig/PidsLimit", json!(1_000_000), json!(1_000_000)),
        ("shared memory without end (shm_size)", "/HostConfig/ShmSize", json!(much), json!(much)),
        (
            "a life when memory runs out (oom_score_adj)",
            "/HostConfig/OomScoreAdj",
            json!(-1000),
            json!(-1000),
        ),
        (
            "open files without end (ulimit)",
            "/HostConfig/Ulimits",
            json!([{"Name": "nofile", "Soft": 99_000_000, "Hard": 99_000_000}]),
            json!("99000000"),
        ),
        (
            "first at the processor (ulimit)",
            "/HostConfig/Ulimits",
            json!([{"Name": "rtprio", "Soft": 9, "Hard": 9}]),
            json!("rtprio"),
        ),
        (
            "more logs than its share (logging)",
            "/HostConfig/LogConfig",
            json!({"Type": "json-file", "Config": {"max-size": "900g"}}),
            json!("900g"),
        ),
        (
            "a life after its end (restart)",
            "/HostConfig/RestartPolicy",
            json!({"Name": "always"}),
            json!("always"),
        ),
        ("no trace of it", "/HostConfig/AutoRemove", json!(true), json!(true)),
    ])
}

fn way_out() -> Vec<Attack> {
    each(vec![
        (
            "the engine's words to an address of its choice (logging)",
            "/HostConfig/LogConfig",
            json!({"Type": "syslog", "Config": {"syslog-address": "udp://192.168.7.2:514"}}),
            json!("192.168.7.2"),
        ),
        (
            "a port to all (ports)",
            "/HostConfig/PortBindings",
            json!({"8080/tcp": [{"HostIp": "0.0.0.0", "HostPort": "20000"}]}),
            json!("20000"),
        ),
        ("every port to all", "/HostConfig/PublishAllPorts", json!(true), json!(true)),
        ("the LAN's resolver (dns_servers)", "/HostConfig/Dns", json!(["192.168.7.1"]), json!("192.168.7.1")),
        (
            "the LAN's names (dns_search_domains)",
            "/HostConfig/DnsSearch",
            json!(["home.arpa"]),
            json!("home.arpa"),
        ),
        (
            "another way to ask for names (dns_options)",
            "/HostConfig/DnsOptions",
            json!(["ndots:9"]),
            json!("ndots"),
        ),
        (
            "a name for the capsule (extra_hosts)",
            "/HostConfig/ExtraHosts",
            json!(["pc:host-gateway"]),
            json!("host-gateway"),
        ),
    ])
}

fn others() -> Vec<Attack> {
    each(vec![
        (
            "a word on itself that the engine keeps (labels)",
            "/Labels/own-word",
            json!("y"),
            json!("own-word"),
        ),
        ("a domain of its own", "/Domainname", json!("home"), json!("home")),
    ])
}

/// Nobody but the gate withstands these.
fn each(rows: Vec<Row>) -> Vec<Attack> {
    rows.into_iter().map(|row| container(row).alone()).collect()
}

/// What an engine refuses as well, or knows nothing of.
fn by_the_engine_too() -> Vec<Attack> {
    let rows: Vec<Row> = vec![
        (
            "more of the disk than its share (storage_opt)",
            "/HostConfig/StorageOpt",
            json!({"size": "900G"}),
            json!("900G"),
        ),
        (
            "another kind of container (isolation)",
            "/HostConfig/Isolation",
            json!("process"),
            json!("process"),
        ),
        ("a program that starts containers (runtime)", "/HostConfig/Runtime", json!("own"), json!("own")),
        ("a field of the future", "/HostConfig/FromTheFuture", json!("planted"), json!("planted")),
    ];
    let mut all: Vec<Attack> = rows.into_iter().map(container).collect();
    all.push(asks("words of a file that the driver read, in a refusal", repeated));
    all
}

fn container((name, at, value, known): Row) -> Attack {
    asks(name, move |stage| {
        let other = stage.attacker(By::Job)?;
        let mut asked = Customer::plain(ALLOCATION);
        put(&mut asked, at, value.clone());
        let named = |text: String| text.replace(OTHER, &other);
        let known: Value = serde_json::from_str(&named(known.to_string()))?;
        came_of(stage, &named(asked.to_string()), at, &known)
    })
}

/// What a container is said to be before it is started the engine says of it in another place.
fn came_of(stage: &Stage, body: &str, at: &str, known: &Value) -> Result<Verdict> {
    let seen_at = if at.starts_with("/HostConfig") { at.to_owned() } else { format!("/Config{at}") };
    let (made, heard) = stage.customer()?.container(body);
    let is =
        |seen: &Value| seen == known || known.as_str().is_some_and(|word| seen.to_string().contains(word));
    let place = if at.starts_with("/Labels") { "/Config/Labels" } else { seen_at.as_str() };
    let succeeded = made.as_ref().and_then(|made| made.pointer(place)).is_some_and(is);
    Ok(Verdict { succeeded, detail: heard })
}

pub(super) fn put(asked: &mut Value, at: &str, value: Value) {
    let (parent, name) = at.rsplit_once('/').unwrap_or(("", at));
    if let Some(parent) = asked.pointer_mut(parent).and_then(Value::as_object_mut) {
        parent.insert(name.to_owned(), value);
    }
}

fn repeated(stage: &Stage) -> Result<Verdict> {
    let mut asked = Customer::plain(ALLOCATION);
    put(&mut asked, "/HostConfig/SecurityOpt", json!([format!("seccomp={{\"{OWNERS_WORD}\": 1}}")]));
    let (_, heard) = stage.customer()?.container(&asked.to_string());
    Ok(Verdict { succeeded: heard.contains(OWNERS_WORD), detail: heard })
}

/// One thing said twice, and names in letters that only the engine takes for its own.
fn as_the_engine_reads_it() -> Vec<Attack> {
    let written = in_these_letters;
    let (mode, plain) = ("/HostConfig/NetworkMode", r#""NetworkMode":"none""#);
    vec![
        written(
            "every right, said beside a plain description",
            r#""HostConfig":{"#,
            r#""HostConfig":{"Privileged":true},"HostConfig":{"#,
            "/HostConfig/Privileged",
            json!(true),
        ),
        written(
            "the capsule's network, said the second time",
            plain,
            r#""NetworkMode":"none","NetworkMode":"host""#,
            mode,
            json!("host"),
        ),
        written(
            "the capsule's network in small letters",
            plain,
            r#""NetworkMode":"none","networkmode":"host""#,
            mode,
            json!("host"),
        ),
        written(
            "the capsule's network with the sign of kelvin",
            plain,
            "\"NetworkMode\":\"none\",\"networ\u{212a}mode\":\"host\"",
            mode,
            json!("host"),
        ),
        written(
            "every right with a long s",
            r#""HostConfig":{"#,
            "\"Ho\u{17f}tConfig\":{\"Privileged\":true},\"HostConfig\":{",
            "/HostConfig/Privileged",
            json!(true),
        ),
    ]
}

/// A plain description in which one part is written otherwise.
fn in_these_letters(
    name: &str,
    from: &'static str,
    to: &'static str,
    at: &'static str,
    known: Value,
) -> Attack {
    asks(name, move |stage| {
        let body = Customer::plain(ALLOCATION).to_string();
        ensure!(body.contains(from), "a plain description has changed: {body}");
        came_of(stage, &body.replacen(from, to, 1), at, &known)
    })
    .alone()
}

pub(super) fn asks(name: &str, deed: impl Fn(&Stage) -> Result<Verdict> + 'static) -> Attack {
    Attack::new(name, By::Customer, Layer::Gate, Deed::Asked(Box::new(deed)))
}
