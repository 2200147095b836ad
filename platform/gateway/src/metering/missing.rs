//! When an allocation that is not in the region's lists has really gone.
//!
//! A list may be short for other reasons: a token of narrower scope, a region that was set up anew, a server that has
//! not caught up. Meanwhile such an allocation earns nothing further, but it has not ended: when it is listed again,
//! all of its time counts.

use super::Interruption;
use crate::Shared;
use crate::clock::now_ns;
use crate::nomad::{Listed, Nomad};
use crate::store::{AllocationRow, Store};
use crate::watch::Changes;

/// When an allocation that lists lack is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Missing from so many lists in a row,
    lists: i64,
    /// and for so long.
    time_ns: i64,
}

pub(super) const PATIENCE: Patience = Patience { lists: 5, time_ns: 10 * 60 * 1_000_000_000 };

/// What a list is laid beside, and who is asked about the difference.
#[derive(Clone, Copy)]
pub(super) struct Books<'a> {
    store: &'a Store,
    nomad: &'a Nomad,
    changes: &'a Changes,
}

impl<'a> Books<'a> {
    pub(super) fn of(gateway: &'a Shared) -> Self {
        Self { store: &gateway.store, nomad: &gateway.nomad, changes: &gateway.changes }
    }
}

/// Lays a complete list beside what lives in the ledger.
pub(super) async fn compare<T>(
    books: Books<'_>,
    listed: &Listed<T>,
    patience: Patience,
) -> Result<(), Interruption> {
    if !listed.is_whole {
        tracing::warn!(
            "the region's list of allocations is not whole: nothing is concluded from what it lacks"
        );
    }
    let live = books.store.live_allocations().await?;
    let (there, missing): (Vec<_>, Vec<_>) =
        live.iter().partition(|row| listed.ids.contains(row.allocation.as_str()));
    let ids = |rows: &[&AllocationRow]| rows.iter().map(|row| row.allocation.clone()).collect::<Vec<_>>();
    let noted = if listed.is_whole { ids(&missing) } else { Vec::new() };
    books.store.note_list(&ids(&there), &noted, now_ns()).await?;
    for row in missing.iter().filter(|row| row.missing().is_none()) {
        tracing::warn!(
            allocation = row.allocation,
            "the region's list lacks an allocation that had not ended"
        );
        books.changes.bump(&row.device);
    }
    for row in there.iter().filter(|row| row.missing().is_some()) {
        tracing::info!(allocation = row.allocation, "the region lists an allocation again");
        books.changes.bump(&row.device);
    }
    for row in missing {
        if listed.is_whole && patience.is_over(row.missing(), there.len(), now_ns()) {
            end_if_unknown(books, row).await;
        }
    }
    Ok(())
}

impl Patience {
    /// Whether it has been missing for long enough to ask for it. A list that shows nothing of all that lives proves
    /// nothing, however often it comes.
    fn is_over(self, missing: Option<(i64, i64)>, listed: usize, now_ns: i64) -> bool {
        missing.is_some_and(|(since_ns, lists)| {
            listed > 0 && lists >= self.lists && now_ns.saturating_sub(since_ns) >= self.time_ns
        })
    }
}

/// Only the region's own "there is no such allocation" ends it; a refusal to say does not.
async fn end_if_unknown(books: Books<'_>, row: &AllocationRow) {
    match books.nomad.allocation(&row.allocation).await {
        Ok(None) => match books.store.end_forgotten(row).await {
            Ok(()) => {
                books.changes.bump(&row.device);
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
    use crate::ledger::{ClientStatus, Entry, Sighting};
    use crate::store::{Enrolment, NewAllocation, Right};

    #[test]
    fn what_is_missing_is_asked_for_after_five_lists_and_ten_minutes_beside_others_that_are_listed() {
        assert!(PATIENCE.is_over(Some((0, 5)), 1, PATIENCE.time_ns));
    }

    #[test]
    fn a_short_list_alone_ends_nothing() {
        assert!(!PATIENCE.is_over(None, 9, i64::MAX));
        assert!(!PATIENCE.is_over(Some((0, 1)), 9, i64::MAX));
        assert!(!PATIENCE.is_over(Some((0, 999)), 9, PATIENCE.time_ns - 1));
    }

    #[test]
    fn a_region_that_lists_nothing_of_what_lives_ends_nothing_however_long() {
        assert!(!PATIENCE.is_over(Some((0, 999)), 0, i64::MAX));
    }

    const HERE: &str = "a-here";
    const GONE: &str = "a-gone";
    const UNLISTED: &str = "a-unlisted";
    const REFUSED: &str = "a-refused";

    /// A region that knows one of those that its list lacks, has forgotten another, and does not say of the third.
    async fn region(folder: &std::path::Path) -> Nomad {
        use axum::http::StatusCode;
        use axum::routing::get;
        let known = include_str!("../../../../tests/contract/recordings/alloc.json");
        let router = axum::Router::new()
            .route(&format!("/v1/allocation/{UNLISTED}"), get(async move || known))
            .route(&format!("/v1/allocation/{REFUSED}"), get(async || StatusCode::FORBIDDEN));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let token_file = folder.join("token");
        std::fs::write(&token_file, "token").unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let region = serde_json::json!({
            "name": "eu", "datacenter": "home", "node_pool": "gamers", "servers": [], "nomad": [url],
            "token_file": token_file,
        });
        Nomad::new(&serde_json::from_value(region).unwrap()).unwrap()
    }

    /// It has been running since the first nanosecond.
    fn running() -> Entry {
        let first = Sighting {
            status: ClientStatus::Running,
            stop_desired: false,
            started: true,
            lead_ns: None,
            modify_index: 1,
            modify_ns: 1,
            told: true,
        };
        Entry::new(1, 1, first)
    }

    /// Four that run on one node.
    async fn ledger(folder: &std::path::Path) -> Store {
        let store = Store::open(&format!("sqlite://{}", folder.join("test.db").display())).await.unwrap();
        let account = store.account("issuer", "alice").await.unwrap();
        let enrolment = Enrolment {
            account: &account,
            right: &Right::Session(None),
            device: "d",
            label: "",
            agreement: 1,
            public_key: "aa",
            serial: "1",
            issued_at_ms: 1,
            expires_at_ms: 2,
        };
        store.enrol(&enrolment).await.unwrap();
        let node = serde_json::json!({
            "ID": "n", "Name": "d", "Status": "ready", "SchedulingEligibility": "eligible", "CreateIndex": 1,
            "ModifyIndex": 1, "StatusUpdatedAt": 1,
        });
        store.see_node(&serde_json::from_value(node).unwrap(), false).await.unwrap();
        for id in [HERE, GONE, UNLISTED, REFUSED] {
            let entry = running();
            let new = NewAllocation {
                allocation: id,
                node: "n",
                job: "j",
                entry: &entry,
                priced: true,
                sent_end: None,
            };
            store.add_allocation(&new, 1).await.unwrap();
        }
        store
    }

    async fn live(store: &Store) -> Vec<String> {
        let mut live: Vec<_> =
            store.live_allocations().await.unwrap().into_iter().map(|row| row.allocation).collect();
        live.sort_unstable();
        live
    }

    #[tokio::test]
    async fn what_lists_lack_for_long_enough_ends_only_on_the_regions_own_word() {
        let folder = tempfile::tempdir().unwrap();
        let (store, nomad) = (ledger(folder.path()).await, region(folder.path()).await);
        let changes = Changes::new();
        let books = Books { store: &store, nomad: &nomad, changes: &changes };
        let ids = [HERE.to_owned()].into_iter().collect();
        let listed = Listed::<()> { items: Vec::new(), ids, unread: 0, is_whole: true };
        let all = [GONE, HERE, REFUSED, UNLISTED];

        for _ in 0..3 {
            compare(books, &listed, PATIENCE).await.unwrap();
        }
        assert_eq!(live(&store).await, all, "three short lists within moments are no proof");
        compare(books, &Listed { is_whole: false, ..listed }, Patience { lists: 3, time_ns: 0 })
            .await
            .unwrap();
        assert_eq!(live(&store).await, all, "nor is one that is not whole");

        let ids = [HERE.to_owned()].into_iter().collect();
        let listed = Listed::<()> { items: Vec::new(), ids, unread: 0, is_whole: true };
        compare(books, &listed, Patience { lists: 3, time_ns: 0 }).await.unwrap();

        assert_eq!(live(&store).await, [HERE, REFUSED, UNLISTED]);
        let ended = store.allocations_since("d", 0).await.unwrap();
        let gone = ended.iter().find(|row| row.allocation == GONE).unwrap().entry();
        assert_eq!(gone.status, ClientStatus::Lost);
    }
}
