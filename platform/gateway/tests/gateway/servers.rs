//! Servers that do not answer, or not well.

use std::sync::Arc;

use ionet_gateway_api::{Introduction, StopAnswer, WantedAnswer, path};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

use crate::stand::{PATIENCE, Stand, read};
use crate::wanted::until_eligible;

/// A server that can go dark: from then on it takes every question and answers none, also on the connections it has.
struct Server {
    url: Url,
    dark: watch::Sender<bool>,
    /// How many questions came while it was dark.
    swallowed: Arc<watch::Sender<usize>>,
}

impl Server {
    /// In front of another one, for as long as it is not dark.
    async fn before(other: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let (dark, swallowed) = (watch::Sender::new(false), Arc::new(watch::Sender::new(0)));
        let (told, counting, other) = (dark.subscribe(), Arc::clone(&swallowed), other.to_owned());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_on(client, other.clone(), told.clone(), Arc::clone(&counting)));
            }
        });
        Self { url, dark, swallowed }
    }

    async fn that_never_answers() -> Self {
        let server = Self::before("127.0.0.1:9").await;
        server.go_dark();
        server
    }

    fn go_dark(&self) {
        self.dark.send_replace(true);
    }

    /// Waits until it has been asked something in the dark.
    async fn until_asked(&self) {
        let mut swallowed = self.swallowed.subscribe();
        let asked = swallowed.wait_for(|count| *count > 0);
        drop(tokio::time::timeout(PATIENCE, asked).await.expect("it should be asked").unwrap());
    }
}

async fn pass_on(
    mut client: TcpStream,
    other: String,
    mut dark: watch::Receiver<bool>,
    swallowed: Arc<watch::Sender<usize>>,
) {
    let shining = async {
        match TcpStream::connect(other).await {
            Ok(mut other) => drop(copy_bidirectional(&mut client, &mut other).await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        // An error means that the test is over.
        _ = dark.wait_for(|dark| *dark) => {}
        () = shining => return,
    }
    while client.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {
        swallowed.send_modify(|count| *count += 1);
    }
}

/// Every server but the last goes dark once the gateway has come to know the region by the first. Asked one after the
/// other they would keep a question for longer than a test waits.
#[tokio::test]
async fn a_first_server_that_never_answers_costs_a_pc_less_than_it_waits() {
    let mut stand = Stand::start().await;
    let region = stand.region.url.trim_start_matches("http://").to_owned();
    let first = Server::before(&region).await;
    let (second, third) = (Server::that_never_answers().await, Server::that_never_answers().await);
    stand.pause().await;
    for server in [&third, &second, &first] {
        stand.config.region.nomad.insert(0, server.url.clone());
    }
    stand.resume().await;
    stand.until_following().await;
    let pc = stand.enrol("alice").await;
    stand.region.node("n-1", pc.id(), json!({}));
    stand.until(&pc, |state| state.node.is_some()).await;

    first.go_dark();
    let wanted = json!({ "seq": 1, "eligible": true, "holds": [] });
    let asking = async {
        let (given, stopped, kept) = tokio::join!(
            stand.send(&pc.http, Method::POST, path::INTRODUCTION, None),
            stand.send(&pc.http, Method::POST, path::STOP, None),
            stand.send(&pc.http, Method::PUT, path::WANTED, Some(wanted)),
        );
        (read::<Introduction>(given).await, read::<StopAnswer>(stopped).await, kept.status())
    };
    let (given, stopped, kept) =
        tokio::time::timeout(PATIENCE, asking).await.expect("another server should be asked in time");

    assert_eq!((kept.as_u16(), given.token.as_str()), (200, "a.b.c"));
    assert!(stopped.stopping.is_empty());
    for dark in [&first, &second, &third] {
        dark.until_asked().await;
    }
}

#[tokio::test]
async fn a_region_that_never_answers_keeps_no_pc_waiting_for_what_it_wants() {
    let mut stand = Stand::start().await;
    let pc = stand.enrol("alice").await;
    stand.region.node("n-1", pc.id(), json!({ "SchedulingEligibility": "ineligible" }));
    stand.until(&pc, |state| state.node.is_some()).await;
    let silent = Server::that_never_answers().await;
    stand.pause().await;
    let region = std::mem::replace(&mut stand.config.region.nomad, vec![silent.url.clone()]);
    stand.resume().await;

    let wanted = json!({ "seq": 1, "eligible": true, "holds": [] });
    let asking = stand.send(&pc.http, Method::PUT, path::WANTED, Some(wanted));
    let answer = tokio::time::timeout(PATIENCE, asking).await.expect("the PC should be answered");

    let kept: WantedAnswer = read(answer).await;
    assert!(!kept.applied);
    assert_eq!(stand.state(&pc).await.wanted_seq, 1);
    silent.until_asked().await;
    // The PC says it once: what is kept is carried out when a server answers.
    stand.pause().await;
    stand.config.region.nomad = region;
    stand.resume().await;
    until_eligible(&stand, "n-1", true).await;
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
