//! A job that asks for more than a job may have.

use ionet_core::Phase;
use journeys::site::Site;
use journeys::wait::{PATIENCE, until};
use serde_json::{Value, json};

/// The engine that holds its container would give it: the PC's gate to that engine does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_asks_for_the_hosts_network_or_a_device_fails_with_the_reason_and_an_honest_one_runs() {
    let Some(site) = Site::with_capsules().await else { return };
    let mut pc = site.machine("pc").await;
    pc.start();
    pc.online().await;
    pc.offer_example();
    let greedy = [
        ("network", "network_mode", json!("host"), "NetworkMode"),
        ("device", "devices", json!([{"host_path": "/dev/kmsg"}]), "Devices"),
        ("neighbour", "network_mode", json!("container:somebodys"), "NetworkMode"),
        ("seccomp", "security_opt", json!(["seccomp=unconfined"]), "SecurityOpt"),
    ];

    for (name, field, value, reason) in greedy {
        let mut job = ionet_stage::example_job(name, true);
        job["Job"]["TaskGroups"][0]["Tasks"][0]["Config"][field] = value;
        site.stage.submit_job(&job).await.unwrap();
        let told = until("the job has failed", PATIENCE, || async {
            let all = site.stage.nomad_get(&format!("/v1/job/{name}/allocations")).await?;
            let failed =
                all.as_array().and_then(|all| all.iter().find(|one| one["ClientStatus"] == "failed"));
            Ok(failed.map(events))
        })
        .await
        .unwrap();

        assert!(told.contains(&format!("this PC does not allow {reason}")), "{name}: {told}");
        assert!(!told.contains("unconfined") && !told.contains("/dev/kmsg"), "{name}: {told}");
        // It is tried again and again, and holds the card each time as long as Nomad waits for what it never prints.
        site.stage.customer().stop_job(name).await.unwrap();
    }
    site.stage.submit_job(&ionet_stage::example_job("honest", true)).await.unwrap();
    pc.phase(&Phase::Earning).await;
}

fn events(allocation: &Value) -> String {
    allocation["TaskStates"]["work"]["Events"].to_string()
}
