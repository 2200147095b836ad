//! An OpenID Connect issuer, as far as a resource server sees one.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::routing::get;
use axum::{Json, Router};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::KeyPair;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) struct Issuer {
    pub(crate) url: String,
    key: Mutex<(String, KeyPair)>,
    published: Arc<Mutex<Value>>,
    hang: watch::Sender<bool>,
    hung: Arc<watch::Sender<usize>>,
    serving: JoinHandle<()>,
}

impl Issuer {
    pub(crate) async fn start() -> Self {
        Self::start_named("").await
    }

    /// One that writes this after its own address wherever it names itself.
    pub(crate) async fn start_named(ending: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let published = Arc::new(Mutex::new(json!({ "keys": [] })));
        let (keys, issuer) = (Arc::clone(&published), format!("{url}{ending}"));
        let (hang, hung) = (watch::Sender::new(false), Arc::new(watch::Sender::new(0)));
        let discovery = json!({ "issuer": issuer, "jwks_uri": format!("{url}/jwks") });
        let (hanging, waiting) = (hang.subscribe(), Arc::clone(&hung));
        let discover = async move || {
            if *hanging.borrow() {
                waiting.send_modify(|count| *count += 1);
                let _ = hanging.clone().wait_for(|hanging| !hanging).await;
            }
            Json(discovery.clone())
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discover))
            .route("/jwks", get(async move || Json(keys.lock().unwrap().clone())));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let key = Mutex::new((String::new(), KeyPair::generate().unwrap()));
        let issuer = Self { url, key, published, hang, hung, serving };
        issuer.rotate("first");
        issuer
    }

    /// Signs with a new key from now on, and publishes only that one (and one of a kind that nobody knows).
    pub(crate) fn rotate(&self, id: &str) {
        let key = KeyPair::generate().unwrap();
        let pair = EncodingKey::from_ec_der(&key.serialize_der());
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&pair, Algorithm::ES256).unwrap()).unwrap();
        jwk["kid"] = json!(id);
        self.publish(vec![json!({ "kty": "AKP", "kid": "odd" }), jwk]);
        *self.key.lock().unwrap() = (id.to_owned(), key);
    }

    /// Publishes these keys and no other.
    pub(crate) fn publish(&self, keys: Vec<Value>) {
        *self.published.lock().unwrap() = json!({ "keys": keys });
    }

    /// From now on takes every question and answers none.
    pub(crate) fn hang(&self) {
        self.hang.send_replace(true);
    }

    /// Waits until so many questions hang.
    pub(crate) async fn until_hung(&self, count: usize) {
        let mut hung = self.hung.subscribe();
        let asked = hung.wait_for(|hung| *hung >= count);
        drop(
            tokio::time::timeout(super::PATIENCE, asked).await.expect("the issuer should be asked").unwrap(),
        );
    }

    /// How many questions have hung so far.
    pub(crate) fn hung(&self) -> usize {
        *self.hung.borrow()
    }

    pub(crate) fn stop(&self) {
        self.serving.abort();
    }

    /// An access token for an account.
    pub(crate) fn token(&self, subject: &str) -> String {
        self.sign(json!({ "sub": subject }))
    }

    /// An access token with some claims changed; null takes one away.
    pub(crate) fn sign(&self, changes: Value) -> String {
        let key = self.key.lock().unwrap();
        sign(&key.1, &key.0, Algorithm::ES256, &self.claims(changes))
    }

    pub(crate) fn claims(&self, changes: Value) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut claims = json!({
            "iss": self.url, "aud": "urn:ionet:gateway", "sub": "alice", "iat": now, "exp": now + 300,
            "auth_time": now,
        });
        let map = claims.as_object_mut().unwrap();
        for (name, value) in changes.as_object().unwrap() {
            map.insert(name.clone(), value.clone());
        }
        map.retain(|_, value| !value.is_null());
        claims
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.stop();
    }
}

pub(crate) fn sign(key: &KeyPair, id: &str, algorithm: Algorithm, claims: &Value) -> String {
    let key = if algorithm == Algorithm::HS256 {
        EncodingKey::from_secret(key.public_key_raw())
    } else {
        EncodingKey::from_ec_der(&key.serialize_der())
    };
    sign_with(&key, Some(id), algorithm, claims)
}

pub(crate) fn sign_with(key: &EncodingKey, id: Option<&str>, algorithm: Algorithm, claims: &Value) -> String {
    let mut header = Header::new(algorithm);
    header.kid = id.map(str::to_owned);
    jsonwebtoken::encode(&header, claims, key).unwrap()
}
