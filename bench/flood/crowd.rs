//! A thousand devices that do what all of them do all the time: wait for news.

use std::net::Ipv4Addr;

use anyhow::Result;
use futures_util::{StreamExt as _, TryStreamExt as _};
use ionet_gateway_api::{DeviceState, path};
use reqwest::Client;
use serde_json::json;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Duration, Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::world::{Device, World};

/// Ten devices to an account, two hundred to an address.
const TO_AN_ACCOUNT: usize = 10;
const TO_AN_ADDRESS: usize = 200;
/// Nodes of the crowd that change in a second, each of which wakes a poll.
const CHANGES_A_SECOND: u32 = 5;

pub(crate) struct Crowd {
    devices: Vec<(Device, Client)>,
}

/// What came of the polls.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Polls {
    pub(crate) answered: usize,
    pub(crate) refused: usize,
    pub(crate) failed: usize,
}

impl Crowd {
    pub(crate) async fn enrol(world: &World, count: usize) -> Result<Self> {
        let nobody = world.nobody(Ipv4Addr::LOCALHOST)?;
        let enrolling = futures_util::stream::iter(0..count).map(async |number| {
            let device = world.enrol(&nobody, &format!("owner-{}", number / TO_AN_ACCOUNT)).await?;
            let house = u8::try_from(number / TO_AN_ADDRESS).unwrap_or(u8::MAX);
            let client = world.device(Ipv4Addr::new(127, 1, 0, house + 1), &device)?;
            world.region.node(&node_of(&device), &device.id, json!({}));
            anyhow::Ok((device, client))
        });
        Ok(Self { devices: enrolling.buffer_unordered(8).try_collect().await? })
    }

    /// Polls with all of them until `done`, while the region goes on changing.
    pub(crate) fn poll(&self, world: &World, done: &CancellationToken) -> JoinHandle<Polls> {
        let mut polling = JoinSet::new();
        for (number, (_, client)) in self.devices.iter().enumerate() {
            // As PCs do after an outage, they do not come in one moment.
            let first = Duration::from_millis(number as u64 * 3);
            polling.spawn(poll_on(
                client.clone(),
                format!("{}{}", world.url, path::WATCH),
                first,
                done.clone(),
            ));
        }
        let nodes: Vec<_> =
            self.devices.iter().map(|(device, _)| (node_of(device), device.id.clone())).collect();
        let (region, done) = (std::sync::Arc::clone(&world.region), done.clone());
        tokio::spawn(async move {
            let changing = async {
                for (node, device) in nodes.iter().cycle() {
                    sleep(Duration::from_secs(1) / CHANGES_A_SECOND).await;
                    region.node(node, device, json!({}));
                }
            };
            tokio::select! {
                () = changing => {}
                () = done.cancelled() => {}
            }
            let all = polling.join_all().await;
            all.into_iter().fold(Polls::default(), |sum, polls| Polls {
                answered: sum.answered + polls.answered,
                refused: sum.refused + polls.refused,
                failed: sum.failed + polls.failed,
            })
        })
    }
}

async fn poll_on(client: Client, url: String, first: Duration, done: CancellationToken) -> Polls {
    let mut polls = Polls::default();
    let polling = async {
        sleep(first).await;
        let mut index = 0;
        loop {
            let begun = Instant::now();
            let answer = client.get(format!("{url}?index={index}&wait=60")).send().await;
            match answer {
                Ok(answer) if answer.status().is_success() => match answer.json::<DeviceState>().await {
                    Ok(state) => {
                        polls.answered += 1;
                        index = state.index;
                        continue;
                    }
                    Err(_) => polls.failed += 1,
                },
                Ok(_) => polls.refused += 1,
                Err(_) => polls.failed += 1,
            }
            // What fails is tried again after a second, as a PC's first retry is.
            tokio::time::sleep_until(begun + Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        () = polling => {}
        () = done.cancelled() => {}
    }
    polls
}

fn node_of(device: &Device) -> String {
    format!("node-of-{}", device.id)
}
