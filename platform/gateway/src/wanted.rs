//! What a PC wants of its nodes, and who keeps them that way.
//!
//! A wanted state is kept first and carried out afterwards: at once where the region answers, and again and again until
//! it does. Whoever sees that a node differs from what is wanted calls [`keep`]; it writes where they differ, nowhere else.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, stream};
use ionet_gateway_api::{Problem, WantedAnswer, WantedRequest, path};
use tokio::time::MissedTickBehavior;

use crate::Shared;
use crate::clock::now_ms;
use crate::devices::Device;
use crate::extract::{Asked, Json};
use crate::nodes::refresh;
use crate::nomad::NomadError;
use crate::problem::Refusal;
use crate::store::{KeptNode, Want, Wanted};

/// How often the nodes are looked over without a call. An operator's `lost` command writes to the database from another
/// process, so this is also how soon that takes effect.
const LOOK: Duration = Duration::from_secs(2);
/// How long a PC's request waits for the region. What is not done by then is done by [`keep`].
const AT_ONCE: Duration = Duration::from_secs(1);
/// Between two looks at a node that another try, or the region, holds up.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How long one node is tried before the next look, and how many at once.
const NODE: Duration = Duration::from_secs(5);
const NODES_AT_ONCE: usize = 8;
/// More GPUs than any PC has, and longer than any UUID of one.
const MOST_HOLDS: usize = 64;
const LONGEST_HOLD: usize = 80;

/// What the PC wants of its nodes. The answer says that it is kept; the region follows, at once if it answers.
#[utoipa::path(
    put, path = path::WANTED, tag = "device", request_body = WantedRequest, security(("device" = [])),
    responses(
        (status = 200, body = WantedAnswer),
        (status = 400, body = Problem, description = "bad-request", content_type = "application/problem+json"),
        (status = 401, body = Problem, description = "no-certificate", content_type = "application/problem+json"),
        (status = 403, body = Problem, description = "device-lost, device-retired", content_type = "application/problem+json"),
        (status = 409, body = Problem, description = "stale-sequence", content_type = "application/problem+json"),
    )
)]
pub(crate) async fn wanted(
    State(gateway): State<Shared>,
    Asked(device, body): Asked<Device, WantedRequest>,
) -> Result<Json<WantedAnswer>, Refusal> {
    gateway.limits.wanted.take(device.id.as_str())?;
    let seq = body.seq;
    let wanted = read(body)?;
    match gateway.store.want(&device.id, &wanted, now_ms()).await? {
        Want::Counts => {}
        Want::Stale(highest) => return Err(Refusal::StaleSequence(highest)),
    }
    gateway.changes.bump(&device.id);
    let applied = tokio::time::timeout(AT_ONCE, until_applied(&gateway, &device.id)).await;
    if applied.is_err() {
        tracing::info!(device = device.id, seq, "the region is slow: what is wanted is carried out later");
    }
    gateway.keep.notify_one();
    Ok(Json(WantedAnswer { seq, applied: applied.unwrap_or(false) }))
}

/// Whether every node of the device is as it is wanted. Another try may be at work on one: that is waited for.
async fn until_applied(gateway: &Shared, device: &str) -> bool {
    loop {
        carry_out(gateway, Some(device)).await;
        match nodes_to_bring(gateway, Some(device)).await {
            Ok(nodes) if nodes.is_empty() => return true,
            Ok(_) => tokio::time::sleep(LOOK_AGAIN).await,
            Err(_) => return false,
        }
    }
}

/// Keeps every node as it is wanted, until shutdown: that of a device that is lost or has left its account drained and
/// ineligible, all others as their PC said last. While nothing was said a node gets no work.
pub(crate) async fn keep(gateway: Shared) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = look.tick() => {}
            () = gateway.keep.notified() => {}
            () = gateway.shutdown.cancelled() => return,
        }
        tokio::select! {
            () = carry_out(&gateway, None) => {}
            () = gateway.shutdown.cancelled() => return,
        }
    }
}

/// Brings the nodes that differ to what is wanted: one device's, or everybody's. One that refuses stops no other.
async fn carry_out(gateway: &Shared, device: Option<&str>) {
    let nodes = match nodes_to_bring(gateway, device).await {
        Ok(nodes) => nodes,
        Err(error) => return tracing::error!(error = %error, "the wanted states could not be read"),
    };
    let mut bringing: Vec<BoxFuture<'_, ()>> = Vec::new();
    for node in &nodes {
        bringing.push(Box::pin(try_to_bring(gateway, node)));
    }
    stream::iter(bringing).buffer_unordered(NODES_AT_ONCE).collect::<()>().await;
}

/// The nodes that are not as they are wanted, and those that may not stay so: a write to one was not answered, and the
/// region may carry it out yet.
async fn nodes_to_bring(gateway: &Shared, device: Option<&str>) -> Result<Vec<KeptNode>, sqlx::Error> {
    let mut nodes = gateway.store.nodes_to_keep(device).await?;
    for node in gateway.bringing.unanswered(device) {
        if nodes.iter().any(|differing| differing.node == node) {
            continue;
        }
        match gateway.store.node_to_keep(&node).await? {
            Some(kept) => nodes.push(kept),
            None => gateway.bringing.answered(&node),
        }
    }
    Ok(nodes)
}

async fn try_to_bring(gateway: &Shared, node: &KeptNode) {
    // A request and the keeper may come to the same node; whoever is second leaves it to the first, and looks again.
    let Some(_claim) = gateway.bringing.claim(&node.node) else { return };
    // Read again: the one before may have done it, and something else may be wanted by now.
    let node = match nodes_to_bring(gateway, Some(&node.device)).await {
        Ok(nodes) => nodes.into_iter().find(|now| now.node == node.node),
        Err(error) => return tracing::error!(error = %error, "the wanted states could not be read"),
    };
    let Some(node) = node else { return };
    let brought = tokio::time::timeout(NODE, bring(gateway, &node)).await;
    match brought.unwrap_or(Err(Refusal::TimedOut)) {
        Ok(()) => tracing::info!(
            device = node.device,
            node = node.node,
            eligible = node.wanted_eligible != 0,
            drained = node.to_drain != 0,
            "a node is as it is wanted"
        ),
        Err(error) => {
            tracing::warn!(device = node.device, node = node.node, error = %error, "a node is not as it is wanted yet");
        }
    }
}

/// The nodes that are being brought to what is wanted.
#[derive(Debug, Default)]
pub(crate) struct Bringing {
    /// This moment.
    claimed: Mutex<HashSet<String>>,
    /// Those with a write that was not answered, and their devices.
    unanswered: Mutex<HashMap<String, String>>,
}

/// Nobody else brings the node until it is dropped.
struct Claim<'a> {
    nodes: &'a Bringing,
    node: String,
}

impl Bringing {
    fn claim(&self, node: &str) -> Option<Claim<'_>> {
        let mut nodes = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.insert(node.to_owned()).then(|| Claim { nodes: self, node: node.to_owned() })
    }

    fn unanswered(&self, device: Option<&str>) -> Vec<String> {
        let nodes = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = nodes.iter().filter(|(_, owner)| device.is_none_or(|device| device == *owner));
        asked.map(|(node, _)| node.clone()).collect()
    }

    /// A write is sent.
    fn sent(&self, node: &KeptNode) {
        let mut nodes = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.insert(node.node.clone(), node.device.clone());
    }

    fn answered(&self, node: &str) {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).remove(node);
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.nodes.claimed.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.node);
    }
}

async fn bring(gateway: &Shared, node: &KeptNode) -> Result<(), Refusal> {
    gateway.bringing.sent(node);
    let done = if node.to_drain != 0 {
        gateway.nomad.drain_now(&node.node, "its device has ended").await
    } else {
        gateway.nomad.set_eligible(&node.node, node.wanted_eligible != 0).await
    };
    // A server in trouble may have handed it on: only a refusal is the region's word.
    let answered = match &done {
        Ok(()) => true,
        Err(NomadError::Refused(status)) => !status.is_server_error(),
        Err(_) => false,
    };
    if answered {
        gateway.bringing.answered(&node.node);
    }
    match done {
        Ok(()) if node.to_drain != 0 => gateway.store.mark_held(&node.node, now_ms()).await?,
        Ok(()) => {}
        // Changing an unknown node is an error like any other; only the question tells.
        Err(error) => match gateway.nomad.node(&node.node).await? {
            Some(_) => return Err(Refusal::Region(error)),
            None => drop(gateway.store.lose_node(&node.node).await?),
        },
    }
    refresh(gateway, &node.node).await
}

fn read(body: WantedRequest) -> Result<Wanted, Refusal> {
    let bad = |what: &str| Refusal::BadRequest(what.to_owned());
    let seq = i64::try_from(body.seq).map_err(|_| bad("seq is too high"))?;
    if seq == 0 {
        return Err(bad("seq begins at 1"));
    }
    let sane = |hold: &String| {
        !hold.is_empty() && hold.len() <= LONGEST_HOLD && hold.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if body.holds.len() > MOST_HOLDS || !body.holds.iter().all(sane) {
        return Err(bad("holds are at most 64 UUIDs"));
    }
    let holds: BTreeSet<String> = body.holds.into_iter().collect();
    Ok(Wanted { seq, eligible: body.eligible, holds: holds.into_iter().collect() })
}
