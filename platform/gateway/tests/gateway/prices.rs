use ionet_gateway_api::DeviceState;
use serde_json::{Value, json};

use crate::metering::{SECOND, on_one_day};
use crate::stand::Stand;

const RTX: &str = "nvidia-geforce-rtx-4090";

async fn priced_stand() -> Stand {
    let stand = Stand::start_with(|config| {
        config.prices.gpus.insert(RTX.to_owned(), 7_200_000);
    })
    .await;
    stand.until_following().await;
    stand
}

/// A job with this constraint, on a node that says it has the card: what ten seconds of it earn.
async fn earns(
    stand: &Stand,
    pc: &crate::stand::Pc,
    day: i64,
    id: &str,
    constraint: Option<Value>,
) -> String {
    let job = json!({ "Constraints": constraint.map(|c| json!([c])), "TaskGroups": [{ "Name": "g" }] });
    earns_by(stand, pc, day, id, job).await
}

async fn earns_by(stand: &Stand, pc: &crate::stand::Pc, day: i64, id: &str, job: Value) -> String {
    earns_as(stand, pc, day, id, json!({ "Job": job })).await
}

/// As the servers recorded its placement.
async fn earns_as(stand: &Stand, pc: &crate::stand::Pc, day: i64, id: &str, mut placed: Value) -> String {
    for (field, value) in
        [("CreateTime", json!(day)), ("ModifyTime", json!(day)), ("ClientStatus", json!("running"))]
    {
        placed[field] = value;
    }
    stand.region.allocation(id, "n-1", placed);
    // Only what the servers were heard to record as running is paid.
    let runs = |state: &DeviceState| state.allocations.iter().any(|a| a.id == id && a.status == "running");
    stand.until(pc, runs).await;
    let end = json!({ "ClientStatus": "complete", "ModifyTime": day + 10 * SECOND });
    stand.region.allocation(id, "n-1", end);
    let over = |state: &DeviceState| state.allocations.iter().any(|a| a.id == id && a.status == "complete");
    let state = stand.until(pc, over).await;
    state.allocations.into_iter().find(|a| a.id == id).unwrap().earned
}

fn constraint(left: &str, operand: &str, right: &str) -> Option<Value> {
    Some(json!({ "LTarget": left, "Operand": operand, "RTarget": right }))
}

#[tokio::test]
async fn the_price_is_that_of_the_card_that_the_job_was_placed_for_however_it_asked() {
    on_one_day(async |day| {
        let stand = priced_stand().await;
        let pc = stand.enrol("alice").await;
        let tags = json!({ "ionet.gpu": RTX, "ionet.gpu_memory_gb": "24", "ionet.gpu_count": "1", "ionet.os": "linux" });
        stand.region.node("n-1", pc.id(), json!({ "Meta": tags }));
        stand.until(&pc, |state| state.node.is_some()).await;

        let asks = [
            constraint("${meta.ionet.gpu}", "=", RTX),
            constraint(RTX, "=", "${meta.ionet.gpu}"),
            constraint("${meta.ionet.gpu}", "regexp", "rtx-(4090|5090)$"),
            constraint("${meta.ionet.gpu}", "set_contains_any", &format!("nvidia-h100,{RTX}")),
            constraint("${meta.ionet.gpu_memory_gb}", ">=", "20"),
            constraint("${meta.ionet.gpu_count}", ">", "0"),
        ];
        for (number, asked) in asks.into_iter().enumerate() {
            let earned = earns(&stand, &pc, day, &format!("a-{number}"), asked.clone()).await;
            assert_eq!(earned, "0.020000", "{asked:?}");
        }
        for (number, asked) in [None, constraint("${meta.ionet.os}", "=", "linux")].into_iter().enumerate() {
            let earned = earns(&stand, &pc, day, &format!("b-{number}"), asked.clone()).await;
            assert_eq!(earned, "0.010000", "{asked:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_job_that_takes_the_card_without_a_word_about_it_is_priced_as_its_nodes_card() {
    on_one_day(async |day| {
        let stand = priced_stand().await;
        let pc = stand.enrol("alice").await;
        stand.region.node("n-1", pc.id(), json!({ "Meta": { "ionet.gpu": RTX } }));
        stand.until(&pc, |state| state.node.is_some()).await;
        let of_tasks = |tasks: Value| json!({ "TaskGroups": [{ "Name": "g", "Tasks": tasks }] });

        let takes = of_tasks(json!([
            { "Name": "beside", "Driver": "docker", "Config": { "image": "i" }, "Env": null },
            { "Name": "main", "Driver": "docker", "Config": { "image": "i", "runtime": "nvidia" } },
        ]));
        let none = of_tasks(json!([{ "Name": "main", "Driver": "docker", "Config": { "runtime": "runc" } }]));

        assert_eq!(earns_by(&stand, &pc, day, "a-1", takes).await, "0.020000");
        assert_eq!(earns_by(&stand, &pc, day, "a-2", none).await, "0.010000");
    })
    .await;
}

#[tokio::test]
async fn where_the_scheduler_gives_cards_each_is_paid_once_and_to_nobody_without_one() {
    on_one_day(async |day| {
        let stand = priced_stand().await;
        let pc = stand.enrol("alice").await;
        let devices = json!([{ "Vendor": "nvidia", "Type": "gpu", "Name": "NVIDIA GeForce RTX 4090" }]);
        let node = json!({ "Meta": { "ionet.gpu": RTX }, "NodeResources": { "Devices": devices } });
        stand.region.node("n-1", pc.id(), node);
        stand.until(&pc, |state| state.node.is_some()).await;
        let given = |name: &str, ids: &[&str]| {
            let devices = json!([{ "Vendor": "nvidia", "Type": "gpu", "Name": name, "DeviceIDs": ids }]);
            json!({ "AllocatedResources": { "Tasks": { "t": { "Devices": devices } } } })
        };
        let of_task = |task: Value| json!({ "Job": { "TaskGroups": [{ "Name": "g", "Tasks": [task] }] } });
        let wish = json!({ "LTarget": "${meta.ionet.gpu}", "Operand": "=", "RTarget": RTX });

        for (id, placed, expected) in [
            ("a-1", given("NVIDIA GeForce RTX 4090", &["GPU-1"]), "0.020000"),
            ("a-2", given("NVIDIA GeForce RTX 4090", &["GPU-2", "GPU-3"]), "0.040000"),
            ("a-3", given("NVIDIA of no price", &["GPU-4"]), "0.010000"),
            ("b-1", json!({ "Job": { "Constraints": [wish], "TaskGroups": [{ "Name": "g" }] } }), "0.010000"),
            ("b-2", of_task(json!({ "Config": { "runtime": "nvidia" } })), "0.010000"),
        ] {
            assert_eq!(earns_as(&stand, &pc, day, id, placed).await, expected, "{id}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_tag_that_changes_after_the_placement_changes_no_price() {
    on_one_day(async |day| {
        let stand = priced_stand().await;
        let pc = stand.enrol("alice").await;
        let tags = |card: &str| json!({ "Meta": { "ionet.gpu": card, "ionet.gpu_memory_gb": "24" } });
        stand.region.node("n-1", pc.id(), tags("nvidia-geforce-rtx-3090"));
        stand.until(&pc, |state| state.node.is_some()).await;
        let asked = constraint("${meta.ionet.gpu_memory_gb}", ">=", "20");
        let before = earns(&stand, &pc, day, "a-1", asked.clone()).await;

        stand.region.node("n-1", pc.id(), tags(RTX));
        let after = stand.state(&pc).await;

        assert_eq!(before, "0.010000");
        assert_eq!(after.allocations[0].earned, before);
    })
    .await;
}

#[tokio::test]
async fn a_job_whose_card_cannot_be_told_earns_the_default_price() {
    on_one_day(async |day| {
        let stand = priced_stand().await;
        let pc = stand.enrol("alice").await;
        stand.region.node("n-1", pc.id(), json!({ "Meta": { "ionet.gpu": RTX } }));
        stand.until(&pc, |state| state.node.is_some()).await;

        let earned = earns(&stand, &pc, day, "a-1", constraint("${meta.ionet.gpu}", "regexp", "^amd-")).await;

        assert_eq!(earned, "0.010000");
    })
    .await;
}
