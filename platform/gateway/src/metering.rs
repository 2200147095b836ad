//! Metering: follows the region's event stream into the ledger, and fills every gap from its lists.
//!
//! One task does both, one thing after the other, so a list is never older than the events read before it. What cannot
//! be read or written of one node or one allocation is logged and counted, and tried again with the next list; it never
//! keeps the others from being metered.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, MissedTickBehavior};

pub(crate) use self::hearing::Hearing;
use crate::Shared;
use crate::clock::now_ns;
use crate::ledger::Entry;
use crate::nomad::{Allocation, Event, EventLine, EventStream, Node, NodeStub, NodeUpdate, NomadError};
use crate::problem::Refusal;
use crate::store::NewAllocation;

#[path = "metering/doubt.rs"]
mod doubt;
#[path = "metering/hearing.rs"]
mod hearing;
#[path = "metering/missing.rs"]
mod missing;
#[path = "metering/pricing.rs"]
mod pricing;

/// Servers forget ended allocations after an hour at the earliest; a minute leaves no doubt.
const RECONCILE: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// For a question about one node or allocation: others wait behind it.
const LOOKUP: Duration = Duration::from_secs(2);
/// How many such questions are asked at once.
const AT_ONCE: usize = 8;
/// A stream that sends nothing but what cannot be read is no stream.
const MOST_BAD_LINES: u32 = 20;

/// Why following stopped.
#[derive(Debug, thiserror::Error)]
enum Interruption {
    #[error("the region: {0}")]
    Region(#[from] NomadError),
    #[error("the database: {0}")]
    Store(#[from] sqlx::Error),
    #[error("the server ended the stream")]
    Ended,
}

/// Meters until shutdown. Never gives up: it reconciles and reconnects, with pauses that grow to five seconds.
pub(crate) async fn run(gateway: Shared) {
    match gateway.store.stream(&gateway.config.region.name).await {
        Ok((_, heard_ms)) => gateway.region.remember(heard_ms),
        Err(error) => tracing::error!(error = %error, "when the region was last heard could not be read"),
    }
    let mut pause = FIRST_PAUSE;
    loop {
        let began = Instant::now();
        let interruption = tokio::select! {
            ended = follow(&gateway) => ended,
            () = gateway.shutdown.cancelled() => return,
        };
        tracing::warn!(error = %interruption, "metering was interrupted");
        missed(&gateway);
        if began.elapsed() > LONGEST_PAUSE * 2 {
            pause = FIRST_PAUSE;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = gateway.shutdown.cancelled() => return,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// The region could not be followed this time.
pub(crate) fn missed(gateway: &Shared) {
    if gateway.region.missed() {
        gateway.changes.bump_all();
    }
}

async fn follow(gateway: &Shared) -> Interruption {
    match try_follow(gateway).await {
        Ok(()) => Interruption::Ended,
        Err(interruption) => interruption,
    }
}

async fn try_follow(gateway: &Shared) -> Result<(), Interruption> {
    // Before the stream: a stream that may not be read must not keep the lists from being read, nor they it.
    read_lists(gateway).await;
    let region = &gateway.config.region.name;
    let index = gateway.store.stream(region).await?.0;
    let Some((mut stream, first)) = open(gateway, index).await? else { return Ok(()) };
    tracing::info!(region, index, rehearsal = gateway.nomad.is_double(), "metering follows the region");
    take_in(gateway, first).await;
    let mut minute = tokio::time::interval(RECONCILE);
    minute.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut bad_lines = 0;
    loop {
        // The first tick is at once: it covers what happened between the first lists and the stream.
        tokio::select! {
            line = stream.next() => match line {
                Ok(Some(line)) => {
                    bad_lines = 0;
                    take_in(gateway, line).await;
                }
                Ok(None) => return Ok(()),
                Err(error @ (NomadError::BadLine(_) | NomadError::LongLine)) if bad_lines < MOST_BAD_LINES => {
                    bad_lines += 1;
                    tracing::warn!(error = %error, bad_lines, "a line of the event stream was left out");
                }
                Err(error) => return Err(error.into()),
            },
            _ = minute.tick() => read_lists(gateway).await,
        }
    }
}

async fn read_lists(gateway: &Shared) {
    match reconcile(gateway).await {
        Ok(()) => hear(gateway, 0).await,
        Err(error) => tracing::warn!(error = %error, "the region's lists could not be read"),
    }
}

/// The region was heard; `index` is how far its stream was read, 0 where it was not the stream.
async fn hear(gateway: &Shared, index: i64) {
    if gateway.region.heard() {
        gateway.changes.bump_all();
    }
    // Where the stream goes on is a hint: what is read twice changes nothing, and the lists hold what is missed.
    let Some(heard_ms) = gateway.region.to_write() else { return };
    if let Err(error) = gateway.store.set_stream(&gateway.config.region.name, index, heard_ms).await {
        tracing::warn!(error = %error, "when the region was last heard could not be written");
    }
}

/// Opens the stream of all namespaces; where the token may not read every one of them, that of the default one, and the
/// lists tell of the others.
async fn open(gateway: &Shared, after: Option<i64>) -> Result<Option<(EventStream, EventLine)>, NomadError> {
    let mut stream = gateway.nomad.events(after, true).await?;
    let first = match stream.next().await {
        Err(NomadError::Silent) => {
            stream = gateway.nomad.events(after, false).await?;
            stream.next().await?
        }
        told => told?,
    };
    Ok(first.map(|line| (stream, line)))
}

async fn take_in(gateway: &Shared, line: EventLine) {
    let index = line.index;
    for event in line.events() {
        match event {
            Ok(event) => take_in_event(gateway, &event).await,
            Err(error) => tracing::warn!(index, error = %error, "an event was left out"),
        }
    }
    hear(gateway, index).await;
}

async fn take_in_event(gateway: &Shared, event: &Event) {
    let node = match event.node() {
        Some(NodeUpdate::Is(node)) => see_node(gateway, &node, false).await,
        Some(NodeUpdate::Gone(node)) => lose_node(gateway, &node).await,
        None => Ok(()),
    };
    let allocation = match event.allocation() {
        Some(allocation) => see_allocation(gateway, allocation, true, event.sent_end()).await,
        None => Ok(()),
    };
    if let Err(error) = node.map_err(Refusal::from).and(allocation) {
        tracing::warn!(error = %error, "an event could not be taken in; the lists will tell");
    }
}

/// Brings nodes and ledger to what the region's lists say now, each as far as its list can be read.
async fn reconcile(gateway: &Shared) -> Result<(), Interruption> {
    let nodes = reconcile_nodes(gateway).await;
    let allocations = reconcile_allocations(gateway).await;
    let left_out = nodes? + allocations?;
    if left_out > 0 {
        tracing::warn!(
            left_out,
            "not everything that the region lists was metered; it is tried again with the next list"
        );
    }
    Ok(())
}

/// How many were left out.
async fn reconcile_allocations(gateway: &Shared) -> Result<usize, Interruption> {
    let listed = gateway.nomad.allocations().await?;
    let mut seeing: Vec<BoxFuture<'_, _>> = Vec::new();
    for allocation in &listed.items {
        seeing.push(Box::pin(async {
            see_allocation(gateway, allocation, false, None).await.inspect_err(|error| {
                tracing::warn!(allocation = allocation.id, error = %error, "an allocation could not be taken in");
            })
        }));
    }
    let left_out = listed.unread + failures(seeing).await + doubt::ask_again(gateway).await?;
    missing::compare(missing::Books::of(gateway), &listed, missing::PATIENCE).await?;
    pricing::settle_open(gateway).await;
    Ok(left_out)
}

/// How many were left out.
async fn reconcile_nodes(gateway: &Shared) -> Result<usize, Interruption> {
    let known = gateway.store.present_nodes().await?;
    let listed = gateway.nomad.nodes().await?;
    let mut seeing: Vec<BoxFuture<'_, _>> = Vec::new();
    for stub in &listed.items {
        let row = known.iter().find(|row| row.node == stub.id);
        let unchanged = row.is_some_and(|row| {
            (row.modify_index, row.status.as_str(), row.eligible != 0)
                == (stub.modify_index, stub.status.as_str(), stub.is_eligible())
        });
        if !unchanged {
            seeing.push(Box::pin(async move {
                ask_for_node(gateway, stub, row.is_some()).await.inspect_err(|error| {
                    tracing::warn!(node = stub.id, error = %error, "a node could not be taken in");
                })
            }));
        }
    }
    let mut left_out = listed.unread + failures(seeing).await;
    for row in known.iter().filter(|row| listed.is_whole && !listed.ids.contains(row.node.as_str())) {
        if let Err(error) = lose_if_unknown(gateway, &row.node).await {
            tracing::warn!(node = row.node, error = %error, "a node that is not listed cannot be asked for");
            left_out += 1;
        }
    }
    Ok(left_out)
}

/// Runs some at once, each to its end; how many failed.
async fn failures(all: Vec<BoxFuture<'_, Result<(), Refusal>>>) -> usize {
    let mut running = stream::iter(all).buffer_unordered(AT_ONCE);
    let mut failed = 0;
    while let Some(done) = running.next().await {
        failed += usize::from(done.is_err());
    }
    failed
}

async fn ask_for_node(gateway: &Shared, stub: &NodeStub, known: bool) -> Result<(), Refusal> {
    if !known && !may_be_ours(gateway, stub).await? {
        return Ok(());
    }
    match look_up(gateway.nomad.node(&stub.id)).await? {
        Some(node) => see_node(gateway, &node, true).await?,
        None => lose_node(gateway, &stub.id).await?,
    }
    Ok(())
}

/// A node that a list lacks is gone if the region says so when asked for it.
async fn lose_if_unknown(gateway: &Shared, node: &str) -> Result<(), Refusal> {
    match look_up(gateway.nomad.node(node)).await? {
        Some(node) => see_node(gateway, &node, true).await?,
        None => lose_node(gateway, node).await?,
    }
    Ok(())
}

async fn look_up<T>(asking: impl Future<Output = Result<T, NomadError>>) -> Result<T, Refusal> {
    tokio::time::timeout(LOOKUP, asking).await.map_err(|_| Refusal::TimedOut)?.map_err(Refusal::Region)
}

async fn may_be_ours(gateway: &Shared, stub: &NodeStub) -> Result<bool, sqlx::Error> {
    let recorded = gateway.store.device_of_node(&stub.id).await?.is_some();
    Ok(recorded || gateway.store.device(&stub.name).await?.is_some())
}

async fn see_node(gateway: &Shared, node: &Node, current: bool) -> Result<(), sqlx::Error> {
    for device in gateway.store.see_node(node, current).await? {
        gateway.changes.bump(&device);
        gateway.keep.notify_one();
    }
    Ok(())
}

async fn lose_node(gateway: &Shared, node: &str) -> Result<(), sqlx::Error> {
    if let Some(device) = gateway.store.lose_node(node).await? {
        gateway.changes.bump(&device);
    }
    Ok(())
}

/// `sent_end`: the index at which a client sent the end that is seen; only the stream tells it.
async fn see_allocation(
    gateway: &Shared,
    allocation: &Allocation,
    told: bool,
    sent_end: Option<i64>,
) -> Result<(), Refusal> {
    let sighting = allocation.sighting(told);
    if let Some(look) = gateway.store.see_allocation(&allocation.id, sighting, sent_end).await? {
        if look.after != look.before {
            gateway.changes.bump(&look.device);
        }
        return if sent_end.is_some() { doubt::doubt_end(gateway, &allocation.id).await } else { Ok(()) };
    }
    let Some(device) = owner(gateway, allocation).await? else { return Ok(()) };
    let prices = &gateway.config.prices;
    let entry = Entry::new(allocation.create_time, prices.default_micros_per_hour, sighting);
    let priced = prices.gpus.is_empty();
    let (id, node) = (&allocation.id, &allocation.node_id);
    let new =
        NewAllocation { allocation: id, node, job: &allocation.job_id, entry: &entry, priced, sent_end };
    gateway.store.add_allocation(&new, now_ns()).await?;
    gateway.changes.bump(&device);
    if told && !priced {
        pricing::settle(gateway, id, node).await;
    }
    if sent_end.is_some() {
        doubt::doubt_end(gateway, id).await?;
    }
    Ok(())
}

/// The device on whose node the allocation lies; none if the node is not one of ours.
async fn owner(gateway: &Shared, allocation: &Allocation) -> Result<Option<String>, Refusal> {
    if let Some(device) = gateway.store.device_of_node(&allocation.node_id).await? {
        return Ok(Some(device));
    }
    if gateway.store.device(&allocation.node_name).await?.is_none() {
        return Ok(None);
    }
    if let Some(node) = look_up(gateway.nomad.node(&allocation.node_id)).await? {
        see_node(gateway, &node, true).await?;
    }
    Ok(gateway.store.device_of_node(&allocation.node_id).await?)
}
