//! What an allocation is paid, once and for all.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, stream};

use crate::Shared;
use crate::nomad::{Demand, NomadError, Tags};
use crate::problem::Refusal;
use crate::store::Price;

/// An allocation is metered at the default price until the region tells what its job demands.
const LOOKUP: Duration = Duration::from_secs(2);
const AT_ONCE: usize = 8;

/// Settles the prices that are still open. One that the region refuses or garbles is asked for again with the next list.
pub(super) async fn settle_open(gateway: &Shared) {
    let open = match gateway.store.unpriced().await {
        Ok(open) => open,
        Err(error) => return tracing::error!(error = %error, "the open prices could not be read"),
    };
    let mut settling: Vec<BoxFuture<'_, bool>> = Vec::new();
    for (allocation, node) in &open {
        settling.push(Box::pin(settle(gateway, allocation, node)));
    }
    let mut settled = stream::iter(settling).buffer_unordered(AT_ONCE);
    let mut left = 0;
    while let Some(done) = settled.next().await {
        left += usize::from(!done);
    }
    if left > 0 {
        tracing::warn!(
            left,
            "allocations are metered at the default price: the region does not tell their jobs"
        );
    }
}

/// Settles one price. False: it stays open.
pub(super) async fn settle(gateway: &Shared, allocation: &str, node: &str) -> bool {
    let told = tokio::time::timeout(LOOKUP, price(gateway, allocation, node)).await;
    let settled = match told.unwrap_or(Err(Refusal::TimedOut)) {
        Ok(price) => {
            if price.doubtful {
                tracing::warn!(
                    allocation,
                    "a job demands a card that cannot be told: the default price, for a person to look at"
                );
            }
            gateway.store.settle_price(allocation, &price).await.map_err(Refusal::from)
        }
        Err(error) => Err(error),
    };
    match settled {
        Ok(device) => {
            device.iter().for_each(|device| gateway.changes.bump(device));
            true
        }
        Err(error) => {
            tracing::warn!(allocation, error = %error, "an allocation has no price of its own yet");
            false
        }
    }
}

async fn price(gateway: &Shared, allocation: &str, node: &str) -> Result<Price, Refusal> {
    let prices = &gateway.config.prices;
    let default =
        |doubtful| Price { rate_micros_per_hour: prices.default_micros_per_hour, gpu: None, doubtful };
    let of_card = |slug: String, doubtful| match prices.gpus.get(&slug) {
        Some(rate) => Price { rate_micros_per_hour: *rate, gpu: Some(slug), doubtful },
        None => default(doubtful),
    };
    let of_all = |slugs: Vec<String>| {
        let rates = slugs.iter().map(|slug| prices.for_gpu(Some(slug)));
        let alike = slugs.first().filter(|first| slugs.iter().all(|slug| slug == *first));
        let gpu = alike.filter(|slug| prices.gpus.contains_key(*slug)).cloned();
        Price { rate_micros_per_hour: rates.sum(), gpu, doubtful: false }
    };
    let Some(full) = gateway.nomad.allocation(allocation).await? else { return Ok(default(true)) };
    let tags = tags(gateway, node).await?;
    // What a customer wrote is read beside the metering, which must not wait for it.
    let demand = tokio::task::spawn_blocking(move || full.demand(&tags)).await;
    Ok(match demand.map_err(|error| Refusal::Internal(error.into()))? {
        Demand::None => default(false),
        Demand::Unclear => default(true),
        Demand::Given(slugs) => of_all(slugs),
        Demand::Card(slug) => of_card(slug, false),
        Demand::Taken(slug) => of_card(slug, true),
    })
}

/// The node's tags as the servers told them last. A node that was recorded without is asked for.
async fn tags(gateway: &Shared, node: &str) -> Result<Tags, Refusal> {
    let parse = |text: String| serde_json::from_str::<Tags>(&text).unwrap_or_default();
    let known = parse(gateway.store.tags_of_node(node).await?);
    if !known.is_empty() {
        return Ok(known);
    }
    let asked = gateway.nomad.node(node).await.or_else(|error| match error {
        // A node that cannot be read is one that tells nothing.
        NomadError::Refused(_) | NomadError::Garbage(_) => Ok(None),
        NomadError::Unreachable(_)
        | NomadError::Silent
        | NomadError::BadLine(_)
        | NomadError::LongLine
        | NomadError::Endless
        | NomadError::Token(_) => Err(error),
    })?;
    Ok(asked.map(|node| parse(node.tags())).unwrap_or_default())
}
