//! An identity provider of a few lines, for what a well-behaved one never does. It gives no id tokens of itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use openidconnect::core::{CoreJwsSigningAlgorithm, CoreRsaPrivateSigningKey};
use openidconnect::{JsonWebKeyId, PrivateSigningKey as _};
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

type Fields = Vec<(String, String)>;

/// Dropping it ends it.
pub(crate) struct Issuer {
    /// A realm: discovery is found below this path and nowhere else.
    pub(crate) url: String,
    seen: Arc<Seen>,
    _serving: AbortOnDropHandle<()>,
}

/// What was asked, and how the token endpoint behaves.
#[derive(Default)]
struct Seen {
    root: String,
    tokens: Mutex<Vec<Fields>>,
    revoked: Mutex<Vec<String>>,
    /// Taken from the front; when there is none, a refresh gives the next pair.
    answers: Mutex<Vec<(u16, Value)>>,
    /// The same of the keys.
    keys: Mutex<Vec<(u16, Value)>>,
    keys_asked: AtomicUsize,
    code_lives_s: Mutex<u64>,
    asked_every_s: Mutex<u64>,
}

impl Issuer {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let root = format!("http://{}", listener.local_addr().unwrap());
        let url = format!("{root}/realms/io");
        let (code_lives_s, asked_every_s) = (Mutex::new(2), Mutex::new(1));
        let seen = Arc::new(Seen { root, code_lives_s, asked_every_s, ..Seen::default() });
        let routes = Router::new()
            .route("/realms/io/.well-known/openid-configuration", get(discovery))
            .route("/jwks", get(keys))
            .route("/token", post(token))
            .route("/device", post(device))
            .route("/revoke", post(revoke))
            .with_state(seen.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, seen, _serving: AbortOnDropHandle::new(serving) }
    }

    pub(crate) fn will_answer(&self, answers: impl IntoIterator<Item = (u16, Value)>) {
        self.seen.answers.lock().unwrap().extend(answers);
    }

    pub(crate) fn will_answer_for_keys(&self, answers: impl IntoIterator<Item = (u16, Value)>) {
        self.seen.keys.lock().unwrap().extend(answers);
    }

    pub(crate) fn keys_asked(&self) -> usize {
        self.seen.keys_asked.load(Ordering::Relaxed)
    }

    /// A token answer that is as it should be.
    pub(crate) fn tokens(&self, nonce: Option<&str>) -> Value {
        let claims = json!({"iss": self.url, "aud": "ionet-supplier", "sub": "alice", "exp": 4_000_000_000_u64,
            "nonce": nonce, "email": "alice@example.test"});
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&json!({"alg": "RS256", "kid": "rsa"})), part(&claims));
        let signature = key().sign(&CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256, signed.as_bytes());
        let id_token = format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature.unwrap()));
        json!({"access_token": "access", "refresh_token": "refresh", "id_token": id_token,
            "token_type": "Bearer", "expires_in": 300})
    }

    pub(crate) fn is_asked_every_s(&self, seconds: u64) {
        *self.seen.asked_every_s.lock().unwrap() = seconds;
    }

    pub(crate) fn code_lives_s(&self, seconds: u64) {
        *self.seen.code_lives_s.lock().unwrap() = seconds;
    }

    /// The values that this field of the token requests had.
    pub(crate) fn asked(&self, field: &str) -> Vec<String> {
        self.seen.tokens.lock().unwrap().iter().filter_map(|form| value(form, field)).collect()
    }

    pub(crate) fn revoked(&self) -> Vec<String> {
        self.seen.revoked.lock().unwrap().clone()
    }
}

fn value(form: &Fields, name: &str) -> Option<String> {
    form.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
}

async fn discovery(State(seen): State<Arc<Seen>>) -> Json<Value> {
    let root = &seen.root;
    Json(json!({
        "issuer": format!("{root}/realms/io"),
        "authorization_endpoint": format!("{root}/auth"),
        "token_endpoint": format!("{root}/token"),
        "jwks_uri": format!("{root}/jwks"),
        "device_authorization_endpoint": format!("{root}/device"),
        "revocation_endpoint": format!("{root}/revoke"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }))
}

fn key() -> CoreRsaPrivateSigningKey {
    let kid = Some(JsonWebKeyId::new("rsa".into()));
    CoreRsaPrivateSigningKey::from_pem(include_str!("../../src/sign_in/id_token/test-key.pem"), kid).unwrap()
}

async fn keys(State(seen): State<Arc<Seen>>) -> Response {
    seen.keys_asked.fetch_add(1, Ordering::Relaxed);
    let mut answers = seen.keys.lock().unwrap();
    let (status, body) = if answers.is_empty() {
        (200, json!({"keys": [key().as_verification_key()]}))
    } else {
        answers.remove(0)
    };
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

async fn token(State(seen): State<Arc<Seen>>, Form(form): Form<Fields>) -> Response {
    let count = {
        let mut tokens = seen.tokens.lock().unwrap();
        tokens.push(form);
        tokens.len()
    };
    let mut answers = seen.answers.lock().unwrap();
    let (status, body) = if answers.is_empty() {
        let body = json!({"access_token": format!("access-{count}"), "refresh_token": format!("refresh-{count}"),
            "token_type": "Bearer", "expires_in": 300});
        (200, body)
    } else {
        answers.remove(0)
    };
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

async fn device(State(seen): State<Arc<Seen>>, Form(form): Form<Fields>) -> Json<Value> {
    assert!(value(&form, "code_challenge").is_some());
    Json(
        json!({"device_code": "d", "user_code": "ABCD-EFGH", "verification_uri": format!("{}/enter", seen.root),
        "expires_in": *seen.code_lives_s.lock().unwrap(), "interval": *seen.asked_every_s.lock().unwrap()}),
    )
}

async fn revoke(State(seen): State<Arc<Seen>>, Form(form): Form<Fields>) {
    seen.revoked.lock().unwrap().extend(value(&form, "token"));
}
