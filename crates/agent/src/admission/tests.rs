use std::path::Path;

use hyper::{Method, Uri};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

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

fn host_of(pc: &tempfile::TempDir, change: Value) -> Result<Value, Refusal> {
    let mut asked = plain(pc.path());
    for (name, value) in change.as_object().unwrap() {
        asked["HostConfig"][name] = value.clone();
    }
    built(pc, &asked).map(|built| built["HostConfig"].clone())
}

#[test]
fn no_limit_is_higher_than_what_was_reserved_and_none_is_missing() {
    let pc = pc();
    let host = |change: Value| host_of(&pc, change);
    let huge = 900_000 * MIB;

    // What the driver makes of `memory_hard_limit`, of `memory_max` and of `memory_max = -1`.
    let over = host(json!({"Memory": huge, "MemorySwap": huge, "MemoryReservation": 64 * MIB})).unwrap();
    assert_eq!((&over["Memory"], &over["MemorySwap"]), (&json!(64 * MIB), &json!(64 * MIB)));
    assert_eq!(over["MemoryReservation"], Value::Null);
    let none = host(json!({"Memory": 0, "MemorySwap": 0, "MemoryReservation": 64 * MIB})).unwrap();
    assert_eq!(none["Memory"], 64 * MIB);
    for (change, field) in [
        (json!({"Memory": 0, "MemorySwap": 0}), "Memory"),
        (json!({"Memory": -1, "MemorySwap": -1}), "Memory"),
        (json!({"Memory": 1}), "Memory"),
        (json!({"MemorySwap": -1}), "MemorySwap"),
        (json!({"MemorySwap": huge}), "MemorySwap"),
        (json!({"CpuQuota": -1, "CpuPeriod": 100_000}), "CpuQuota"),
        (json!({"CpuQuota": 50_000}), "CpuQuota"),
        (json!({"CpusetCpus": "all"}), "CpusetCpus"),
        (json!({"Ulimits": [{"Name": "rtprio", "Soft": 99, "Hard": 99}]}), "Ulimits"),
        (json!({"OomScoreAdj": 1001}), "OomScoreAdj"),
    ] {
        assert_eq!(rule(&host(change.clone())), format!("this PC does not allow {field}"), "{change}");
    }
}

#[test]
fn what_a_job_asks_for_beside_is_bounded() {
    let pc = pc();
    let huge = 900_000 * MIB;
    let host = |change: Value| host_of(&pc, change);

    for (asked, given) in [(0, 4096), (-1, 4096), (100, 100), (1_000_000, 4096)] {
        assert_eq!(host(json!({"PidsLimit": asked})).unwrap()["PidsLimit"], given);
    }
    for (asked, given) in [(0, 2), (1, 2), (500, 500), (1_i64 << 40, 262_144)] {
        assert_eq!(host(json!({"CpuShares": asked})).unwrap()["CpuShares"], given);
    }
    assert_eq!(host(json!({"ShmSize": huge})).unwrap()["ShmSize"], 64 * MIB);
    assert_eq!(host(json!({"ShmSize": 4096})).unwrap()["ShmSize"], 4096);
    let ulimits =
        json!([{"Name": "nofile", "Soft": -1, "Hard": 9_000_000}, {"Name": "core", "Soft": -1, "Hard": -1}]);
    let ulimits = host(json!({ "Ulimits": ulimits })).unwrap()["Ulimits"].clone();
    assert_eq!(ulimits[2], json!({"Name": "nofile", "Soft": 524_288, "Hard": 524_288}));
    assert_eq!(ulimits[0], json!({"Name": "core", "Soft": 1, "Hard": 1}));
    let logs = host(json!({"LogConfig": {"Type": "local", "Config": {"max-size": "900g"}}})).unwrap();
    assert_eq!(logs["LogConfig"], json!({"Type": "local", "Config": {"max-file": "2", "max-size": "2m"}}));
    let quota = host(json!({"CpuQuota": 50_000, "CpuPeriod": 100_000})).unwrap();
    assert_eq!((&quota["CpuQuota"], &quota["CpuPeriod"]), (&json!(50_000), &json!(100_000)));
    let scratch = json!([{"Type": "tmpfs", "Target": "/scratch", "TmpfsOptions": {"SizeBytes": huge}}]);
    let scratch = host(json!({ "Mounts": scratch })).unwrap();
    assert_eq!(scratch["Mounts"][0]["TmpfsOptions"]["SizeBytes"], 64 * MIB);
}

#[test]
fn capabilities_are_of_a_short_list_and_a_job_may_have_fewer() {
    let pc = pc();
    let given = |added: Value, dropped: Value| {
        let mut asked = plain(pc.path());
        (asked["HostConfig"]["CapAdd"], asked["HostConfig"]["CapDrop"]) = (added, dropped);
        built(&pc, &asked).unwrap()["HostConfig"]["CapAdd"].clone()
    };

    assert_eq!(given(json!(null), json!(["all"])), json!([]));
    assert_eq!(given(json!(["CAP_CHOWN", "kill"]), json!(["ALL"])), json!(["CHOWN", "KILL"]));
    let fewer = given(json!(null), json!(["CAP_NET_RAW", "CAP_SETUID", "mknod"]));
    assert_eq!(fewer.as_array().unwrap().len(), 9);
}

/// Of what an image says, too, no card comes: its words stand below these.
#[test]
fn a_container_has_exactly_the_cards_that_it_was_given_by_name() {
    let pc = pc();
    let asked = |runtime: &str, env: Value| {
        let mut asked = plain(pc.path());
        (asked["HostConfig"]["Runtime"], asked["Env"]) = (json!(runtime), env);
        built(&pc, &asked).map(|built| (built["HostConfig"]["Runtime"].clone(), built["Env"].clone()))
    };
    let card = format!("NVIDIA_VISIBLE_DEVICES={CARD}");
    let void = "NVIDIA_VISIBLE_DEVICES=void";

    for runtime in ["", "runc"] {
        for env in [json!([]), json!([card]), json!(["NVIDIA_VISIBLE_DEVICES=void"])] {
            assert_eq!(asked(runtime, env).unwrap(), (json!("runc"), json!([void])), "{runtime}");
        }
    }
    let others = ["GDRCOPY", "GDS", "MOFED", "NVSWITCH"].map(|other| format!("NVIDIA_{other}=disabled"));
    let with_card = |devices: &str, able: &str| {
        let able = format!("NVIDIA_DRIVER_CAPABILITIES={able}");
        let env: Vec<&str> = [devices, &able].into_iter().chain(others.iter().map(String::as_str)).collect();
        (json!("nvidia"), json!(env))
    };
    assert_eq!(asked("nvidia", json!([])).unwrap(), with_card(void, "compute,utility"));
    assert_eq!(asked("nvidia", json!([card])).unwrap(), with_card(&card, "compute,utility"));
    let all = json!([card, "NVIDIA_DRIVER_CAPABILITIES=all"]);
    assert_eq!(asked("nvidia", all).unwrap(), with_card(&card, "compute,graphics,utility,video"));
    for (env, told) in [
        (json!(["NVIDIA_VISIBLE_DEVICES=all"]), "NVIDIA_VISIBLE_DEVICES"),
        (json!(["NVIDIA_VISIBLE_DEVICES=0"]), "NVIDIA_VISIBLE_DEVICES"),
        (json!(["NVIDIA_VISIBLE_DEVICES=GPU-5a4f3c2e"]), "NVIDIA_VISIBLE_DEVICES"),
        (json!(["NVIDIA_VISIBLE_DEVICES=MIG-1"]), "NVIDIA_VISIBLE_DEVICES"),
        (json!([format!("{card},1")]), "NVIDIA_VISIBLE_DEVICES"),
        (json!([card, "NVIDIA_VISIBLE_DEVICES=all"]), "NVIDIA_VISIBLE_DEVICES"),
        (json!(["NVIDIA_DRIVER_CAPABILITIES=display"]), "NVIDIA_DRIVER_CAPABILITIES"),
        (json!(["NVIDIA_MIG_CONFIG_DEVICES=all"]), "an NVIDIA_ variable that is not known"),
        (json!(["NVIDIA_GDS=enabled"]), "an NVIDIA_ variable that is not known"),
        (json!(["LD_PRELOAD=/x.so"]), "LD_PRELOAD or LD_AUDIT beside a graphics card"),
    ] {
        let refused = asked("nvidia", env.clone()).expect_err("refused").to_string();
        assert_eq!(refused, format!("this PC does not allow {told}"), "{env}");
    }
    assert!(asked("", json!(["LD_PRELOAD=/x.so"])).is_ok());
}

#[test]
fn what_an_image_brings_of_itself_is_looked_at_too() {
    let pc = pc();
    let of = |runtime: &str, config: Value| {
        let mut asked = plain(pc.path());
        asked["HostConfig"]["Runtime"] = json!(runtime);
        let rules = rules(pc.path(), &[]);
        let container = Container::read(asked.to_string().as_bytes(), rules).unwrap();
        container.made_of("sha256:4567", &config).map(|made| made.image().to_owned())
    };

    assert_eq!(of("", json!({"Env": ["LD_PRELOAD=x"], "WorkingDir": "/srv"})), Ok("sha256:4567".to_owned()));
    for (runtime, config) in [
        ("", json!({"Labels": {"a": "x".repeat(1024 * 1024)}})),
        ("", json!({"WorkingDir": "/proc/self/fd/8"})),
        ("", json!({"WorkingDir": "//./proc/self/fd/8"})),
        ("", json!({"WorkingDir": "/srv/../proc/self/fd/8"})),
        ("nvidia", json!({"Env": ["LD_PRELOAD=x"]})),
        ("nvidia", json!({"Env": ["NVIDIA_IMEX_CHANNELS=all"]})),
    ] {
        assert!(of(runtime, config.clone()).is_err(), "{config}");
    }
}

#[test]
fn a_port_is_published_on_this_pcs_loopback_or_not_at_all() {
    let pc = pc();
    let of = |bindings: Value| {
        let mut asked = plain(pc.path());
        asked["ExposedPorts"] = json!({"80/tcp": {}, "80/udp": {}});
        asked["HostConfig"]["PortBindings"] = bindings;
        built(&pc, &asked)
    };
    let at = |ip: &str, port: &str| json!({"80/tcp": [{"HostIp": ip, "HostPort": port}]});

    let loopback = at("127.0.0.1", "23456");
    assert_eq!(of(loopback.clone()).unwrap()["HostConfig"]["PortBindings"], loopback);
    for elsewhere in ["", "0.0.0.0", "192.168.0.2", "::", "::1", "127.0.0.2"] {
        let built = of(at(elsewhere, "23456")).unwrap();
        assert_eq!(built["HostConfig"]["PortBindings"], json!({}), "{elsewhere}");
        assert_eq!(built["ExposedPorts"], json!({"80/tcp": {}, "80/udp": {}}));
    }
    for port in ["", "0", "22", "80-90", "99999"] {
        assert!(of(at("127.0.0.1", port)).is_err(), "{port}");
    }
    assert!(of(json!({"80/sctp": []})).is_err() && of(json!({"080/tcp": []})).is_err());
}

/// The engine lists it with all containers, each time that somebody asks for these.
#[test]
fn a_description_that_would_swell_the_engines_list_is_refused_and_a_large_environment_is_not() {
    let pc = pc();
    let much = "x".repeat(512 * 1024);
    let many: Vec<String> = (0..20_000).map(|number| format!("argument {number}")).collect();

    for (name, value) in
        [("Cmd", json!([much])), ("Cmd", json!(many)), ("Entrypoint", json!(many)), ("User", json!(much))]
            .into_iter()
            .chain([
                ("ExposedPorts", json!({much.as_str(): {}})),
                ("WorkingDir", json!(format!("/../{much}"))),
            ])
    {
        let mut asked = plain(pc.path());
        asked[name] = value;
        assert!(built(&pc, &asked).is_err(), "{name}");
    }
    let mut honest = plain(pc.path());
    honest["Labels"]["com.example"] = json!(much);
    honest["Cmd"] = json!(["/bin/sh", "-c", "x".repeat(64 * 1024)]);
    honest["Env"] = json!([format!("LONG={much}")]);
    let built = built(&pc, &honest).unwrap();
    assert_eq!(built["Labels"].as_object().unwrap().len(), 5, "a job's own are left out");
}

#[test]
fn a_name_in_other_capitals_or_twice_is_no_way_around() {
    let pc = pc();

    let mut small = plain(pc.path());
    small["HostConfig"]["networkMODE"] = json!("host");
    assert_eq!(rule(&built(&pc, &small)), "this PC does not allow NetworkMode");
    small["HostConfig"].as_object_mut().unwrap().remove("NetworkMode");
    assert_eq!(rule(&built(&pc, &small)), "this PC does not allow NetworkMode");
    // Letters that are no others to the engine: the long s, the sign of kelvin.
    for (name, value) in [
        ("Networ\u{212a}Mode", json!("host")),
        ("Bind\u{17f}", json!(["/etc:/etc"])),
        ("Device\u{17f}", json!([{"PathOnHost": "/dev/sda"}])),
        ("privileged", json!(true)),
    ] {
        assert!(with(&pc, name, value).is_err(), "{name}");
    }
    let host = plain(pc.path())["HostConfig"].to_string();
    let twice = format!("{{\"HostConfig\": {host}, \"HostConfig\": {host}}}");
    let rules = rules(pc.path(), &[]);
    assert!(Container::read(twice.as_bytes(), rules).is_err());
}

/// As older engines do, which look at the top where there is no inner one.
#[test]
fn what_an_older_engine_would_look_for_outside_its_place_is_not_let_in() {
    let pc = pc();

    for (name, value) in [
        ("Privileged", json!(true)),
        ("Binds", json!(["/:/host"])),
        ("NetworkMode", json!("host")),
        ("VolumeDriver", json!("somebodys")),
        ("Volumes", json!({"/host": {}})),
        ("NetworkDisabled", json!(true)),
        ("MacAddress", json!("02:42:00:00:00:01")),
        ("OnBuild", json!(["RUN x"])),
        ("StopSignal", json!("SIGKILL")),
    ] {
        let mut asked = plain(pc.path());
        asked[name] = value;
        assert_eq!(rule(&built(&pc, &asked)), format!("this PC does not allow {name}"));
    }
    for host in [json!(null), json!([]), json!("x")] {
        let mut asked = plain(pc.path());
        asked["HostConfig"] = host;
        assert!(built(&pc, &asked).is_err(), "{asked}");
    }
}

#[test]
fn a_field_that_nobody_knows_is_refused_by_its_name_and_is_left_out_where_it_says_nothing() {
    let pc = pc();

    for nothing in [json!(null), json!(false), json!(0), json!(""), json!([]), json!({}), json!([0, 0])] {
        let built = with(&pc, "FromTheFuture", nothing).unwrap();
        assert_eq!(built["HostConfig"]["FromTheFuture"], Value::Null);
        assert!(!built.to_string().contains("FromTheFuture"));
    }
    let refused = with(&pc, "FromTheFuture", json!("planted"));
    assert_eq!(rule(&refused), "this PC does not allow FromTheFuture");
    for hostile in ["a\nb", "with a space", &"x".repeat(40)] {
        assert_eq!(rule(&with(&pc, hostile, json!(1))), "this PC does not allow a field that nobody knows");
    }
}

#[test]
fn a_program_in_a_container_gets_a_command_and_a_terminal_and_no_other_user() {
    let read = |asked: Value| Program::read(asked.to_string().as_bytes()).map(|program| json!(program));
    let plain = json!({
        "User": "", "Privileged": false, "Tty": true, "ConsoleSize": [24, 80], "AttachStdin": true,
        "AttachStderr": true, "AttachStdout": true, "DetachKeys": "", "Env": null, "WorkingDir": "",
        "Cmd": ["sh"],
    });

    let built =
        json!({"Cmd": ["sh"], "Tty": true, "AttachStdin": true, "AttachStdout": true, "AttachStderr": true});
    assert_eq!(read(plain.clone()).unwrap(), built);
    for (name, value) in [
        ("Privileged", json!(true)),
        ("User", json!("root")),
        ("Env", json!(["LD_PRELOAD=x"])),
        ("WorkingDir", json!("/proc/self/fd/8")),
        ("DetachKeys", json!("ctrl-a")),
    ] {
        let mut asked = plain.clone();
        asked[name] = value;
        assert_eq!(read(asked).unwrap_err().to_string(), format!("this PC does not allow {name}"));
    }
    let start = |asked: Value| Terminal::read(asked.to_string().as_bytes());
    assert_eq!(json!(start(json!({"Detach": false, "Tty": true})).unwrap()), json!({"Tty": true}));
    assert!(start(json!({"Detach": true})).is_err());
}

fn asks(method: &Method, target: &str) -> Result<(Route, String), Refusal> {
    let way = way(method, &target.parse::<Uri>().unwrap())?;
    Ok((way.route, way.target))
}

#[test]
fn only_the_drivers_own_requests_have_a_way_through_and_each_is_written_anew() {
    let get = |target: &str| asks(&Method::GET, target).map(|(_, target)| target);
    let post = |target: &str| asks(&Method::POST, target);
    let delete = |target: &str| asks(&Method::DELETE, target).map(|(_, target)| target);

    assert_eq!(asks(&Method::HEAD, "/_ping").unwrap().1, "/_ping");
    for same in [
        "/v1.41/version",
        "/v1.52/images/registry.example/a/b:1/json",
        "/v1.40/containers/abc/logs?follow=1&since=1&stderr=1&stdout=1",
        "/v1.55/containers/abc/stats?stream=false",
        "/v1.41/exec/abc/json",
    ] {
        assert_eq!(get(same).as_deref(), Ok(same));
    }
    let (route, target) = post("/v1.41/containers/create?name=work-1").unwrap();
    assert_eq!((route, &*target), (Route::Create(Some("work-1".to_owned())), "/v1.41/containers/create"));
    assert_eq!(post("/v1.41/containers/abc/start").unwrap().0, Route::Start("abc".to_owned()));
    // Those of jobs; with what it wrote; without the owner's names for it.
    let label = "%7B%22label%22%3A%5B%22com.hashicorp.nomad.alloc_id%22%5D%7D";
    assert_eq!(
        get("/v1.41/containers/json?all=1&filters=x").unwrap(),
        format!("/v1.41/containers/json?all=1&filters={label}")
    );
    assert_eq!(delete("/v1.41/containers/abc?force=1").unwrap(), "/v1.41/containers/abc?force=1&v=1");
    assert_eq!(delete("/v1.41/images/sha256:01?force=1").unwrap(), "/v1.41/images/sha256:01");
    let pull = post("/v1.44/images/create?fromImage=nvcr.io%2Fnvidia%2Fcuda&tag=12").unwrap().0;
    assert_eq!(pull, Route::Pull("nvcr.io/nvidia/cuda:12".to_owned()));
    let pull = post("/v1.44/images/create?fromImage=redis&tag=sha256%3A0123").unwrap().0;
    assert_eq!(pull, Route::Pull("redis@sha256:0123".to_owned()));
}

const FOREIGN: &str = "
GET /v1.39/version
GET /v1.56/version
GET /v1.041/version
GET /v2.41/version
GET /version
GET /info
POST /containers/create
POST /v1.24/containers/abc/start
GET /v1.41/_ping
GET /v1.41/volumes
GET /v1.41/containers/abc/archive
GET /v1.41/containers/abc/export
GET /v1.41/containers/..%2f..%2finfo/json
GET /v1.41/containers/abc%20/json
GET /v1.41/containers//json
GET /v1.41/images/json
GET /v1.41/images/a/../b/json
GET /v1.41/images/get?names=x
GET /v1.41/events
GET /v1.41/secrets
POST /v1.41/build
POST /v1.41/images/load?quiet=1
POST /v1.41/images/create?fromSrc=-&repo=x
POST /v1.41/images/create?fromImage=sha256:01
POST /v1.41/images/create?fromImage=x&platform=linux/arm
POST /v1.41/images/create?fromImage=x&fromImage=y
POST /v1.41/images/x/tag?repo=y
POST /v1.41/images/x/push
POST /v1.41/volumes/create
POST /v1.41/networks/create
POST /v1.41/containers/abc/update
POST /v1.41/containers/abc/attach
POST /v1.41/containers/abc/start?checkpoint=x
POST /v1.41/containers/abc/rename?name=x
POST /v1.41/containers/create?platform=x
POST /v1.41/commit
PUT /v1.41/containers/abc/archive
DELETE /v1.41/containers/abc?link=1
DELETE /v1.41/volumes/x
HEAD /v1.41/info
";

#[test]
fn another_version_another_parameter_and_another_request_have_none() {
    for (method, target) in FOREIGN.lines().filter_map(|line| line.split_once(' ')) {
        let refused = asks(&method.parse().unwrap(), target).expect_err(target);
        assert!(!refused.to_string().contains("abc"), "{target}: {refused}");
    }
}

/// What a field may hold: what is taken, what is not, and anything.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0..200i64).prop_map(|mib| Value::from(mib * MIB)),
        prop::sample::select(vec![
            "", "host", "none", "nvidia", "runc", "private", "CHOWN", "80/tcp", "1", "tmpfs"
        ])
        .prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    let name = prop::sample::select(vec![
        "Type", "Name", "Target", "HostIp", "HostPort", "Soft", "Hard", "80/tcp", "x",
    ]);
    leaf.prop_recursive(2, 12, 3, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..3).prop_map(|fields| fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}

const TOP: [&str; 12] = [
    "Image",
    "Cmd",
    "Entrypoint",
    "Env",
    "User",
    "WorkingDir",
    "Hostname",
    "Tty",
    "OpenStdin",
    "Labels",
    "Healthcheck",
    "ExposedPorts",
];
const HOST: [&str; 23] = [
    "Binds",
    "Mounts",
    "Memory",
    "MemorySwap",
    "CpuShares",
    "CpuPeriod",
    "CpuQuota",
    "CpusetCpus",
    "PidsLimit",
    "ShmSize",
    "Ulimits",
    "OomScoreAdj",
    "LogConfig",
    "CapDrop",
    "CapAdd",
    "SecurityOpt",
    "IpcMode",
    "CgroupnsMode",
    "NetworkMode",
    "PortBindings",
    "ExtraHosts",
    "Runtime",
    "Init",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn whatever_is_asked_the_engine_hears_of_known_fields_alone_and_the_same_once_more(
        top in prop::collection::vec((prop::sample::select(TOP.to_vec()), any_value()), 0..3),
        host in prop::collection::vec((prop::sample::select(HOST.to_vec()), any_value()), 0..4),
        other in prop::option::of(("[A-Za-z]{1,12}", any_value())),
    ) {
        let pc = pc();
        let mut asked = plain(pc.path());
        for (name, value) in top {
            asked[name] = value;
        }
        for (name, value) in host {
            asked["HostConfig"][name] = value;
        }
        if let Some((name, value)) = other {
            asked["HostConfig"][name] = value;
        }
        if let Ok(made) = built(&pc, &asked) {
            let known = |name: &String| TOP.contains(&name.as_str()) || name == "HostConfig";
            prop_assert!(made.as_object().unwrap().keys().all(known), "{made}");
            let host = made["HostConfig"].as_object().unwrap();
            let known = |name: &String| HOST.contains(&name.as_str()) || name == "ReadonlyRootfs";
            prop_assert!(host.keys().all(known), "{made}");
            for limit in ["Memory", "MemorySwap", "PidsLimit", "ShmSize"] {
                prop_assert!(host[limit].as_i64().unwrap() > 0);
            }
            prop_assert_eq!(&host["CapDrop"], &json!(["ALL"]));
            prop_assert_eq!(host["SecurityOpt"].as_array().unwrap().len(), 2);
            prop_assert_eq!(built(&pc, &made), Ok(made));
        }
    }

    #[test]
    fn no_bytes_are_read_as_a_container_that_was_not_described(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let pc = pc();
        let rules = rules(pc.path(), &[]);
        prop_assert!(Container::read(&bytes, rules).is_err());
    }
}
