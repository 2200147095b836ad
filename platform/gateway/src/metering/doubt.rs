//! Ends that somebody else than the allocation's own node may have sent.
//!
//! Nomad takes a client's word on allocations of other nodes too, if the first one of its message is its own. The servers
//! note of each node when it last sent such a message: a node that sent none since did not send this end.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::{failures, look_up};
use crate::Shared;
use crate::nomad::Allocation;
use crate::problem::Refusal;

/// Ends whose node could not be asked for yet, by allocation. Only the stream tells who sent one, so no list brings them
/// back.
#[derive(Debug, Default)]
pub(crate) struct Doubts(Mutex<BTreeMap<String, End>>);

#[derive(Debug, Clone)]
struct End {
    node: String,
    /// The index at which a client ended it.
    at: i64,
}

impl Doubts {
    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<String, End>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Disputes an end that the stream tells of if the allocation's own node did not send it. A node that cannot be asked
/// for now is asked for with the next list.
pub(super) async fn doubt_end(gateway: &Shared, allocation: &Allocation, node: &str) -> Result<(), Refusal> {
    let Some(at) = allocation.ended_by_client_at() else { return Ok(()) };
    let end = End { node: node.to_owned(), at };
    gateway.doubts.with(|doubts| doubts.insert(allocation.id.clone(), end.clone()));
    settle(gateway, &allocation.id, &end).await
}

/// Asks again for the nodes that could not be asked for. How many still cannot.
pub(super) async fn ask_again(gateway: &Shared) -> usize {
    let open = gateway.doubts.with(|doubts| doubts.clone());
    failures(open.iter().map(|(allocation, end)| Box::pin(settle(gateway, allocation, end)) as _).collect())
        .await
}

async fn settle(gateway: &Shared, allocation: &str, end: &End) -> Result<(), Refusal> {
    let node = look_up(gateway.nomad.node(&end.node)).await?;
    let last_sent = node.map_or(0, |node| node.last_alloc_update_index);
    if last_sent > 0 && last_sent < end.at {
        gateway.store.dispute(allocation).await?;
        tracing::warn!(
            allocation,
            node = end.node,
            "an end was not sent by the allocation's own node: it is disputed"
        );
    }
    gateway.doubts.with(|doubts| doubts.remove(allocation));
    Ok(())
}
