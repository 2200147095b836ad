//! The region, controlled for a device: introduction, eligibility, stopping its work, and holding a lost one down.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use ionet_gateway_api::{EligibilityRequest, Introduction, Problem, StopAnswer, path};
use tokio::time::MissedTickBehavior;

use crate::Shared;
use crate::clock::now_ms;
use crate::devices::Device;
use crate::http::Json;
use crate::nomad::{Allocation, NomadError};
use crate::problem::Refusal;
use crate::store::NodeRow;

/// How often the watcher looks for nodes of lost devices without being called. An operator's `lost` command writes to
/// the database from another process, so this is also how soon that takes effect.
const LOOK: Duration = Duration::from_secs(2);

/// A fresh introduction token, for a node that bears this device's id as its name.
#[utoipa::path(
    post, path = path::INTRODUCTION, tag = "device", security(("device" = [])),
    responses(
        (status = 200, body = Introduction),
        (status = 401, body = Problem, description = "no-certificate", content_type = "application/problem+json"),
        (status = 403, body = Problem, description = "device-lost", content_type = "application/problem+json"),
        (status = 502, body = Problem, description = "region-unreachable", content_type = "application/problem+json"),
    )
)]
pub(crate) async fn introduction(
    State(gateway): State<Shared>,
    device: Device,
) -> Result<Json<Introduction>, Refusal> {
    let token = gateway.nomad.introduce(&device.id, &gateway.config.region.node_pool).await?;
    if gateway.store.is_lost(&device.id).await? {
        return Err(Refusal::DeviceLost);
    }
    Ok(Json(Introduction { token }))
}

/// Whether new work may be placed on the device's node.
#[utoipa::path(
    put, path = path::ELIGIBILITY, tag = "device", request_body = EligibilityRequest, security(("device" = [])),
    responses(
        (status = 204),
        (status = 401, body = Problem, description = "no-certificate", content_type = "application/problem+json"),
        (status = 403, body = Problem, description = "device-lost", content_type = "application/problem+json"),
        (status = 409, body = Problem, description = "no-node", content_type = "application/problem+json"),
        (status = 502, body = Problem, description = "region-unreachable", content_type = "application/problem+json"),
    )
)]
pub(crate) async fn eligibility(
    State(gateway): State<Shared>,
    device: Device,
    Json(body): Json<EligibilityRequest>,
) -> Result<StatusCode, Refusal> {
    let nodes = find_nodes(&gateway, &device.id).await?;
    let (newest, older) = nodes.split_first().ok_or(Refusal::NoNode)?;
    gateway.nomad.set_eligible(&newest.node, body.eligible).await?;
    refresh(&gateway, &newest.node).await?;
    if !body.eligible {
        // An older node of the same PC counts as ready until its heartbeat lapses: no work for that one either.
        for node in older.iter().filter(|node| node.eligible != 0) {
            match gateway.nomad.set_eligible(&node.node, false).await {
                Ok(()) => refresh(&gateway, &node.node).await?,
                Err(error) => {
                    tracing::warn!(node = node.node, error = %error, "an older node stays eligible")
                }
            }
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Asks the region to stop all of the device's allocations, one by one. Their jobs may be placed elsewhere.
#[utoipa::path(
    post, path = path::STOP, tag = "device", security(("device" = [])),
    responses(
        (status = 200, body = StopAnswer),
        (status = 401, body = Problem, description = "no-certificate", content_type = "application/problem+json"),
        (status = 403, body = Problem, description = "device-lost", content_type = "application/problem+json"),
        (status = 502, body = Problem, description = "region-unreachable", content_type = "application/problem+json"),
    )
)]
pub(crate) async fn stop(State(gateway): State<Shared>, device: Device) -> Result<Json<StopAnswer>, Refusal> {
    let mut stopping = Vec::new();
    for node in find_nodes(&gateway, &device.id).await? {
        for allocation in gateway.nomad.node_allocations(&node.node).await? {
            if allocation.is_live() {
                stop_one(&gateway, &allocation).await?;
                stopping.push(allocation.id);
            }
        }
    }
    Ok(Json(StopAnswer { stopping }))
}

async fn stop_one(gateway: &Shared, allocation: &Allocation) -> Result<(), NomadError> {
    if allocation.is_stop_desired() {
        return Ok(());
    }
    match gateway.nomad.stop_allocation(&allocation.id).await {
        Err(NomadError::Refused(StatusCode::NOT_FOUND | StatusCode::CONFLICT)) => Ok(()),
        // It may have ended by itself in the meantime.
        Err(error) => match gateway.nomad.allocation(&allocation.id).await {
            Ok(None) => Ok(()),
            Ok(Some(now)) if now.is_over() => Ok(()),
            Ok(Some(_)) | Err(_) => Err(error),
        },
        Ok(()) => Ok(()),
    }
}

/// The device's nodes, the one that counts first. If none is recorded, the region is asked: the event of a node that
/// registered a moment ago may still be under way.
async fn find_nodes(gateway: &Shared, device: &str) -> Result<Vec<NodeRow>, Refusal> {
    let nodes = gateway.store.nodes_of(device).await?;
    if !nodes.is_empty() {
        return Ok(nodes);
    }
    for stub in gateway.nomad.nodes().await?.iter().filter(|stub| stub.name == device) {
        refresh(gateway, &stub.id).await?;
    }
    Ok(gateway.store.nodes_of(device).await?)
}

/// Asks the region for a node and takes in what it says.
async fn refresh(gateway: &Shared, node: &str) -> Result<(), Refusal> {
    let changed = match gateway.nomad.node(node).await? {
        Some(node) => gateway.store.see_node(&node, false).await?,
        None => gateway.store.lose_node(node).await?,
    };
    if let Some(device) = changed {
        gateway.changes.bump(&device);
    }
    Ok(())
}

/// Drains every node of a lost device and keeps it ineligible, until shutdown. It has no end of its own: while the
/// device is lost, no node of it gets work, so certificates and connections that are still alive do not matter.
pub(crate) async fn hold_lost(gateway: Shared) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = look.tick() => {}
            () = gateway.lost.notified() => {}
            () = gateway.shutdown.cancelled() => return,
        }
        match gateway.store.nodes_to_hold().await {
            Ok(nodes) => {
                for node in nodes {
                    hold(&gateway, &node).await;
                }
            }
            Err(error) => tracing::error!(error = %error, "the lost devices could not be read"),
        }
    }
}

async fn hold(gateway: &Shared, node: &NodeRow) {
    let held = async {
        match gateway.nomad.drain_now(&node.node, "lost").await {
            Ok(()) => gateway.store.mark_held(&node.node, now_ms()).await?,
            // Draining an unknown node is an error like any other; only the question tells.
            Err(error) => match gateway.nomad.node(&node.node).await? {
                Some(_) => return Err(Refusal::Region(error)),
                None => drop(gateway.store.lose_node(&node.node).await?),
            },
        }
        refresh(gateway, &node.node).await
    };
    match held.await {
        Ok(()) => tracing::info!(device = node.device, node = node.node, "a lost device's node is held"),
        Err(error) => {
            tracing::warn!(device = node.device, node = node.node, error = %error, "a lost device's node is not held yet");
        }
    }
}
