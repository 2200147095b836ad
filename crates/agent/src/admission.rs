//! What the container engine may be asked for on a job's behalf. Nomad's docker driver has switches against privileges
//! and host folders, and none against the host's network, its devices, another container's network or a job without a
//! seccomp profile. So its requests go through a gate (`platform/linux/gate.rs`), and this is the gate's rule.
//!
//! A request that is not known here is refused: a newer driver that makes others finds out at once, on a test machine.

use std::fmt;
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

/// Why a request is not passed on. The customer reads it as the cause of their job's failure, with what it asked for in short.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("this PC does not allow {rule}{asked}")]
pub(crate) struct Refusal {
    /// For the log, which repeats nothing that a job wrote.
    pub(crate) rule: &'static str,
    asked: String,
}

impl Refusal {
    pub(crate) fn of(rule: &'static str) -> Self {
        Self { rule, asked: String::new() }
    }

    pub(crate) fn with(rule: &'static str, asked: impl fmt::Display) -> Self {
        let mut asked = format!(" {asked}");
        if let Some((end, _)) = asked.char_indices().nth(SHOWN) {
            asked.truncate(end);
            asked.push('\u{2026}');
        }
        Self { rule, asked }
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Refusal").field(&self.rule).finish()
    }
}

/// Letters of what was asked for, in a refusal.
const SHOWN: usize = 160;

/// Of a description without its environment. Linux takes no longer argument for a program.
const LISTED: usize = 128 * 1024;

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
    listed(asked, "a description of more than 128 KiB without its environment")?;
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

/// The image that a container is to be made of; none where it names none.
///
/// # Errors
/// It has no name that an image may have.
pub(crate) fn image(asked: &Value) -> Result<Option<&str>, Refusal> {
    let image = field(asked, "Image")?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte);
    match image.as_str().unwrap_or_default() {
        "" if image.is_null() || image.is_string() => Ok(None),
        name if !name.is_empty() && name.bytes().all(plain) && !name.contains("..") => Ok(Some(name)),
        _ => Err(Refusal::with("an image of the name", image)),
    }
}

/// Whether a container may be made of an image with this configuration, which becomes the container's where that says nothing
/// else.
///
/// # Errors
/// There is too much in it.
pub(crate) fn image_config(config: &Value) -> Result<(), Refusal> {
    listed(config, "an image whose labels and commands have more than 128 KiB")
}

/// The container that is to be removed, where that is asked.
pub(crate) fn removed<'a>(method: &Method, path: &'a str) -> Option<&'a str> {
    let mut parts = path.rsplit('/');
    let container = parts.next()?;
    (method == Method::DELETE && parts.next() == Some("containers")).then_some(container)
}

/// Whose container it is, in Nomad's own words: its driver writes this label over a job's.
pub(crate) fn allocation(asked: &Value) -> Option<&str> {
    field(asked, "Labels").ok()?["com.hashicorp.nomad.alloc_id"].as_str()
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

/// All but the environment is listed with every container, each time that somebody asks the engine which there are.
fn listed(described: &Value, rule: &'static str) -> Result<(), Refusal> {
    let fields = described.as_object().into_iter().flatten();
    let listed = fields.filter(|(field, _)| !json::is_name(field, "Env"));
    let length: usize = listed.map(|(field, value)| field.len() + value.to_string().len()).sum();
    if length > LISTED { refuse(rule) } else { Ok(()) }
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
        Some(name) => refuse_asked("the network", name),
        None => nothing(host, "Links"),
    }
}

fn devices(host: &Value) -> Result<(), Refusal> {
    nothing(host, "DeviceCgroupRules")?;
    for device in list(host, "Devices")? {
        let path = text(field(device, "PathOnHost")?);
        if !path.starts_with("/dev/nvidia") || path.contains("..") {
            return refuse_asked("the device", path);
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
            other => return refuse_asked("mounts of the kind", other),
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
    if inside { Ok(()) } else { refuse_asked("the folder", path) }
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
            return refuse_asked("the capability", &name);
        }
    }
    for option in list(host, "SecurityOpt")? {
        if !["no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"].contains(&text(option))
        {
            return refuse_asked("the security option", text(option));
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

fn refuse<T>(rule: &'static str) -> Result<T, Refusal> {
    Err(Refusal::of(rule))
}

fn refuse_asked<T>(rule: &'static str, asked: &str) -> Result<T, Refusal> {
    Err(Refusal::with(rule, format!("{asked:?}")))
}

fn one_of(object: &Value, name: &'static str, allowed: &[&str]) -> Result<(), Refusal> {
    let value = field(object, name)?;
    let admitted = value.is_null() || value.as_str().is_some_and(|word| allowed.contains(&word));
    if admitted { Ok(()) } else { Err(Refusal::with(name, value)) }
}

fn nothing(object: &Value, name: &'static str) -> Result<(), Refusal> {
    if list(object, name)?.is_empty() { Ok(()) } else { refuse(name) }
}

/// The engine does not mind capitals, so neither must the gate; and it puts two together, so two are refused.
fn field<'a>(object: &'a Value, name: &'static str) -> Result<&'a Value, Refusal> {
    static ABSENT: Value = Value::Null;
    let Value::Object(fields) = object else { return Ok(&ABSENT) };
    let mut named = fields.iter().filter(|(field, _)| json::is_name(field, name)).map(|(_, value)| value);
    match (named.next(), named.next()) {
        (found, None) => Ok(found.unwrap_or(&ABSENT)),
        (_, Some(_)) => Err(Refusal::with(name, "twice")),
    }
}

fn list<'a>(object: &'a Value, name: &'static str) -> Result<&'a [Value], Refusal> {
    let value = field(object, name)?;
    if value.is_null() {
        return Ok(&[]);
    }
    value.as_array().map(Vec::as_slice).ok_or_else(|| Refusal::with(name, "that is no list"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn truth(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false))
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
