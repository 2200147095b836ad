//! Sign-in against the real identity provider of `platform/identity`, walked as a person would.

#![expect(clippy::unwrap_used, reason = "tests")]

#[expect(dead_code, reason = "each test file uses a part of it")]
mod support;

use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::get;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ionet_cloud::visitor::{LastPage, Lost, walk_device_code, walk_sign_in};
use ionet_cloud::{Cloud, CloudFault, Options, SignInFault, SignInHooks};
use ionet_core::event::{DeviceCode, KeptSession, SessionStore, SignInMethod, SignedIn};
use ionet_gateway_api::{code, path};
use serde_json::{Value, json};
use support::gateway::{Authority, Gateway, problem};
use support::provider::Provider;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use url::Url;

fn pc(home: &Path, provider: &Provider) -> Cloud {
    support::cloud(home, &provider.issuer, "https://localhost:1/", None)
}

/// What the program around the sign-in gets to show.
struct Shown {
    pages: mpsc::UnboundedReceiver<Url>,
    codes: mpsc::UnboundedReceiver<DeviceCode>,
}

fn hooks() -> (SignInHooks, Shown) {
    let ((page, pages), (code, codes)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    let hooks = SignInHooks {
        open_browser: Box::new(move |url| {
            page.send(url.clone()).unwrap();
            Box::pin(async { true })
        }),
        device_code: Box::new(move |given| code.send(given).unwrap()),
        still_waiting: Box::new(|| {}),
        words: Default::default(),
    };
    (hooks, Shown { pages, codes })
}

#[tokio::test]
async fn where_no_browser_takes_the_page_the_sign_in_ends_at_once() {
    let Some(provider) = Provider::start() else { return };
    let home = tempfile::tempdir().unwrap();
    let cloud = pc(home.path(), &provider);
    let (hooks, _shown) = hooks();
    let hooks = SignInHooks { open_browser: Box::new(|_| Box::pin(async { false })), ..hooks };

    let signed_in =
        support::within(cloud.sign_in(SignInMethod::Browser, hooks, CancellationToken::new())).await;

    assert_eq!(signed_in, Err(SignInFault::NoBrowser));
}

/// The sign-in and whoever answers it, at the same time.
async fn both<A, B>(sign_in: impl Future<Output = A>, person: impl Future<Output = B>) -> (A, B) {
    support::within(async { tokio::join!(sign_in, person) }).await
}

/// The sign-in and whoever sits at the browser.
async fn by_browser<T>(
    cloud: &Cloud,
    person: impl AsyncFnOnce(Url) -> T,
) -> (Result<SignedIn, SignInFault>, T) {
    let (hooks, mut shown) = hooks();
    let browser = async {
        let url = shown.pages.recv().await.unwrap();
        person(url).await
    };
    both(cloud.sign_in(SignInMethod::Browser, hooks, CancellationToken::new()), browser).await
}

async fn alice(url: Url) -> Result<LastPage, Lost> {
    walk_sign_in(url.as_str(), "alice", "demo").await
}

/// The app's own address in a sign-in's address.
fn redirect_of(url: &Url) -> Url {
    let (_, value) = url.query_pairs().find(|(name, _)| name == "redirect_uri").unwrap();
    value.parse().unwrap()
}

fn kept(home: &Path) -> Option<String> {
    let kept: Value = serde_json::from_slice(&std::fs::read(home.join("session.json")).ok()?).unwrap();
    Some(kept["refresh_token"].as_str().unwrap().to_owned())
}

/// Answers with the claims of the access token that it was asked with, as a device's label.
async fn mirror() -> Gateway {
    let list = get(async |headers: HeaderMap| {
        let bearer = headers["authorization"].to_str().unwrap().trim_start_matches("Bearer ").to_owned();
        axum::Json(
            json!({"devices": [{"device": "d", "label": bearer, "enrolled_at_ms": 0, "expires_at_ms": 0,
            "end": null}]}),
        )
    });
    Authority::new().serve(Router::new().route(path::DEVICES, list)).await
}

fn claims(jwt: &str) -> (Value, Value) {
    let part = |at: usize| {
        let text = BASE64_URL_SAFE_NO_PAD.decode(jwt.split('.').nth(at).unwrap()).unwrap();
        serde_json::from_slice(&text).unwrap()
    };
    (part(0), part(1))
}

#[tokio::test]
async fn a_person_signs_in_with_the_browser() {
    let Some(provider) = Provider::start() else { return };
    let home = tempfile::tempdir().unwrap();
    let cloud = pc(home.path(), &provider);

    let (signed_in, page) = by_browser(&cloud, alice).await;

    let (signed_in, page) = (signed_in.unwrap(), page.unwrap());
    assert_eq!(
        (signed_in.name.subject.as_str(), signed_in.name.shown.as_str()),
        ("alice", "alice@example.test")
    );
    assert_eq!(signed_in.store, SessionStore::File);
    assert_eq!(cloud.session().await, KeptSession::Found(SessionStore::File));
    assert!(page.html.contains("You are signed in"), "{}", page.html);
}

#[tokio::test]
async fn a_wrong_password_is_said_on_the_page() {
    let Some(provider) = Provider::start() else { return };
    let home = tempfile::tempdir().unwrap();
    let cloud = pc(home.path(), &provider);

    let (hooks, mut shown) = hooks();
    let cancel = CancellationToken::new();
    let person = async {
        let url = shown.pages.recv().await.unwrap();
        let wrong = walk_sign_in(url.as_str(), "alice", "wrong").await;
        cancel.cancel();
        wrong
    };
    let (signed_in, walked) = both(cloud.sign_in(SignInMethod::Browser, hooks, cancel.clone()), person).await;

    assert!(matches!(walked, Err(Lost::WrongLogin(_))), "{walked:?}");
    assert_eq!(signed_in, Err(SignInFault::Cancelled));
}

#[tokio::test]
async fn an_answer_with_another_state_gets_an_error_page_and_ends_nothing() {
    let Some(provider) = Provider::start() else { return };
    let home = tempfile::tempdir().unwrap();
    let cloud = pc(home.path(), &provider);

    let (signed_in, pages) = by_browser(&cloud, async |url| {
        let mut pages = Vec::new();
        for forged in
            ["?code=stolen&state=guessed", "?error=access_denied", "?error=access_denied&state=", ""]
        {
            pages.push(walk_sign_in(&format!("{}{forged}", redirect_of(&url)), "", "").await.unwrap());
        }
        alice(url).await.unwrap();
        pages
    })
    .await;

    assert_eq!(signed_in.unwrap().name.subject, "alice");
    for page in pages {
        assert_eq!(page.status, 400);
        assert!(page.html.contains("The sign-in did not work"));
    }
}

#[tokio::test]
async fn a_browser_that_stands_still_is_said_once_and_waited_for_all_the_same() {
    let Some(provider) = Provider::start() else { return };
    let home = tempfile::tempdir().unwrap();
    let options = Options { still_waiting_after: Duration::from_millis(50), ..Options::default() };
    let cloud = support::cloud_with(home.path(), &provider.issuer, "https://localhost:1/", None, options);
    let (hooks, mut shown) = hooks();
    let (say, mut said) = mpsc::unbounded_channel();
    let hooks = SignInHooks { still_waiting: Box::new(move || say.send(()).unwrap()), ..hooks };

    let person = async {
        let url = shown.pages.recv().await.unwrap();
        said.recv().await.unwrap();
        alice(url).await.unwrap();
        said.recv().await
    };
    let (signed_in, again) =
        both(cloud.sign_in(SignInMethod::Browser, hooks, CancellationToken::new()), person).await;

    assert_eq!((signed_in.unwrap().name.subject.as_str(), again), ("alice", None));
}

#[tokio::test]
async fn an_answer_of_another_issuer_or_of_none_is_not_ours() {
    let Some(provider) = Provider::start() else { return };
    let home = tempfile::tempdir().unwrap();
    let cloud = pc(home.path(), &provider);
    let answering = async |issuer: &str| {
        let (signed_in, _) = by_browser(&cloud, async |url: Url| {
            let (_, state) = url.query_pairs().find(|(name, _)| name == "state").unwrap();
            let answer = format!("{}?code=c&state={state}{issuer}", redirect_of(&url));
            walk_sign_in(&answer, "", "").await.unwrap()
        })
        .await;
        signed_in
    };

    let results = [answering("&iss=https://evil.example.test").await, answering("").await];

    assert_eq!(results, [const { Err(SignInFault::NotOurs("issuer")) }; 2]);
}

#[tokio::test]
async fn a_person_who_refuses_has_refused() {
    let Some(provider) = Provider::start() else { return };
    let home = tempfile::tempdir().unwrap();
    let cloud = pc(home.path(), &provider);

    let (signed_in, page) = by_browser(&cloud, async |url: Url| {
        let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let refused =
            format!("{}?error=access_denied&state={state}&iss={}", redirect_of(&url), provider.issuer);
        walk_sign_in(&refused, "", "").await.unwrap()
    })
    .await;

    assert_eq!(signed_in, Err(SignInFault::Refused("access_denied".into())));
    assert_eq!(page.status, 400);
}

#[tokio::test]
async fn a_browser_that_never_comes_back_is_given_up_and_its_port_closed() {
    let Some(provider) = Provider::start() else { return };
    let home = tempfile::tempdir().unwrap();
    let options = Options { sign_in_abandoned_after: Duration::from_millis(200), ..Options::default() };
    let cloud = support::cloud_with(home.path(), &provider.issuer, "https://localhost:1/", None, options);

    let (signed_in, url) = by_browser(&cloud, async |url| url).await;

    assert_eq!(signed_in, Err(SignInFault::Abandoned));
    let port = redirect_of(&url).port().unwrap();
    let closed = async {
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), closed).await.unwrap();
}

#[tokio::test]
async fn an_identity_provider_that_is_down_is_said_to_be() {
    let home = tempfile::tempdir().unwrap();
    let cloud = support::cloud(home.path(), "http://127.0.0.1:1", "https://localhost:1/", None);

    let (hooks, _shown) = hooks();
    let signed_in =
        support::within(cloud.sign_in(SignInMethod::Browser, hooks, CancellationToken::new())).await;

    assert_eq!(signed_in, Err(SignInFault::ProviderDown));
}

#[tokio::test]
async fn a_person_signs_in_with_a_code_typed_in_elsewhere() {
    let Some(provider) = Provider::start() else { return };
    let home = tempfile::tempdir().unwrap();
    let cloud = pc(home.path(), &provider);

    let (hooks, mut shown) = hooks();
    let person = async {
        let code = shown.codes.recv().await.unwrap();
        walk_device_code(&code.verification_uri, &code.user_code, "bob", "demo").await
    };
    let sign_in = cloud.sign_in(SignInMethod::DeviceCode, hooks, CancellationToken::new());
    let (signed_in, page) = both(sign_in, person).await;

    assert!(page.unwrap().html.contains("This PC is connected"));
    assert_eq!(signed_in.unwrap().name.shown, "bob@example.test");
}

#[tokio::test]
async fn after_a_session_that_the_gateway_has_ended_the_provider_asks_for_the_password_again() {
    let Some(provider) = Provider::start() else { return };
    let home = tempfile::tempdir().unwrap();
    let ended = Router::new().route(path::DEVICES, get(async || problem(401, code::SESSION_ENDED)));
    let gateway = Authority::new().serve(ended).await;
    let cloud = support::cloud(home.path(), &provider.issuer, &gateway.url, Some(gateway.ca_pem.clone()));
    let asked = async |url: Url| {
        let prompt = url.query_pairs().find(|(name, _)| name == "prompt").unwrap().1.into_owned();
        alice(url).await.unwrap();
        prompt
    };

    let (_, first) = by_browser(&cloud, asked).await;
    let refused = cloud.devices().await;
    let (signed_in, second) = by_browser(&cloud, asked).await;
    let (_, third) = by_browser(&cloud, asked).await;

    assert_eq!((refused.unwrap_err(), signed_in.is_ok()), (CloudFault::SessionEnded, true));
    assert_eq!([first, second, third], ["consent", "login consent", "consent"]);
}

#[tokio::test]
async fn access_tokens_are_for_the_gateway_and_refresh_tokens_rotate() {
    let Some(provider) = Provider::start() else { return };
    let home = tempfile::tempdir().unwrap();
    let gateway = mirror().await;
    let again = || support::cloud(home.path(), &provider.issuer, &gateway.url, Some(gateway.ca_pem.clone()));
    by_browser(&again(), alice).await.0.unwrap();
    let first = kept(home.path());

    // A program that starts again holds the refresh token only.
    let devices = again().devices().await.unwrap();

    let (header, token) = claims(&devices[0].label);
    assert_eq!(header["alg"], "RS256");
    assert_eq!((token["aud"].as_str(), token["sub"].as_str()), (Some("urn:ionet:gateway"), Some("alice")));
    assert_eq!(token["iss"].as_str(), Some(provider.issuer.as_str()));
    assert_ne!(kept(home.path()), first);
}

#[tokio::test]
async fn twenty_requests_at_once_keep_the_session_alive() {
    let Some(provider) = Provider::start() else { return };
    let home = tempfile::tempdir().unwrap();
    let gateway = mirror().await;
    let again = || support::cloud(home.path(), &provider.issuer, &gateway.url, Some(gateway.ca_pem.clone()));
    by_browser(&again(), alice).await.0.unwrap();

    let cloud = again();
    let asked = (0..20).map(|_| cloud.devices());
    let answers = futures_util::future::join_all(asked).await;
    let later = again().devices().await;

    assert!(answers.iter().all(Result::is_ok));
    assert!(later.is_ok());
}

#[tokio::test]
async fn sign_out_makes_the_refresh_token_worthless() {
    let Some(provider) = Provider::start() else { return };
    let home = tempfile::tempdir().unwrap();
    let gateway = mirror().await;
    let again = || support::cloud(home.path(), &provider.issuer, &gateway.url, Some(gateway.ca_pem.clone()));
    let cloud = again();
    by_browser(&cloud, alice).await.0.unwrap();
    let copied = std::fs::read(home.path().join("session.json")).unwrap();

    cloud.sign_out().await;

    assert_eq!((cloud.session().await, kept(home.path())), (KeptSession::None, None));
    std::fs::write(home.path().join("session.json"), copied).unwrap();
    assert_eq!(again().devices().await, Err(CloudFault::NotSignedIn));
}
