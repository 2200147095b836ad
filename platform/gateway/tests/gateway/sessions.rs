//! What becomes of an account's sessions when one of its PCs is lost.

use ionet_gateway_api::{Certificate, EnrolmentToken, code, path};
use rcgen::KeyPair;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::client::TlsStream;

use crate::connections::shake;
use crate::stand::region::now_s;
use crate::stand::{HOME, PATIENCE, Stand, enrolment, is, problem, read, until};

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
async fn when_a_session_began_is_read_in_every_spelling_and_a_time_to_come_is_none() {
    let stand = Stand::start().await;
    let stolen = stand.enrol("alice").await;
    assert_eq!(report_lost(&stand, &session(&stand, "alice", 60), stolen.id()).await.status(), 204);
    let now = now_s();
    let began = |auth_time: Value| stand.issuer.sign(json!({ "auth_time": auth_time }));

    let fresh = [json!(now), json!(now.to_string()), json!(now as f64 + 0.25)];
    let old = [
        json!((now - 60).to_string()),
        json!(now as f64 - 60.5),
        json!(null),
        json!("now"),
        json!([now]),
        // In milliseconds, or made up: no loss would ever end such a session.
        json!(now * 1000),
        json!(1e300),
        json!((now + 3600).to_string()),
    ];

    for auth_time in fresh {
        let answer = stand.send_as(&began(auth_time.clone()), Method::GET, path::DEVICES, None).await;
        assert_eq!(answer.status(), 200, "{auth_time}");
    }
    for auth_time in old {
        let answer = stand.send_as(&began(auth_time.clone()), Method::GET, path::DEVICES, None).await;
        assert_eq!(problem(answer).await, is(code::SESSION_ENDED, 401), "{auth_time}");
    }
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
    until("the next second", async || now_s() != lost_at).await;

    assert_eq!(report_lost(&stand, &fresh, stolen.id()).await.status(), 204);

    assert_eq!(stand.send_as(&fresh, Method::GET, path::DEVICES, None).await.status(), 200);
}

/// A question whose body has not come yet. Who asks has been looked at: only then is a body waited for.
struct Slow {
    line: TlsStream<tokio::net::TcpStream>,
    body: String,
}

impl Slow {
    async fn ask(stand: &Stand, token: &str, path: &str, body: Value) -> Self {
        let (mut line, body) = (shake(stand, HOME).await.unwrap(), body.to_string());
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\
             Connection: close\r\n\r\n",
            body.len()
        );
        line.write_all(head.as_bytes()).await.unwrap();
        let mut awaited = [0; 25];
        tokio::time::timeout(PATIENCE, line.read_exact(&mut awaited)).await.unwrap().unwrap();
        assert_eq!(&awaited, b"HTTP/1.1 100 Continue\r\n\r\n");
        Self { line, body }
    }

    /// Sends the body; the status and the rest of the answer.
    async fn finish(mut self) -> (String, String) {
        self.line.write_all(self.body.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let reading = self.line.read_to_string(&mut answer);
        drop(tokio::time::timeout(PATIENCE, reading).await.expect("the gateway should answer"));
        let (_, rest) = answer.split_once(' ').unwrap();
        (rest[..3].to_owned(), rest.to_owned())
    }
}

#[tokio::test]
async fn a_session_that_ends_while_its_question_is_on_the_way_gets_nothing_for_it() {
    let stand = Stand::start().await;
    let stolen = stand.enrol("alice").await;
    let (account, key) = (session(&stand, "alice", 60), KeyPair::generate().unwrap());
    let jobs = json!({ "from_ms": 0, "to_ms": 1, "limit": 1 });
    let enrolling = Slow::ask(&stand, &account, path::DEVICES, enrolment(&key)).await;
    let asking = Slow::ask(&stand, &account, path::ACCOUNT_JOBS, jobs).await;

    ionet_gateway::report_lost(&stand.config, stolen.id()).await.unwrap();

    for slow in [enrolling, asking] {
        let (status, answer) = slow.finish().await;
        assert_eq!(status, "401", "{answer}");
        assert!(answer.contains(code::SESSION_ENDED), "{answer}");
    }
}

#[tokio::test]
async fn an_enrolment_token_that_ends_while_its_question_is_on_the_way_is_spent() {
    let stand = Stand::start().await;
    let stolen = stand.enrol("alice").await;
    let made = stand.send_as(&session(&stand, "alice", 60), Method::POST, path::ENROLMENT_TOKENS, None).await;
    let (EnrolmentToken { token, .. }, key) = (read(made).await, KeyPair::generate().unwrap());
    let enrolling = Slow::ask(&stand, &token, path::DEVICES, enrolment(&key)).await;

    ionet_gateway::report_lost(&stand.config, stolen.id()).await.unwrap();

    let (status, answer) = enrolling.finish().await;
    assert_eq!(status, "401", "{answer}");
    assert!(answer.contains(code::TOKEN_SPENT), "{answer}");
}
