use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ionet_gateway_api::{DeviceList, code, path};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use reqwest::Method;
use serde_json::{Value, json};

use crate::stand::issuer::{Issuer, sign, sign_with};
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
#[expect(clippy::too_many_lines, reason = "one list of spellings")]
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
        ("for the app's client, without audience", issuer.sign(json!({ "aud": null, "client_id": "app" }))),
        ("for nobody", issuer.sign(json!({ "aud": [], "client_id": "app" }))),
        ("for a number", issuer.sign(json!({ "aud": 7 }))),
        ("of a longer issuer", issuer.sign(json!({ "iss": format!("{}//", issuer.url) }))),
        ("of somebody without a name", issuer.sign(json!({ "sub": "" }))),
        (
            "of somebody whose number is too long to be told from others",
            issuer.sign(json!({ "sub": 1.0e21 })),
        ),
        ("that expires at no time", issuer.sign(json!({ "exp": "soon" }))),
        ("without issuer", issuer.sign(json!({ "iss": null }))),
        ("without subject", issuer.sign(json!({ "sub": null }))),
        ("by a stranger's key", sign(&stranger, "first", Algorithm::ES256, &issuer.claims(json!({})))),
        ("by an unknown key", sign(&stranger, "second", Algorithm::ES256, &issuer.claims(json!({})))),
        (
            "by a public key as a secret",
            sign(&stranger, "first", Algorithm::HS256, &issuer.claims(json!({}))),
        ),
        ("by nobody", unsigned(&issuer.claims(json!({})))),
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

/// Says that it needs no signature.
fn unsigned(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", part(&json!({ "alg": "none", "kid": "first" })), part(claims))
}

async fn status(stand: &Stand, token: &str) -> u16 {
    stand.send_as(token, Method::GET, path::DEVICES, None).await.status().as_u16()
}

#[tokio::test]
async fn an_access_tokens_claims_are_read_as_the_large_providers_write_them() {
    let stand = Stand::start().await;
    let written = [
        json!({ "auth_time": "1700000000", "email_verified": "true" }),
        json!({ "auth_time": 1_700_000_000.5, "updated_at": "2026-01-02T03:04:05.678Z" }),
        json!({ "auth_time": {}, "name": ["a"], "email": false }),
        json!({ "exp": "4000000000", "nbf": "1700000000", "iat": "soon" }),
        json!({ "exp": 4_000_000_000.5, "nbf": 1_700_000_000.5 }),
        json!({ "aud": ["urn:other", 7, "urn:ionet:gateway"], "azp": "app", "cnf": 1 }),
        json!({ "iss": format!("{}/", stand.issuer.url) }),
        json!({ "sub": 4711 }),
    ];

    for changes in written {
        assert_eq!(status(&stand, &stand.issuer.sign(changes.clone())).await, 200, "{changes}");
    }
}

#[tokio::test]
async fn a_slash_at_the_issuers_end_is_no_difference_on_either_side() {
    for (told, named) in [("/", ""), ("", "/")] {
        let mut stand = Stand::start().await;
        stand.pause().await;
        stand.issuer = Issuer::start_named(named).await;
        stand.config.accounts.issuer = format!("{}{told}", stand.issuer.url);
        stand.resume().await;

        let token = stand.issuer.sign(json!({ "iss": format!("{}{named}", stand.issuer.url) }));

        assert_eq!(status(&stand, &token).await, 200, "{told:?} {named:?}");
    }
}

#[tokio::test]
async fn a_token_without_audience_counts_only_for_the_clients_that_the_operator_names() {
    let stand = Stand::start_with(|config| {
        config.accounts.clients_without_audience = vec!["app".to_owned()];
    })
    .await;
    let with = |changes: Value| stand.issuer.sign(changes);

    // As Amazon Cognito writes them.
    let ours = with(json!({ "aud": null, "client_id": "app", "token_use": "access" }));
    let others = [
        with(json!({ "aud": null, "client_id": "another" })),
        with(json!({ "aud": null, "client_id": ["app"] })),
        with(json!({ "aud": null, "azp": "app" })),
        with(json!({ "aud": null })),
        // An id token, by its own word or by whom it is for.
        with(json!({ "aud": null, "client_id": "app", "token_use": "id" })),
        with(json!({ "aud": "app", "client_id": "app" })),
        with(json!({ "aud": [], "client_id": "app" })),
    ];

    assert_eq!(status(&stand, &ours).await, 200);
    for token in others {
        assert_eq!(status(&stand, &token).await, 401, "{token}");
    }
}

/// A key of each kind, and how an issuer publishes it.
fn keys() -> Vec<(Algorithm, EncodingKey, Value)> {
    let of_pair = |algorithm: Algorithm, key: EncodingKey| {
        let jwk = serde_json::to_value(Jwk::from_encoding_key(&key, algorithm).unwrap()).unwrap();
        (algorithm, key, jwk)
    };
    let rsa = [Algorithm::RS256, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384];
    let rsa = rsa.map(|algorithm| of_pair(algorithm, rsa_key()));
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let p384 = of_pair(Algorithm::ES384, EncodingKey::from_ec_der(&p384.serialize_der()));
    let ed = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let x = URL_SAFE_NO_PAD.encode(ed.public_key_raw());
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "x": x });
    let ed = (Algorithm::EdDSA, EncodingKey::from_ed_der(&ed.serialize_der()), jwk);
    rsa.into_iter().chain([p384, ed]).collect()
}

fn rsa_key() -> EncodingKey {
    let pem = include_str!("../../../../crates/cloud/src/sign_in/id_token/test-key.pem");
    EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap()
}

/// A published key with some members changed; null takes one away.
fn with(jwk: &Value, changes: Value) -> Value {
    let mut jwk = jwk.clone();
    let members = jwk.as_object_mut().unwrap();
    members.extend(changes.as_object().unwrap().clone());
    members.retain(|_, value| !value.is_null());
    jwk
}

#[tokio::test]
async fn every_usual_signature_by_a_key_pair_is_taken() {
    let stand = Stand::start().await;
    let keys = keys();
    let published = keys.iter().enumerate().flat_map(|(number, (_, _, jwk))| {
        let undeclared = json!({ "kid": format!("undeclared-{number}"), "alg": null, "use": null });
        [with(jwk, json!({ "kid": format!("declared-{number}") })), with(jwk, undeclared)]
    });
    stand.issuer.publish(published.collect());

    for (number, (algorithm, key, _)) in keys.iter().enumerate() {
        for id in [format!("declared-{number}"), format!("undeclared-{number}")] {
            let token = sign_with(key, Some(&id), *algorithm, &stand.issuer.claims(json!({})));
            assert_eq!(status(&stand, &token).await, 200, "{algorithm:?} {id}");
        }
    }
}

#[tokio::test]
async fn a_key_vouches_by_no_other_means_than_it_declares() {
    let stand = Stand::start().await;
    let (_, key, jwk) = keys().into_iter().next().unwrap();
    let changes = [
        json!({ "alg": "RS384" }),
        json!({ "alg": "PS256" }),
        json!({ "alg": "RSA-OAEP" }),
        json!({ "alg": "of-tomorrow" }),
        json!({ "use": "enc" }),
        json!({ "key_ops": ["encrypt"] }),
    ];
    let numbered = changes.iter().enumerate();
    let published = numbered
        .map(|(number, change)| with(&with(&jwk, json!({ "kid": number.to_string() })), change.clone()));
    let secret = json!({ "kty": "oct", "kid": "shared", "k": URL_SAFE_NO_PAD.encode("published") });
    stand.issuer.publish(published.chain([secret]).collect());
    let claims = stand.issuer.claims(json!({}));

    for (number, change) in changes.iter().enumerate() {
        let token = sign_with(&key, Some(&number.to_string()), Algorithm::RS256, &claims);
        assert_eq!(status(&stand, &token).await, 401, "{change}");
    }
    let shared = EncodingKey::from_secret(b"published");
    let token = sign_with(&shared, Some("shared"), Algorithm::HS256, &claims);
    assert_eq!(status(&stand, &token).await, 401);
}

#[tokio::test]
async fn a_token_that_names_no_key_is_by_the_only_one_that_signs() {
    let stand = Stand::start().await;
    let (algorithm, key, jwk) = keys().into_iter().next().unwrap();
    let for_encryption = with(&jwk, json!({ "kid": "enc", "use": "enc", "alg": "RSA-OAEP" }));
    stand.issuer.publish(vec![for_encryption, with(&jwk, json!({ "kid": "sig" }))]);

    let token = sign_with(&key, None, algorithm, &stand.issuer.claims(json!({})));

    assert_eq!(status(&stand, &token).await, 200);
}

#[tokio::test]
async fn where_token_or_keys_have_no_name_it_is_by_any_of_them_and_by_no_other() {
    let stand = Stand::start().await;
    let keys = keys();
    let published = |named: bool| {
        let name = |number: usize| if named { json!(number.to_string()) } else { json!(null) };
        keys.iter()
            .enumerate()
            .map(|(number, (_, _, jwk))| with(jwk, json!({ "kid": name(number) })))
            .collect()
    };
    let strange = KeyPair::generate().unwrap();

    for (named, id) in [(true, None), (true, Some("")), (false, Some("of-its-own"))] {
        stand.issuer.publish(published(named));
        for (algorithm, key, _) in &keys {
            let token = sign_with(key, id, *algorithm, &stand.issuer.claims(json!({})));
            assert_eq!(status(&stand, &token).await, 200, "{algorithm:?} {named} {id:?}");
        }
        let strange = EncodingKey::from_ec_der(&strange.serialize_der());
        let token = sign_with(&strange, id, Algorithm::ES256, &stand.issuer.claims(json!({})));
        assert_eq!(status(&stand, &token).await, 401);
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
