use serde_json::{Value, json};

use super::*;

const RTX: &str = "nvidia-geforce-rtx-4090";

fn tags() -> Tags {
    let tags = [
        ("ionet.os", "linux"),
        (CARD, RTX),
        ("ionet.gpu_memory_gb", "24"),
        (CARD_COUNT, "1"),
        ("ionet.cuda", "12.4"),
        ("ionet.driver", "550.54.14"),
    ];
    tags.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn allocation(job: Value) -> AllocationFull {
    serde_json::from_value(json!({ "ClientStatus": "running", "TaskGroup": "g", "Job": job })).unwrap()
}

fn demand_of(left: &str, operand: &str, right: &str) -> Demand {
    let wish = json!({ "LTarget": left, "Operand": operand, "RTarget": right });
    allocation(json!({ "Constraints": [wish] })).demand(&tags())
}

#[test]
fn a_demand_for_a_card_is_known_in_every_spelling() {
    let card = Demand::Card(RTX.to_owned());
    for (left, operand, right) in [
        ("${meta.ionet.gpu}", "=", RTX),
        ("${meta.ionet.gpu}", "is", RTX),
        (RTX, "==", "${meta.ionet.gpu}"),
        ("${meta.ionet.gpu}", "regexp", "rtx-40[89]0$"),
        ("${meta.ionet.gpu}", "set_contains", RTX),
        ("${meta.ionet.gpu}", "set_contains_any", "nvidia-h100, nvidia-geforce-rtx-4090"),
        ("${meta.ionet.gpu}", "is_set", ""),
        ("${meta.ionet.gpu_memory_gb}", ">=", "20"),
        ("16", "<", "${meta.ionet.gpu_memory_gb}"),
        ("${meta.ionet.gpu_count}", ">", "0"),
        ("${meta.ionet.gpu_count}", "!=", "0"),
        ("${meta.ionet.cuda}", "version", ">= 12.0"),
        ("${meta.ionet.driver}", "semver", ">= 535.0.0"),
    ] {
        assert_eq!(demand_of(left, operand, right), card, "{left} {operand} {right}");
    }
}

#[test]
fn what_a_node_without_a_card_could_meet_demands_none() {
    for (left, operand, right) in [
        ("${meta.ionet.os}", "=", "linux"),
        ("${meta.ionet.gpu}", "!=", "nvidia-geforce-gtx-1060"),
        ("${meta.ionet.gpu}", "is_not_set", ""),
        ("${meta.ionet.gpu_count}", "<=", "4"),
        ("${attr.kernel.name}", "=", "linux"),
        ("${meta.ionet.gpu}", "distinct_hosts", "true"),
    ] {
        assert_eq!(demand_of(left, operand, right), Demand::None, "{left} {operand} {right}");
    }
}

#[test]
fn more_regular_expressions_than_a_job_needs_are_not_read() {
    let asks = |count: usize, right: &str| {
        let wish = json!({ "LTarget": "${meta.ionet.gpu}", "Operand": "regexp", "RTarget": right });
        let job = json!({
            "Constraints": vec![wish.clone(); count / 2],
            "TaskGroups": [{ "Name": "g", "Affinities": vec![wish; count - count / 2] }],
        });
        allocation(job).demand(&tags())
    };

    assert_eq!(asks(MOST_PATTERNS, "rtx"), Demand::Card(RTX.to_owned()));
    assert_eq!(asks(MOST_PATTERNS + 1, "rtx"), Demand::Unclear);
    assert_eq!(asks(10_000, "(\\w{30}){30}"), Demand::Unclear);
    assert_eq!(asks(2, &"rtx|".repeat(LONGEST_PATTERNS / 4)), Demand::Unclear);
}

#[test]
fn a_pattern_that_a_tag_holds_counts_by_its_own_length() {
    let mut tags = tags();
    tags.insert("ionet.gpu_note".to_owned(), "x".repeat(LONGEST_PATTERNS + 1));
    let wish = json!({ "LTarget": RTX, "Operand": "regexp", "RTarget": "${meta.ionet.gpu_note}" });

    assert_eq!(allocation(json!({ "Constraints": [wish] })).demand(&tags), Demand::Unclear);
}

#[test]
fn a_card_that_the_job_names_counts_whatever_the_node_says() {
    assert_eq!(demand_of("${meta.ionet.gpu}", "=", "nvidia-h100"), Demand::Card("nvidia-h100".to_owned()));
}

#[test]
fn a_node_whose_tag_the_job_does_not_admit_is_unclear() {
    assert_eq!(demand_of("${meta.ionet.gpu}", "regexp", "^nvidia-h100"), Demand::Unclear);
    let wish = json!({ "LTarget": "${meta.ionet.gpu_memory_gb}", "Operand": ">=", "RTarget": "20" });
    assert_eq!(allocation(json!({ "Constraints": [wish] })).demand(&Tags::new()), Demand::Unclear);
}

#[test]
fn wishes_of_the_group_and_its_tasks_count_and_those_of_other_groups_do_not() {
    let wish = json!({ "LTarget": "${meta.ionet.gpu}", "Operand": "is_set" });
    let group = |name: &str| json!({ "Name": name, "Tasks": [{ "Constraints": [wish] }] });

    let own = allocation(json!({ "TaskGroups": [group("g")] })).demand(&tags());
    let other = allocation(json!({ "TaskGroups": [group("h")] })).demand(&tags());

    assert_eq!((own, other), (Demand::Card(RTX.to_owned()), Demand::None));
}

fn demand_of_task(task: Value) -> Demand {
    let group = json!({ "Name": "g", "Tasks": [{ "Name": "beside", "Env": null, "Config": null }, task] });
    allocation(json!({ "TaskGroups": [group] })).demand(&tags())
}

#[test]
fn a_task_that_takes_the_card_from_the_engine_is_on_its_nodes_card() {
    for task in [
        json!({ "Config": { "image": "i", "runtime": "nvidia" } }),
        json!({ "Config": { "runtime": "nvidia" }, "Env": { "NVIDIA_VISIBLE_DEVICES": "all" } }),
        json!({ "Config": { "runtime": "nvidia" }, "Env": { "NVIDIA_VISIBLE_DEVICES": "${meta.cards}" } }),
        json!({ "Config": { "runtime": "nvidia" }, "Env": { "NVIDIA_VISIBLE_DEVICES": "void" },
            "Templates": [{ "Envvars": false }, { "EmbeddedTmpl": "NVIDIA_VISIBLE_DEVICES=all", "Envvars": true }] }),
        json!({ "Config": { "devices": [{ "host_path": "/dev/nvidia0" }, { "host_path": "/dev/nvidiactl" }] } }),
        json!({ "Config": { "devices": { "host_path": "//dev/nvidia0" } } }),
        json!({ "Config": { "runtime": "runc", "devices": [{ "host_path": "/dev/nvidia0" }] } }),
        json!({ "Config": { "devices": [{ "host_path": "/dev/nvidia0" }] }, "Env": { "NVIDIA_VISIBLE_DEVICES": "void" } }),
    ] {
        assert_eq!(demand_of_task(task.clone()), Demand::Taken(RTX.to_owned()), "{task}");
    }
}

#[test]
fn a_task_that_leaves_the_card_alone_demands_none() {
    for task in [
        json!({ "Config": { "runtime": "runc" } }),
        json!({ "Config": { "runtime": null, "devices": null }, "Env": {} }),
        json!({ "Config": { "runtime": "nvidia" }, "Env": { "NVIDIA_VISIBLE_DEVICES": "void" } }),
        json!({ "Config": { "runtime": "nvidia" }, "Env": { "NVIDIA_VISIBLE_DEVICES": "none" } }),
        json!({ "Config": { "runtime": "nvidia" }, "Env": { "NVIDIA_VISIBLE_DEVICES": "" } }),
        json!({ "Config": { "runtime": "nvidia" }, "Env": { "NVIDIA_VISIBLE_DEVICES": "void" },
            "Templates": [{ "Envvars": false }, { "Envvars": null }] }),
        json!({ "Config": { "runtime": "runc" }, "Env": { "NVIDIA_VISIBLE_DEVICES": "all" } }),
        json!({ "Config": { "runtime": "" }, "Env": { "NVIDIA_VISIBLE_DEVICES": "GPU-12345678" } }),
        json!({ "Config": {}, "Env": { "NVIDIA_VISIBLE_DEVICES": 0 }, "Templates": [{ "Envvars": true }] }),
        json!({ "Config": { "runtime": "${meta.r}" }, "Env": { "NVIDIA_VISIBLE_DEVICES": "void" } }),
        json!({ "Config": { "devices": [{ "host_path": "/dev/fuse" }], "args": ["nvidia"] } }),
        json!({ "Env": { "NVIDIA_DRIVER_CAPABILITIES": "compute", "nvidia_visible_devices": "all" } }),
    ] {
        assert_eq!(demand_of_task(task.clone()), Demand::None, "{task}");
    }
}

#[test]
fn a_task_whose_words_only_its_pc_can_tell_is_unclear() {
    for task in [
        json!({ "Config": { "runtime": "${meta.r}" } }),
        json!({ "Config": { "runtime": "${meta.r}" }, "Env": { "NVIDIA_VISIBLE_DEVICES": "0" } }),
        json!({ "Config": { "runtime": "nvi%{ if true }dia%{ endif }" } }),
        json!({ "Config": { "runtime": ["nvidia"] } }),
        json!({ "Config": { "devices": [{ "host_path": "${NOMAD_META_d}" }] } }),
        json!({ "Config": { "devices": [7] } }),
        json!({ "Config": { "devices": "${NOMAD_META_d}" } }),
    ] {
        assert_eq!(demand_of_task(task.clone()), Demand::Unclear, "{task}");
    }
}

#[test]
fn a_task_that_takes_a_card_on_a_node_that_names_none_is_unclear_and_one_of_another_group_takes_nothing() {
    let group = |name: &str| {
        let task = json!({ "Config": { "runtime": "nvidia" } });
        allocation(json!({ "TaskGroups": [{ "Name": name, "Tasks": [task] }] }))
    };

    assert_eq!(group("g").demand(&Tags::new()), Demand::Unclear);
    assert_eq!(group("h").demand(&tags()), Demand::None);
}

#[test]
fn a_preference_counts_where_it_was_met() {
    let wish = |card: &str, weight: i64| {
        let wish =
            json!({ "LTarget": "${meta.ionet.gpu}", "Operand": "=", "RTarget": card, "Weight": weight });
        allocation(json!({ "Affinities": [wish] })).demand(&tags())
    };

    assert_eq!(wish(RTX, 50), Demand::Card(RTX.to_owned()));
    assert_eq!(wish(RTX, -50), Demand::None);
    assert_eq!(wish("nvidia-h100", 50), Demand::None);
}

#[test]
fn a_card_that_the_scheduler_assigned_counts_first() {
    let mut placed = allocation(json!({ "Constraints": null }));
    placed.allocated_resources = serde_json::from_value(json!({
        "Tasks": { "t": { "Devices": [{ "Vendor": "nvidia", "Type": "gpu", "Name": "NVIDIA H100", "DeviceIDs": ["x"] }] } }
    }))
    .unwrap();

    assert_eq!(placed.demand(&tags()), Demand::Given(vec!["nvidia-h100".to_owned()]));
}

#[test]
fn each_card_that_the_scheduler_assigned_counts_and_other_devices_do_not() {
    let mut placed = allocation(json!({ "Constraints": null }));
    placed.allocated_resources = serde_json::from_value(json!({ "Tasks": {
        "t": { "Devices": [
            { "Type": "gpu", "Name": "NVIDIA H100", "DeviceIDs": ["x", "y"] },
            { "Type": "fpga", "Name": "F1", "DeviceIDs": ["f"] },
        ] },
        "u": { "Devices": [{ "Type": "gpu", "Name": "NVIDIA GeForce RTX 4090", "DeviceIDs": ["z"] }] },
        "v": { "Devices": null },
    } }))
    .unwrap();

    let given = ["nvidia-h100", "nvidia-h100", RTX].map(str::to_owned).to_vec();
    assert_eq!(placed.demand(&tags()), Demand::Given(given));
}

#[test]
fn on_a_node_whose_cards_the_scheduler_gives_nobody_else_has_one_whatever_they_ask() {
    let mut tags = tags();
    tags.insert(GIVES.to_owned(), "1".to_owned());
    let wish = json!({ "LTarget": "${meta.ionet.gpu}", "Operand": "=", "RTarget": RTX });
    let takes = json!({ "Config": { "runtime": "nvidia" } });

    for job in [
        json!({ "Constraints": [wish] }),
        json!({ "Affinities": [wish] }),
        json!({ "TaskGroups": [{ "Name": "g", "Tasks": [takes] }] }),
        json!({ "TaskGroups": [{ "Name": "g", "Tasks": [{ "Config": { "runtime": "${meta.r}" } }] }] }),
    ] {
        assert_eq!(allocation(job.clone()).demand(&tags), Demand::None, "{job}");
    }
}

#[test]
fn the_recorded_allocation_asks_for_no_card() {
    let text = include_str!("../../../../../tests/contract/recordings/alloc.json");
    let recorded: AllocationFull = serde_json::from_str(text).unwrap();

    assert_eq!(recorded.demand(&tags()), Demand::None);
}
