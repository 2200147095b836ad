//! What the gateway says, and what becomes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use ionet_cloud::{Cloud, CloudFault, WantedFault};
use ionet_core::UnixMs;
use ionet_core::region::NodeStatus;
use ionet_gateway_api::{code, path};
use serde_json::{Value, json};

use super::support::gateway::{Authority, HOUR_MS, problem};
use super::{enrolled_with, introduction_of, pc, refusing};

#[tokio::test]
async fn too_many_requests_say_when_again() {
    let busy = post(async || {
        let body = json!({"type": "t", "title": "t", "status": 429, "code": "too-many", "retry_after_s": 17});
        (StatusCode::TOO_MANY_REQUESTS, Json(body))
    });

    let fault = introduction_of(Router::new().route(path::INTRODUCTION, busy)).await;

    assert_eq!(fault, Err(CloudFault::TooMany { wait_s: 17 }));
}

#[tokio::test]
async fn each_refusal_that_the_core_tells_apart_arrives_as_its_fault() {
    let faults = [
        introduction_of(refusing(403, code::DEVICE_LOST)).await.unwrap_err(),
        introduction_of(refusing(401, code::NO_CERTIFICATE)).await.unwrap_err(),
        introduction_of(refusing(502, code::REGION_UNREACHABLE)).await.unwrap_err(),
        introduction_of(refusing(409, "some-other")).await.unwrap_err(),
    ];

    let expected = [
        CloudFault::DeviceLost,
        CloudFault::CertificateRefused,
        CloudFault::RegionUnreachable,
        CloudFault::Refused("some-other".into()),
    ];
    assert_eq!(faults, expected);
}

#[tokio::test]
async fn garbage_is_garbled_whatever_its_status() {
    let captive = Router::new().route(path::INTRODUCTION, post(async || Html("<html>Welcome to our hotel")));
    let redirect = Router::new().route(
        path::INTRODUCTION,
        post(async || (StatusCode::FOUND, [("location", "https://example.test")])),
    );

    let faults = [introduction_of(captive).await, introduction_of(redirect).await];

    assert_eq!(faults, [const { Err(CloudFault::Garbled) }; 2]);
}

#[tokio::test]
async fn a_request_that_fails_is_not_sent_again() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let routes = Router::new().route(
        path::INTRODUCTION,
        post(async move || {
            counted.fetch_add(1, Ordering::Relaxed);
            problem(503, code::INTERNAL)
        }),
    );

    let fault = introduction_of(routes).await;

    assert_eq!(fault, Err(CloudFault::Unavailable(Some(503))));
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn the_watch_gives_the_gateways_words_as_the_cores_and_whose_device_it_is_is_kept() {
    let home = tempfile::tempdir().unwrap();
    let state = json!({"index": 8, "node": {"id": "n", "status": "ready", "eligible": true}, "allocations": [],
        "account": {"subject": "bob", "shown": "bob@example.test"}, "wanted_seq": 4,
        "earnings": {"today": "0.012345", "currency": "USDC", "as_of_ms": 1}, "rehearsal": false});
    let watch = get(async move |uri: axum::http::Uri| {
        assert_eq!(uri.query(), Some("index=7&wait=60&day_began=1000"));
        Json(state.clone())
    });
    let routes = Router::new().route(path::WATCH, watch);
    let (cloud, gateway) = enrolled_with(home.path(), &Authority::new(), HOUR_MS, routes).await;
    let owner = async |cloud: &Cloud| cloud.load_device().await.unwrap().owner.unwrap().subject;
    let before = owner(&cloud).await;

    let (index, view) = cloud.watch(7, Duration::from_secs(3600), UnixMs(1_000)).await.unwrap();

    assert_eq!((index, view.wanted_seq), (8, 4));
    assert_eq!(view.node.unwrap().status, NodeStatus::Ready);
    assert_eq!((before.as_str(), owner(&pc(home.path(), &gateway)).await.as_str()), ("alice", "bob"));
}

#[tokio::test]
async fn what_is_wanted_and_stopping_are_told_as_agreed() {
    let home = tempfile::tempdir().unwrap();
    let wanted = put(async |Json(body): Json<Value>| {
        if body["seq"] == 5 {
            assert_eq!(body, json!({"seq": 5, "eligible": false, "holds": ["GPU-1"]}));
            return Json(json!({"seq": 5, "applied": true})).into_response();
        }
        let body = json!({"type": "t", "title": "t", "status": 409, "code": "stale-sequence", "detail": "9"});
        (StatusCode::CONFLICT, Json(body)).into_response()
    });
    let routes = Router::new()
        .route(path::WANTED, wanted)
        .route(path::STOP, post(async || Json(json!({"stopping": ["a1"]}))));
    let (cloud, _gateway) = enrolled_with(home.path(), &Authority::new(), HOUR_MS, routes).await;

    let taken = cloud.set_wanted(5, false, &["GPU-1".to_owned()]).await;
    let stale = cloud.set_wanted(1, true, &[]).await;
    let stopping = cloud.stop_allocations().await;

    assert_eq!((taken, stale), (Ok(true), Err(WantedFault::Stale { known: 9 })));
    assert_eq!(stopping, Ok(vec!["a1".to_owned()]));
}
