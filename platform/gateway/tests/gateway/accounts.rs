use ionet_gateway_api::{DeviceList, code, path};
use jsonwebtoken::Algorithm;
use rcgen::KeyPair;
use reqwest::Method;
use serde_json::json;

use crate::stand::issuer::{Issuer, sign};
use crate::stand::{PATIENCE, Stand, enrolment, is, problem, read};

fn account_endpoints() -> [(Method, String); 6] {
    [
        (Method::POST, path::ACCOUNT_PERIODS.to_owned()),
        (Method::POST, path::ACCOUNT_JOBS.to_owned()),
        (Method::GET, path::DEVICES.to_owned()),
        (Method::POST, path::DEVICES.to_owned()),
        (Method::POST, path::DEVICE_LOST.replace("{device}", "d-1")),
        (Method::POST, path::ENROLMENT_TOKENS.to_owned()),
    ]
}

#[tokio::test]
async fn no_account_endpoint_answers_without_a_token() {
    let stand = Stand::start().await;
    let key = KeyPair::generate().unwrap();

    for (method, path) in account_endpoints() {
        let answer = stand.send(&stand.nobody(), method.clone(), &path, Some(enrolment(&key))).await;

        assert_eq!(problem(answer).await, is(code::NOT_SIGNED_IN, 401), "{method} {path}");
    }
}

#[tokio::test]
async fn no_account_endpoint_takes_a_worthless_token() {
    let stand = Stand::start().await;
    let issuer = &stand.issuer;
    let stranger = KeyPair::generate().unwrap();
    let elsewhere = Issuer::start().await;
    let worthless = [
        ("garbage", "garbage".to_owned()),
        ("expired", issuer.sign(json!({ "exp": 1_000_000_000 }))),
        ("without expiry", issuer.sign(json!({ "exp": null }))),
        ("not valid yet", issuer.sign(json!({ "nbf": 4_000_000_000_u64 }))),
        ("for the app itself", issuer.sign(json!({ "aud": "ionet-supplier" }))),
        ("without audience", issuer.sign(json!({ "aud": null }))),
        ("of another issuer", issuer.sign(json!({ "iss": "https://elsewhere.example" }))),
        ("without issuer", issuer.sign(json!({ "iss": null }))),
        ("without subject", issuer.sign(json!({ "sub": null }))),
        ("by a stranger's key", sign(&stranger, "first", Algorithm::ES256, &issuer.claims(json!({})))),
        ("by an unknown key", sign(&stranger, "second", Algorithm::ES256, &issuer.claims(json!({})))),
        (
            "by a public key as a secret",
            sign(&stranger, "first", Algorithm::HS256, &issuer.claims(json!({}))),
        ),
        ("by a real issuer elsewhere", elsewhere.token("alice")),
        ("an unknown enrolment token", "ietk_AAAA".to_owned()),
    ];

    for (what, token) in worthless {
        for (method, path) in account_endpoints() {
            let body = Some(enrolment(&stranger));
            let (status, code) = problem(stand.send_as(&token, method.clone(), &path, body).await).await;

            assert_eq!(status, 401, "{what}: {method} {path}");
            assert!([code::NOT_SIGNED_IN, code::TOKEN_SPENT].contains(&code.as_str()), "{what}: {code}");
        }
    }
}

#[tokio::test]
async fn a_new_key_of_the_issuer_is_fetched_and_the_old_one_is_forgotten() {
    let stand = Stand::start().await;
    let old = stand.issuer.token("alice");
    assert_eq!(stand.send_as(&old, Method::GET, path::DEVICES, None).await.status(), 200);

    stand.issuer.rotate("second");

    let new = stand.issuer.token("alice");
    let fetching =
        async { while stand.send_as(&new, Method::GET, path::DEVICES, None).await.status() != 200 {} };
    tokio::time::timeout(PATIENCE, fetching).await.expect("the new key should come to count");
    let refused = stand.send_as(&old, Method::GET, path::DEVICES, None).await;
    assert_eq!(problem(refused).await, is(code::NOT_SIGNED_IN, 401));
}

#[tokio::test]
async fn a_silent_issuer_is_a_reason_to_ask_again_and_not_to_sign_in_again() {
    let stand = Stand::start().await;
    let token = stand.issuer.token("alice");
    stand.issuer.stop();

    let answer = stand.send_as(&token, Method::GET, path::DEVICES, None).await;

    assert_eq!(problem(answer).await, is(code::UNAVAILABLE, 503));
}

#[tokio::test]
async fn an_account_sees_its_own_devices_alone() {
    let stand = Stand::start().await;
    let alices = stand.enrol("alice").await;
    let bobs = stand.enrol("bob").await;

    let list: DeviceList =
        read(stand.send_as(&stand.issuer.token("bob"), Method::GET, path::DEVICES, None).await).await;

    assert_eq!(list.devices.len(), 1);
    assert_eq!(list.devices[0].device, bobs.id());
    assert_ne!(list.devices[0].device, alices.id());
    assert_eq!(list.devices[0].label, "My PC");
}

#[tokio::test]
async fn an_issuer_that_hangs_stalls_nobody_whose_key_is_known() {
    let stand = Stand::start().await;
    let known = stand.issuer.token("alice");
    assert_eq!(stand.send_as(&known, Method::GET, path::DEVICES, None).await.status(), 200);
    stand.issuer.hang();
    let stranger =
        sign(&KeyPair::generate().unwrap(), "second", Algorithm::ES256, &stand.issuer.claims(json!({})));
    let url = format!("{}{}", stand.url, path::DEVICES);
    let ask = || tokio::spawn(stand.nobody().get(&url).bearer_auth(&stranger).send());
    // The issuer is not asked again within a second, so the first ones may be refused at once.
    let mut first = ask();
    loop {
        tokio::select! {
            () = stand.issuer.until_hung(1) => break,
            refused = &mut first => {
                assert_eq!(refused.unwrap().unwrap().status(), 401);
                first = ask();
            }
        }
    }
    let waiting: Vec<_> = std::iter::once(first).chain((0..20).map(|_| ask())).collect();

    let answer = stand.send_as(&known, Method::GET, path::DEVICES, None).await;

    assert_eq!(answer.status(), 200);
    for waiting in waiting {
        assert!(!waiting.is_finished(), "the question to the issuer should still hang");
        waiting.abort();
    }
    assert_eq!(stand.issuer.hung(), 1, "they should wait for one question together");
}

#[tokio::test]
async fn whoever_waits_for_a_hanging_issuer_is_answered_in_the_end() {
    let stand = Stand::start().await;
    stand.issuer.hang();

    let answer = stand.send_as(&stand.issuer.token("alice"), Method::GET, path::DEVICES, None).await;

    assert_eq!(problem(answer).await, is(code::UNAVAILABLE, 503));
}
