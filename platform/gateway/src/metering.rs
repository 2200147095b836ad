//! Metering: follows the region's event stream into the ledger, and fills every gap from its lists.
//!
//! One task does both, one thing after the other, so a list is never older than the events read before it.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use crate::Shared;
use crate::clock::{now_ms, now_ns};
use crate::ledger::Entry;
use crate::nomad::{Allocation, EventLine, Node, NodeStub, NodeUpdate, NomadError};

/// Servers forget ended allocations after an hour at the earliest; a minute leaves no doubt.
const RECONCILE: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A region that misses so many tries in a row is said to be silent; an election is over before.
const MISSES: u32 = 3;

/// Whether the region answers.
#[derive(Debug, Default)]
pub(crate) struct Hearing(Mutex<Heard>);

#[derive(Debug, Default)]
struct Heard {
    misses: u32,
    last_ms: i64,
}

impl Hearing {
    /// When the region was last heard, if it has gone silent since.
    pub(crate) fn silent_since_ms(&self) -> Option<i64> {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (heard.misses >= MISSES).then_some(heard.last_ms)
    }

    /// True when it had been silent.
    fn heard(&self) -> bool {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *heard, Heard { misses: 0, last_ms: now_ms() }).misses >= MISSES
    }

    /// True when it has gone silent with this.
    fn missed(&self) -> bool {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.last_ms == 0 {
            heard.last_ms = now_ms();
        }
        heard.misses = heard.misses.saturating_add(1);
        heard.misses == MISSES
    }
}

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
    let mut pause = FIRST_PAUSE;
    loop {
        let began = Instant::now();
        let interruption = tokio::select! {
            ended = follow(&gateway) => ended,
            () = gateway.shutdown.cancelled() => return,
        };
        tracing::warn!(error = %interruption, "metering was interrupted");
        if gateway.region.missed() {
            gateway.changes.bump_all();
        }
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

async fn follow(gateway: &Shared) -> Interruption {
    match try_follow(gateway).await {
        Ok(()) => Interruption::Ended,
        Err(interruption) => interruption,
    }
}

async fn try_follow(gateway: &Shared) -> Result<(), Interruption> {
    // Before the stream: a stream that may not be read must not keep the lists from being read.
    reconcile(gateway).await?;
    if gateway.region.heard() {
        gateway.changes.bump_all();
    }
    let region = &gateway.config.region.name;
    let mut index = gateway.store.event_index(region).await?;
    let mut stream = gateway.nomad.events(index).await?;
    let Some(first) = stream.next().await? else { return Ok(()) };
    tracing::info!(region, index, rehearsal = gateway.nomad.is_double(), "metering follows the region");
    take_in(gateway, &first, &mut index).await?;
    let mut minute = tokio::time::interval(RECONCILE);
    minute.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // The first tick is at once: it covers what happened between the first lists and the stream.
        tokio::select! {
            line = stream.next() => match line? {
                Some(line) => take_in(gateway, &line, &mut index).await?,
                None => return Ok(()),
            },
            _ = minute.tick() => reconcile(gateway).await?,
        }
        gateway.region.heard();
    }
}

async fn take_in(gateway: &Shared, line: &EventLine, index: &mut Option<i64>) -> Result<(), Interruption> {
    for event in &line.events {
        match event.node() {
            Some(NodeUpdate::Is(node)) => see_node(gateway, &node, false).await?,
            Some(NodeUpdate::Gone(node)) => lose_node(gateway, &node).await?,
            None => {}
        }
        if let Some(allocation) = event.allocation() {
            see_allocation(gateway, allocation).await?;
        }
    }
    if line.index > 0 && *index != Some(line.index) {
        gateway.store.set_event_index(&gateway.config.region.name, line.index).await?;
        *index = Some(line.index);
    }
    Ok(())
}

/// Brings nodes and ledger to what the region's lists say now.
async fn reconcile(gateway: &Shared) -> Result<(), Interruption> {
    reconcile_nodes(gateway).await?;
    let listed = gateway.nomad.allocations().await?;
    for allocation in &listed {
        see_allocation(gateway, allocation).await?;
    }
    let listed: HashSet<&str> = listed.iter().map(|allocation| allocation.id.as_str()).collect();
    for row in gateway.store.live_allocations().await? {
        if !listed.contains(row.allocation.as_str()) {
            let mut entry = row.entry();
            entry.vanish(gateway.store.confirmed_ns(&row.allocation).await?);
            gateway.store.update_allocation(&row.allocation, &entry).await?;
            gateway.changes.bump(&row.device);
            tracing::warn!(
                allocation = row.allocation,
                "the region forgot an allocation before its end was seen"
            );
        }
    }
    gateway.store.confirm_live(now_ns()).await?;
    Ok(())
}

async fn reconcile_nodes(gateway: &Shared) -> Result<(), Interruption> {
    let mut gone = gateway.store.present_nodes().await?;
    for stub in gateway.nomad.nodes().await? {
        let known = gone.iter().position(|row| row.node == stub.id).map(|at| gone.swap_remove(at));
        let unchanged = known.as_ref().is_some_and(|row| {
            (row.modify_index, row.status.as_str(), row.eligible != 0)
                == (stub.modify_index, stub.status.as_str(), stub.is_eligible())
        });
        if !unchanged && (known.is_some() || may_be_ours(gateway, &stub).await?) {
            match gateway.nomad.node(&stub.id).await? {
                Some(node) => see_node(gateway, &node, true).await?,
                None => lose_node(gateway, &stub.id).await?,
            }
        }
    }
    for row in gone {
        lose_node(gateway, &row.node).await?;
    }
    Ok(())
}

async fn may_be_ours(gateway: &Shared, stub: &NodeStub) -> Result<bool, sqlx::Error> {
    let recorded = gateway.store.device_of_node(&stub.id).await?.is_some();
    Ok(recorded || gateway.store.device(&stub.name).await?.is_some())
}

async fn see_node(gateway: &Shared, node: &Node, current: bool) -> Result<(), sqlx::Error> {
    if let Some(device) = gateway.store.see_node(node, current).await? {
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

async fn see_allocation(gateway: &Shared, allocation: &Allocation) -> Result<(), Interruption> {
    let sighting = allocation.sighting();
    if let Some(row) = gateway.store.allocation(&allocation.id).await? {
        let before = row.entry();
        let mut after = before;
        after.see(sighting);
        if after != before {
            gateway.store.update_allocation(&allocation.id, &after).await?;
            gateway.changes.bump(&row.device);
        }
        return Ok(());
    }
    let Some(device) = owner(gateway, allocation).await? else { return Ok(()) };
    let rate = rate(gateway, allocation).await?;
    let entry = Entry::new(allocation.create_time, rate, sighting);
    let store = &gateway.store;
    store.add_allocation(&allocation.id, &allocation.node_id, &allocation.job_id, &entry, now_ns()).await?;
    gateway.changes.bump(&device);
    Ok(())
}

/// The device on whose node the allocation lies; none if the node is not one of ours.
async fn owner(gateway: &Shared, allocation: &Allocation) -> Result<Option<String>, Interruption> {
    if let Some(device) = gateway.store.device_of_node(&allocation.node_id).await? {
        return Ok(Some(device));
    }
    if gateway.store.device(&allocation.node_name).await?.is_none() {
        return Ok(None);
    }
    if let Some(node) = gateway.nomad.node(&allocation.node_id).await? {
        see_node(gateway, &node, true).await?;
    }
    Ok(gateway.store.device_of_node(&allocation.node_id).await?)
}

/// The price of what the job asks for. The PC's own tags have no say in it.
async fn rate(gateway: &Shared, allocation: &Allocation) -> Result<i64, NomadError> {
    let prices = &gateway.config.prices;
    if prices.gpus.is_empty() {
        return Ok(prices.default_micros_per_hour);
    }
    let full = gateway.nomad.allocation(&allocation.id).await?;
    Ok(prices.for_gpu(full.as_ref().and_then(|full| full.gpu())))
}
