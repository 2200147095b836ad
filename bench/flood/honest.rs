//! The devices whose answers are timed. They ask for what PCs ask for, more often than a PC does and within its limits.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;
use ionet_gateway_api::path;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::flood::FLOOD;
use crate::report::Samples;
use crate::world::World;

/// So many devices, each asking once in so long: within a device's four or so requests a second.
const DEVICES: u8 = 6;
const EVERY: Duration = Duration::from_millis(260);
/// An answer that takes longer counts as this long, and as failed.
const LONGEST: Duration = Duration::from_secs(5);

/// Asks and times until `done`.
pub(crate) async fn ask(
    world: &World,
    samples: &Samples,
    done: &CancellationToken,
) -> Result<JoinHandle<()>> {
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..DEVICES {
        // The last one has the flood for a neighbour, behind the same address.
        let from = if number + 1 == DEVICES { FLOOD } else { Ipv4Addr::new(127, 2, 0, number + 1) };
        let device = world.enrol(&world.nobody(from)?, &format!("honest-{number}")).await?;
        let client = world.device(from, &device)?;
        asking.spawn(ask_on(client, world.url.clone(), number, samples.clone(), done.clone()));
    }
    Ok(tokio::spawn(async move { drop(asking.join_all().await) }))
}

async fn ask_on(client: Client, url: String, number: u8, samples: Samples, done: CancellationToken) {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut turn = u64::from(number) * 7;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = done.cancelled() => return,
        }
        let (what, method, path, body) = question(turn);
        turn += 1;
        let mut request = client.request(method, format!("{url}{path}"));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let begun = Instant::now();
        let answered = async { Ok::<_, reqwest::Error>((request.send().await?, Instant::now())) };
        let (status, took) = match timeout(LONGEST, answered).await {
            Ok(Ok((answer, at))) => {
                let status = answer.status().as_u16();
                // To the last byte, but without this program's own work on it.
                let _ = answer.bytes().await;
                (Some(status), at - begun)
            }
            Ok(Err(_)) | Err(_) => (None, LONGEST),
        };
        samples.honest(what, status, took);
    }
}

/// Mostly the state; every so often one of the others.
fn question(turn: u64) -> (&'static str, Method, &'static str, Option<Value>) {
    match turn % 40 {
        7 => {
            let object = json!({ "name": "app/1.gz", "length": 1000, "sha256": "00".repeat(32) });
            ("uploads", Method::POST, path::UPLOADS, Some(json!({ "objects": [object] })))
        }
        17 => {
            let wanted = json!({ "seq": turn + 1, "eligible": true, "holds": [] });
            ("wanted", Method::PUT, path::WANTED, Some(wanted))
        }
        27 => ("history", Method::POST, path::DEVICE_PERIODS, Some(json!({ "boundaries_ms": [0, 1, 2] }))),
        _ => ("watch", Method::GET, path::WATCH, None),
    }
}
