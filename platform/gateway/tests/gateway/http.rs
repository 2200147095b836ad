use std::time::Duration;

use ionet_gateway_api::{DeviceState, code, path};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair};
use reqwest::Method;
use serde_json::json;

use crate::stand::{Stand, is, problem, read};

#[test]
fn the_committed_openapi_document_is_what_the_code_says() {
    let committed = include_str!("../../openapi.json");

    let generated = ionet_gateway::openapi().to_pretty_json().unwrap();

    assert_eq!(
        committed.trim(),
        generated.trim(),
        "run: ionet-gateway openapi > platform/gateway/openapi.json"
    );
}

#[test]
fn every_path_of_the_wire_is_in_the_document() {
    let document = ionet_gateway::openapi();

    let paths = [
        path::HEALTH,
        path::OPENAPI,
        path::DEVICES,
        path::DEVICE_LOST,
        path::ENROLMENT_TOKENS,
        path::RENEWALS,
        path::CERTIFICATE,
        path::INTRODUCTION,
        path::WANTED,
        path::DEVICE,
        path::DEVICE_PERIODS,
        path::DEVICE_JOBS,
        path::ACCOUNT_PERIODS,
        path::ACCOUNT_JOBS,
        path::STOP,
        path::WATCH,
        path::UPLOADS,
    ];

    assert!(paths.iter().all(|path| document.paths.paths.contains_key(*path)));
    assert_eq!(document.paths.paths.len(), paths.len());
}

#[tokio::test]
async fn everything_that_goes_wrong_answers_with_a_problem() {
    let stand = Stand::start().await;
    let nobody = stand.nobody();
    let token = stand.issuer.token("alice");
    let huge = json!({ "csr_pem": "x".repeat(100_000), "label": "", "agreement": 1 });

    let unknown = stand.get(&nobody, "/v1/nothing").await;
    let method = stand.send(&nobody, Method::DELETE, path::DEVICES, None).await;
    let too_large = stand.send_as(&token, Method::POST, path::DEVICES, Some(huge)).await;
    let wrong_shape = stand.send_as(&token, Method::POST, path::DEVICES, Some(json!({ "label": 1 }))).await;
    let no_body = stand.send_as(&token, Method::POST, path::DEVICES, None).await;

    assert_eq!(problem(unknown).await, is(code::NOT_FOUND, 404));
    assert_eq!(problem(method).await, is(code::METHOD_NOT_ALLOWED, 405));
    assert_eq!(problem(too_large).await, is(code::TOO_LARGE, 413));
    assert_eq!(problem(wrong_shape).await, is(code::BAD_REQUEST, 400));
    assert_eq!(problem(no_body).await, is(code::BAD_REQUEST, 400));
}

#[tokio::test]
async fn a_query_that_cannot_be_read_answers_with_a_problem() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;

    let answer = stand.get(&pc.http, &format!("{}?index=minus", path::WATCH)).await;

    assert_eq!(problem(answer).await, is(code::BAD_REQUEST, 400));
}

#[tokio::test]
async fn the_document_is_served_with_the_gateways_own_address() {
    let stand = Stand::start().await;

    let document: serde_json::Value = read(stand.get(&stand.nobody(), path::OPENAPI).await).await;

    assert_eq!(document["servers"][0]["url"], "https://localhost/");
}

#[tokio::test]
async fn a_certificate_of_another_authority_does_not_get_through_the_handshake() {
    let stand = Stand::start().await;
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["d-1.client.eu.nomad".to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let foreign = params.self_signed(&key).unwrap();
    let http = stand.client(Some(format!("{}{}", key.serialize_pem(), foreign.pem())));

    let answer = http.get(format!("{}{}", stand.url, path::HEALTH)).send().await;

    assert!(answer.is_err());
}

#[tokio::test]
async fn a_server_certificate_of_the_root_is_no_client() {
    let stand = Stand::start().await;
    let read = |name: &str| std::fs::read_to_string(stand.folder.path().join(name)).unwrap();
    let http = stand.client(Some(format!("{}{}", read("server-key.pem"), read("server.pem"))));

    let answer = http.get(format!("{}{}", stand.url, path::HEALTH)).send().await;

    assert!(answer.is_err());
}

#[tokio::test]
async fn a_name_outside_the_constraints_does_not_get_through_the_handshake() {
    let stand = Stand::start().await;
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["server.eu.nomad".to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let leaf = params.signed_by(&key, &stand.intermediate).unwrap();
    let pem = format!("{}{}{}", key.serialize_pem(), leaf.pem(), stand.intermediate.pem());

    let answer = stand.client(Some(pem)).get(format!("{}{}", stand.url, path::HEALTH)).send().await;

    assert!(answer.is_err());
}

#[tokio::test]
async fn a_certificate_that_was_never_recorded_is_worth_nothing() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    let mut params = CertificateParams::new([format!("{}.client.eu.nomad", pc.id())]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.not_after = time::OffsetDateTime::now_utc() + Duration::from_secs(600);
    let leaf = params.signed_by(&pc.key, &stand.intermediate).unwrap();
    let pem = format!("{}{}{}", pc.key.serialize_pem(), leaf.pem(), stand.intermediate.pem());

    let answer = stand.get(&stand.client(Some(pem)), path::WATCH).await;

    assert_eq!(problem(answer).await, is(code::NO_CERTIFICATE, 401));
}

#[tokio::test]
async fn a_long_poll_is_answered_when_the_gateway_ends() {
    let mut stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    let index = stand.state(&pc).await.index;
    let url = format!("{}{}?index={index}&wait=60", stand.url, path::WATCH);
    let polling = tokio::spawn(pc.http.get(url).send());
    // The poll has arrived when a second one on the same connection has been answered.
    stand.state(&pc).await;

    stand.cancel();

    let state: DeviceState = read(polling.await.unwrap().unwrap()).await;
    assert_eq!(state.index, index);
    stand.pause().await;
}
