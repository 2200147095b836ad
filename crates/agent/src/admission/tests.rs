use std::path::Path;

use serde_json::{Value, json};

use super::*;

mod powers;
mod reading;

pub(super) const ALLOC: &str = "fedbb3b1-dae0-a47b-538b-62dec51212a9";
const CARD: &str = "GPU-5a4f3c2e-1111-2222-3333-444455556666";
pub(super) const MIB: i64 = 1024 * 1024;

/// As Nomad 2.0.5's driver asks for a plain job, every field that it writes with it.
pub(super) fn plain(data_dir: &Path) -> Value {
    let alloc = data_dir.join("alloc").join(ALLOC);
    let asked = include_str!("plain.json").replace("$ALLOC", alloc.to_str().unwrap());
    serde_json::from_str(&asked).unwrap()
}

pub(super) fn pc() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["alloc/logs", "work/local", "work/secrets", "other/local"] {
        std::fs::create_dir_all(dir.path().join("alloc").join(ALLOC).join(folder)).unwrap();
    }
    dir
}

/// What the engine is asked for.
pub(super) fn built(pc: &tempfile::TempDir, asked: &Value) -> Result<Value, Refusal> {
    let cards = [CARD.to_owned()];
    let rules = rules(pc.path(), &cards);
    let container = Container::read(asked.to_string().as_bytes(), rules)?;
    Ok(serde_json::from_str(&container.written()).unwrap())
}

/// The plain job with one field otherwise.
pub(super) fn with(pc: &tempfile::TempDir, name: &str, value: Value) -> Result<Value, Refusal> {
    let mut asked = plain(pc.path());
    asked["HostConfig"][name] = value;
    built(pc, &asked)
}

fn rules<'a>(data_dir: &'a Path, cards: &'a [String]) -> Rules<'a> {
    Rules { data_dir, cards, most: Most { core: i64::MAX, memlock: i64::MAX, nofile: i64::MAX } }
}

/// Or the engine would start nothing.
#[test]
fn no_limit_is_above_what_the_engine_was_given_itself() {
    let pc = pc();
    let mut asked = plain(pc.path());
    asked["HostConfig"]["Ulimits"] = json!([{"Name": "memlock", "Soft": -1, "Hard": -1}]);
    let most = Most { core: 0, memlock: 4096, nofile: 1024 };

    let container = Container::read(asked.to_string().as_bytes(), Rules { most, ..rules(pc.path(), &[]) });
    let built: Value = serde_json::from_str(&container.unwrap().written()).unwrap();

    let hard = built["HostConfig"]["Ulimits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|limit| limit["Hard"].as_i64().unwrap());
    assert_eq!(hard.collect::<Vec<_>>(), [0, 4096, 1024]);
}

fn rule(refused: &Result<Value, Refusal>) -> String {
    refused.as_ref().map(|_| "nothing was refused").expect_err("it is to be refused").to_string()
}

#[test]
fn a_plain_job_is_built_with_every_limit_and_nothing_that_was_not_understood() {
    let pc = pc();
    let alloc = pc.path().canonicalize().unwrap().join("alloc").join(ALLOC);
    let bind = |from: &str, to: &str| format!("{}:{to}", alloc.join(from).display());
    let mut built = built(&pc, &plain(pc.path())).unwrap();
    let seccomp = built["HostConfig"]["SecurityOpt"][1].take();

    assert!(seccomp.as_str().unwrap().starts_with("seccomp={\"defaultAction\""));
    assert_eq!(
        built,
        json!({
            "Image": "sha256:0123", "Cmd": ["/bin/sh", "-c", "true"], "Tty": false, "OpenStdin": false,
            "Env": ["NOMAD_TASK_NAME=work", "NVIDIA_VISIBLE_DEVICES=void"],
            "Labels": {
                "com.hashicorp.nomad.alloc_id": ALLOC, "com.hashicorp.nomad.job_name": "example",
                "com.hashicorp.nomad.task_group_name": "compute", "com.hashicorp.nomad.task_name": "work",
                "net.io.gate": "1",
            },
            "Healthcheck": {"Test": ["NONE"]}, "ExposedPorts": {},
            "HostConfig": {
                "Binds": [
                    bind("alloc", "/alloc"), bind("alloc/logs", "/alloc/logs:ro"),
                    bind("work/local", "/local"), bind("work/secrets", "/secrets"),
                ],
                "Memory": 64 * MIB, "MemorySwap": 64 * MIB, "CpuShares": 100, "CpusetCpus": "0-1",
                "PidsLimit": 4096, "ShmSize": 64 * MIB,
                "Ulimits": [
                    {"Name": "core", "Soft": 1, "Hard": 1},
                    {"Name": "memlock", "Soft": 65_536, "Hard": 65_536},
                    {"Name": "nofile", "Soft": 65_536, "Hard": 65_536},
                ],
                "LogConfig": {"Type": "json-file", "Config": {"max-file": "2", "max-size": "2m"}},
                "CapDrop": ["ALL"],
                "CapAdd": [
                    "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETGID", "SETPCAP",
                    "SETUID", "SYS_CHROOT",
                ],
                "SecurityOpt": ["no-new-privileges", null], "IpcMode": "private", "CgroupnsMode": "private",
                "NetworkMode": "default", "PortBindings": {}, "Runtime": "runc", "ReadonlyRootfs": false,
            },
        })
    );
}

/// A field of `HostConfig`, and what it may not say.
const GREEDY: &str = r#"
NetworkMode "host"
NetworkMode "container:somebodys"
NetworkMode "somebodys_network"
Devices [{"PathOnHost": "/dev/sda"}]
Devices [{"PathOnHost": "/dev/nvidia0"}]
DeviceCgroupRules ["a *:* rwm"]
DeviceRequests [{"Driver": "nvidia", "Count": -1}]
Privileged true
PidMode "host"
IpcMode "host"
IpcMode "shareable"
UTSMode "host"
UsernsMode "host"
CgroupnsMode "host"
CgroupParent "/"
Mounts [{"Type": "volume", "Source": "somebodys", "Target": "/data"}]
Mounts [{"Type": "bind", "Source": "/var/run/docker.sock", "Target": "/s"}]
Mounts [{"Type": "tmpfs", "Target": "/s", "Source": "/etc"}]
Mounts [{"Type": "tmpfs", "Target": "/proc/sys"}]
Mounts [{"Type": "tmpfs", "Target": "/alloc/logs"}]
Mounts [{"Type": "tmpfs", "Target": "/x", "TmpfsOptions": {"Options": [["suid"]]}}]
VolumesFrom ["somebodys"]
VolumeDriver "somebodys"
Links ["somebodys:db"]
CapAdd ["SYS_ADMIN"]
CapAdd ["NET_RAW"]
CapAdd ["mknod"]
CapAdd ["ALL"]
SecurityOpt ["seccomp=unconfined"]
SecurityOpt ["apparmor=unconfined"]
SecurityOpt ["label=disable"]
SecurityOpt ["systempaths=unconfined"]
SecurityOpt ["no-new-privileges:false"]
Runtime "somebodys"
MaskedPaths []
ReadonlyPaths []
RestartPolicy {"Name": "always"}
OomScoreAdj -900
OomKillDisable true
LogConfig {"Type": "syslog", "Config": {"syslog-address": "tcp://127.0.0.1:22"}}
LogConfig {"Type": "json-file", "Config": {"env": "SECRET"}}
Sysctls {"net.ipv4.ip_forward": "1"}
StorageOpt {"size": "900G"}
Annotations {"x": "y"}
Tmpfs {"/x": ""}
Dns ["192.168.0.1"]
ExtraHosts ["router:host-gateway"]
GroupAdd ["0"]
PublishAllPorts true
BlkioWeight 1000
MemorySwappiness 60
AutoRemove true
"#;

#[test]
fn nothing_of_the_host_is_given_to_a_job() {
    let pc = pc();

    for (name, value) in GREEDY.lines().filter_map(|line| line.split_once(' ')) {
        let refused = with(&pc, name, serde_json::from_str(value).unwrap());
        assert_eq!(rule(&refused), format!("this PC does not allow {name}"), "{value}");
    }
}

#[test]
fn of_all_folders_a_container_has_its_own_tasks_three_and_none_by_a_link() {
    let pc = pc();
    let data = pc.path();
    let own = data.join("alloc").join(ALLOC);
    let bind = |from: &Path, to: &str| json!([format!("{}:{to}", from.display())]);
    std::fs::create_dir_all(data.join("alloc/another/work/local")).unwrap();

    for asked in [
        json!(["/etc:/etc:ro"]),
        json!(["somebodys_volume:/data"]),
        bind(&data.join("alloc"), "/alloc"),
        bind(&own, "/alloc"),
        bind(&own.join("alloc"), "/x"),
        bind(&own.join("alloc/logs"), "/local"),
        bind(&own.join("alloc/data"), "/data"),
        bind(&own.join("other/local"), "/local"),
        bind(&own.join("work"), "/local"),
        bind(&own.join("work/local/.."), "/local"),
        bind(&own.join("work/local/"), "/local"),
        bind(&own.join("work/../work/local"), "/local"),
        bind(&data.join("alloc/another/work/local"), "/local"),
        bind(&own.join("work/local"), "/local:rshared"),
        bind(&own.join("work/local"), "/local:Z"),
        bind(&own.join("work/local"), "/local::"),
        bind(&own.join("work/local"), "/local:z:z"),
    ] {
        assert_eq!(rule(&with(&pc, "Binds", asked.clone())), "this PC does not allow Binds", "{asked}");
    }
    // Whoever has the shared folder has the logs in it read only, asked or not, labelled alike.
    let shared = with(&pc, "Binds", bind(&own.join("alloc"), "/alloc:z")).unwrap();
    let real = own.canonicalize().unwrap().join("alloc");
    let expected =
        [format!("{}:/alloc:z", real.display()), format!("{}/logs:/alloc/logs:ro,z", real.display())];
    assert_eq!(shared["HostConfig"]["Binds"], json!(expected));
}

#[test]
fn a_folder_that_is_gone_or_a_link_is_none_wherever_on_its_way_that_is() {
    let pc = pc();
    let data = pc.path();
    let own = data.join("alloc").join(ALLOC);

    for part in ["work/local", "work/secrets", "alloc/logs", "work", "alloc"] {
        let (there, aside) = (own.join(part), data.join("aside"));
        std::fs::rename(&there, &aside).unwrap();
        assert!(built(&pc, &plain(data)).is_err(), "{part} is gone");
        std::os::unix::fs::symlink(&aside, &there).unwrap();
        assert!(built(&pc, &plain(data)).is_err(), "{part} is a link");
        std::fs::remove_file(&there).unwrap();
        std::fs::rename(&aside, &there).unwrap();
    }
    assert!(built(&pc, &plain(data)).is_ok());
}

#[test]
fn a_container_that_is_of_no_task_is_not_made() {
    let pc = pc();

    for (label, value) in [
        ("com.hashicorp.nomad.alloc_id", json!(null)),
        ("com.hashicorp.nomad.alloc_id", json!("..")),
        ("com.hashicorp.nomad.alloc_id", json!("a/b")),
        ("com.hashicorp.nomad.task_name", json!("")),
        ("com.hashicorp.nomad.task_name", json!("a:b")),
        ("com.hashicorp.nomad.task_name", json!("alloc")),
        ("com.hashicorp.nomad.task_name", json!("x".repeat(600))),
    ] {
        let mut asked = plain(pc.path());
        asked["Labels"][label] = value;
        assert!(rule(&built(&pc, &asked)).contains("of no task"), "{asked}");
    }
}
