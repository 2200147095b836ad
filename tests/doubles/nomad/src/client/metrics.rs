//! `GET /v1/metrics`: the gauges that this project reads, with their labels.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Agent, fingerprint};
use crate::{
    model::{ClientStatus, Eligibility, rfc3339_now},
    tls,
};

pub(super) fn json_text(agent: &Agent) -> Value {
    json!({
        "Timestamp": rfc3339_now(), "Gauges": gauges(agent), "Counters": [], "Samples": [], "Points": [],
    })
}

pub(super) fn prometheus(agent: &Agent) -> String {
    let mut text = String::new();
    for gauge in gauges(agent) {
        let name = gauge["Name"].as_str().unwrap_or_default().replace(['.', '-'], "_");
        let labels = gauge["Labels"].as_object().into_iter().flatten();
        let labels: Vec<String> = labels.map(|(key, value)| format!("{key}={value}")).collect();
        _ = writeln!(text, "# TYPE {name} gauge\n{name}{{{}}} {}", labels.join(","), gauge["Value"]);
    }
    text
}

#[expect(clippy::too_many_lines, reason = "one document, as the real agent gives it")]
fn gauges(agent: &Agent) -> Vec<Value> {
    let node = agent.node();
    let eligible = agent.eligible.load(std::sync::atomic::Ordering::Relaxed);
    let eligibility = if eligible { Eligibility::Eligible } else { Eligibility::Ineligible };
    let class = if node.node_class.is_empty() { "none" } else { &node.node_class };
    let labels = json!({
        "node_id": node.id, "datacenter": node.datacenter, "node_class": class, "node_pool": node.node_pool,
        "node_status": node.status, "node_scheduling_eligibility": eligibility,
    });
    let mut found = Vec::new();
    for (name, file) in [("ca", &agent.config.tls.ca_file), ("cert", &agent.config.tls.cert_file)] {
        if let Some(seconds) = tls::seconds_left(file) {
            found.push(gauge(&format!("nomad.agent.tls.{name}.expiration_seconds"), json!({}), seconds));
        }
    }
    let runners = agent.runners();
    let allocs = |wanted: fn(ClientStatus) -> bool| runners.values().filter(|r| wanted(r.status())).count();
    let tasks =
        |wanted: &str| runners.values().flat_map(|r| r.tasks()).filter(|(_, state)| state == wanted).count();
    let running: Vec<&super::Runner> =
        runners.values().filter(|r| r.status() == ClientStatus::Running).collect();
    let taken =
        |field: &str| running.iter().filter_map(|r| r.alloc().rest["Resources"][field].as_i64()).sum::<i64>();
    let memory_mb = i64::try_from(fingerprint::memory_bytes() >> 20).unwrap_or(i64::MAX);
    let cpu = i64::try_from(fingerprint::cores()).unwrap_or(1) * 1000;
    for (name, value) in [
        ("allocated.memory", taken("MemoryMB")),
        ("unallocated.cpu", cpu - taken("CPU")),
        ("unallocated.memory", memory_mb - taken("MemoryMB")),
    ] {
        found.push(gauge(&format!("nomad.client.{name}"), labels.clone(), value));
    }
    for core in 0..fingerprint::cores() {
        let mut labels = labels.clone();
        labels["cpu"] = json!(format!("cpu{core}"));
        found.push(gauge("nomad.client.host.cpu.total_percent", labels, 0));
    }
    let counts = [
        ("allocations.blocked", 0),
        ("allocations.migrating", 0),
        ("allocations.pending", allocs(|s| s == ClientStatus::Pending)),
        ("allocations.running", allocs(|s| s == ClientStatus::Running)),
        ("allocations.terminal", allocs(ClientStatus::is_terminal)),
        ("tasks.dead", tasks("dead")),
        ("tasks.pending", tasks("pending")),
        ("tasks.running", tasks("running")),
        ("uptime", usize::try_from(agent.started.elapsed().as_secs()).unwrap_or(usize::MAX)),
        ("host.memory.total", usize::try_from(fingerprint::memory_bytes()).unwrap_or(usize::MAX)),
    ];
    for (name, count) in counts {
        found.push(gauge(
            &format!("nomad.client.{name}"),
            labels.clone(),
            i64::try_from(count).unwrap_or(i64::MAX),
        ));
    }
    if agent.plan.publish_allocation_metrics {
        for runner in runners.values().filter(|runner| runner.status() == ClientStatus::Running) {
            let alloc = runner.alloc();
            for (task, _) in runner.tasks() {
                let labels = json!({
                    "job": alloc.job_id, "task_group": alloc.task_group, "alloc_id": alloc.id, "task": task,
                    "namespace": alloc.namespace,
                });
                found.push(gauge("nomad.client.allocs.cpu.total_percent", labels, 0));
            }
        }
    }
    found
}

fn gauge(name: &str, labels: Value, value: i64) -> Value {
    json!({ "Name": name, "Labels": labels, "Value": value as f64 })
}
