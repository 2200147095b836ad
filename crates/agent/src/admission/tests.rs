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

/// The engine lists it with all containers, each time that somebody asks for these.
#[test]
fn a_description_that_would_swell_the_engines_list_is_refused_and_a_large_environment_is_not() {
    let pc = pc();
    let much = "x".repeat(1024 * 1024);
    let many: Vec<String> = (0..20_000).map(|number| format!("argument {number}")).collect();

    for (name, value) in [
        ("Labels", json!({"com.example": much})),
        ("Labels", json!({much.as_str(): ""})),
        ("labels", json!({"com.example": much})),
        ("Cmd", json!([much])),
        ("Cmd", json!(many)),
        ("Entrypoint", json!(many)),
        ("ExposedPorts", json!({much.as_str(): {}})),
    ] {
        let mut asked = plain(pc.path());
        asked.as_object_mut().unwrap().remove("Labels");
        asked[name] = value;
        let refused = container(&asked, pc.path()).expect_err(name).to_string();
        assert!(refused.contains("128 KiB"), "{name}: {refused}");
    }
    for field in ["Tmpfs", "Annotations", "Sysctls"] {
        assert!(with(&pc, field, json!({"x": much})).is_err(), "{field}");
    }
    let mut honest = plain(pc.path());
    honest["Cmd"] = json!(["/bin/sh", "-c", "x".repeat(64 * 1024)]);
    honest["Env"] = json!([format!("LONG={}", "x".repeat(512 * 1024))]);
    assert_eq!(container(&honest, pc.path()), Ok(()));
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
    for named in
        [plain, json!({"HostConfig": {"Runtime": "nvidia"}}), json!({"HostConfig": {"runtime": "nvidia"}})]
    {
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
