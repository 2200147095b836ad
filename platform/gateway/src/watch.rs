//! The long poll: what the gateway has to tell a device, replaced whole at every change.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use ionet_gateway_api::{
    AccountState, AllocationState, DeviceState, EarningsState, NodeState, Problem, path,
};
use serde::Deserialize;
use tokio::sync::watch;
use utoipa::IntoParams;

use crate::Shared;
use crate::clock::{DAY_NS, now_ms, now_ns};
use crate::devices::Device;
use crate::extract::{Json, Query};
use crate::ledger::decimal;
use crate::problem::Refusal;

const LONGEST_WAIT_S: u64 = 60;
/// Two PCs with one identity must not chase one another at the speed of the network.
const AFTER_REPLACED: Duration = Duration::from_secs(10);
/// A change seldom comes alone: those of one moment are one answer.
const ONE_MOMENT: Duration = Duration::from_millis(20);
const MOST_ALLOCATIONS: usize = 100;
/// Two hours more than most: a clock is put back by one, and may be late by another.
const LONGEST_DAY_NS: i64 = DAY_NS + 2 * HOUR_NS;
/// A PC whose clock is further ahead is not asked when its day began.
const CLOCKS_APART_NS: i64 = HOUR_NS;
const HOUR_NS: i64 = DAY_NS / 24;

/// A device that polls. Polls are counted by themselves: no number of them keeps a device from pausing.
#[derive(Debug)]
pub(crate) struct Polling(Device);

impl FromRequestParts<Shared> for Polling {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gateway: &Shared) -> Result<Self, Refusal> {
        Device::known(gateway, parts, &gateway.limits.polls).await.map(Self)
    }
}

/// Which devices changed, by an index that only grows, also over a restart: it begins at the clock.
pub(crate) struct Changes {
    begin: u64,
    devices: Mutex<HashMap<String, watch::Sender<u64>>>,
}

impl Changes {
    pub(crate) fn new() -> Self {
        Self { begin: clock_index(), devices: Mutex::default() }
    }

    /// Something changed for this device.
    pub(crate) fn bump(&self, device: &str) {
        let next = |index: &mut u64| *index = clock_index().max(*index + 1);
        self.with(device, |sender| sender.send_modify(next));
    }

    /// Something changed for everybody.
    pub(crate) fn bump_all(&self) {
        let devices = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
        for sender in devices.values() {
            sender.send_modify(|index| *index = clock_index().max(*index + 1));
        }
    }

    fn subscribe(&self, device: &str) -> watch::Receiver<u64> {
        self.with(device, watch::Sender::subscribe)
    }

    fn with<T>(&self, device: &str, act: impl FnOnce(&watch::Sender<u64>) -> T) -> T {
        let mut devices = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
        act(devices.entry(device.to_owned()).or_insert_with(|| watch::Sender::new(self.begin)))
    }
}

/// What the caller has seen, and how long it would wait for more.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct WatchQuery {
    /// The index of the last answer; 0 or absent: answer at once.
    #[serde(default)]
    index: u64,
    /// Seconds; at most 60 count.
    wait: Option<u64>,
    /// When the owner's day began, in milliseconds since 1970: a day begins where its owner lives. Where it is absent, or lies
    /// where no owner's day can have begun, it is the day of UTC.
    day_began: Option<i64>,
}

/// The device's state, at once for index 0, and when it is newer than `index`; else at the first change or after `wait`
/// seconds. Of a device whose state changes again and again, two changes a second are told, and the others with them.
#[utoipa::path(
    get, path = path::WATCH, tag = "device", security(("device" = [])), params(WatchQuery),
    responses(
        (status = 200, body = DeviceState),
        (status = 400, body = Problem, description = "bad-request", content_type = "application/problem+json"),
        (status = 401, body = Problem, description = "no-certificate", content_type = "application/problem+json"),
        (status = 403, body = Problem, description = "device-lost, device-retired", content_type = "application/problem+json"),
    )
)]
pub(crate) async fn watch(
    State(gateway): State<Shared>,
    Polling(device): Polling,
    Query(query): Query<WatchQuery>,
) -> Result<Json<DeviceState>, Refusal> {
    let mut changes = gateway.changes.subscribe(&device.id);
    if query.index != 0 {
        let mut poll = gateway.polls.begin(&device.id);
        tokio::select! {
            () = news(&gateway, &device.id, &mut changes, &query) => {}
            () = poll.replaced() => return Err(Refusal::TooMany(AFTER_REPLACED)),
            () = gateway.shutdown.cancelled() => {}
        }
    }
    if let Some(ended) = gateway.store.ended(&device.id).await? {
        return Err(ended.into());
    }
    // Read before the state: a change in between makes the next poll answer at once.
    let index = *changes.borrow_and_update();
    state(&gateway, &device.id, index, query.day_began).await.map(Json)
}

/// Comes when there is something to tell to whoever has seen `query.index`.
async fn news(gateway: &Shared, device: &str, changes: &mut watch::Receiver<u64>, query: &WatchQuery) {
    let wait = Duration::from_secs(query.wait.unwrap_or(LONGEST_WAIT_S).min(LONGEST_WAIT_S));
    // Not only newer: an index from the future, after the clock was set back, must not wait for it to come.
    let nothing_new = *changes.borrow_and_update() == query.index;
    if nothing_new && tokio::time::timeout(wait, changes.changed()).await.is_err() {
        return;
    }
    tokio::time::sleep(ONE_MOMENT).await;
    while let Err(wait) = gateway.polls.answer(device) {
        tokio::time::sleep(wait).await;
    }
}

async fn state(
    gateway: &Shared,
    device: &str,
    index: u64,
    day_began_ms: Option<i64>,
) -> Result<DeviceState, Refusal> {
    // What a silent region does not confirm is not counted as earned.
    let silent_since_ms = gateway.region.silent_since_ms();
    let now = gateway.region.confirmed_until_ms().map_or_else(now_ns, |ms| ms * 1_000_000);
    let began = day_began(day_began_ms, now_ns(), now);
    let node = gateway.store.nodes_of(device).await?.into_iter().next();
    let rows = gateway.store.allocations_since(device, began).await?;
    let today = rows.iter().map(|row| row.entry().earned_between(began, now, row.silent_since_ns()));
    let today = today.fold(0_i64, i64::saturating_add);
    // Of many, those that have ended are left out first: by what runs the PC knows what it holds.
    let allocations = rows.iter().take(MOST_ALLOCATIONS).map(|row| {
        let entry = row.entry();
        AllocationState {
            id: row.allocation.clone(),
            job: row.job.clone(),
            status: entry.status.word().to_owned(),
            placed_at_ms: entry.created_ns / 1_000_000,
            earned: decimal(entry.total_at(now, row.silent_since_ns())),
        }
    });
    let (subject, shown) = gateway.store.account_of(device).await?;
    Ok(DeviceState {
        index,
        account: AccountState { subject, shown },
        wanted_seq: gateway.store.wanted_seq(device).await?.unsigned_abs(),
        node: node.map(|row| NodeState { id: row.node, status: row.status, eligible: row.eligible != 0 }),
        allocations: allocations.collect(),
        earnings: EarningsState {
            today: decimal(today),
            currency: gateway.config.prices.currency.clone(),
            as_of_ms: now / 1_000_000,
        },
        region_silent_since_ms: silent_since_ms,
        rehearsal: gateway.nomad.is_double(),
    })
}

/// In nanoseconds; `now` may be earlier than the clock's, where the region confirms no later one.
fn day_began(told_ms: Option<i64>, clock: i64, now: i64) -> i64 {
    let told = told_ms.and_then(|ms| ms.checked_mul(1_000_000));
    told.filter(|began| (clock - LONGEST_DAY_NS..=clock + CLOCKS_APART_NS).contains(began))
        .unwrap_or(now - now.rem_euclid(DAY_NS))
        .min(now)
}

fn clock_index() -> u64 {
    u64::try_from(now_ms()).unwrap_or(0)
}
