//! A PC leaves its device behind.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{delete, post};
use axum::{Extension, Json, Router};
use ionet_cloud::CloudFault;
use ionet_gateway_api::{EnrolRequest, code, path};

use super::support::gateway::{Authority, HOUR_MS, Peer, problem};
use super::{enrol, enrolled_with, pc};

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
async fn a_take_over_whose_first_answer_was_lost_is_tried_again_with_the_same_key() {
    let home = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let keys = Arc::new(Mutex::new(Vec::new()));
    let (asked, signing) = (keys.clone(), authority.clone());
    let enrolment = post(async move |Json(ask): Json<EnrolRequest>| {
        let key = rcgen::CertificateSigningRequestParams::from_pem(&ask.csr_pem).unwrap().public_key;
        let mut asked = asked.lock().unwrap();
        asked.push(rcgen::PublicKeyData::der_bytes(&key).to_owned());
        match asked.len() {
            2 => problem(503, code::INTERNAL),
            _ => Json(signing.certificate(&ask.csr_pem, HOUR_MS)).into_response(),
        }
    });
    let leave = delete(async || StatusCode::NO_CONTENT);
    let gateway =
        authority.serve(Router::new().route(path::DEVICES, enrolment).route(path::DEVICE, leave)).await;
    let cloud = pc(home.path(), &gateway);
    enrol(&cloud).await.unwrap();

    cloud.set_identity_aside().await.unwrap();
    let lost = enrol(&cloud).await;
    cloud.set_identity_aside().await.unwrap();
    let taken = enrol(&cloud).await;

    assert_eq!((lost, taken.is_ok()), (Err(CloudFault::Unavailable(Some(503))), true));
    let keys = keys.lock().unwrap();
    assert!(keys[0] != keys[1] && keys[1] == keys[2], "one key, and so one device, for the new account");
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
