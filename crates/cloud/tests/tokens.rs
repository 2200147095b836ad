//! The session over time: refresh, rotation, sign-out, and an identity provider that misbehaves.

#![expect(clippy::unwrap_used, reason = "tests")]

#[expect(dead_code, reason = "each test file uses a part of it")]
mod support;

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ionet_cloud::{Cloud, CloudFault, SignInFault, SignInHooks};
use ionet_core::event::{KeptSession, SessionStore, SignInMethod};
use ionet_gateway_api::{code, path};
use serde_json::{Value, json};
use support::gateway::{Authority, Gateway, problem};
use support::issuer::Issuer;
use tokio_util::sync::CancellationToken;

/// A PC that somebody signed in on earlier.
fn signed_in(home: &Path, issuer: &str, gateway: &Gateway) -> Cloud {
    let kept = json!({"issuer": issuer, "refresh_token": "refresh-0"});
    std::fs::write(home.join("session.json"), kept.to_string()).unwrap();
    support::cloud(home, issuer, &gateway.url, Some(gateway.ca_pem.clone()))
}

/// Lists no devices, and remembers the tokens it was asked with. Those in `refuses` are worthless to it.
async fn gateway(refuses: &'static [&'static str]) -> (Gateway, Arc<Mutex<Vec<String>>>) {
    let bearers = Arc::new(Mutex::new(Vec::new()));
    let seen = bearers.clone();
    let list = get(async move |headers: HeaderMap| -> Response {
        let bearer = headers["authorization"].to_str().unwrap().trim_start_matches("Bearer ").to_owned();
        seen.lock().unwrap().push(bearer.clone());
        if refuses.contains(&bearer.as_str()) {
            return problem(401, code::NOT_SIGNED_IN);
        }
        axum::Json(json!({"devices": []})).into_response()
    });
    (Authority::new().serve(Router::new().route(path::DEVICES, list)).await, bearers)
}

fn kept(home: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(home.join("session.json")).unwrap()).unwrap()
}

fn invalid_grant() -> (u16, Value) {
    (400, json!({"error": "invalid_grant"}))
}

#[tokio::test]
async fn twenty_requests_at_once_refresh_once() {
    let home = tempfile::tempdir().unwrap();
    let issuer = Issuer::start().await;
    let (gateway, bearers) = gateway(&[]).await;
    let cloud = signed_in(home.path(), &issuer.url, &gateway);

    let asked = (0..20).map(|_| {
        let cloud = cloud.clone();
        tokio::spawn(async move { cloud.devices().await })
    });
    let answers = futures_util::future::join_all(asked.collect::<Vec<_>>()).await;

    assert!(answers.into_iter().all(|answer| answer.unwrap() == Ok(Vec::new())));
    assert_eq!(issuer.asked("refresh_token"), ["refresh-0"]);
    assert_eq!(issuer.asked("resource"), ["urn:ionet:gateway"]);
    assert!(bearers.lock().unwrap().iter().all(|bearer| bearer == "access-1"));
}

#[tokio::test]
async fn another_process_with_the_same_session_does_not_end_it() {
    let home = tempfile::tempdir().unwrap();
    let issuer = Issuer::start().await;
    let (gateway, _) = gateway(&["access-1", "access-3"]).await;
    let app = signed_in(home.path(), &issuer.url, &gateway);
    let command = support::cloud(home.path(), &issuer.url, &gateway.url, Some(gateway.ca_pem.clone()));
    assert_eq!(app.session().await, KeptSession::Found(SessionStore::File));

    command.devices().await.unwrap();
    app.devices().await.unwrap();

    // The command has used up the token that the app had read; the app takes the one that was written down since.
    assert_eq!(issuer.asked("refresh_token"), ["refresh-0", "refresh-1", "refresh-2", "refresh-3"]);
}

#[tokio::test]
async fn the_new_refresh_token_is_on_the_disk_before_the_access_token_is_used() {
    let home = tempfile::tempdir().unwrap();
    let issuer = Issuer::start().await;
    let file = home.path().join("session.json");
    let at_use = Arc::new(Mutex::new(String::new()));
    let (look, seen) = (file.clone(), at_use.clone());
    let list = get(async move || {
        *seen.lock().unwrap() = std::fs::read_to_string(&look).unwrap();
        axum::Json(json!({"devices": []}))
    });
    let gateway = Authority::new().serve(Router::new().route(path::DEVICES, list)).await;
    let cloud = signed_in(home.path(), &issuer.url, &gateway);

    cloud.devices().await.unwrap();

    assert!(at_use.lock().unwrap().contains("refresh-1"));
}

#[tokio::test]
async fn a_caller_who_goes_away_does_not_lose_the_rotated_token() {
    let home = tempfile::tempdir().unwrap();
    let issuer = Issuer::start().await;
    let (gateway, _) = gateway(&[]).await;
    let cloud = signed_in(home.path(), &issuer.url, &gateway);

    let hurried = tokio::time::timeout(std::time::Duration::from_micros(50), cloud.devices()).await;
    cloud.devices().await.unwrap();

    assert!(hurried.is_err());
    assert_eq!(issuer.asked("refresh_token"), ["refresh-0"]);
    assert_eq!(kept(home.path())["refresh_token"], "refresh-1");
}

#[tokio::test]
async fn a_token_that_the_gateway_refuses_is_refreshed_once() {
    let home = tempfile::tempdir().unwrap();
    let issuer = Issuer::start().await;
    let (gateway, bearers) = gateway(&["access-1"]).await;
    let cloud = signed_in(home.path(), &issuer.url, &gateway);

    let devices = cloud.devices().await;

    assert_eq!(devices, Ok(Vec::new()));
    assert_eq!(*bearers.lock().unwrap(), ["access-1", "access-2"]);
    assert_eq!(issuer.asked("refresh_token"), ["refresh-0", "refresh-1"]);
}

#[tokio::test]
async fn a_refused_refresh_token_ends_the_session() {
    let home = tempfile::tempdir().unwrap();
    let issuer = Issuer::start().await;
    issuer.will_answer([invalid_grant()]);
    let (gateway, _) = gateway(&[]).await;
    let cloud = signed_in(home.path(), &issuer.url, &gateway);

    let devices = cloud.devices().await;

    assert_eq!(devices, Err(CloudFault::NotSignedIn));
    assert_eq!(cloud.session().await, KeptSession::None);
    assert!(!home.path().join("session.json").exists());
}

#[tokio::test]
async fn a_provider_that_fails_for_a_moment_ends_nothing() {
    let home = tempfile::tempdir().unwrap();
    let issuer = Issuer::start().await;
    issuer.will_answer([(503, json!({})), (400, json!({"error": "temporarily_unavailable"}))]);
    let (gateway, _) = gateway(&[]).await;
    let cloud = signed_in(home.path(), &issuer.url, &gateway);

    let during = [cloud.devices().await, cloud.devices().await];
    let after = cloud.devices().await;

    assert_eq!(during, [const { Err(CloudFault::Unavailable(None)) }; 2]);
    assert_eq!(after, Ok(Vec::new()));
    assert_eq!(cloud.session().await, KeptSession::Found(SessionStore::File));
}

#[tokio::test]
async fn only_an_invalid_grant_ends_a_session() {
    let home = tempfile::tempdir().unwrap();
    let issuer = Issuer::start().await;
    let refusals = ["invalid_client", "unauthorized_client", "invalid_request", "interaction_required"];
    issuer.will_answer(refusals.map(|code| (400, json!({"error": code}))));
    issuer.will_answer([
        (200, json!("<html>Welcome to our hotel")),
        (404, json!("<html>")),
        (429, json!(null)),
    ]);
    let (gateway, _) = gateway(&[]).await;
    let cloud = signed_in(home.path(), &issuer.url, &gateway);

    for code in refusals {
        assert_eq!(cloud.devices().await, Err(CloudFault::Refused(code.into())));
    }
    let odd = [cloud.devices().await, cloud.devices().await, cloud.devices().await];
    let after = cloud.devices().await;

    assert_eq!(odd, [Err(CloudFault::Garbled), Err(CloudFault::Garbled), Err(CloudFault::Unavailable(None))]);
    assert_eq!(after, Ok(Vec::new()));
    assert_eq!(issuer.asked("refresh_token"), ["refresh-0"; 8]);
}

#[tokio::test]
async fn a_provider_that_does_not_rotate_and_says_little_keeps_the_session() {
    let home = tempfile::tempdir().unwrap();
    let issuer = Issuer::start().await;
    issuer.will_answer([(
        200,
        json!({"access_token": "access-1", "token_type": "bearer", "expires_in": "3600"}),
    )]);
    let (gateway, bearers) = gateway(&[]).await;
    let cloud = signed_in(home.path(), &issuer.url, &gateway);

    cloud.devices().await.unwrap();
    cloud.devices().await.unwrap();

    assert_eq!(*bearers.lock().unwrap(), ["access-1", "access-1"]);
    assert_eq!(kept(home.path())["refresh_token"], "refresh-0");
}

async fn until_revoked(issuer: &Issuer, tokens: &[&str]) {
    let revoked = async {
        while issuer.revoked() != tokens {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), revoked).await.unwrap();
}

#[tokio::test]
async fn a_session_of_before_a_loss_is_told_so_and_ends() {
    let home = tempfile::tempdir().unwrap();
    let issuer = Issuer::start().await;
    let ended = Router::new().route(path::DEVICES, get(async || problem(401, code::SESSION_ENDED)));
    let gateway = Authority::new().serve(ended).await;
    let cloud = signed_in(home.path(), &issuer.url, &gateway);

    let devices = cloud.devices().await;

    assert_eq!(devices, Err(CloudFault::SessionEnded));
    assert_eq!(cloud.session().await, KeptSession::None);
    assert_eq!(issuer.asked("refresh_token"), ["refresh-0"]);
    until_revoked(&issuer, &["refresh-1", "access-1"]).await;
}

/// A folder whose path leaves room for the session's name and for no longer one: what is written beside a file first, to take
/// its place whole, finds no room, for root neither.
fn deep(folder: &Path) -> std::path::PathBuf {
    const LONGEST: usize = 4_095;
    let room = LONGEST - "/session.json".len() - 4;
    let mut deep = folder.to_owned();
    while deep.as_os_str().len() + 1 < room {
        let left = room - deep.as_os_str().len() - 1;
        deep.push("d".repeat(left.min(200)));
    }
    std::fs::create_dir_all(&deep).unwrap();
    deep
}

#[tokio::test]
async fn a_session_that_cannot_be_written_lasts_as_long_as_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let home = deep(folder.path());
    let issuer = Issuer::start().await;
    let (gateway, _) = gateway(&[]).await;
    let cloud = signed_in(&home, &issuer.url, &gateway);

    let first = cloud.devices().await;
    let second = cloud.devices().await;

    assert!(matches!(first, Err(CloudFault::CannotStore(_))), "{first:?}");
    assert_eq!(second, Ok(Vec::new()));
}

#[tokio::test]
async fn sign_out_revokes_both_tokens_and_forgets_them() {
    let home = tempfile::tempdir().unwrap();
    let issuer = Issuer::start().await;
    let (gateway, _) = gateway(&[]).await;
    let cloud = signed_in(home.path(), &issuer.url, &gateway);
    cloud.devices().await.unwrap();

    cloud.sign_out().await;

    assert_eq!(issuer.revoked(), ["refresh-1", "access-1"]);
    assert_eq!(cloud.session().await, KeptSession::None);
    assert_eq!(cloud.devices().await, Err(CloudFault::NotSignedIn));
}

#[tokio::test]
async fn sign_out_forgets_also_when_the_provider_is_down() {
    let home = tempfile::tempdir().unwrap();
    let issuer = Issuer::start().await.url;
    let (gateway, _) = gateway(&[]).await;
    let cloud = signed_in(home.path(), &issuer, &gateway);

    cloud.sign_out().await;

    assert_eq!(cloud.session().await, KeptSession::None);
    assert!(!home.path().join("session.json").exists());
}

/// What the hooks were given, once the sign-in has ended.
async fn by_device_code(issuer: &Issuer) -> (Result<(), SignInFault>, Option<String>) {
    let home = tempfile::tempdir().unwrap();
    let cloud = support::cloud(home.path(), &issuer.url, "https://localhost:1/", None);
    let shown = Arc::new(Mutex::new(None));
    let show = shown.clone();
    let hooks = SignInHooks {
        open_browser: Box::new(|_| panic!("no browser is needed")),
        device_code: Box::new(move |code| *show.lock().unwrap() = Some(code.user_code)),
        still_waiting: Box::new(|| panic!("no browser is waited for")),
        words: Default::default(),
    };
    let result =
        support::within(cloud.sign_in(SignInMethod::DeviceCode, hooks, CancellationToken::new())).await;
    let shown = shown.lock().unwrap().take();
    (result.map(|_| ()), shown)
}

#[tokio::test]
async fn a_device_code_that_nobody_types_in_expires() {
    let issuer = Issuer::start().await;
    let pending = || (400, json!({"error": "authorization_pending"}));
    issuer.will_answer([pending(), pending(), (400, json!({"error": "expired_token"}))]);

    let (result, shown) = by_device_code(&issuer).await;

    assert_eq!(result, Err(SignInFault::CodeExpired));
    assert_eq!(shown.as_deref(), Some("ABCD-EFGH"));
    assert!(issuer.asked("code_verifier").len() >= 2);
}

#[tokio::test]
async fn a_code_is_not_waited_for_beyond_its_life_however_seldom_its_provider_is_to_be_asked() {
    let issuer = Issuer::start().await;
    issuer.code_lives_s(1);
    issuer.is_asked_every_s(86_400);
    issuer.will_answer([(400, json!({"error": "authorization_pending"}))]);

    let (result, _) = by_device_code(&issuer).await;

    assert_eq!(result, Err(SignInFault::CodeExpired));
}

#[tokio::test]
async fn a_provider_that_asks_for_patience_gets_it() {
    let issuer = Issuer::start().await;
    issuer.will_answer([(400, json!({"error": "slow_down"})), (400, json!({"error": "access_denied"}))]);

    let (result, _) = by_device_code(&issuer).await;

    // The interval of a second grew by five, which is longer than this code lives: the refusal is never asked for.
    assert_eq!(result, Err(SignInFault::CodeExpired));
    assert_eq!(issuer.asked("code_verifier").len(), 1);
}

#[tokio::test]
async fn what_is_no_answer_does_not_make_the_code_worthless() {
    let issuer = Issuer::start().await;
    issuer.code_lives_s(60);
    let pending = (400, json!({"error": "authorization_pending"}));
    issuer.will_answer([(502, json!("<html>502 later</html>")), pending, (200, json!("<html>Welcome"))]);
    issuer.will_answer([(403, json!({"error": "access_denied"}))]);

    let (result, _) = by_device_code(&issuer).await;

    assert_eq!(result, Err(SignInFault::Refused("access_denied".into())));
    assert_eq!(issuer.asked("code_verifier").len(), 4);
}

#[tokio::test]
async fn an_answer_without_an_id_token_is_said_to_lack_it() {
    let issuer = Issuer::start().await;

    let (result, _) = by_device_code(&issuer).await;

    assert_eq!(result, Err(SignInFault::NotOurs("id token")));
}

#[tokio::test]
async fn a_provider_that_describes_itself_by_a_page_is_unreadable_and_not_down() {
    let page = axum::Router::new().fallback(async || axum::response::Html("<html>Welcome"));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, page).await.unwrap() });
    let home = tempfile::tempdir().unwrap();
    let cloud = support::cloud(home.path(), &url, "https://localhost:1/", None);
    let hooks = SignInHooks {
        open_browser: Box::new(|_| panic!("there is no page")),
        device_code: Box::new(|_| panic!("there is no code")),
        still_waiting: Box::new(|| {}),
        words: Default::default(),
    };

    let signed_in =
        support::within(cloud.sign_in(SignInMethod::Browser, hooks, CancellationToken::new())).await;

    assert!(matches!(signed_in, Err(SignInFault::Unreadable(_))), "{signed_in:?}");
}

#[tokio::test]
async fn a_person_who_says_no_on_the_code_page_has_refused() {
    let issuer = Issuer::start().await;
    issuer.will_answer([(400, json!({"error": "access_denied"}))]);

    let (result, _) = by_device_code(&issuer).await;

    assert_eq!(result, Err(SignInFault::Refused("access_denied".into())));
}
