//! Grants, and the stores that they lead to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::{HeaderMap, StatusCode};
use axum::routing::{post, put};
use axum::{Extension, Json, Router};
use ionet_cloud::{CloudFault, LogFault, UploadGrant, UploadObject};
use ionet_gateway_api::path;
use serde_json::json;

use super::enrolled_with;
use super::support::gateway::{Authority, HOUR_MS, Peer, now_ms};

#[tokio::test]
async fn an_answer_with_too_few_grants_is_garbled() {
    let home = tempfile::tempdir().unwrap();
    let routes = Router::new().route(path::UPLOADS, post(async || Json(json!({"grants": []}))));
    let (cloud, _gateway) = enrolled_with(home.path(), &Authority::new(), HOUR_MS, routes).await;
    let object = UploadObject { name: "app/1.gz".into(), length: 1, sha256: "00".into() };

    let grants = cloud.upload_grants(&[object]).await;

    assert_eq!(grants.map(|grants| grants.len()), Err(CloudFault::Garbled));
}

#[tokio::test]
async fn a_grant_that_leads_elsewhere_is_refused_by_name_and_not_used() {
    let home = tempfile::tempdir().unwrap();
    let (asked, elsewhere) = (Arc::new(AtomicUsize::new(0)), Authority::new());
    let counted = asked.clone();
    let stranger = elsewhere
        .serve(Router::new().fallback(async move || counted.fetch_add(1, Ordering::Relaxed).to_string()))
        .await;
    let url = format!("{}bucket/key", stranger.url);
    let grant = UploadGrant { url, headers: vec![], expires_at_ms: now_ms() + HOUR_MS };
    let given = json!({"grants": [grant]});
    let routes = Router::new().route(path::UPLOADS, post(async move || Json(given.clone())));
    let (cloud, _gateway) = enrolled_with(home.path(), &Authority::new(), HOUR_MS, routes).await;
    let object = UploadObject { name: "app/1.gz".into(), length: 1, sha256: "00".into() };

    let grants = cloud.upload_grants(&[object]).await.map(|grants| grants.len());
    let put = cloud.put(&grant, "log").await;

    assert_eq!(grants, Err(CloudFault::Untrusted("store localhost".into())));
    assert_eq!((put, asked.load(Ordering::Relaxed)), (Err(LogFault::Refused(403)), 0));
}

#[tokio::test]
async fn a_store_that_sends_on_elsewhere_is_not_followed() {
    let home = tempfile::tempdir().unwrap();
    let on = put(async || (StatusCode::TEMPORARY_REDIRECT, [("location", "/bucket/there")]));
    let there = put(async || -> StatusCode { panic!("followed") });
    let routes = Router::new().route("/bucket/here", on).route("/bucket/there", there);
    let (cloud, gateway) = enrolled_with(home.path(), &Authority::new(), HOUR_MS, routes).await;
    let url = format!("{}bucket/here", gateway.url);
    let grant = UploadGrant { url, headers: vec![], expires_at_ms: now_ms() + HOUR_MS };

    assert_eq!(cloud.put(&grant, "log").await, Err(LogFault::Refused(307)));
}

#[tokio::test]
async fn a_grant_is_used_with_its_headers_and_without_this_pcs_identity() {
    let home = tempfile::tempdir().unwrap();
    let store = put(async |Extension(peer): Extension<Peer>, headers: HeaderMap, body: String| {
        assert!(!peer.certified && headers.get("authorization").is_none());
        assert_eq!((headers["x-amz-checksum-sha256"].to_str().unwrap(), body.as_str()), ("sum", "log"));
        StatusCode::OK
    });
    let routes =
        Router::new().route("/bucket/ok", store).route("/bucket/no", put(async || StatusCode::FORBIDDEN));
    let (cloud, gateway) = enrolled_with(home.path(), &Authority::new(), HOUR_MS, routes).await;
    let grant = |url: String| UploadGrant {
        url,
        headers: vec![("x-amz-checksum-sha256".into(), "sum".into()), ("content-length".into(), "3".into())],
        expires_at_ms: now_ms() + HOUR_MS,
    };

    let put_there = async |url: String| cloud.put(&grant(url), "log").await;
    let results = [
        put_there(format!("{}bucket/ok", gateway.url)).await,
        put_there(format!("{}bucket/no", gateway.url)).await,
        put_there("http://127.0.0.1:1/".into()).await,
    ];

    assert_eq!(results, [Ok(()), Err(LogFault::Refused(403)), Err(LogFault::Unreachable)]);
}
