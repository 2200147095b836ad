//! Ends that somebody else than the allocation's own node may have sent.
//!
//! Nomad takes a client's word on allocations of other nodes too, if the first one of its message is its own. The servers
//! note of each node when it last sent such a message: a node that sent none since did not send this end. Only the
//! stream tells at which index an end was sent, and that a client sent it: the ledger keeps that until its node has been
//! asked. An end that is only found in a list is not doubted: its index may be that of any later change.

use super::{failures, look_up};
use crate::Shared;
use crate::problem::Refusal;
use crate::store::UnaskedEnd;

/// Disputes an allocation's end if its own node did not send it. A node that cannot be asked for now is asked for with
/// the next list, also by a gateway that comes after this one.
pub(super) async fn doubt_end(gateway: &Shared, allocation: &str) -> Result<(), Refusal> {
    match gateway.store.unasked_end(allocation).await? {
        Some(end) => settle(gateway, &end).await,
        None => Ok(()),
    }
}

/// Asks for the nodes that have not been asked for yet. How many cannot be.
pub(super) async fn ask_again(gateway: &Shared) -> Result<usize, sqlx::Error> {
    let open = gateway.store.unasked_ends().await?;
    Ok(failures(open.iter().map(|end| Box::pin(settle(gateway, end)) as _).collect()).await)
}

async fn settle(gateway: &Shared, end: &UnaskedEnd) -> Result<(), Refusal> {
    let node = look_up(gateway.nomad.node(&end.node)).await?;
    let last_sent = node.map_or(0, |node| node.last_alloc_update_index);
    let disputed = last_sent > 0 && last_sent < end.at;
    gateway.store.settle_end(end, disputed).await?;
    if disputed {
        tracing::warn!(
            allocation = end.allocation,
            node = end.node,
            "an end was not sent by the allocation's own node: it is disputed"
        );
    }
    Ok(())
}
