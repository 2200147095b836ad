//! The region, asked for a device: introduction, and stopping its work.

use axum::extract::State;
use axum::http::StatusCode;
use ionet_gateway_api::{Introduction, Problem, StopAnswer, path};

use futures_util::{StreamExt as _, stream};

use crate::Shared;
use crate::devices::Device;
use crate::extract::Json;
use crate::nomad::{Allocation, NomadError};
use crate::problem::Refusal;
use crate::store::NodeRow;

/// How many allocations the region is asked to stop at once.
const STOP_AT_ONCE: usize = 8;

/// A fresh introduction token, for a node that bears this device's id as its name.
#[utoipa::path(
    post, path = path::INTRODUCTION, tag = "device", security(("device" = [])),
    responses(
        (status = 200, body = Introduction),
        (status = 401, body = Problem, description = "no-certificate", content_type = "application/problem+json"),
        (status = 403, body = Problem, description = "device-lost, device-retired", content_type = "application/problem+json"),
        (status = 502, body = Problem, description = "region-unreachable", content_type = "application/problem+json"),
    )
)]
pub(crate) async fn introduction(
    State(gateway): State<Shared>,
    device: Device,
) -> Result<Json<Introduction>, Refusal> {
    gateway.limits.region_calls.take(device.id.as_str())?;
    let token = gateway.nomad.introduce(&device.id, &gateway.config.region.node_pool).await?;
    if let Some(ended) = gateway.store.ended(&device.id).await? {
        return Err(ended.into());
    }
    Ok(Json(Introduction { token }))
}

/// Asks the region to stop all of the device's allocations, one by one. Their jobs may be placed elsewhere. One that the
/// region will not stop keeps no other from being stopped; the answer names those that are.
#[utoipa::path(
    post, path = path::STOP, tag = "device", security(("device" = [])),
    responses(
        (status = 200, body = StopAnswer),
        (status = 401, body = Problem, description = "no-certificate", content_type = "application/problem+json"),
        (status = 403, body = Problem, description = "device-lost, device-retired", content_type = "application/problem+json"),
        (status = 502, body = Problem, description = "region-unreachable", content_type = "application/problem+json"),
    )
)]
pub(crate) async fn stop(State(gateway): State<Shared>, device: Device) -> Result<Json<StopAnswer>, Refusal> {
    gateway.limits.region_calls.take(device.id.as_str())?;
    let mut live: Vec<Allocation> = Vec::new();
    let mut refusal = None;
    for node in find_nodes(&gateway, &device.id).await? {
        match gateway.nomad.node_allocations(&node.node).await {
            Ok(found) => live.extend(found.into_iter().filter(Allocation::is_live)),
            Err(error) => {
                tracing::warn!(device = device.id, node = node.node, error = %error, "a node's work could not be read");
                refusal = Some(error);
            }
        }
    }
    let asking = live.into_iter().map(|allocation| async {
        let asked = stop_one(&gateway, &allocation).await;
        (allocation.id, asked)
    });
    let mut stopping = Vec::new();
    for (allocation, asked) in stream::iter(asking).buffered(STOP_AT_ONCE).collect::<Vec<_>>().await {
        match asked {
            Ok(()) => stopping.push(allocation),
            Err(error) => {
                tracing::warn!(device = device.id, allocation, error = %error, "an allocation is not stopped");
                refusal = Some(error);
            }
        }
    }
    match refusal {
        Some(error) if stopping.is_empty() => Err(Refusal::Region(error)),
        _ => Ok(Json(StopAnswer { stopping })),
    }
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
    for stub in gateway.nomad.nodes().await?.items.iter().filter(|stub| stub.name == device) {
        refresh(gateway, &stub.id).await?;
    }
    Ok(gateway.store.nodes_of(device).await?)
}

/// Asks the region for a node and takes in what it says.
pub(crate) async fn refresh(gateway: &Shared, node: &str) -> Result<(), Refusal> {
    let changed = match gateway.nomad.node(node).await? {
        Some(node) => gateway.store.see_node(&node, false).await?,
        None => gateway.store.lose_node(node).await?.into_iter().collect(),
    };
    for device in &changed {
        gateway.changes.bump(device);
    }
    Ok(())
}
