//! The gateway as seen from the PC: enrolment, certificates, and its bad days.

#![expect(clippy::unwrap_used, reason = "tests")]

#[expect(dead_code, reason = "each test file uses a part of it")]
mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse};
use axum::routing::{get, post, put};
use axum::{Extension, Json, Router};
use ionet_cloud::{Cloud, CloudFault, LogFault, Options, Secret, UploadGrant, UploadObject};
use ionet_core::region::NodeStatus;
use ionet_gateway_api::{code, path};
use serde_json::json;
use support::gateway::{Authority, Gateway, HOUR_MS, Peer, earlier_by, now_ms, problem};

const DAY_MS: i64 = 24 * HOUR_MS;

fn pc(home: &Path, gateway: &Gateway) -> Cloud {
    support::cloud(home, "http://127.0.0.1:1", &gateway.url, Some(gateway.ca_pem.clone()))
}

async fn enrol(cloud: &Cloud) -> Result<ionet_core::event::Device, CloudFault> {
    cloud.enrol("My PC", 1, Some(Secret::new("token".into()))).await
}

/// A PC that is enrolled at a gateway which answers the introduction so.
async fn enrolled_with(
    home: &Path,
    authority: &Arc<Authority>,
    life_ms: i64,
    routes: Router,
) -> (Cloud, Gateway) {
    let gateway = authority.serve(authority.enrolment(life_ms).merge(routes)).await;
    let cloud = pc(home, &gateway);
    enrol(&cloud).await.unwrap();
    (cloud, gateway)
}

async fn introduction_of(routes: Router) -> Result<Secret<String>, CloudFault> {
    let home = tempfile::tempdir().unwrap();
    let (cloud, _gateway) = enrolled_with(home.path(), &Authority::new(), 6 * HOUR_MS, routes).await;
    cloud.introduction().await
}

fn introduction() -> Router {
    let answer = async |Extension(peer): Extension<Peer>| match peer.certified {
        true => Json(json!({"token": "intro"})).into_response(),
        false => problem(401, code::NO_CERTIFICATE),
    };
    Router::new().route(path::INTRODUCTION, post(answer))
}

fn refusing(status: u16, code: &'static str) -> Router {
    Router::new().route(path::INTRODUCTION, post(async move || problem(status, code)))
}

#[tokio::test]
async fn after_enrolment_the_device_speaks_by_its_certificate() {
    let home = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (cloud, _gateway) = enrolled_with(home.path(), &authority, 6 * HOUR_MS, introduction()).await;

    let token = cloud.introduction().await.unwrap();

    assert_eq!(token.reveal(), "intro");
    assert_eq!(cloud.load_device().unwrap().id, cloud.enrolled().unwrap().device);
    assert!(cloud.clock_skew().unwrap().abs() < 5_000);
}

#[tokio::test]
async fn an_enrolment_token_travels_as_the_bearer() {
    let home = tempfile::tempdir().unwrap();
    let routes = post(async |headers: HeaderMap| {
        assert_eq!(headers["authorization"], "Bearer token");
        problem(401, code::TOKEN_SPENT)
    });
    let gateway = Authority::new().serve(Router::new().route(path::DEVICES, routes)).await;

    let enrolled = enrol(&pc(home.path(), &gateway)).await;

    assert_eq!(enrolled, Err(CloudFault::Refused("token-spent".into())));
}

#[tokio::test]
async fn a_certificate_for_another_key_is_garbled() {
    let home = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let params = rcgen::CertificateParams::default();
    let other = params.serialize_request(&rcgen::KeyPair::generate().unwrap()).unwrap().pem().unwrap();
    let given = authority.certificate(&other, HOUR_MS);
    let routes = Router::new().route(path::DEVICES, post(async move || Json(given.clone())));
    let gateway = authority.serve(routes).await;

    let enrolled = enrol(&pc(home.path(), &gateway)).await;

    assert_eq!(enrolled, Err(CloudFault::Garbled));
}

#[tokio::test]
async fn a_valid_certificate_renews_itself() {
    let home = tempfile::tempdir().unwrap();
    let (cloud, _gateway) = enrolled_with(home.path(), &Authority::new(), HOUR_MS, introduction()).await;

    let renewed = cloud.renew().await.unwrap();

    assert!((renewed.expires_at.0 - now_ms() - 2 * HOUR_MS).abs() < 60_000);
    assert_eq!(cloud.introduction().await.unwrap().reveal(), "intro");
}

#[tokio::test]
async fn an_expired_certificate_is_not_shown_and_is_renewed_by_the_key() {
    let home = tempfile::tempdir().unwrap();
    let (cloud, _gateway) = enrolled_with(home.path(), &Authority::new(), -HOUR_MS, introduction()).await;

    let before = cloud.introduction().await;
    let renewed = cloud.renew().await.unwrap();

    assert_eq!(before, Err(CloudFault::CertificateExpired));
    assert!((renewed.expires_at.0 - now_ms() - 3 * HOUR_MS).abs() < 60_000);
    assert_eq!(cloud.introduction().await.unwrap().reveal(), "intro");
}

#[tokio::test]
async fn a_clock_that_makes_the_certificate_look_expired_is_named_and_nothing_is_renewed() {
    let home = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let routes = earlier_by(authority.enrolment(-HOUR_MS).merge(introduction()), DAY_MS);
    let gateway = authority.serve(routes).await;
    let cloud = pc(home.path(), &gateway);
    enrol(&cloud).await.unwrap();

    let faults = [cloud.introduction().await.unwrap_err(), cloud.renew().await.unwrap_err()];

    for fault in faults {
        let CloudFault::ClockWrong { skew_ms } = fault else { panic!("{fault:?}") };
        assert!((skew_ms - DAY_MS).abs() < 60_000, "{skew_ms}");
    }
}

#[tokio::test]
async fn a_refused_certificate_with_a_wrong_clock_is_the_clocks_fault() {
    let routes = earlier_by(refusing(401, code::NO_CERTIFICATE), DAY_MS);

    let fault = introduction_of(routes).await.unwrap_err();

    assert!(matches!(fault, CloudFault::ClockWrong { skew_ms } if skew_ms > DAY_MS / 2), "{fault:?}");
}

#[tokio::test]
async fn a_gateway_certificate_that_seems_expired_is_the_clocks_fault_or_the_gateways() {
    let home = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let mut over = Authority::server_params();
    over.not_after = (SystemTime::now() - Duration::from_secs(3600)).into();
    let health = Router::new().route(path::HEALTH, get(async || "ok"));

    let sound = authority.serve_with(health.clone(), &authority, over.clone()).await;
    let gateways = enrol(&pc(home.path(), &sound)).await.unwrap_err();
    let early = authority.serve_with(earlier_by(health, DAY_MS), &authority, over).await;
    let clocks = enrol(&pc(home.path(), &early)).await.unwrap_err();

    assert_eq!(gateways, CloudFault::Unavailable(None));
    assert!(matches!(clocks, CloudFault::ClockWrong { .. }), "{clocks:?}");
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let (authority, other) = (Authority::new(), Authority::new());
    let routes = other.enrolment(HOUR_MS).merge(introduction());
    let gateway = authority.serve_with(routes, &authority, Authority::server_params()).await;
    let cloud = pc(home.path(), &gateway);
    enrol(&cloud).await.unwrap();

    let fault = cloud.introduction().await;

    assert_eq!(fault, Err(CloudFault::CertificateRefused));
}

#[tokio::test]
async fn a_gateway_that_is_not_ours_is_not_spoken_to() {
    let home = tempfile::tempdir().unwrap();
    let gateway = Authority::new().serve(introduction()).await;
    let foreign_root = Authority::new().pem();
    let cloud = support::cloud(home.path(), "http://127.0.0.1:1", &gateway.url, Some(foreign_root));

    let fault = enrol(&cloud).await;

    assert_eq!(fault, Err(CloudFault::Garbled));
}

#[tokio::test]
async fn each_refusal_that_the_core_tells_apart_arrives_as_its_fault() {
    let faults = [
        introduction_of(refusing(403, code::DEVICE_LOST)).await.unwrap_err(),
        introduction_of(refusing(401, code::NO_CERTIFICATE)).await.unwrap_err(),
        introduction_of(refusing(502, code::REGION_UNREACHABLE)).await.unwrap_err(),
        introduction_of(refusing(409, code::NO_NODE)).await.unwrap_err(),
    ];

    let expected = [
        CloudFault::DeviceLost,
        CloudFault::CertificateRefused,
        CloudFault::RegionUnreachable,
        CloudFault::Refused("no-node".into()),
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
async fn nobody_listening_is_told_from_no_network() {
    let home = tempfile::tempdir().unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ca = Some(Authority::new().pem());
    let at = |url: &str| support::cloud(home.path(), "http://127.0.0.1:1", url, ca.clone());

    let nobody = enrol(&at(&format!("https://{closed}/"))).await;
    let nowhere = enrol(&at("https://gateway.invalid/")).await;

    assert_eq!(nobody, Err(CloudFault::Unavailable(None)));
    assert_eq!(nowhere, Err(CloudFault::NoNetwork));
}

#[tokio::test]
async fn a_gateway_that_takes_a_connection_and_says_nothing_is_slow() {
    let home = tempfile::tempdir().unwrap();
    let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());
    let options = Options { connect_timeout: Duration::from_millis(200), ..Options::default() };
    let ca = Some(Authority::new().pem());
    let cloud = support::cloud_with(home.path(), "http://127.0.0.1:1", &url, ca, options);

    let fault = enrol(&cloud).await;

    assert_eq!(fault, Err(CloudFault::Slow));
}

#[tokio::test]
async fn the_watch_gives_the_gateways_words_as_the_cores() {
    let home = tempfile::tempdir().unwrap();
    let state = json!({"index": 8, "node": {"id": "n", "status": "ready", "eligible": true}, "allocations": [],
        "earnings": {"today": "0.012345", "currency": "USDC", "as_of_ms": 1}, "rehearsal": false});
    let watch = get(async move |uri: axum::http::Uri| {
        assert_eq!(uri.query(), Some("index=7&wait=60"));
        Json(state.clone())
    });
    let routes = Router::new().route(path::WATCH, watch);
    let (cloud, _gateway) = enrolled_with(home.path(), &Authority::new(), HOUR_MS, routes).await;

    let (index, view) = cloud.watch(7, Duration::from_secs(3600)).await.unwrap();

    assert_eq!(index, 8);
    assert_eq!(view.node.unwrap().status, NodeStatus::Ready);
}

#[tokio::test]
async fn eligibility_and_stopping_are_told_as_agreed() {
    let home = tempfile::tempdir().unwrap();
    let routes = Router::new()
        .route(
            path::ELIGIBILITY,
            put(async |Json(body): Json<serde_json::Value>| {
                assert_eq!(body, json!({"eligible": false}));
                StatusCode::NO_CONTENT
            }),
        )
        .route(path::STOP, post(async || Json(json!({"stopping": ["a1"]}))));
    let (cloud, _gateway) = enrolled_with(home.path(), &Authority::new(), HOUR_MS, routes).await;

    let results = (cloud.set_eligible(false).await, cloud.stop_allocations().await);

    assert_eq!(results, (Ok(()), Ok(vec!["a1".to_owned()])));
}

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
