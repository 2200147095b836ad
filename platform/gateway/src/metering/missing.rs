//! When an allocation that is not in the region's lists has really gone.
//!
//! A list may be short for other reasons: a token of narrower scope, a region that was set up anew, a server that has
//! not caught up. Meanwhile such an allocation earns nothing further, but it has not ended: when it is listed again,
//! all of its time counts.

use super::Interruption;
use crate::Shared;
use crate::clock::now_ns;
use crate::nomad::Listed;
use crate::store::AllocationRow;

/// Missing from so many lists in a row,
const LISTS: i64 = 5;
/// and for so long.
const TIME_NS: i64 = 10 * 60 * 1_000_000_000;

/// Lays a complete list beside what lives in the ledger.
pub(super) async fn compare<T>(gateway: &Shared, listed: &Listed<T>) -> Result<(), Interruption> {
    if !listed.is_whole {
        tracing::warn!(
            "the region's list of allocations is not whole: nothing is concluded from what it lacks"
        );
    }
    let live = gateway.store.live_allocations().await?;
    let (there, missing): (Vec<_>, Vec<_>) =
        live.iter().partition(|row| listed.ids.contains(row.allocation.as_str()));
    let ids = |rows: &[&AllocationRow]| rows.iter().map(|row| row.allocation.clone()).collect::<Vec<_>>();
    let noted = if listed.is_whole { ids(&missing) } else { Vec::new() };
    gateway.store.note_list(&ids(&there), &noted, now_ns()).await?;
    for row in missing.iter().filter(|row| row.missing().is_none()) {
        tracing::warn!(
            allocation = row.allocation,
            "the region's list lacks an allocation that had not ended"
        );
        gateway.changes.bump(&row.device);
    }
    for row in there.iter().filter(|row| row.missing().is_some()) {
        tracing::info!(allocation = row.allocation, "the region lists an allocation again");
        gateway.changes.bump(&row.device);
    }
    for row in missing {
        if listed.is_whole && is_due(row.missing(), there.len(), now_ns()) {
            end_if_unknown(gateway, row).await;
        }
    }
    Ok(())
}

/// Whether it has been missing for long enough to ask for it. A list that shows nothing of all that lives proves
/// nothing, however often it comes.
fn is_due(missing: Option<(i64, i64)>, listed: usize, now_ns: i64) -> bool {
    missing.is_some_and(|(since_ns, lists)| {
        listed > 0 && lists >= LISTS && now_ns.saturating_sub(since_ns) >= TIME_NS
    })
}

/// Only the region's own "there is no such allocation" ends it; a refusal to say does not.
async fn end_if_unknown(gateway: &Shared, row: &AllocationRow) {
    match gateway.nomad.allocation(&row.allocation).await {
        Ok(None) => match gateway.store.end_forgotten(row).await {
            Ok(()) => {
                gateway.changes.bump(&row.device);
                tracing::warn!(
                    allocation = row.allocation,
                    "the region forgot an allocation before its end was seen"
                );
            }
            Err(error) => {
                tracing::error!(allocation = row.allocation, error = %error, "an end could not be written")
            }
        },
        Ok(Some(_)) => {}
        Err(error) => {
            tracing::warn!(allocation = row.allocation, error = %error, "a missing allocation cannot be asked for");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_asked_for_after_five_lists_and_ten_minutes_beside_others_that_are_listed() {
        assert!(is_due(Some((0, 5)), 1, TIME_NS));
    }

    #[test]
    fn a_short_list_alone_ends_nothing() {
        assert!(!is_due(None, 9, i64::MAX));
        assert!(!is_due(Some((0, 1)), 9, i64::MAX));
        assert!(!is_due(Some((0, 999)), 9, TIME_NS - 1));
    }

    #[test]
    fn a_region_that_lists_nothing_of_what_lives_ends_nothing_however_long() {
        assert!(!is_due(Some((0, 999)), 0, i64::MAX));
    }
}
