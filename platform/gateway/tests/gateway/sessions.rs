//! What becomes of an account's sessions when one of its PCs is lost.

use ionet_gateway_api::{Certificate, EnrolmentToken, code, path};
use rcgen::KeyPair;
use reqwest::Method;
use serde_json::json;

use crate::stand::region::now_s;
use crate::stand::{Stand, enrolment, is, problem, read};

/// A token of a session of an account that began so many seconds ago.
fn session(stand: &Stand, subject: &str, began_s_ago: i64) -> String {
    stand.issuer.sign(json!({ "sub": subject, "auth_time": now_s() - began_s_ago }))
}

async fn report_lost(stand: &Stand, token: &str, device: &str) -> reqwest::Response {
    stand.send_as(token, Method::POST, &path::DEVICE_LOST.replace("{device}", device), None).await
}

#[tokio::test]
async fn a_session_that_began_before_the_loss_can_do_nothing_for_the_account_any_more() {
    let stand = Stand::start().await;
    let (stolen, other) = (stand.enrol("alice").await, stand.enrol("alice").await);
    let (thiefs, key) = (session(&stand, "alice", 60), KeyPair::generate().unwrap());
    assert_eq!(stand.send_as(&thiefs, Method::GET, path::DEVICES, None).await.status(), 200);

    assert_eq!(report_lost(&stand, &session(&stand, "alice", 5), stolen.id()).await.status(), 204);

    let periods = json!({ "boundaries_ms": [0, 1] });
    let jobs = json!({ "from_ms": 0, "to_ms": 1, "limit": 1 });
    for (method, path, body) in [
        (Method::GET, path::DEVICES.to_owned(), None),
        (Method::POST, path::DEVICES.to_owned(), Some(enrolment(&key))),
        (Method::POST, path::ENROLMENT_TOKENS.to_owned(), None),
        (Method::POST, path::DEVICE_LOST.replace("{device}", other.id()), None),
        (Method::POST, path::ACCOUNT_PERIODS.to_owned(), Some(periods)),
        (Method::POST, path::ACCOUNT_JOBS.to_owned(), Some(jobs)),
    ] {
        let answer = stand.send_as(&thiefs, method.clone(), &path, body).await;
        assert_eq!(problem(answer).await, is(code::SESSION_ENDED, 401), "{method} {path}");
    }
    assert_eq!(stand.get(&other.http, path::WATCH).await.status(), 200);
}

#[tokio::test]
async fn a_fresh_sign_in_works_and_other_accounts_notice_nothing() {
    let stand = Stand::start().await;
    let stolen = stand.enrol("alice").await;
    let bobs = session(&stand, "bob", 3600);

    assert_eq!(report_lost(&stand, &session(&stand, "alice", 60), stolen.id()).await.status(), 204);

    let fresh = session(&stand, "alice", 0);
    assert_eq!(stand.send_as(&fresh, Method::GET, path::DEVICES, None).await.status(), 200);
    assert_eq!(stand.send_as(&bobs, Method::GET, path::DEVICES, None).await.status(), 200);
    let key = KeyPair::generate().unwrap();
    let enrolled = stand.send_as(&fresh, Method::POST, path::DEVICES, Some(enrolment(&key))).await;
    assert_eq!(enrolled.status(), 201);
}

#[tokio::test]
async fn a_token_that_does_not_say_when_its_session_began_counts_as_old_after_a_loss() {
    let stand = Stand::start().await;
    let stolen = stand.enrol("alice").await;
    let silent = stand.issuer.sign(json!({ "sub": "alice", "auth_time": null }));
    assert_eq!(stand.send_as(&silent, Method::GET, path::DEVICES, None).await.status(), 200);

    ionet_gateway::report_lost(&stand.config, stolen.id()).await.unwrap();

    let refused = stand.send_as(&silent, Method::GET, path::DEVICES, None).await;
    assert_eq!(problem(refused).await, is(code::SESSION_ENDED, 401));
}

#[tokio::test]
async fn enrolment_tokens_from_before_the_loss_are_spent() {
    let stand = Stand::start().await;
    let (stolen, account) = (stand.enrol("alice").await, session(&stand, "alice", 60));
    let made = stand.send_as(&account, Method::POST, path::ENROLMENT_TOKENS, None).await;
    let EnrolmentToken { token, .. } = read(made).await;

    assert_eq!(report_lost(&stand, &account, stolen.id()).await.status(), 204);

    let key = KeyPair::generate().unwrap();
    let refused = stand.send_as(&token, Method::POST, path::DEVICES, Some(enrolment(&key))).await;
    assert_eq!(problem(refused).await, is(code::TOKEN_SPENT, 401));
    let account = session(&stand, "alice", 0);
    let made = stand.send_as(&account, Method::POST, path::ENROLMENT_TOKENS, None).await;
    let EnrolmentToken { token, .. } = read(made).await;
    let given = stand.send_as(&token, Method::POST, path::DEVICES, Some(enrolment(&key))).await;
    read::<Certificate>(given).await;
}

#[tokio::test]
async fn reporting_the_same_pc_again_does_not_end_the_sessions_that_began_since() {
    let stand = Stand::start().await;
    let stolen = stand.enrol("alice").await;
    ionet_gateway::report_lost(&stand.config, stolen.id()).await.unwrap();
    let fresh = session(&stand, "alice", 0);
    let lost_at = now_s();
    while now_s() == lost_at {
        tokio::task::yield_now().await;
    }

    assert_eq!(report_lost(&stand, &fresh, stolen.id()).await.status(), 204);

    assert_eq!(stand.send_as(&fresh, Method::GET, path::DEVICES, None).await.status(), 200);
}
