use ionet_gateway_api::{UploadAnswer, code, path};
use reqwest::Method;
use serde_json::{Value, json};

use crate::limits::{objects, only, stand, too_many};
use crate::stand::{Pc, Stand, is, problem, read};

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

#[tokio::test]
async fn uploads_are_bounded_in_number_and_in_bytes() {
    let stand = stand(|limits| {
        limits.upload_objects = only(10);
        limits.upload_bytes = only(1_000);
    })
    .await;
    let (many, large, other) =
        (stand.enrol("alice").await, stand.enrol("alice").await, stand.enrol("alice").await);
    let ask = async |pc: &Pc, count: usize, length: u64| {
        stand.send(&pc.http, Method::POST, path::UPLOADS, objects(count, length)).await
    };

    assert_eq!(ask(&many, 8, 1).await.status(), 200);
    too_many(ask(&many, 3, 1).await).await;
    assert_eq!(ask(&many, 2, 1).await.status(), 200);
    assert_eq!(ask(&large, 1, 900).await.status(), 200);
    too_many(ask(&large, 1, 101).await).await;
    too_many(ask(&large, 1, 60_000_000).await).await;
    assert_eq!(ask(&large, 1, 100).await.status(), 200);
    assert_eq!(ask(&other, 1, 1).await.status(), 200);
}

#[tokio::test]
async fn what_is_refused_for_its_bytes_uses_up_no_objects_and_the_other_way_round() {
    let stand = stand(|limits| {
        limits.upload_objects = only(10);
        limits.upload_bytes = only(1_000);
    })
    .await;
    let pc = stand.enrol("alice").await;
    let ask = async |count: usize, length: u64| {
        stand.send(&pc.http, Method::POST, path::UPLOADS, objects(count, length)).await
    };

    for _ in 0..3 {
        too_many(ask(10, 101).await).await;
        too_many(ask(11, 1).await).await;
    }

    assert_eq!(ask(10, 100).await.status(), 200);
}

#[tokio::test]
async fn what_is_refused_for_another_reason_uses_up_no_uploads() {
    let stand = stand(|limits| limits.upload_objects = only(1)).await;
    let pc = stand.enrol("alice").await;

    for _ in 0..3 {
        let refused = stand.send(&pc.http, Method::POST, path::UPLOADS, objects(1, 0)).await;
        assert_eq!(problem(refused).await, is(code::BAD_REQUEST, 400));
    }

    assert_eq!(stand.send(&pc.http, Method::POST, path::UPLOADS, objects(1, 1)).await.status(), 200);
}
