//! The region that the tests play answers as the recorded one does.

use futures_util::StreamExt as _;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::stand::region::FakeRegion;

const RECORDINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/contract/recordings/");

fn recording(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(format!("{RECORDINGS}{name}")).unwrap()).unwrap()
}

/// Every recorded field is there, with a value of the same kind. What depends on the machine or the job may differ.
fn compare(path: &str, recorded: &Value, answer: &Value) {
    const OPEN: [&str; 7] =
        ["Attributes", "Meta", "Drivers", "TaskStates", "Scores", "NodesAvailable", "Events"];
    match (recorded, answer) {
        (Value::Null, _) | (_, Value::Null) => {}
        (Value::Object(recorded), Value::Object(answer)) => {
            for (key, value) in recorded.iter().filter(|(key, _)| !OPEN.contains(&key.as_str())) {
                let found = answer.get(key).unwrap_or_else(|| panic!("{path}.{key} is missing"));
                compare(&format!("{path}.{key}"), value, found);
            }
        }
        (Value::Array(recorded), Value::Array(answer)) => {
            if let (Some(recorded), Some(answer)) = (recorded.first(), answer.first()) {
                compare(&format!("{path}[0]"), recorded, answer);
            }
        }
        (recorded, answer) => {
            let same = std::mem::discriminant(recorded) == std::mem::discriminant(answer);
            assert!(same, "{path} is {answer}, recorded was {recorded}");
        }
    }
}

async fn ask(region: &FakeRegion, method: Method, path: &str) -> Value {
    let asked =
        Client::builder().no_proxy().build().unwrap().request(method, format!("{}{path}", region.url));
    let answer = asked.header("X-Nomad-Token", "gateway-token").json(&json!({})).send().await.unwrap();
    answer.json().await.unwrap()
}

#[tokio::test]
async fn the_played_regions_answers_have_the_recorded_shapes() {
    let region = FakeRegion::start().await;
    region.node("n-1", "gamer-1", json!({}));
    region.allocation("a-1", "n-1", json!({ "ClientStatus": "running" }));

    for (path, name) in [
        ("/v1/node/n-1", "node.json"),
        ("/v1/nodes", "node_list.json"),
        ("/v1/allocation/a-1", "alloc.json"),
        ("/v1/allocations?namespace=*", "alloc_list.json"),
    ] {
        compare(path, &recording(name), &ask(&region, Method::GET, path).await);
    }
    for (path, name) in [
        ("/v1/node/n-1/drain", "drain_response.json"),
        ("/v1/node/n-1/eligibility", "eligibility_response.json"),
        ("/v1/acl/identity/client-introduction-token", "intro_token_response.json"),
    ] {
        compare(path, &recording(name)["body"], &ask(&region, Method::PUT, path).await);
    }
}

#[tokio::test]
async fn the_played_regions_events_have_the_recorded_shapes() {
    let region = FakeRegion::start().await;
    let client = Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/v1/event/stream", region.url);
    let stream = client.get(url).header("X-Nomad-Token", "gateway-token").send().await.unwrap();
    region.node("n-1", "gamer-1", json!({}));
    region.allocation("a-1", "n-1", json!({}));

    let mut told = Vec::new();
    let mut chunks = stream.bytes_stream();
    while told.iter().filter(|byte| **byte == b'\n').count() < 3 {
        told.extend(chunks.next().await.unwrap().unwrap());
    }
    let told: Vec<Value> =
        String::from_utf8(told).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();

    let recorded = std::fs::read_to_string(format!("{RECORDINGS}events.ndjson")).unwrap();
    let recorded: Vec<Value> = recorded.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |lines: &[Value], topic: &str| {
        let mut events = lines.iter().filter_map(|line| line["Events"].as_array()).flatten();
        events.find(|event| event["Topic"] == topic).unwrap().clone()
    };
    assert_eq!((&recorded[0], &told[0]), (&json!({}), &json!({})));
    for topic in ["Node", "Allocation"] {
        compare(topic, &of(&recorded, topic), &of(&told, topic));
    }
}
