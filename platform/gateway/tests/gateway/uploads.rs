use ionet_gateway_api::{UploadAnswer, code, path};
use reqwest::Method;
use serde_json::{Value, json};

use crate::stand::{Stand, is, problem, read};

fn object(name: &str, length: u64) -> Value {
    json!({ "name": name, "length": length, "sha256": "0f".repeat(32) })
}

#[tokio::test]
async fn grants_come_in_the_order_asked_for_and_lie_below_the_devices_own_prefix() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    let body = json!({ "objects": [object("app/1.gz", 10), object("jobs/2.gz", 20)] });

    let answer: UploadAnswer =
        read(stand.send(&pc.http, Method::POST, path::UPLOADS, Some(body)).await).await;

    assert_eq!(answer.grants.len(), 2);
    for (grant, name) in answer.grants.iter().zip(["app/1.gz", "jobs/2.gz"]) {
        let prefix = format!("http://127.0.0.1:9/logs/devices/{}/{name}?", pc.id());
        assert!(grant.url.starts_with(&prefix), "{}", grant.url);
        assert!(!grant.url.contains("very-secret"));
    }
    assert_eq!(answer.grants[1].headers[0].1, "20");
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_and_a_request_that_is_too_large_are_refused_whole() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    let ask = async |objects: Vec<Value>| {
        let body = json!({ "objects": objects });
        problem(stand.send(&pc.http, Method::POST, path::UPLOADS, Some(body)).await).await
    };

    let elsewhere = ask(vec![object("fine", 1), object("../d-other/x", 1)]).await;
    let too_long = ask(vec![object("fine", 64 * 1024 * 1024 + 1)]).await;
    let too_many = ask(vec![object("fine", 1); 33]).await;

    assert_eq!(elsewhere, is(code::BAD_REQUEST, 400));
    assert_eq!(too_long, is(code::TOO_LARGE, 413));
    assert_eq!(too_many, is(code::TOO_LARGE, 413));
}
