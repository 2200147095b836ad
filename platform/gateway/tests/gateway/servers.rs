//! Servers that do not answer, or not well.

use std::time::{Duration, Instant};

use ionet_gateway_api::{Introduction, StopAnswer, path};
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

use crate::stand::{Stand, read};

/// Takes connections and never says a word.
async fn black_hole() -> (Url, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let holding = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
        }
    });
    (url, holding)
}

async fn behind_a_black_hole() -> (Stand, JoinHandle<()>) {
    let (url, holding) = black_hole().await;
    let stand = Stand::start_with(|config| config.region.nomad.insert(0, url)).await;
    (stand, holding)
}

#[tokio::test]
async fn a_first_server_that_never_answers_costs_a_pc_less_than_it_waits() {
    let (stand, _holding) = behind_a_black_hole().await;
    let pc = stand.enrol("alice").await;
    stand.region.node("n-1", pc.id(), json!({}));
    stand.until(&pc, |state| state.node.is_some()).await;

    let began = Instant::now();
    let wanted = json!({ "seq": 1, "eligible": true, "holds": [] });
    let kept = stand.send(&pc.http, Method::PUT, path::WANTED, Some(wanted)).await;
    let given: Introduction = read(stand.send(&pc.http, Method::POST, path::INTRODUCTION, None).await).await;
    let stopped: StopAnswer = read(stand.send(&pc.http, Method::POST, path::STOP, None).await).await;

    assert_eq!((kept.status().as_u16(), given.token.as_str()), (200, "a.b.c"));
    assert!(stopped.stopping.is_empty());
    // Three requests of up to three questions each; in turn they would have taken many times this.
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_region_that_never_answers_keeps_no_pc_waiting_for_what_it_wants() {
    let (url, _holding) = black_hole().await;
    let stand = Stand::start_with(|config| config.region.nomad = vec![url]).await;
    let pc = stand.enrol("alice").await;

    let began = Instant::now();
    let wanted = json!({ "seq": 1, "eligible": false, "holds": [] });
    let kept = stand.send(&pc.http, Method::PUT, path::WANTED, Some(wanted)).await;

    assert_eq!(kept.status(), 200);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_one_server_refuses_in_trouble_another_answers() {
    let stand = Stand::start_with(|config| {
        // Nothing listens there.
        config.region.nomad.insert(0, "http://127.0.0.1:9".parse().unwrap());
    })
    .await;
    let pc = stand.enrol("alice").await;

    let given: Introduction = read(stand.send(&pc.http, Method::POST, path::INTRODUCTION, None).await).await;

    assert_eq!(given.token, "a.b.c");
}

#[tokio::test]
async fn stopping_goes_on_past_an_allocation_that_the_region_will_not_stop() {
    let stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    stand.region.node("n-1", pc.id(), json!({}));
    for id in ["a-1", "a-2", "a-3"] {
        stand.region.allocation(id, "n-1", json!({ "ClientStatus": "running" }));
    }
    stand.region.answer("/v1/allocation/a-1/stop", 403);
    stand.until(&pc, |state| state.allocations.len() == 3).await;

    let answer: StopAnswer = read(stand.send(&pc.http, Method::POST, path::STOP, None).await).await;

    assert_eq!(answer.stopping, ["a-2", "a-3"]);
}
