//! What was earned, by period and by job.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::routing::post;
use axum::{Json, Router};
use ionet_cloud::CloudFault;
use ionet_core::earnings::{JobEnd, Scope};
use ionet_core::{Money, UnixMs};
use ionet_gateway_api::path;
use serde_json::{Value, json};

use super::enrolled_with;
use super::support::gateway::{Authority, HOUR_MS};

#[tokio::test]
async fn any_number_of_periods_is_asked_for_in_parts_that_meet() {
    let home = tempfile::tempdir().unwrap();
    let periods = post(async |Json(body): Json<Value>| {
        let moments = body["boundaries_ms"].as_array().unwrap();
        assert!((2..=1000).contains(&moments.len()));
        let amounts: Vec<_> =
            moments.windows(2).map(|pair| format!("0.{:06}", pair[1].as_i64().unwrap())).collect();
        Json(json!({"amounts": amounts, "currency": "USDC", "as_of_ms": moments.len()}))
    });
    let routes = Router::new().route(path::DEVICE_PERIODS, periods);
    let (cloud, _gateway) = enrolled_with(home.path(), &Authority::new(), HOUR_MS, routes).await;
    let moments: Vec<i64> = (0..2500).collect();

    let told = cloud.periods(Scope::ThisPc, &moments).await.unwrap();
    let none = [cloud.periods(Scope::ThisPc, &[5]).await, cloud.periods(Scope::ThisPc, &[5, 5]).await];

    let expected: Vec<_> = (1..2500).map(|micros| Money { micros }).collect();
    assert_eq!(told.amounts, expected);
    assert_eq!((told.currency.as_str(), told.as_of), ("USDC", UnixMs(502)));
    assert!(none.iter().all(|result| matches!(result, Err(CloudFault::Refused(_)))), "{none:?}");
}

#[tokio::test]
async fn earnings_that_are_no_amounts_or_too_few_are_garbled() {
    let home = tempfile::tempdir().unwrap();
    let answers = [json!(["1", "2"]), json!([]), json!(["1e3"]), json!([1]), json!(["1.1234567"])];
    let next = Arc::new(AtomicUsize::new(0));
    let listed = answers.clone();
    let periods = post(async move || {
        let amounts = &listed[next.fetch_add(1, Ordering::Relaxed)];
        Json(json!({"amounts": amounts, "currency": "USDC", "as_of_ms": 1}))
    });
    let routes = Router::new().route(path::DEVICE_PERIODS, periods);
    let (cloud, _gateway) = enrolled_with(home.path(), &Authority::new(), HOUR_MS, routes).await;

    for answer in answers {
        assert_eq!(cloud.periods(Scope::ThisPc, &[1, 2]).await, Err(CloudFault::Garbled), "{answer}");
    }
}

#[tokio::test]
async fn jobs_come_in_pages_with_what_they_earned_and_why_they_ended() {
    let home = tempfile::tempdir().unwrap();
    let job = |end: &str| {
        json!({"allocation": "a1", "job": "render", "device": "d", "label": "My PC", "gpu": null, "placed_at_ms": 1,
            "started_at_ms": 2, "ended_at_ms": null, "rate_per_hour": "0.4", "amount": "0.000001", "end": end})
    };
    let jobs = [job("disputed"), job("preempted")];
    let pages = post(async move |Json(body): Json<Value>| {
        assert_eq!(body, json!({"from_ms": 5, "to_ms": 9, "after": "p1", "limit": 1000}));
        Json(json!({"jobs": jobs, "next": "p2", "currency": "USDC", "as_of_ms": 8}))
    });
    let routes = Router::new().route(path::DEVICE_JOBS, pages);
    let (cloud, _gateway) = enrolled_with(home.path(), &Authority::new(), HOUR_MS, routes).await;

    let page = cloud.jobs(Scope::ThisPc, 5, 9, Some("p1".into()), 5000).await.unwrap();

    assert_eq!((page.next.as_deref(), page.as_of), (Some("p2"), UnixMs(8)));
    assert_eq!(page.jobs[0].amount, Money { micros: 1 });
    assert_eq!(
        page.jobs.iter().map(|job| job.end).collect::<Vec<_>>(),
        [Some(JobEnd::Disputed), Some(JobEnd::Unknown)]
    );
}

#[tokio::test]
async fn a_pc_that_is_not_enrolled_yet_is_told_so_and_no_certificate_is_blamed() {
    let home = tempfile::tempdir().unwrap();
    let cloud = super::support::cloud(home.path(), "http://127.0.0.1:1", "https://127.0.0.1:1/", None);

    assert_eq!(cloud.periods(Scope::ThisPc, &[1, 2]).await, Err(CloudFault::NotEnrolled));
    assert_eq!(cloud.jobs(Scope::ThisPc, 1, 2, None, 10).await, Err(CloudFault::NotEnrolled));
}
