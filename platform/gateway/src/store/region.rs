//! What the region told of nodes, and how far its event stream was read.

use sqlx::FromRow;

use super::Store;
use super::gaps::note_gaps;
use super::owner::{note_registration, note_succession, prove, upsert};
use crate::nomad::Node;

/// A node of one of our devices.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct NodeRow {
    pub(crate) node: String,
    pub(crate) status: String,
    pub(crate) eligible: i64,
    pub(crate) modify_index: i64,
}

/// A node that is not as it is wanted.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct KeptNode {
    pub(crate) node: String,
    pub(crate) device: String,
    /// Its device has ended: it is to be drained.
    pub(crate) to_drain: i64,
    pub(crate) wanted_eligible: i64,
}

const KEPT: &str = "SELECT n.node, n.device, n.status, n.eligible, n.held_at_ms, n.create_index, \
    CASE WHEN d.lost_at_ms IS NULL AND d.retired_at_ms IS NULL THEN 0 ELSE 1 END AS to_drain, \
    CASE WHEN w.eligible = 1 AND w.holds = '' AND n.superseded_s IS NULL AND (n.proven = 1 OR NOT EXISTS \
    (SELECT 1 FROM nodes o WHERE o.device = n.device AND o.proven = 1 AND o.present = 1 AND o.superseded_s IS NULL \
     AND o.status NOT IN ('down', 'disconnected'))) THEN 1 ELSE 0 END AS wanted_eligible \
    FROM nodes n JOIN devices d ON d.device = n.device LEFT JOIN wanted w ON w.device = n.device WHERE n.present = 1";

const NODE: &str = "SELECT node, status, eligible, modify_index FROM nodes";

impl Store {
    /// The nodes of a device that the region still lists; the one that counts first.
    pub(crate) async fn nodes_of(&self, device: &str) -> Result<Vec<NodeRow>, sqlx::Error> {
        let query = format!(
            "{NODE} WHERE device = $1 AND present = 1 ORDER BY CASE WHEN superseded_s IS NULL THEN 0 ELSE 1 END, \
             CASE WHEN status = 'ready' THEN 0 ELSE 1 END, proven DESC, create_index DESC, node"
        );
        sqlx::query_as(&query).bind(device).fetch_all(&self.pool).await
    }

    /// Every node that the region still lists, as far as we know.
    pub(crate) async fn present_nodes(&self) -> Result<Vec<NodeRow>, sqlx::Error> {
        sqlx::query_as(&format!("{NODE} WHERE present = 1")).fetch_all(&self.pool).await
    }

    /// Nodes that are not as they are wanted, of one device or of all: those of a device that has ended and that were
    /// not drained since or take work again, and those whose eligibility is not what their PC said last. Only the newest
    /// node of a device may take work, and only once it is ready.
    pub(crate) async fn nodes_to_keep(&self, device: Option<&str>) -> Result<Vec<KeptNode>, sqlx::Error> {
        sqlx::query_as(&format!(
            "SELECT node, device, to_drain, wanted_eligible FROM ({KEPT}) AS kept \
             WHERE ($1 = '' OR device = $1) AND (CASE WHEN to_drain = 1 THEN held_at_ms IS NULL OR eligible = 1 \
             WHEN wanted_eligible = 1 THEN eligible = 0 AND status = 'ready' ELSE eligible = 1 END) \
             ORDER BY device, create_index DESC, node",
        ))
        .bind(device.unwrap_or_default())
        .fetch_all(&self.pool)
        .await
    }

    /// A node and what is wanted of it, unless it could not be brought to that now.
    pub(crate) async fn node_to_keep(&self, node: &str) -> Result<Option<KeptNode>, sqlx::Error> {
        sqlx::query_as(&format!(
            "SELECT node, device, to_drain, wanted_eligible FROM ({KEPT}) AS kept \
             WHERE node = $1 AND (to_drain = 1 OR wanted_eligible = 0 OR status = 'ready')",
        ))
        .bind(node)
        .fetch_optional(&self.pool)
        .await
    }

    /// Notes that a lost device's node was drained. Whether it takes work is for the region to say, which may have told
    /// already what became of it since.
    pub(crate) async fn mark_held(&self, node: &str, now_ms: i64) -> Result<(), sqlx::Error> {
        let query = "UPDATE nodes SET held_at_ms = $1 WHERE node = $2";
        sqlx::query(query).bind(now_ms).bind(node).execute(&self.pool).await.map(drop)
    }

    /// Takes in what the region says of a node. Gives the devices for which something changed.
    ///
    /// A node that is not recorded yet becomes the device's whose id it bears as its name. That is certain if this is its
    /// first registration, and stays so whatever it calls itself afterwards; else it holds until its first registration is
    /// seen, and takes no other node's place meanwhile.
    ///
    /// `current`: the answer to a question asked just now, in order with the events. It counts even when its indexes
    /// are lower, as they are after the region was set up anew.
    pub(crate) async fn see_node(&self, node: &Node, current: bool) -> Result<Vec<String>, sqlx::Error> {
        let mut tx = self.write_soon().await?;
        let mut changed = prove(&mut tx, node).await?;
        if let Some(device) = upsert(&mut tx, node, current).await? {
            note_gaps(&mut tx, node).await?;
            note_registration(&mut tx, node).await?;
            changed.push(device);
        }
        for device in &changed {
            note_succession(&mut tx, device).await?;
        }
        tx.commit().await?;
        Ok(changed)
    }

    /// A node's tags under `ionet.` as the servers held them when it was last heard of: a JSON object.
    pub(crate) async fn tags_of_node(&self, node: &str) -> Result<String, sqlx::Error> {
        sqlx::query_scalar("SELECT tags FROM nodes WHERE node = $1").bind(node).fetch_one(&self.pool).await
    }

    /// The region no longer lists the node. Gives its device.
    pub(crate) async fn lose_node(&self, node: &str) -> Result<Option<String>, sqlx::Error> {
        sqlx::query_scalar("UPDATE nodes SET present = 0 WHERE node = $1 AND present = 1 RETURNING device")
            .bind(node)
            .fetch_optional(&self.pool)
            .await
    }

    /// The device that a node belongs to.
    pub(crate) async fn device_of_node(&self, node: &str) -> Result<Option<String>, sqlx::Error> {
        sqlx::query_scalar("SELECT device FROM nodes WHERE node = $1")
            .bind(node)
            .fetch_optional(&self.pool)
            .await
    }

    /// How far a region's event stream was read, and when the region was last heard (milliseconds; 0: never).
    pub(crate) async fn stream(&self, region: &str) -> Result<(Option<i64>, i64), sqlx::Error> {
        let query = "SELECT event_index, heard_ms FROM streams WHERE region = $1";
        let found: Option<(i64, i64)> = sqlx::query_as(query).bind(region).fetch_optional(&self.pool).await?;
        Ok(found.map_or((None, 0), |(index, heard_ms)| (Some(index).filter(|index| *index > 0), heard_ms)))
    }

    /// `index`: 0 leaves it as it was.
    pub(crate) async fn set_stream(
        &self,
        region: &str,
        index: i64,
        heard_ms: i64,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO streams (region, event_index, heard_ms) VALUES ($1, $2, $3) \
             ON CONFLICT (region) DO UPDATE SET heard_ms = excluded.heard_ms, event_index = \
             CASE WHEN excluded.event_index > 0 THEN excluded.event_index ELSE streams.event_index END",
        )
        .bind(region)
        .bind(index)
        .bind(heard_ms)
        .execute(&self.pool)
        .await
        .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store =
            Store::open(&format!("sqlite://{}", folder.path().join("test.db").display())).await.unwrap();
        let account = store.account("issuer", "alice").await.unwrap();
        for (device, key) in [("d-a", "aa"), ("d-b", "bb")] {
            let enrolment = crate::store::Enrolment {
                account: &account,
                right: &crate::store::Right::Session(None),
                device,
                label: "",
                agreement: 1,
                public_key: key,
                serial: key,
                issued_at_ms: 1,
                expires_at_ms: 2,
            };
            store.enrol(&enrolment).await.unwrap();
        }
        (folder, store)
    }

    fn node(name: &str, create_index: i64, modify_index: i64, status: &str) -> Node {
        Node {
            id: "n-1".to_owned(),
            name: name.to_owned(),
            status: status.to_owned(),
            scheduling_eligibility: "eligible".to_owned(),
            create_index,
            modify_index,
            status_updated_at: 0,
            meta: None,
            events: None,
            last_alloc_update_index: 0,
            node_resources: None,
        }
    }

    #[tokio::test]
    async fn a_node_that_takes_another_devices_name_stays_with_its_first_device() {
        let (_folder, store) = store().await;
        store.see_node(&node("d-a", 5, 5, "ready"), false).await.unwrap();

        store.see_node(&node("d-b", 5, 6, "down"), false).await.unwrap();

        let nodes = store.nodes_of("d-a").await.unwrap();
        assert_eq!(nodes.len(), 1);
        assert_eq!(nodes[0].status, "down");
        assert!(store.nodes_of("d-b").await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn whose_a_node_is_that_was_seen_late_is_settled_by_its_first_registration() {
        let (_folder, store) = store().await;
        let late = store.see_node(&node("d-b", 5, 7, "ready"), true).await.unwrap();

        let first = store.see_node(&node("d-a", 5, 5, "initializing"), false).await.unwrap();
        let replayed = store.see_node(&node("d-b", 5, 7, "ready"), false).await.unwrap();

        assert_eq!(late, ["d-b"]);
        assert_eq!(first, ["d-b", "d-a"]);
        assert!(replayed.is_empty());
        assert!(store.nodes_of("d-b").await.unwrap().is_empty());
        assert_eq!(store.nodes_of("d-a").await.unwrap()[0].status, "ready");
    }

    #[tokio::test]
    async fn a_node_with_a_strangers_name_is_not_recorded() {
        let (_folder, store) = store().await;

        let seen = store.see_node(&node("somebody", 5, 5, "ready"), false).await.unwrap();

        assert!(seen.is_empty());
        assert!(store.present_nodes().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn an_older_event_does_not_undo_a_newer_one_but_a_fresh_answer_counts() {
        let (_folder, store) = store().await;
        store.see_node(&node("d-a", 5, 9, "ready"), false).await.unwrap();

        let replayed = store.see_node(&node("d-a", 5, 8, "initializing"), false).await.unwrap();
        let asked = store.see_node(&node("d-a", 2, 3, "down"), true).await.unwrap();

        assert!(replayed.is_empty());
        assert_eq!(asked, ["d-a"]);
        assert_eq!(store.nodes_of("d-a").await.unwrap()[0].status, "down");
    }

    #[tokio::test]
    async fn that_a_node_was_drained_does_not_undo_what_the_region_told_of_it_since() {
        let (_folder, store) = store().await;
        store.see_node(&node("d-a", 5, 5, "ready"), false).await.unwrap();
        store.retire("d-a", 1).await.unwrap();
        let again = node("d-a", 5, 7, "ready");

        store.see_node(&again, false).await.unwrap();
        store.mark_held("n-1", 1).await.unwrap();

        let to_drain = store.nodes_to_keep(None).await.unwrap();
        assert_eq!(to_drain.iter().map(|kept| kept.node.as_str()).collect::<Vec<_>>(), ["n-1"]);
    }

    #[tokio::test]
    async fn a_gap_is_noted_once_and_ends_when_the_node_is_ready_again() {
        let (_folder, store) = store().await;
        let at = |status: &str, index: i64, second: i64| Node {
            status_updated_at: second,
            ..node("d-a", 5, index, status)
        };

        for seen in [
            at("ready", 5, 10),
            at("down", 6, 20),
            at("down", 6, 20),
            at("initializing", 7, 30),
            at("ready", 8, 40),
            at("ready", 9, 90),
        ] {
            store.see_node(&seen, false).await.unwrap();
        }

        let gaps: Vec<(i64, Option<i64>)> =
            sqlx::query_as("SELECT from_s, to_s FROM node_gaps").fetch_all(&store.pool).await.unwrap();
        assert_eq!(gaps, [(20, Some(40))]);
    }
}
