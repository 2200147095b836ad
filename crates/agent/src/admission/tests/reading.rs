//! What is read otherwise than it was meant, and what has no way through.

use hyper::{Method, Uri};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

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
