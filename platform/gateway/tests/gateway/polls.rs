//! Long polls: how often they are answered, and that they are nobody's cost but their own.

use ionet_gateway_api::path;
use reqwest::Method;

use crate::limits::{only, stand, too_many, until_too_many, watch};
use crate::stand::{PATIENCE, Pc, Stand, read};
use crate::wanted::want;

#[tokio::test]
async fn a_device_that_polls_too_often_can_still_pause_and_one_that_asks_too_often_still_poll() {
    let stand = stand(|limits| (limits.device_requests, limits.polls) = (only(3), only(5))).await;
    let pc = stand.enrol("alice").await;

    assert_eq!(until_too_many(async || watch(&stand, &pc).await).await, 5);
    assert_eq!(want(&stand, &pc, 1, false).await.status(), 200);
    assert_eq!(stand.send(&pc.http, Method::POST, path::STOP, None).await.status(), 200);

    let other = stand.enrol("alice").await;
    assert_eq!(until_too_many(async || want(&stand, &other, 1, false).await).await, 3);
    assert_eq!(watch(&stand, &other).await.status(), 200);
}

#[tokio::test]
async fn many_changes_are_told_in_few_answers() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    let began = std::time::Instant::now();

    let asking = async {
        for seq in 1..=40 {
            assert_eq!(want(&stand, &pc, seq, false).await.status(), 200);
        }
    };
    let polling = async {
        let (mut state, mut answers) = (stand.state(&pc).await, 0);
        while state.wanted_seq < 40 {
            let index = state.index;
            state = read(stand.get(&pc.http, &format!("{}?index={index}&wait=60", path::WATCH)).await).await;
            answers += 1;
        }
        answers
    };
    let ((), answers) = tokio::join!(asking, polling);

    let half_seconds = began.elapsed().as_millis() / 500;
    assert!(answers <= 10 + half_seconds, "{answers} answers in {half_seconds} half seconds");
}

#[tokio::test]
#[expect(clippy::async_yields_async, reason = "a poll is to be under way, not over")]
async fn a_newer_poll_of_a_device_replaces_the_older_and_leaves_other_devices_polls_alone() {
    let stand = Stand::start().await;
    let (pc, other) = (stand.enrol("alice").await, stand.enrol("alice").await);
    let poll = async |pc: &Pc| {
        let index = stand.state(pc).await.index;
        let url = format!("{}{}?index={index}&wait=60", stand.url, path::WATCH);
        tokio::spawn(pc.http.get(url).send())
    };
    let (others, mut one, mut another) = (poll(&other).await, poll(&pc).await, poll(&pc).await);

    // They come over connections of their own: which of them is the newer, the gateway knows alone.
    let (older, newer) = tokio::time::timeout(PATIENCE, async {
        tokio::select! {
            older = &mut one => (older, another),
            older = &mut another => (older, one),
        }
    })
    .await
    .unwrap();

    too_many(older.unwrap().unwrap()).await;
    stand.state(&pc).await;
    assert!(!newer.is_finished() && !others.is_finished());
}
