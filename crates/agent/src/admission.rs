//! What the container engine may be asked for on a job's behalf. Nomad's docker driver has switches against privileges
//! and host folders, and none against the host's network, its devices, another container's network or a job without a
//! seccomp profile. So its requests go through a gate (`platform/linux/gate.rs`), and this is the gate's rule.
//!
//! A request that is not known here is refused: a newer driver that makes others finds out at once, on a test machine.

use std::path::Path;

use hyper::Method;
use serde_json::Value;

pub(crate) mod json;

/// What to do with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Free,
    /// Its body is to pass [`container`].
    Container,
    /// Its body is to pass [`exec`].
    Exec,
    /// It is to have no body: an older engine would take one for a container's description.
    Start,
}

/// Why a request is not passed on. The customer reads it as the cause of their job's failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this PC does not allow {0}")]
pub(crate) struct Refusal(pub(crate) String);

/// Which requests the docker driver of Nomad 2.0.5 makes, and no others. `path` is without its query.
pub(crate) fn route(method: &Method, path: &str) -> Option<Route> {
    let path = path.strip_prefix('/')?;
    let versioned = path.split_once('/').filter(|(first, _)| is_version(first));
    let parts: Vec<&str> = versioned.map_or(path, |(_, rest)| rest).split('/').collect();
    match (method, parts.as_slice()) {
        (&Method::GET | &Method::HEAD, ["_ping"]) => Some(Route::Free),
        (
            &Method::GET,
            ["version" | "info" | "networks"] | ["containers" | "images" | "exec", .., "json"],
        ) => Some(Route::Free),
        (&Method::GET, ["containers", _, "logs" | "stats"]) => Some(Route::Free),
        (&Method::POST, ["containers", "create"]) => Some(Route::Container),
        (&Method::POST, ["containers", _, "exec"]) => Some(Route::Exec),
        (&Method::POST, ["containers", _, "start"]) => Some(Route::Start),
        (&Method::POST, ["containers", _, "stop" | "kill" | "wait"]) => Some(Route::Free),
        (&Method::POST, ["exec", _, "start" | "resize"] | ["images", "create" | "load"]) => Some(Route::Free),
        (&Method::DELETE, ["containers", _] | ["images", ..]) => Some(Route::Free),
        _ => None,
    }
}

fn is_version(part: &str) -> bool {
    let digits = |number: &str| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    part.strip_prefix('v')
        .and_then(|number| number.split_once('.'))
        .is_some_and(|(a, b)| digits(a) && digits(b))
}

/// Whether this container may be made: of the host it gets its own allocation's folders and a graphics card.
///
/// # Errors
/// The first thing that it may not have.
pub(crate) fn container(asked: &Value, data_dir: &Path) -> Result<(), Refusal> {
    let host = field(asked, "HostConfig")?;
    // An older engine looks for all that is in it one level higher where it is missing, and for this in any case.
    if !host.is_object() {
        return refuse("a container without HostConfig");
    }
    one_of(asked, "VolumeDriver", &["", "local"])?;
    if truth(field(host, "Privileged")?) {
        return refuse("privileged containers");
    }
    namespaces(host)?;
    networks(asked, host)?;
    devices(host)?;
    folders(host, data_dir)?;
    powers(host)
}

/// The same container, by a runtime that is named: an engine's default may be the card's, and whoever does not ask for
/// the card does not get it.
pub(crate) fn with_runtime(mut asked: Value) -> Value {
    let mut fields = asked.as_object_mut().into_iter().flatten();
    let host = fields.find(|(field, _)| json::is_name(field, "HostConfig"));
    if let Some(host) = host.and_then(|(_, host)| host.as_object_mut()) {
        let is_runtime = |field: &str| json::is_name(field, "Runtime");
        if host.iter().all(|(field, value)| !is_runtime(field) || text(value).is_empty()) {
            host.retain(|field, _| !is_runtime(field));
            host.insert("Runtime".to_owned(), PLAIN_RUNTIME.into());
        }
    }
    asked
}

/// Every engine has it, and it gives no card.
const PLAIN_RUNTIME: &str = "runc";

/// Whether this program may be run in a container.
///
/// # Errors
/// It asks for privileges.
pub(crate) fn exec(asked: &Value) -> Result<(), Refusal> {
    if truth(field(asked, "Privileged")?) { refuse("privileged programs") } else { Ok(()) }
}

fn namespaces(host: &Value) -> Result<(), Refusal> {
    for (name, allowed) in [
        ("PidMode", &[""][..]),
        ("IpcMode", &["", "private", "none"]),
        ("UTSMode", &[""]),
        ("UsernsMode", &[""]),
        ("CgroupnsMode", &["", "private"]),
    ] {
        one_of(host, name, allowed)?;
    }
    Ok(())
}

/// Its own, or none. Another's network may be the owner's; another container's, too.
const NETWORKS: [&str; 4] = ["", "default", "bridge", "none"];

fn networks(asked: &Value, host: &Value) -> Result<(), Refusal> {
    one_of(host, "NetworkMode", &NETWORKS)?;
    let Value::Object(endpoints) = field(field(asked, "NetworkingConfig")?, "EndpointsConfig")? else {
        return nothing(host, "Links");
    };
    match endpoints.keys().find(|name| !NETWORKS.contains(&name.as_str())) {
        Some(name) => refuse(format!("the network {name:?}")),
        None => nothing(host, "Links"),
    }
}

fn devices(host: &Value) -> Result<(), Refusal> {
    nothing(host, "DeviceCgroupRules")?;
    for device in list(host, "Devices")? {
        let path = text(field(device, "PathOnHost")?);
        if !path.starts_with("/dev/nvidia") || path.contains("..") {
            return refuse(format!("the device {path:?}"));
        }
    }
    for request in list(host, "DeviceRequests")? {
        one_of(request, "Driver", &["", "nvidia"])?;
    }
    Ok(())
}

fn folders(host: &Value, data_dir: &Path) -> Result<(), Refusal> {
    nothing(host, "VolumesFrom")?;
    one_of(host, "VolumeDriver", &["", "local"])?;
    for bind in list(host, "Binds")? {
        own_folder(text(bind).split(':').next().unwrap_or_default(), data_dir)?;
    }
    for mount in list(host, "Mounts")? {
        match text(field(mount, "Type")?) {
            "bind" => own_folder(text(field(mount, "Source")?), data_dir)?,
            "tmpfs" => {}
            // A name may be that of a volume of the owner's.
            other => return refuse(format!("mounts of the kind {other:?}")),
        }
    }
    Ok(())
}

/// Where it really leads: a task may have put a link into its own folder before.
fn own_folder(path: &str, data_dir: &Path) -> Result<(), Refusal> {
    let allocations = data_dir.join("alloc").canonicalize();
    let inside = allocations.is_ok_and(|own| {
        Path::new(path).canonicalize().is_ok_and(|real| real.starts_with(&own) && real != own)
    });
    if inside { Ok(()) } else { refuse(format!("the folder {path:?}")) }
}

/// What Nomad's `allow_caps` has by default.
const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

fn powers(host: &Value) -> Result<(), Refusal> {
    for capability in list(host, "CapAdd")? {
        let name = text(capability).to_ascii_uppercase();
        if !CAPABILITIES.contains(&name.trim_start_matches("CAP_")) {
            return refuse(format!("the capability {name}"));
        }
    }
    for option in list(host, "SecurityOpt")? {
        if !["no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"].contains(&text(option))
        {
            return refuse(format!("the security option {:?}", text(option)));
        }
    }
    one_of(host, "Runtime", &["", PLAIN_RUNTIME, "nvidia"])?;
    one_of(host, "CgroupParent", &[""])?;
    // An empty list would take the engine's own masks away.
    for name in ["MaskedPaths", "ReadonlyPaths"] {
        if !field(host, name)?.is_null() {
            return refuse(name);
        }
    }
    // It must not outlive what started it, nor be spared at the expense of the owner's programs.
    one_of(field(host, "RestartPolicy")?, "Name", &["", "no"])?;
    let spared = field(host, "OomScoreAdj")?.as_i64().is_some_and(|score| score < 0);
    if spared || truth(field(host, "OomKillDisable")?) {
        return refuse("being spared when memory runs out");
    }
    // Others send a job's output to an address that the job chooses, with the engine's rights.
    one_of(field(host, "LogConfig")?, "Type", &["", "json-file", "local", "none"])
}

fn refuse<T>(what: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(what.into()))
}

fn one_of(object: &Value, name: &str, allowed: &[&str]) -> Result<(), Refusal> {
    let value = field(object, name)?;
    let admitted = value.is_null() || value.as_str().is_some_and(|word| allowed.contains(&word));
    if admitted { Ok(()) } else { refuse(format!("{name} {value}")) }
}

fn nothing(object: &Value, name: &str) -> Result<(), Refusal> {
    if list(object, name)?.is_empty() { Ok(()) } else { refuse(name) }
}

/// The engine does not mind capitals, so neither must the gate; and it puts two together, so two are refused.
fn field<'a>(object: &'a Value, name: &str) -> Result<&'a Value, Refusal> {
    static ABSENT: Value = Value::Null;
    let Value::Object(fields) = object else { return Ok(&ABSENT) };
    let mut named = fields.iter().filter(|(field, _)| json::is_name(field, name)).map(|(_, value)| value);
    match (named.next(), named.next()) {
        (found, None) => Ok(found.unwrap_or(&ABSENT)),
        (_, Some(_)) => refuse(format!("{name} twice")),
    }
}

fn list<'a>(object: &'a Value, name: &str) -> Result<&'a [Value], Refusal> {
    let value = field(object, name)?;
    if value.is_null() {
        return Ok(&[]);
    }
    value.as_array().map(Vec::as_slice).ok_or_else(|| Refusal(format!("{name} that is no list")))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn truth(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false))
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use serde_json::json;

    use super::*;

    /// As Nomad 2.0.5 asks for a plain job, with what matters here.
    fn plain(data_dir: &Path) -> Value {
        let task = data_dir.join("alloc/a1/work");
        let bind = |from: &str, to: &str| format!("{}:{to}", task.join(from).display());
        json!({
            "Image": "ionet-example:1",
            "Labels": {"com.hashicorp.nomad.alloc_id": "a1"},
            "HostConfig": {
                "Binds": [bind("local", "/local"), bind("secrets", "/secrets")],
                "CapDrop": ["NET_RAW"], "CapAdd": null, "CgroupnsMode": "", "IpcMode": "", "NetworkMode": "default",
                "Privileged": false, "SecurityOpt": null, "UTSMode": "", "PidMode": "", "UsernsMode": "",
                "LogConfig": {"Type": "json-file", "Config": {"max-file": "2"}}, "Devices": null, "Mounts": []
            },
            "NetworkingConfig": {"EndpointsConfig": {"default": null}}
        })
    }

    fn pc() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["local", "secrets"] {
            std::fs::create_dir_all(dir.path().join("alloc/a1/work").join(folder)).unwrap();
        }
        dir
    }

    fn with(pc: &tempfile::TempDir, name: &str, value: Value) -> Result<(), Refusal> {
        let mut asked = plain(pc.path());
        asked["HostConfig"][name] = value;
        container(&asked, pc.path())
    }

    #[test]
    fn a_plain_job_and_one_with_a_graphics_card_are_let_in() {
        let pc = pc();

        assert_eq!(container(&plain(pc.path()), pc.path()), Ok(()));
        for (name, value) in [
            ("Runtime", json!("nvidia")),
            ("Devices", json!([{"PathOnHost": "/dev/nvidia0", "PathInContainer": "/dev/nvidia0"}])),
            ("DeviceRequests", json!([{"Driver": "nvidia", "Count": -1}])),
            ("Mounts", json!([{"Type": "tmpfs", "Target": "/scratch"}])),
            ("CapAdd", json!(["CAP_CHOWN"])),
            ("NetworkMode", json!("none")),
            // As the driver asks where the engine tells files apart by labels.
            ("Binds", json!([format!("{}:/local:z", pc.path().join("alloc/a1/work/local").display())])),
            ("Binds", json!([format!("{}:/local:ro,z", pc.path().join("alloc/a1/work/local").display())])),
        ] {
            assert_eq!(with(&pc, name, value), Ok(()), "{name}");
        }
    }

    #[test]
    fn nothing_of_the_host_is_given_to_a_job() {
        let pc = pc();
        let home = pc.path().join("alloc/a1/work/local/home");
        std::os::unix::fs::symlink("/", &home).unwrap();

        for (name, value) in [
            ("NetworkMode", json!("host")),
            ("NetworkMode", json!("container:somebodys")),
            ("NetworkMode", json!("somebodys_network")),
            ("Devices", json!([{"PathOnHost": "/dev/sda"}])),
            ("Devices", json!([{"PathOnHost": "/dev/nvidia/../sda"}])),
            ("DeviceCgroupRules", json!(["a *:* rwm"])),
            ("DeviceRequests", json!([{"Driver": "cdi"}])),
            ("Privileged", json!(true)),
            ("PidMode", json!("host")),
            ("IpcMode", json!("host")),
            ("UsernsMode", json!("host")),
            ("CgroupnsMode", json!("host")),
            ("Binds", json!(["/etc:/etc:ro"])),
            ("Binds", json!(["somebodys_volume:/data"])),
            ("Binds", json!([format!("{}:/all", pc.path().join("alloc").display())])),
            ("Binds", json!([format!("{}:/host", home.display())])),
            ("Mounts", json!([{"Type": "volume", "Source": "somebodys", "Target": "/data"}])),
            ("Mounts", json!([{"Type": "bind", "Source": "/var/run/docker.sock", "Target": "/s"}])),
            ("VolumesFrom", json!(["somebodys"])),
            ("Links", json!(["somebodys:db"])),
            ("CapAdd", json!(["SYS_ADMIN"])),
            ("SecurityOpt", json!(["seccomp=unconfined"])),
            ("Runtime", json!("somebodys")),
            ("MaskedPaths", json!([])),
            ("RestartPolicy", json!({"Name": "always"})),
            ("OomScoreAdj", json!(-900)),
            ("OomKillDisable", json!(true)),
            ("LogConfig", json!({"Type": "syslog", "Config": {"syslog-address": "tcp://127.0.0.1:22"}})),
        ] {
            assert!(with(&pc, name, value.clone()).is_err(), "{name} {value}");
        }
    }

    #[test]
    fn a_name_in_other_capitals_or_twice_is_no_way_around() {
        let pc = pc();
        let asked = json!({"hostconfig": {"networkMODE": "host"}});
        assert!(container(&asked, pc.path()).is_err());

        let asked = json!({"HostConfig": {"NetworkMode": "none"}, "hostConfig": {"NetworkMode": "host"}});
        assert!(container(&asked, pc.path()).is_err());

        let elsewhere = json!({"EndpointsConfig": {"somebodys_network": {}}});
        let asked = json!({"HostConfig": {}, "NetworkingConfig": elsewhere});
        assert!(container(&asked, pc.path()).is_err());

        // Letters that are no others to the engine: the long s, the sign of kelvin.
        for asked in [
            json!({"Ho\u{17f}tConfig": {"NetworkMode": "host"}}),
            json!({"HostConfig": {"Networ\u{212a}Mode": "host"}}),
            json!({"HostConfig": {"NetworkMode": "none", "Networ\u{212a}Mode": "host"}}),
            json!({"HostConfig": {"Bind\u{17f}": ["/etc:/etc"]}}),
            json!({"HostConfig": {"Device\u{17f}": [{"PathOnHost": "/dev/sda"}]}}),
        ] {
            assert!(container(&asked, pc.path()).is_err(), "{asked}");
        }
    }

    #[test]
    fn a_job_that_asks_for_no_runtime_gets_the_one_without_the_card() {
        let plain = json!({"Image": "x", "HostConfig": {"Runtime": "runc"}});

        for host in [json!({}), json!({"Runtime": ""}), json!({"Runtime": null}), json!({"runtime": ""})] {
            assert_eq!(with_runtime(json!({"Image": "x", "HostConfig": host})), plain, "{host}");
        }
        let lower = with_runtime(json!({"hostconfig": {"NetworkMode": "none"}}));
        assert_eq!(lower, json!({"hostconfig": {"NetworkMode": "none", "Runtime": "runc"}}));
        for named in [
            plain,
            json!({"HostConfig": {"Runtime": "nvidia"}}),
            json!({"HostConfig": {"runtime": "nvidia"}}),
        ] {
            assert_eq!(with_runtime(named.clone()), named);
        }
    }

    /// As older engines do, which look at the top where there is no inner one.
    #[test]
    fn what_an_older_engine_would_look_for_outside_its_place_is_not_let_in() {
        let pc = pc();

        for asked in [
            json!({"Image": "x", "Privileged": true}),
            json!({"Image": "x", "HostConfig": null, "Binds": ["/:/host"]}),
            json!({"Image": "x", "HostConfig": [], "NetworkMode": "host"}),
            json!({"Image": "x", "HostConfig": {}, "VolumeDriver": "somebodys"}),
            json!({"Image": "x"}),
            json!([{"HostConfig": {}}]),
            json!(null),
        ] {
            assert!(container(&asked, pc.path()).is_err(), "{asked}");
        }
        assert_eq!(container(&json!({"Image": "x", "HostConfig": {}}), pc.path()), Ok(()));
    }

    #[test]
    fn only_the_drivers_own_requests_have_a_way_through() {
        let get = |path| route(&Method::GET, path);
        let post = |path| route(&Method::POST, path);

        assert_eq!(post("/v1.41/containers/create"), Some(Route::Container));
        assert_eq!(post("/containers/abc/exec"), Some(Route::Exec));
        assert_eq!(post("/v1.24/containers/abc/start"), Some(Route::Start));
        assert_eq!(get("/_ping"), Some(Route::Free));
        assert_eq!(get("/v1.52/images/registry.example/a/b:1/json"), Some(Route::Free));
        for path in ["/volumes", "/v1.41/containers/abc/archive", "/secrets", "/swarm", "/plugins"] {
            assert_eq!(get(path), None, "{path}");
        }
        for path in ["/build", "/volumes/create", "/networks/create", "/containers/abc/update", "/commit"] {
            assert_eq!(post(path), None, "{path}");
        }
        assert!(exec(&json!({"Cmd": ["sh"], "Privileged": true})).is_err());
        assert_eq!(exec(&json!({"Cmd": ["sh"], "Privileged": false})), Ok(()));
    }
}
