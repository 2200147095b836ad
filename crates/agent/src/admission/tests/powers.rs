//! What a job asks for itself: limits, powers, cards, ports.

use serde_json::{Value, json};

use super::*;

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
    ] {
        let refused = asked("nvidia", env.clone()).expect_err("refused").to_string();
        assert_eq!(refused, format!("this PC does not allow {told}"), "{env}");
    }
}

const LOADER: &str = "a loader's variable that leads to its own code beside a graphics card";

/// Who hands a card over runs outside of the container, in its folder and with its environment.
#[test]
fn beside_a_card_no_loaders_variable_leads_back_into_the_container() {
    let pc = pc();
    let asked = |runtime: &str, variable: &str| {
        let mut asked = plain(pc.path());
        asked["HostConfig"]["Runtime"] = json!(runtime);
        asked["Env"] = json!([variable]);
        built(&pc, &asked)
    };
    for variable in [
        "LD_PRELOAD=/x.so",
        "LD_AUDIT=x.so",
        "GLIBC_TUNABLES=glibc.rtld.nns=1",
        "LD_LIBRARY_PATH=/proc/self/cwd",
        "LD_LIBRARY_PATH=lib",
        "LD_LIBRARY_PATH=/usr/local/nvidia/lib:",
        "LD_LIBRARY_PATH=/usr/../proc/self/cwd",
    ] {
        let refused = asked("nvidia", variable).expect_err(variable).to_string();
        assert_eq!(refused, format!("this PC does not allow {LOADER}"));
        assert!(asked("", variable).is_ok(), "{variable} without a card");
    }
    assert!(asked("nvidia", "LD_LIBRARY_PATH=/usr/local/nvidia/lib:/usr/local/nvidia/lib64").is_ok());
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
        ("nvidia", json!({"Env": ["LD_LIBRARY_PATH=/proc/self/cwd"]})),
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
