//! What goes wrong once the person has done their part: they are not asked to do it again for a moment's failure.

#![expect(clippy::unwrap_used, reason = "tests")]

#[expect(dead_code, reason = "each test file uses a part of it")]
mod support;

use std::sync::Arc;
use std::time::Duration;

use ionet_cloud::{Options, SignInFault, SignInHooks};
use ionet_core::event::SignInMethod;
use serde_json::{Value, json};
use support::issuer::Issuer;
use tokio_util::sync::CancellationToken;
use url::Url;

/// The person comes back from the browser at once, or has typed in the code at the first question. Who has signed in.
async fn sign_in(
    issuer: &Arc<Issuer>,
    method: SignInMethod,
    options: Options,
) -> Result<String, SignInFault> {
    let home = tempfile::tempdir().unwrap();
    let cloud = support::cloud_with(home.path(), &issuer.url, "https://localhost:1/", None, options);
    let told = issuer.clone();
    let hooks = SignInHooks {
        open_browser: Box::new(move |page| {
            let told_with =
                |name: &str| page.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
            told.will_answer([(200, told.tokens(Some(&told_with("nonce"))))]);
            let mut back: Url = told_with("redirect_uri").parse().unwrap();
            back.query_pairs_mut().append_pair("code", "c").append_pair("state", &told_with("state"));
            Box::pin(async move {
                tokio::spawn(reqwest::get(back));
                true
            })
        }),
        device_code: Box::new(|_| {}),
        still_waiting: Box::new(|| {}),
        words: Default::default(),
    };
    if method == SignInMethod::DeviceCode {
        issuer.will_answer([(200, issuer.tokens(None))]);
    }
    let signed_in = support::within(cloud.sign_in(method, hooks, CancellationToken::new())).await;
    signed_in.map(|signed_in| signed_in.name.shown)
}

const METHODS: [SignInMethod; 2] = [SignInMethod::Browser, SignInMethod::DeviceCode];

/// Whatever may come in an answer's place.
fn bad_gateway() -> (u16, Value) {
    (502, json!("<html>502 Bad Gateway"))
}

#[tokio::test]
async fn keys_that_do_not_come_for_a_moment_end_no_sign_in() {
    for method in METHODS {
        let issuer = Arc::new(Issuer::start().await);
        issuer.will_answer_for_keys([bad_gateway(), (200, json!("<html>Welcome to our hotel"))]);

        let signed_in = sign_in(&issuer, method, Options::default()).await;

        assert_eq!(signed_in.as_deref(), Ok("alice@example.test"), "{method:?}");
        assert_eq!(issuer.keys_asked(), 3, "{method:?}");
    }
}

#[tokio::test]
async fn keys_that_never_come_are_said_in_the_end() {
    for method in METHODS {
        let issuer = Arc::new(Issuer::start().await);
        issuer.will_answer_for_keys(std::iter::repeat_with(bad_gateway).take(1000));
        let options = Options { grant_patience: Duration::from_millis(10), ..Options::default() };

        let signed_in = sign_in(&issuer, method, options).await;

        assert_eq!(signed_in, Err(SignInFault::ProviderDown), "{method:?}");
        assert!(issuer.keys_asked() >= 2, "{method:?}");
    }
}

#[tokio::test]
async fn a_browsers_code_is_good_for_another_question_where_the_first_got_no_answer() {
    let issuer = Arc::new(Issuer::start().await);
    issuer.will_answer([bad_gateway()]);

    let signed_in = sign_in(&issuer, SignInMethod::Browser, Options::default()).await;

    assert_eq!(signed_in.as_deref(), Ok("alice@example.test"));
    assert_eq!(issuer.asked("code"), ["c", "c"]);
}
