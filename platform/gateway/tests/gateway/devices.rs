use ionet_gateway_api::{Certificate, DeviceEnd, DeviceList, EnrolmentToken, code, path};
use rcgen::{CertificateParams, KeyPair};
use reqwest::Method;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::stand::{Pc, Stand, csr, enrolment, is, problem, read, renewal};

fn device_endpoints(pc: &Pc) -> [(Method, &'static str, Option<Value>); 8] {
    let object = json!({ "name": "a", "length": 1, "sha256": "00".repeat(32) });
    [
        (Method::POST, path::CERTIFICATE, Some(renewal(pc.id(), &pc.key))),
        (Method::POST, path::INTRODUCTION, None),
        (Method::PUT, path::WANTED, Some(json!({ "seq": 1, "eligible": true, "holds": [] }))),
        (Method::POST, path::STOP, None),
        (Method::GET, path::WATCH, None),
        (Method::POST, path::UPLOADS, Some(json!({ "objects": [object] }))),
        (Method::POST, path::DEVICE_PERIODS, Some(json!({ "boundaries_ms": [0, 1] }))),
        (Method::POST, path::DEVICE_JOBS, Some(json!({ "from_ms": 0, "to_ms": 1, "limit": 1 }))),
    ]
}

async fn report_lost(stand: &Stand, subject: &str, device: &str) -> reqwest::Response {
    let path = path::DEVICE_LOST.replace("{device}", device);
    stand.send_as(&stand.issuer.token(subject), Method::POST, &path, None).await
}

#[tokio::test]
async fn a_certificate_carries_the_devices_names_and_nothing_of_the_request() {
    let stand = Stand::start().await;
    let key = KeyPair::generate().unwrap();
    let wished =
        CertificateParams::new(["server.eu.nomad".to_owned(), "d-0.client.eu.nomad".to_owned()]).unwrap();
    let csr_pem = wished.serialize_request(&key).unwrap().pem().unwrap();
    let body = json!({ "csr_pem": csr_pem, "label": "x", "agreement": 1 });

    let token = stand.issuer.token("alice");
    let given: Certificate = read(stand.send_as(&token, Method::POST, path::DEVICES, Some(body)).await).await;

    assert_eq!(given.device.len(), 34);
    let (_, pem) = x509_parser::pem::parse_x509_pem(given.chain_pem.as_bytes()).unwrap();
    let (_, leaf) = X509Certificate::from_der(&pem.contents).unwrap();
    let names = &leaf.subject_alternative_name().unwrap().unwrap().value.general_names;
    let own = format!("{}.client.eu.nomad", given.device);
    assert_eq!(names, &[GeneralName::DNSName("client.eu.nomad"), GeneralName::DNSName(&own)]);
    let usage = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any);
    assert!(!leaf.is_ca());
    assert_eq!(leaf.public_key().subject_public_key.data.as_ref(), key.public_key_raw());
    assert_eq!(given.expires_at_ms - given.issued_at_ms, 7 * 24 * 3_600_000);
    assert_eq!(leaf.validity().not_after.timestamp() * 1000, given.expires_at_ms);
    assert_eq!((given.region.as_str(), given.node_pool.as_str()), ("eu", "gamers"));
    assert_eq!(given.chain_pem.matches("BEGIN CERTIFICATE").count(), 2);
}

#[tokio::test]
async fn the_same_account_with_the_same_key_is_the_same_device_again() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;

    let token = stand.issuer.token("alice");
    let answer = stand.send_as(&token, Method::POST, path::DEVICES, Some(enrolment(&pc.key))).await;
    let again: Certificate = read(answer).await;

    assert_eq!(again.device, pc.id());
    assert_ne!(again.chain_pem, pc.certificate.chain_pem);
    assert_eq!(stand.get(&pc.http, path::WATCH).await.status(), 200);
}

#[tokio::test]
async fn a_key_of_another_account_is_refused() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;

    let token = stand.issuer.token("bob");
    let answer = stand.send_as(&token, Method::POST, path::DEVICES, Some(enrolment(&pc.key))).await;

    assert_eq!(problem(answer).await, is(code::KEY_TAKEN, 409));
}

#[tokio::test]
async fn nobody_enrols_without_having_agreed_or_with_a_broken_request() {
    let stand = Stand::start().await;
    let token = stand.issuer.token("alice");
    let key = KeyPair::generate().unwrap();
    let not_agreed = json!({ "csr_pem": csr(&key), "label": "", "agreement": 0 });
    let broken = json!({ "csr_pem": csr(&key).replace('M', "N"), "label": "", "agreement": 1 });

    let not_agreed = stand.send_as(&token, Method::POST, path::DEVICES, Some(not_agreed)).await;
    let broken = stand.send_as(&token, Method::POST, path::DEVICES, Some(broken)).await;

    assert_eq!(problem(not_agreed).await, is(code::BAD_REQUEST, 400));
    assert_eq!(problem(broken).await, is(code::BAD_CSR, 400));
}

#[tokio::test]
async fn an_enrolment_token_enrols_one_key_and_does_nothing_else() {
    let stand = Stand::start().await;
    let account = stand.issuer.token("alice");
    let made = stand.send_as(&account, Method::POST, path::ENROLMENT_TOKENS, None).await;
    let EnrolmentToken { token, .. } = read(made).await;
    let (first, second) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());

    let given = stand.send_as(&token, Method::POST, path::DEVICES, Some(enrolment(&first))).await;
    let given: Certificate = read(given).await;
    let lost_answer = stand.send_as(&token, Method::POST, path::DEVICES, Some(enrolment(&first))).await;
    let spent = stand.send_as(&token, Method::POST, path::DEVICES, Some(enrolment(&second))).await;
    let listing = stand.send_as(&token, Method::GET, path::DEVICES, None).await;

    assert_eq!(read::<Certificate>(lost_answer).await.device, given.device);
    assert_eq!(problem(spent).await, is(code::TOKEN_SPENT, 401));
    assert_eq!(problem(listing).await, is(code::NOT_SIGNED_IN, 401));
    let list: DeviceList = read(stand.send_as(&account, Method::GET, path::DEVICES, None).await).await;
    assert_eq!(list.devices.len(), 1);
    let database = std::fs::read(stand.folder.path().join("gateway.db")).unwrap();
    let wal = std::fs::read(stand.folder.path().join("gateway.db-wal")).unwrap_or_default();
    let holds = |bytes: &[u8]| bytes.windows(token.len()).any(|window| window == token.as_bytes());
    assert!(!holds(&database) && !holds(&wal));
}

#[tokio::test]
async fn no_device_endpoint_answers_without_a_certificate() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;

    for (method, path, body) in device_endpoints(&pc) {
        let token = stand.issuer.token("alice");
        let answer = stand.send_as(&token, method.clone(), path, body).await;

        assert_eq!(problem(answer).await, is(code::NO_CERTIFICATE, 401), "{method} {path}");
    }
}

#[tokio::test]
async fn no_device_endpoint_answers_a_lost_device() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    let others = stand.enrol("alice").await;

    assert_eq!(report_lost(&stand, "alice", pc.id()).await.status(), 204);

    for (method, path, body) in device_endpoints(&pc) {
        let answer = stand.send(&pc.http, method.clone(), path, body).await;
        assert_eq!(problem(answer).await, is(code::DEVICE_LOST, 403), "{method} {path}");
    }
    let renewed =
        stand.send(&stand.nobody(), Method::POST, path::RENEWALS, Some(renewal(pc.id(), &pc.key))).await;
    assert_eq!(problem(renewed).await, is(code::DEVICE_LOST, 403));
    let token = stand.issuer.token("alice");
    let enrolled = stand.send_as(&token, Method::POST, path::DEVICES, Some(enrolment(&pc.key))).await;
    assert_eq!(problem(enrolled).await, is(code::DEVICE_LOST, 403));
    assert_eq!(stand.get(&others.http, path::WATCH).await.status(), 200);
}

#[tokio::test]
async fn another_account_cannot_report_a_device_lost_and_does_not_learn_whether_it_exists() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;

    let theirs = report_lost(&stand, "bob", pc.id()).await;
    let unknown = report_lost(&stand, "bob", "d-unknown").await;

    assert_eq!(problem(theirs).await, is(code::NOT_YOURS, 403));
    assert_eq!(problem(unknown).await, is(code::NOT_YOURS, 403));
    assert_eq!(stand.get(&pc.http, path::WATCH).await.status(), 200);
}

#[tokio::test]
async fn a_certificate_is_renewed_by_the_old_one_and_by_the_key_alone() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    let body = renewal(pc.id(), &pc.key);

    let by_certificate = stand.send(&pc.http, Method::POST, path::CERTIFICATE, Some(body.clone())).await;
    let by_key = stand.send(&stand.nobody(), Method::POST, path::RENEWALS, Some(body)).await;

    for answer in [by_certificate, by_key] {
        let renewed: Certificate = read(answer).await;
        assert_eq!(renewed.device, pc.id());
        let key = KeyPair::from_pem(&pc.key.serialize_pem()).unwrap();
        let renewed = stand.pc(key, renewed);
        assert_eq!(stand.get(&renewed.http, path::WATCH).await.status(), 200);
    }
}

#[tokio::test]
async fn nobody_renews_with_another_key_or_for_another_device() {
    let stand = Stand::start().await;
    let (mine, theirs) = (stand.enrol("alice").await, stand.enrol("bob").await);
    let nobody = stand.nobody();

    let my_key =
        stand.send(&nobody, Method::POST, path::RENEWALS, Some(renewal(theirs.id(), &mine.key))).await;
    let unknown = stand.send(&nobody, Method::POST, path::RENEWALS, Some(renewal("d-0", &mine.key))).await;
    let body = Some(renewal(theirs.id(), &theirs.key));
    let their_key_over_my_line = stand.send(&mine.http, Method::POST, path::CERTIFICATE, body).await;
    let body = Some(renewal(mine.id(), &theirs.key));
    let their_key_for_me = stand.send(&mine.http, Method::POST, path::CERTIFICATE, body).await;

    for answer in [my_key, unknown, their_key_over_my_line, their_key_for_me] {
        assert_eq!(problem(answer).await, is(code::NOT_YOURS, 403));
    }
}

#[tokio::test]
async fn an_operator_can_report_a_device_lost_while_the_gateway_runs() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    stand.region.node("n-1", pc.id(), json!({}));

    ionet_gateway::report_lost(&stand.config, pc.id()).await.unwrap();

    let drained = stand.region.until_called("/drain", 1).await;
    assert_eq!(drained[0].path, "/v1/node/n-1/drain");
    assert_eq!(problem(stand.get(&pc.http, path::WATCH).await).await, is(code::DEVICE_LOST, 403));
    assert!(ionet_gateway::report_lost(&stand.config, "d-unknown").await.is_err());
}

#[tokio::test]
async fn the_list_says_of_each_device_whether_and_how_it_ended() {
    let stand = Stand::start().await;
    let (good, lost, left, both) = (
        stand.enrol("alice").await,
        stand.enrol("alice").await,
        stand.enrol("alice").await,
        stand.enrol("alice").await,
    );
    for pc in [&left, &both] {
        assert_eq!(stand.send(&pc.http, Method::DELETE, path::DEVICE, None).await.status(), 204);
    }
    for pc in [&lost, &both] {
        ionet_gateway::report_lost(&stand.config, pc.id()).await.unwrap();
    }

    let answer = stand.send_as(&stand.issuer.token("alice"), Method::GET, path::DEVICES, None).await;
    let DeviceList { devices } = read(answer).await;

    let end = |pc: &Pc| devices.iter().find(|device| device.device == pc.id()).unwrap().end;
    assert_eq!(
        [end(&good), end(&lost), end(&left), end(&both)],
        [None, Some(DeviceEnd::Lost), Some(DeviceEnd::Retired), Some(DeviceEnd::Lost)]
    );
}

#[tokio::test]
async fn a_device_whose_name_cannot_be_read_is_a_problem_like_any_other() {
    let stand = Stand::start().await;

    let token = stand.issuer.token("alice");
    let answer = stand.send_as(&token, Method::POST, "/v1/devices/%FF/lost", None).await;

    assert_eq!(problem(answer).await, is(code::BAD_REQUEST, 400));
}
