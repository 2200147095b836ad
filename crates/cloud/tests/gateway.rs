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
use axum::routing::{delete, get, post, put};
use axum::{Extension, Json, Router};
use ionet_cloud::{
    Cloud, CloudFault, Endpoints, LogFault, Options, Secret, SystemProxy, UploadGrant, UploadObject,
    WantedFault,
};
use ionet_core::earnings::{JobEnd, Scope};
use ionet_core::fault::ProxyFault;
use ionet_core::region::NodeStatus;
use ionet_core::{Money, UnixMs};
use ionet_gateway_api::{Certificate, EnrolRequest, RenewRequest, code, path};
use serde_json::{Value, json};
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
    assert_eq!(cloud.load_device().await.unwrap().id, cloud.enrolled().unwrap().device);
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
    let endpoints = Endpoints {
        region_roots_pem: vec![other.pem()],
        ..support::endpoints(&gateway.url, Some(authority.pem()))
    };
    let cloud = support::cloud_of(home.path(), endpoints, Options::default());
    enrol(&cloud).await.unwrap();

    let fault = cloud.introduction().await;

    assert_eq!(fault, Err(CloudFault::CertificateRefused));
}

#[tokio::test]
async fn who_opens_secure_connections_is_named_before_and_after_enrolment() {
    let home = tempfile::tempdir().unwrap();
    let (ours, theirs) = (Authority::new(), Authority::named("Antivirus Web Shield"));
    let opened = theirs.serve(ours.enrolment(HOUR_MS).merge(introduction())).await;
    let real = ours.serve(ours.enrolment(HOUR_MS)).await;
    let at = |gateway: &Gateway, ca: Option<String>| {
        let roots = Endpoints { region_roots_pem: vec![ours.pem()], ..support::endpoints(&gateway.url, ca) };
        support::cloud_of(home.path(), roots, Options::default())
    };
    let named = CloudFault::Inspected { issuer: "Antivirus Web Shield".into() };

    let before = enrol(&at(&opened, Some(ours.pem()))).await;
    let before_unpinned = enrol(&at(&opened, None)).await;
    enrol(&at(&real, Some(ours.pem()))).await.unwrap();
    let after = at(&opened, Some(ours.pem())).introduction().await;

    assert_eq!((before, before_unpinned), (Err(named.clone()), Err(named.clone())));
    assert_eq!(after, Err(named));
}

#[tokio::test]
async fn a_networks_own_page_is_not_taken_for_somebody_who_opens_connections() {
    let home = tempfile::tempdir().unwrap();
    let hotel = Authority::new();
    let params = rcgen::CertificateParams::new(["portal.example.test".to_owned()]).unwrap();
    let gateway = hotel.serve_with(introduction(), &hotel, params).await;
    let cloud = support::cloud(home.path(), "http://127.0.0.1:1", &gateway.url, Some(Authority::new().pem()));

    assert_eq!(enrol(&cloud).await, Err(CloudFault::Garbled));
}

/// What lies in the identity's folder, but for what is made before anything is answered.
fn kept(home: &Path) -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(home.join("identity")).into_iter().flatten().flatten();
    let mut kept: Vec<_> = files
        .map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap()))
        .filter(|(name, _)| name != "device-key.pem" && name != "fingerprint.json")
        .collect();
    kept.sort();
    kept
}

#[tokio::test]
async fn a_gateway_that_names_another_root_or_another_server_is_refused_by_name_and_nothing_is_written() {
    let (authority, evil) = (Authority::new(), Authority::named("Evil Root"));
    type Change = fn(&mut Certificate, &Authority);
    let changes: [(Change, &str); 3] = [
        (|given, evil| given.ca_pem = evil.pem(), "root Evil Root"),
        (|given, evil| given.ca_pem += &evil.pem(), "root Evil Root"),
        (|given, _| given.servers.push("evil.example.test:4647".into()), "server evil.example.test:4647"),
    ];

    for (change, named) in changes {
        let home = tempfile::tempdir().unwrap();
        let (at_enrolment, at_renewal) =
            ((authority.clone(), evil.clone()), (authority.clone(), evil.clone()));
        let routes = Router::new().route(
            path::DEVICES,
            post(async move |Json(ask): Json<EnrolRequest>| {
                let mut given = at_enrolment.0.certificate(&ask.csr_pem, HOUR_MS);
                change(&mut given, &at_enrolment.1);
                Json(given)
            }),
        );
        let renewal = post(async move |Json(ask): Json<RenewRequest>| {
            let mut given = at_renewal.0.certificate(&ask.csr_pem, HOUR_MS);
            change(&mut given, &at_renewal.1);
            Json(given)
        });
        let (bad, good) = (
            authority.serve(routes.route(path::CERTIFICATE, renewal)).await,
            authority.serve(authority.enrolment(HOUR_MS)).await,
        );
        let fault = CloudFault::Untrusted(named.into());

        let enrolled = enrol(&pc(home.path(), &bad)).await;
        assert_eq!((enrolled, kept(home.path())), (Err(fault.clone()), vec![]));

        enrol(&pc(home.path(), &good)).await.unwrap();
        let before = kept(home.path());
        assert_eq!(pc(home.path(), &bad).renew().await, Err(fault));
        assert_eq!(kept(home.path()), before);
    }
}

#[tokio::test]
async fn a_renewal_makes_no_other_device() {
    let home = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let other = authority.clone();
    let renewal = post(async move |Json(ask): Json<RenewRequest>| {
        Json(Certificate { device: "d-other".into(), ..other.certificate(&ask.csr_pem, HOUR_MS) })
    });
    let (good, bad) = (
        authority.serve(authority.enrolment(HOUR_MS)).await,
        authority.serve(Router::new().route(path::CERTIFICATE, renewal)).await,
    );
    enrol(&pc(home.path(), &good)).await.unwrap();

    assert_eq!(pc(home.path(), &bad).renew().await, Err(CloudFault::Garbled));
}

#[tokio::test]
async fn too_many_requests_say_when_again() {
    let busy = post(async || {
        let body = json!({"type": "t", "title": "t", "status": 429, "code": "too-many", "retry_after_s": 17});
        (StatusCode::TOO_MANY_REQUESTS, Json(body))
    });

    let fault = introduction_of(Router::new().route(path::INTRODUCTION, busy)).await;

    assert_eq!(fault, Err(CloudFault::TooMany { wait_s: 17 }));
}

/// A proxy of a few lines: whatever tunnel is wished for leads to the gateway, or the wish is answered so.
async fn proxy(gateway: &Gateway, answer: &'static str) -> (String, Arc<AtomicUsize>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let port = gateway.url.parse::<url::Url>().unwrap().port().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let asked = count.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            asked.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                assert!(head.starts_with(b"CONNECT gateway.example.test:443 "));
                stream.write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes()).await.unwrap();
                if answer.starts_with("200") {
                    let mut there = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut there).await;
                }
            });
        }
    });
    (host, count)
}

/// A PC whose gateway is somewhere outside, and whose system names this proxy.
fn behind(home: &Path, gateway: &Gateway, proxy: &str) -> Cloud {
    let address = format!("http://me:hunter2@{proxy}");
    let proxy = SystemProxy::named_by(|name| (name == "HTTPS_PROXY").then(|| address.clone()));
    let endpoints = support::endpoints("https://gateway.example.test/", Some(gateway.ca_pem.clone()));
    support::cloud_of(home, endpoints, Options { proxy, ..Options::default() })
}

async fn outside() -> Gateway {
    let authority = Authority::new();
    let params = rcgen::CertificateParams::new(["gateway.example.test".to_owned()]).unwrap();
    let routes = authority.enrolment(HOUR_MS).merge(introduction());
    authority.serve_with(routes, &authority, params).await
}

#[tokio::test]
async fn a_proxy_that_is_the_only_way_out_is_used_with_this_pcs_certificate_through_it() {
    let home = tempfile::tempdir().unwrap();
    let gateway = outside().await;
    let (proxy, asked) = proxy(&gateway, "200 OK").await;
    let cloud = behind(home.path(), &gateway, &proxy);

    enrol(&cloud).await.unwrap();
    let token = cloud.introduction().await.unwrap();

    assert_eq!(token.reveal(), "intro");
    assert!(asked.load(Ordering::Relaxed) >= 2);
}

#[tokio::test]
async fn a_proxy_that_is_in_the_way_is_named_without_its_password() {
    let home = tempfile::tempdir().unwrap();
    let gateway = outside().await;
    let (knows_nobody, _) = proxy(&gateway, "407 Proxy Authentication Required").await;
    let (refuses, _) = proxy(&gateway, "403 Forbidden").await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();

    let fault = async |proxy: &str| enrol(&behind(home.path(), &gateway, proxy)).await.unwrap_err();
    let faults = [fault(&knows_nobody).await, fault(&refuses).await, fault(&closed).await];

    let expected = [
        ProxyFault::WantsPassword(knows_nobody),
        ProxyFault::Refuses { host: refuses, status: 403 },
        ProxyFault::Unreachable(closed),
    ];
    assert_eq!(faults, expected.map(CloudFault::Proxy));
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
async fn the_watch_gives_the_gateways_words_as_the_cores_and_whose_device_it_is_is_kept() {
    let home = tempfile::tempdir().unwrap();
    let state = json!({"index": 8, "node": {"id": "n", "status": "ready", "eligible": true}, "allocations": [],
        "account": {"subject": "bob", "shown": "bob@example.test"}, "wanted_seq": 4,
        "earnings": {"today": "0.012345", "currency": "USDC", "as_of_ms": 1}, "rehearsal": false});
    let watch = get(async move |uri: axum::http::Uri| {
        assert_eq!(uri.query(), Some("index=7&wait=60"));
        Json(state.clone())
    });
    let routes = Router::new().route(path::WATCH, watch);
    let (cloud, gateway) = enrolled_with(home.path(), &Authority::new(), HOUR_MS, routes).await;
    let owner = async |cloud: &Cloud| cloud.load_device().await.unwrap().owner.unwrap().subject;
    let before = owner(&cloud).await;

    let (index, view) = cloud.watch(7, Duration::from_secs(3600)).await.unwrap();

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

#[tokio::test]
async fn a_pc_that_leaves_its_device_tells_the_gateway_and_comes_back_with_another_key() {
    let home = tempfile::tempdir().unwrap();
    let retired = Arc::new(AtomicUsize::new(0));
    let counted = retired.clone();
    let leave = delete(async move |Extension(peer): Extension<Peer>| {
        assert!(peer.certified);
        counted.fetch_add(1, Ordering::Relaxed);
        StatusCode::NO_CONTENT
    });
    let routes = Router::new().route(path::DEVICE, leave);
    let (cloud, _gateway) = enrolled_with(home.path(), &Authority::new(), HOUR_MS, routes).await;
    let key = || std::fs::read(home.path().join("identity/device-key.pem")).ok();
    let before = key();

    cloud.set_identity_aside().await.unwrap();
    let between = (cloud.load_device().await, cloud.enrolled());
    enrol(&cloud).await.unwrap();

    assert_eq!((retired.load(Ordering::Relaxed), between), (1, (None, None)));
    assert!(key().is_some() && key() != before);
}

#[tokio::test]
async fn a_device_that_has_left_already_has_left() {
    let routes = Router::new().route(path::DEVICE, delete(async || problem(403, code::DEVICE_RETIRED)));
    let home = tempfile::tempdir().unwrap();
    let (cloud, _gateway) = enrolled_with(home.path(), &Authority::new(), HOUR_MS, routes).await;

    assert_eq!(cloud.retire().await, Ok(()));
}

#[tokio::test]
async fn a_gateway_that_never_answers_keeps_no_pc_in_its_account() {
    let home = tempfile::tempdir().unwrap();
    let routes =
        Router::new().route(path::DEVICE, delete(async || std::future::pending::<StatusCode>().await));
    let (cloud, _gateway) = enrolled_with(home.path(), &Authority::new(), HOUR_MS, routes).await;

    let aside = tokio::time::timeout(Duration::from_secs(9), cloud.set_identity_aside()).await;

    assert_eq!(aside, Ok(Ok(())));
    assert_eq!(cloud.load_device().await, None);
}

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
