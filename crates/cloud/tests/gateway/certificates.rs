//! Enrolment, and the certificates that come of it.

use std::path::Path;
use std::time::{Duration, SystemTime};

use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum::{Json, Router};
use ionet_cloud::{CloudFault, Endpoints, Options};
use ionet_gateway_api::{Certificate, EnrolRequest, RenewRequest, code, path};

use super::support::gateway::{Authority, HOUR_MS, earlier_by, now_ms, problem};
use super::{DAY_MS, enrol, enrolled_with, introduction, introduction_of, pc, refusing, support};

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
