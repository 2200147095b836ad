use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use openidconnect::core::CoreRsaPrivateSigningKey;
use openidconnect::{JsonWebKeyId, PrivateSigningKey as _};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, SigningKey as _};
use serde_json::json;

use super::*;

const NOW_S: i64 = 1_800_000_000;
const ISSUER: &str = "https://id.example.test/realm";

fn rsa_key() -> CoreRsaPrivateSigningKey {
    let kid = Some(JsonWebKeyId::new("rsa".into()));
    CoreRsaPrivateSigningKey::from_pem(include_str!("test-key.pem"), kid).unwrap()
}

fn claims(change: Value) -> Value {
    let mut claims = json!({"iss": ISSUER, "aud": "app", "sub": "alice", "nonce": "n", "exp": NOW_S + 300,
        "iat": NOW_S, "email": "alice@example.test"});
    claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    claims
}

fn encoded(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}

fn rsa_token(algorithm: &Algorithm, kid: Option<&str>, claims: &Value) -> String {
    let header = json!({"alg": algorithm, "kid": kid, "typ": "JWT"});
    let signed = format!("{}.{}", encoded(&header), encoded(claims));
    let signature = rsa_key().sign(algorithm, signed.as_bytes()).unwrap();
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

/// With a key set as providers have them: keys of others, of kinds that nobody knows, for encryption.
fn read_token(token: &str) -> Result<Claims, NotVerified> {
    let rsa = serde_json::to_value(rsa_key().as_verification_key()).unwrap();
    let mut other = rsa.clone();
    other["kid"] = json!("for-encryption");
    other["use"] = json!("enc");
    let keys = json!({"keys": [{"kty": "later", "kid": "x"}, other, rsa]});
    let keys = serde_json::from_value(keys).unwrap();
    let expected = Expected { issuer: ISSUER, client_id: "app", nonce: Some("n"), now_ms: NOW_S * 1000 };
    verify(token, &keys, &expected)
}

fn read_claims(change: Value) -> Result<Claims, NotVerified> {
    read_token(&rsa_token(&Algorithm::RsaSsaPkcs1V15Sha256, Some("rsa"), &claims(change)))
}

fn not(what: &'static str) -> Result<Claims, NotVerified> {
    Err(not_ours(what))
}

#[test]
fn the_large_providers_claims_are_read_as_they_write_them() {
    let alice = Claims { subject: "alice".into(), email: Some("alice@example.test".into()), preferred: None };
    let written = [
        // Auth0 writes a date, Cognito booleans as text.
        json!({"updated_at": "2026-01-02T03:04:05.678Z", "email_verified": "true"}),
        json!({"cognito:groups": ["a"], "phone_number_verified": "false", "auth_time": "1700000000"}),
        // Entra and its kin.
        json!({"tid": "t", "ver": "2.0", "xms_edov": "1", "aio": "…", "rh": "0.", "nbf": NOW_S - 5}),
        json!({"amr": "pwd", "acr": 1, "address": "", "birthdate": null, "locale": {"x": 1}, "name": ["a"]}),
        json!({"exp": (NOW_S + 300).to_string(), "iat": "soon", "auth_time": null}),
        json!({"exp": (NOW_S + 300) as f64 + 0.5}),
        // Zitadel lists the project beside the client.
        json!({"aud": ["app", "311111111111111111", "322222222222222222"], "azp": "app"}),
        json!({"aud": ["app"], "azp": ""}),
        json!({"iss": "https://id.example.test/realm/"}),
    ];

    for change in written {
        assert_eq!(read_claims(change.clone()), Ok(alice.clone()), "{change}");
    }
}

#[test]
fn whom_to_show_is_found_where_it_stands() {
    let shown = |change: Value| {
        let Claims { email, preferred, .. } = read_claims(change).unwrap();
        (email, preferred)
    };

    assert_eq!(shown(json!({"email": null, "emails": ["a@b.test"]})).0.as_deref(), Some("a@b.test"));
    assert_eq!(
        shown(json!({"email": "", "preferred_username": " al\u{7}ice "})),
        (None, Some("alice".into()))
    );
    assert_eq!(read_claims(json!({"sub": 4711})).unwrap().subject, "4711");
    assert!(read_claims(json!({"sub": 3.1e20})).is_err(), "too long to be told from others");
}

#[test]
fn what_was_not_asked_for_is_named() {
    assert_eq!(read_claims(json!({"iss": "https://evil.example.test"})), not("issuer"));
    assert_eq!(read_claims(json!({"aud": "another"})), not("audience"));
    assert_eq!(read_claims(json!({"aud": null})), not("audience"));
    assert_eq!(read_claims(json!({"aud": ["app", "another"]})), not("authorized party"));
    assert_eq!(read_claims(json!({"aud": ["app", "another"], "azp": "another"})), not("authorized party"));
    assert_eq!(read_claims(json!({"azp": "another"})), not("authorized party"));
    assert_eq!(read_claims(json!({"nonce": "m"})), not("nonce"));
    assert_eq!(read_claims(json!({"nonce": null})), not("nonce"));
}

#[test]
fn clocks_may_differ_by_two_minutes_and_not_by_more() {
    assert!(read_claims(json!({"exp": NOW_S - 100, "nbf": NOW_S + 100})).is_ok());
    assert_eq!(read_claims(json!({"exp": NOW_S - 200})), not("expiry"));
    assert_eq!(read_claims(json!({"nbf": NOW_S + 200})), not("expiry"));
}

#[test]
fn every_usual_signature_is_checked() {
    let (rs, ps) = (Algorithm::RsaSsaPkcs1V15Sha256, Algorithm::RsaSsaPssSha256);

    for (algorithm, kid) in [(&rs, Some("rsa")), (&ps, Some("rsa")), (&rs, None)] {
        let token = rsa_token(algorithm, kid, &claims(json!({})));
        assert!(read_token(&token).is_ok(), "{algorithm:?} {kid:?}");
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (header, _) = signed.split_once('.').unwrap();
        let forged = format!("{header}.{}.{signature}", encoded(&claims(json!({"sub": "bob"}))));
        assert_eq!(read_token(&forged), not("signature"));
    }
}

#[test]
fn a_signature_by_an_elliptic_curve_is_checked() {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let part = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let (x, y) = key.public_key_raw()[1..].split_at(32);
    let keys = json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "ec", "x": part(x), "y": part(y)}]});
    let signed =
        format!("{}.{}", encoded(&json!({"alg": "ES256", "kid": "ec"})), encoded(&claims(json!({}))));
    let token = format!("{signed}.{}", part(&fixed(&key.sign(signed.as_bytes()).unwrap())));
    let expected = Expected { issuer: ISSUER, client_id: "app", nonce: None, now_ms: NOW_S * 1000 };

    let read = verify(&token, &serde_json::from_value(keys).unwrap(), &expected);

    assert_eq!(read.unwrap().subject, "alice");
}

/// From DER's two integers to JOSE's 64 bytes.
fn fixed(der: &[u8]) -> Vec<u8> {
    let mut rest = &der[2..];
    let mut both = Vec::new();
    for _ in 0..2 {
        let (number, next) = rest[2..].split_at(usize::from(rest[1]));
        let plain = &number[number.len().saturating_sub(32)..];
        both.extend(std::iter::repeat_n(0, 32 - plain.len()).chain(plain.iter().copied()));
        rest = next;
    }
    both
}

#[test]
fn a_key_that_is_not_there_is_told_from_a_signature_that_does_not_fit() {
    let unknown = rsa_token(&Algorithm::RsaSsaPkcs1V15Sha256, Some("rotated"), &claims(json!({})));
    let for_encryption =
        rsa_token(&Algorithm::RsaSsaPkcs1V15Sha256, Some("for-encryption"), &claims(json!({})));

    assert_eq!(read_token(&unknown), Err(NotVerified::NoKey));
    assert_eq!(read_token(&for_encryption), not("signature"));
}

#[test]
fn a_token_without_a_signature_or_by_a_shared_secret_is_refused() {
    for algorithm in ["none", "HS256", "later"] {
        let header = encoded(&json!({"alg": algorithm, "kid": "rsa"}));
        let token = format!("{header}.{}.AAAA", encoded(&claims(json!({}))));
        assert_eq!(read_token(&token), not("signature"), "{algorithm}");
    }
}

#[test]
fn what_is_no_token_is_unreadable() {
    for text in ["", "a", "a.b", "a.b.c.d.e", "!.!.!", "e30.e30.!"] {
        let read = read_token(text);
        assert!(matches!(read, Err(NotVerified::Fault(SignInFault::Unreadable(_)))), "{text}: {read:?}");
    }
}
