//! Every quota of requests, and that whoever keeps within it never meets it while others do not.

use std::net::Ipv4Addr;

use futures_util::StreamExt as _;
use ionet_gateway::config::{Config, Quota};
use ionet_gateway_api::{Problem, WantedAnswer, code, path};
use rcgen::KeyPair;
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

use crate::stand::{Pc, Stand, csr, enrolment, is, problem, read, renewal};
use crate::wanted::want;

/// Another address of this machine: the house next door.
pub(crate) const NEXT_DOOR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

/// So many, and no more today.
pub(crate) fn only(count: u64) -> Quota {
    Quota { count, per_s: 86_400 }
}

pub(crate) async fn stand(change: impl FnOnce(&mut ionet_gateway::config::Limits)) -> Stand {
    Stand::start_with(|config: &mut Config| change(&mut config.limits)).await
}

/// The answer must be a refusal that says when to ask again, in its header and in its body.
pub(crate) async fn too_many(answer: Response) {
    assert_eq!(answer.status(), 429);
    let header = answer.headers()["retry-after"].to_str().unwrap().to_owned();
    let problem: Problem = answer.json().await.unwrap();
    assert_eq!(problem.code, code::TOO_MANY);
    assert_eq!(problem.retry_after_s.map(|seconds| seconds.to_string()), Some(header));
    assert!(problem.retry_after_s.unwrap() >= 1);
}

/// Asks until it is too many; gives how often the answer was another one.
pub(crate) async fn until_too_many(ask: impl AsyncFn() -> Response) -> usize {
    for asked in 0..100 {
        let answer = ask().await;
        if answer.status() == 429 {
            too_many(answer).await;
            return asked;
        }
    }
    panic!("nothing was too many");
}

pub(crate) async fn watch(stand: &Stand, pc: &Pc) -> Response {
    stand.get(&pc.http, path::WATCH).await
}

async fn list(stand: &Stand, subject: &str) -> Response {
    stand.send_as(&stand.issuer.token(subject), Method::GET, path::DEVICES, None).await
}

/// Wants work by odd numbers and none by even ones: each differs from the one before it.
async fn switch(stand: &Stand, pc: &Pc, seq: u64) -> Response {
    want(stand, pc, seq, seq % 2 == 1).await
}

pub(crate) fn objects(count: usize, length: u64) -> Option<Value> {
    let object = json!({ "name": "a", "length": length, "sha256": "00".repeat(32) });
    Some(json!({ "objects": vec![object; count] }))
}

#[tokio::test]
async fn a_device_that_asks_too_often_is_told_when_again_and_nobody_else_is_held_up() {
    let stand = stand(|limits| limits.device_requests = only(5)).await;
    let (pc, other) = (stand.enrol("alice").await, stand.enrol("alice").await);

    assert_eq!(until_too_many(async || want(&stand, &pc, 1, false).await).await, 5);

    assert_eq!(want(&stand, &other, 1, false).await.status(), 200);
    assert_eq!(list(&stand, "alice").await.status(), 200);
}

#[tokio::test]
async fn an_account_that_asks_too_often_is_told_when_again_and_its_devices_are_not_held_up() {
    let stand = stand(|limits| limits.account_requests = only(5)).await;
    let pc = stand.enrol("alice").await;

    assert_eq!(until_too_many(async || list(&stand, "alice").await).await, 4);

    assert_eq!(list(&stand, "bob").await.status(), 200);
    assert_eq!(watch(&stand, &pc).await.status(), 200);
}

#[tokio::test]
async fn whoever_is_nobody_is_held_to_its_addresss_share_and_the_known_ones_there_are_not() {
    let stand = stand(|limits| limits.strangers = only(20)).await;
    let pc = stand.enrol("alice").await;
    let nobody = stand.client_at(NEXT_DOOR, None);
    let pem = format!("{}{}", pc.key.serialize_pem(), pc.certificate.chain_pem);
    let known = stand.client_at(NEXT_DOOR, Some(pem));
    let ask = async |method: Method, path: &str, token: &str| {
        let request = nobody.request(method, format!("{}{path}", stand.url)).bearer_auth(token);
        request.json(&json!({ "device": "d", "csr_pem": "" })).send().await.unwrap()
    };

    let kinds = [
        (Method::GET, path::HEALTH, ""),
        (Method::GET, path::OPENAPI, ""),
        (Method::GET, "/v1/nothing", ""),
        (Method::PATCH, path::DEVICES, ""),
        (Method::POST, path::RENEWALS, ""),
        (Method::GET, path::WATCH, ""),
        (Method::GET, path::DEVICES, "garbage"),
        (Method::POST, path::ENROLMENT_TOKENS, "ietk_unknown"),
    ];
    for (method, path, token) in kinds.iter().cycle().take(20) {
        assert_ne!(ask(method.clone(), path, token).await.status(), 429, "{method} {path}");
    }

    for (method, path, token) in kinds {
        too_many(ask(method, path, token).await).await;
    }
    assert_eq!(stand.get(&known, path::WATCH).await.status(), 200);
    let account =
        nobody.get(format!("{}{}", stand.url, path::DEVICES)).bearer_auth(stand.issuer.token("alice"));
    assert_eq!(account.send().await.unwrap().status(), 200);
    assert_eq!(stand.get(&stand.nobody(), path::HEALTH).await.status(), 200);
}

#[tokio::test]
async fn a_session_that_has_ended_is_a_strangers_and_uses_up_nothing_of_its_owners() {
    let stand = stand(|limits| {
        limits.account_requests = only(5);
        limits.strangers = only(20);
    })
    .await;
    let stolen = stand.enrol("alice").await;
    ionet_gateway::report_lost(&stand.config, stolen.id()).await.unwrap();
    let old = stand.issuer.sign(json!({ "sub": "alice", "auth_time": 1 }));

    let thief = async || stand.send_as(&old, Method::GET, path::DEVICES, None).await;
    // One question was the stand's own, whether the gateway is there.
    assert_eq!(until_too_many(thief).await, 19);

    for _ in 0..4 {
        assert_eq!(list(&stand, "alice").await.status(), 200);
    }
}

#[tokio::test]
async fn worthless_enrolment_tokens_are_a_strangers_too() {
    let stand = stand(|limits| limits.strangers = only(20)).await;
    let key = KeyPair::generate().unwrap();
    let ask =
        async || stand.send_as("ietk_unknown", Method::POST, path::DEVICES, Some(enrolment(&key))).await;

    // One question was the stand's own, whether the gateway is there.
    assert_eq!(until_too_many(ask).await, 19);
}

#[tokio::test]
async fn one_key_does_not_get_certificates_without_end_by_whichever_door() {
    let stand = stand(|limits| limits.renewals = only(6)).await;
    let (pc, other) = (stand.enrol("alice").await, stand.enrol("alice").await);
    let body = renewal(pc.id(), &pc.key);
    let token = stand.issuer.token("alice");

    for _ in 0..2 {
        let by_certificate = stand.send(&pc.http, Method::POST, path::CERTIFICATE, Some(body.clone())).await;
        let by_key = stand.send(&stand.nobody(), Method::POST, path::RENEWALS, Some(body.clone())).await;
        let anew = stand.send_as(&token, Method::POST, path::DEVICES, Some(enrolment(&pc.key))).await;
        assert_eq!(
            (by_certificate.status(), by_key.status(), anew.status()),
            (200.try_into().unwrap(), 200.try_into().unwrap(), 201.try_into().unwrap())
        );
    }

    too_many(stand.send(&pc.http, Method::POST, path::CERTIFICATE, Some(body.clone())).await).await;
    too_many(stand.send(&stand.nobody(), Method::POST, path::RENEWALS, Some(body)).await).await;
    too_many(stand.send_as(&token, Method::POST, path::DEVICES, Some(enrolment(&pc.key))).await).await;
    assert_eq!(watch(&stand, &pc).await.status(), 200);
    let body = renewal(other.id(), &other.key);
    assert_eq!(stand.send(&other.http, Method::POST, path::CERTIFICATE, Some(body)).await.status(), 200);
}

#[tokio::test]
async fn a_strangers_tries_do_not_use_up_a_devices_renewals() {
    let stand = stand(|limits| limits.renewals = only(1)).await;
    let (pc, thief) = (stand.enrol("alice").await, KeyPair::generate().unwrap());

    for _ in 0..5 {
        let body = json!({ "device": pc.id(), "csr_pem": csr(&thief) });
        let refused = stand.send(&stand.nobody(), Method::POST, path::RENEWALS, Some(body)).await;
        assert_eq!(problem(refused).await, is(code::NOT_YOURS, 403));
    }

    let body = renewal(pc.id(), &pc.key);
    assert_eq!(stand.send(&stand.nobody(), Method::POST, path::RENEWALS, Some(body)).await.status(), 200);
}

#[tokio::test]
async fn only_the_newest_certificates_of_a_device_are_kept() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    let mut newest = Vec::new();

    for _ in 0..17 {
        let body = renewal(pc.id(), &pc.key);
        let renewed = stand.send(&stand.nobody(), Method::POST, path::RENEWALS, Some(body)).await;
        newest.push(stand.pc(KeyPair::from_pem(&pc.key.serialize_pem()).unwrap(), read(renewed).await));
    }

    assert_eq!(problem(watch(&stand, &pc).await).await, is(code::NO_CERTIFICATE, 401));
    assert_eq!(problem(watch(&stand, &newest[0]).await).await, is(code::NO_CERTIFICATE, 401));
    for pc in &newest[1..] {
        assert_eq!(watch(&stand, pc).await.status(), 200);
    }
}

#[tokio::test]
async fn an_account_gets_so_many_new_devices_and_its_old_ones_stay() {
    let stand = stand(|limits| limits.new_devices = only(2)).await;
    let (first, second) = (stand.enrol("alice").await, stand.enrol("alice").await);
    let token = stand.issuer.token("alice");

    let key = KeyPair::generate().unwrap();
    too_many(stand.send_as(&token, Method::POST, path::DEVICES, Some(enrolment(&key))).await).await;

    let again = stand.send_as(&token, Method::POST, path::DEVICES, Some(enrolment(&first.key))).await;
    assert_eq!(again.status(), 201);
    assert_eq!(watch(&stand, &second).await.status(), 200);
    stand.enrol("bob").await;
}

#[tokio::test]
async fn an_account_gets_so_many_enrolment_tokens() {
    let stand = stand(|limits| limits.enrolment_tokens = only(3)).await;
    let make = async |subject: &str| {
        stand.send_as(&stand.issuer.token(subject), Method::POST, path::ENROLMENT_TOKENS, None).await
    };

    assert_eq!(until_too_many(async || make("alice").await).await, 3);

    assert_eq!(make("bob").await.status(), 201);
}

#[tokio::test]
async fn wanted_states_in_a_loop_do_not_reach_the_region() {
    let stand = stand(|limits| limits.wanted = only(4)).await;
    let (pc, other) = (stand.enrol("alice").await, stand.enrol("alice").await);
    stand.region.node("n-1", pc.id(), json!({ "SchedulingEligibility": "ineligible" }));
    stand.until(&pc, |state| state.node.is_some()).await;
    for seq in 1..=4 {
        let answer: WantedAnswer = read(switch(&stand, &pc, seq).await).await;
        assert!(answer.applied);
    }

    for seq in 5..=9 {
        too_many(switch(&stand, &pc, seq).await).await;
    }

    assert_eq!(stand.region.calls("/v1/node/n-1/eligibility").len(), 4);
    assert_eq!(stand.state(&pc).await.wanted_seq, 4);
    assert_eq!(want(&stand, &other, 1, false).await.status(), 200);
}

#[tokio::test]
async fn introductions_and_stops_in_a_loop_do_not_reach_the_region() {
    let stand = stand(|limits| limits.region_calls = only(4)).await;
    let (pc, other) = (stand.enrol("alice").await, stand.enrol("alice").await);
    let introduce = async |pc: &Pc| stand.send(&pc.http, Method::POST, path::INTRODUCTION, None).await;

    assert_eq!(until_too_many(async || introduce(&pc).await).await, 4);

    assert_eq!(stand.region.calls("/client-introduction-token").len(), 4);
    too_many(stand.send(&pc.http, Method::POST, path::STOP, None).await).await;
    assert_eq!(introduce(&other).await.status(), 200);
}

#[tokio::test]
async fn questions_about_the_past_are_bounded_for_each_device_and_each_account() {
    let stand = stand(|limits| limits.history = only(10)).await;
    let (pc, other) = (stand.enrol("alice").await, stand.enrol("alice").await);
    let (periods, jobs) =
        (json!({ "boundaries_ms": [0, 1] }), json!({ "from_ms": 0, "to_ms": 1, "limit": 1 }));
    let by_device = async |pc: &Pc, path: &str, body: &Value| {
        stand.send(&pc.http, Method::POST, path, Some(body.clone())).await
    };
    let by_account = async |path: &str, body: &Value| {
        stand.send_as(&stand.issuer.token("alice"), Method::POST, path, Some(body.clone())).await
    };

    for _ in 0..2 {
        assert_eq!(by_device(&pc, path::DEVICE_PERIODS, &periods).await.status(), 200);
        assert_eq!(by_device(&pc, path::DEVICE_JOBS, &jobs).await.status(), 200);
        assert_eq!(by_account(path::ACCOUNT_PERIODS, &periods).await.status(), 200);
        assert_eq!(by_account(path::ACCOUNT_JOBS, &jobs).await.status(), 200);
    }

    too_many(by_device(&pc, path::DEVICE_PERIODS, &periods).await).await;
    too_many(by_device(&pc, path::DEVICE_JOBS, &jobs).await).await;
    too_many(by_account(path::ACCOUNT_PERIODS, &periods).await).await;
    too_many(by_account(path::ACCOUNT_JOBS, &jobs).await).await;
    assert_eq!(by_device(&other, path::DEVICE_JOBS, &jobs).await.status(), 200);
}

/// A house of two hundred comes back after a power cut, all at once and behind one address, by the limits that are the
/// default: each renews by its key alone, as after a long time, and does all that it does in an hour.
#[tokio::test]
async fn two_hundred_pcs_behind_one_address_never_meet_a_limit() {
    let stand = Stand::start().await;
    let pcs: Vec<Pc> = futures_util::stream::iter(0..200)
        .map(async |number| stand.enrol(&format!("owner-{}", number % 40)).await)
        .buffer_unordered(8)
        .collect()
        .await;

    let answers: Vec<(String, u16)> = futures_util::stream::iter(&pcs)
        .map(async |pc| an_hour(&stand, pc).await)
        .buffer_unordered(16)
        .collect::<Vec<_>>()
        .await
        .concat();

    let refused: Vec<_> = answers.iter().filter(|(_, status)| *status != 200).collect();
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(answers.len(), 200 * 21);
}

async fn an_hour(stand: &Stand, pc: &Pc) -> Vec<(String, u16)> {
    let mut answers = Vec::new();
    let nobody = stand.nobody();
    let mut said = async |what: &str, client: &Client, method: Method, path: &str, body: Option<Value>| {
        let answer = stand.send(client, method, path, body).await;
        answers.push((what.to_owned(), answer.status().as_u16()));
    };
    said("the clock", &nobody, Method::GET, path::HEALTH, None).await;
    said("renewal", &nobody, Method::POST, path::RENEWALS, Some(renewal(pc.id(), &pc.key))).await;
    said("introduction", &pc.http, Method::POST, path::INTRODUCTION, None).await;
    for seq in 1..=6 {
        let wanted = json!({ "seq": seq, "eligible": seq % 2 == 0, "holds": [] });
        said("wanted", &pc.http, Method::PUT, path::WANTED, Some(wanted)).await;
        said("watch", &pc.http, Method::GET, path::WATCH, None).await;
        said("uploads", &pc.http, Method::POST, path::UPLOADS, objects(4, 400_000)).await;
    }
    answers
}
