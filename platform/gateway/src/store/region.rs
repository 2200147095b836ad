//! What the region told: nodes, allocations, and how far its event stream was read.

use super::Store;
use crate::ledger::{ClientStatus, Entry};
use crate::nomad::Node;

/// A node of one of our devices.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct NodeRow {
    pub(crate) node: String,
    pub(crate) status: String,
    pub(crate) eligible: i64,
    pub(crate) modify_index: i64,
}

/// An allocation in the ledger.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct AllocationRow {
    pub(crate) allocation: String,
    pub(crate) device: String,
    pub(crate) job: String,
    status: String,
    modify_index: i64,
    created_ns: i64,
    ran: i64,
    stop_desired_ns: Option<i64>,
    ended_ns: Option<i64>,
    rate_micros_per_hour: i64,
    /// When the servers declared its node down, in seconds, if they did.
    silent_since_s: Option<i64>,
}

impl AllocationRow {
    pub(crate) fn entry(&self) -> Entry {
        Entry {
            status: ClientStatus::from_word(&self.status),
            modify_index: self.modify_index,
            created_ns: self.created_ns,
            ran: self.ran != 0,
            stop_desired_ns: self.stop_desired_ns,
            ended_ns: self.ended_ns,
            rate_micros_per_hour: self.rate_micros_per_hour,
        }
    }

    pub(crate) fn silent_since_ns(&self) -> Option<i64> {
        self.silent_since_s.map(|seconds| seconds.saturating_mul(1_000_000_000))
    }
}

/// A node that is not as it is wanted.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct KeptNode {
    pub(crate) node: String,
    pub(crate) device: String,
    /// Its device has ended: it is to be drained.
    pub(crate) to_drain: i64,
    pub(crate) wanted_eligible: i64,
}

const KEPT: &str = "SELECT n.node, n.device, n.status, n.eligible, n.held_at_ms, n.create_index, \
    CASE WHEN d.lost_at_ms IS NULL AND d.retired_at_ms IS NULL THEN 0 ELSE 1 END AS to_drain, \
    CASE WHEN w.eligible = 1 AND w.holds = '' AND NOT EXISTS (SELECT 1 FROM nodes o WHERE o.device = n.device \
    AND o.present = 1 AND o.status = 'ready' AND o.create_index > n.create_index) THEN 1 ELSE 0 END AS wanted_eligible \
    FROM nodes n JOIN devices d ON d.device = n.device LEFT JOIN wanted w ON w.device = n.device WHERE n.present = 1";

const NODE: &str = "SELECT node, status, eligible, modify_index FROM nodes";

const ALLOCATION: &str = "SELECT a.allocation, a.device, a.job, a.status, a.modify_index, a.created_ns, a.ran, \
    a.stop_desired_ns, a.ended_ns, a.rate_micros_per_hour, \
    CASE WHEN n.status IN ('down', 'disconnected') THEN n.status_updated_s ELSE NULL END AS silent_since_s \
    FROM allocations a JOIN nodes n ON n.node = a.node";

impl Store {
    /// The nodes of a device that the region still lists; ready ones first, then the newest.
    pub(crate) async fn nodes_of(&self, device: &str) -> Result<Vec<NodeRow>, sqlx::Error> {
        let query = format!(
            "{NODE} WHERE device = $1 AND present = 1 \
             ORDER BY CASE WHEN status = 'ready' THEN 0 ELSE 1 END, create_index DESC, node"
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

    /// Notes that a lost device's node was drained.
    pub(crate) async fn mark_held(&self, node: &str, now_ms: i64) -> Result<(), sqlx::Error> {
        let query = "UPDATE nodes SET held_at_ms = $1, eligible = 0 WHERE node = $2";
        sqlx::query(query).bind(now_ms).bind(node).execute(&self.pool).await.map(drop)
    }

    /// Takes in what the region says of a node. A node that is not recorded yet becomes the device's whose id it bears
    /// as its name; a recorded one stays with its device, whatever it calls itself now. Gives the device when
    /// something changed.
    ///
    /// `current`: the answer to a question asked just now, in order with the events. It counts even when its indexes
    /// are lower, as they are after the region was set up anew.
    pub(crate) async fn see_node(&self, node: &Node, current: bool) -> Result<Option<String>, sqlx::Error> {
        sqlx::query_scalar(
            "INSERT INTO nodes \
             (node, device, status, eligible, present, create_index, modify_index, status_updated_s) \
             SELECT $1, owner.device, $3, $4, 1, $5, $6, $7 FROM \
             (SELECT device FROM nodes WHERE node = $1 UNION ALL SELECT device FROM devices WHERE device = $2 \
              AND NOT EXISTS (SELECT 1 FROM nodes WHERE node = $1)) AS owner WHERE 1 = 1 \
             ON CONFLICT (node) DO UPDATE SET status = excluded.status, eligible = excluded.eligible, present = 1, \
             create_index = excluded.create_index, modify_index = excluded.modify_index, \
             status_updated_s = excluded.status_updated_s \
             WHERE $8 = 1 OR excluded.create_index > nodes.create_index \
             OR (excluded.create_index = nodes.create_index AND excluded.modify_index > nodes.modify_index) \
             RETURNING device",
        )
        .bind(&node.id)
        .bind(&node.name)
        .bind(&node.status)
        .bind(i64::from(node.is_eligible()))
        .bind(node.create_index)
        .bind(node.modify_index)
        .bind(node.status_updated_at)
        .bind(i64::from(current))
        .fetch_optional(&self.pool)
        .await
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

    /// A device's allocations that are live or ended at `since_ns` or later, the newest first.
    pub(crate) async fn allocations_since(
        &self,
        device: &str,
        since_ns: i64,
    ) -> Result<Vec<AllocationRow>, sqlx::Error> {
        let query = format!(
            "{ALLOCATION} WHERE a.device = $1 AND (a.ended_ns IS NULL OR a.ended_ns >= $2) \
             ORDER BY a.created_ns DESC, a.allocation"
        );
        sqlx::query_as(&query).bind(device).bind(since_ns).fetch_all(&self.pool).await
    }

    pub(crate) async fn allocation(&self, allocation: &str) -> Result<Option<AllocationRow>, sqlx::Error> {
        let query = format!("{ALLOCATION} WHERE a.allocation = $1");
        sqlx::query_as(&query).bind(allocation).fetch_optional(&self.pool).await
    }

    /// Every allocation that has not ended.
    pub(crate) async fn live_allocations(&self) -> Result<Vec<AllocationRow>, sqlx::Error> {
        sqlx::query_as(&format!("{ALLOCATION} WHERE a.ended_ns IS NULL")).fetch_all(&self.pool).await
    }

    /// Writes down an allocation at first sight.
    pub(crate) async fn add_allocation(
        &self,
        allocation: &str,
        node: &str,
        job: &str,
        entry: &Entry,
        now_ns: i64,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO allocations (allocation, node, device, job, status, modify_index, created_ns, ran, \
             stop_desired_ns, ended_ns, confirmed_ns, rate_micros_per_hour) \
             SELECT $1, node, device, $3, $4, $5, $6, $7, $8, $9, $10, $11 FROM nodes WHERE node = $2",
        )
        .bind(allocation)
        .bind(node)
        .bind(job)
        .bind(entry.status.word())
        .bind(entry.modify_index)
        .bind(entry.created_ns)
        .bind(i64::from(entry.ran))
        .bind(entry.stop_desired_ns)
        .bind(entry.ended_ns)
        .bind(now_ns)
        .bind(entry.rate_micros_per_hour)
        .execute(&self.pool)
        .await
        .map(drop)
    }

    /// Writes down what became of an allocation.
    pub(crate) async fn update_allocation(&self, allocation: &str, entry: &Entry) -> Result<(), sqlx::Error> {
        sqlx::query(
            "UPDATE allocations SET status = $1, modify_index = $2, ran = $3, stop_desired_ns = $4, ended_ns = $5 \
             WHERE allocation = $6",
        )
        .bind(entry.status.word())
        .bind(entry.modify_index)
        .bind(i64::from(entry.ran))
        .bind(entry.stop_desired_ns)
        .bind(entry.ended_ns)
        .bind(allocation)
        .execute(&self.pool)
        .await
        .map(drop)
    }

    /// When the region last listed the allocation as live.
    pub(crate) async fn confirmed_ns(&self, allocation: &str) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar("SELECT confirmed_ns FROM allocations WHERE allocation = $1")
            .bind(allocation)
            .fetch_one(&self.pool)
            .await
    }

    /// The region has just listed everything that is live in the ledger.
    pub(crate) async fn confirm_live(&self, now_ns: i64) -> Result<(), sqlx::Error> {
        let query = "UPDATE allocations SET confirmed_ns = $1 WHERE ended_ns IS NULL";
        sqlx::query(query).bind(now_ns).execute(&self.pool).await.map(drop)
    }

    /// How far a region's event stream was read.
    pub(crate) async fn event_index(&self, region: &str) -> Result<Option<i64>, sqlx::Error> {
        let query = "SELECT event_index FROM streams WHERE region = $1";
        sqlx::query_scalar(query).bind(region).fetch_optional(&self.pool).await
    }

    pub(crate) async fn set_event_index(&self, region: &str, index: i64) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO streams (region, event_index) VALUES ($1, $2) \
             ON CONFLICT (region) DO UPDATE SET event_index = excluded.event_index",
        )
        .bind(region)
        .bind(index)
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
                token_hash: None,
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
    async fn a_node_with_a_strangers_name_is_not_recorded() {
        let (_folder, store) = store().await;

        let seen = store.see_node(&node("somebody", 5, 5, "ready"), false).await.unwrap();

        assert_eq!(seen, None);
        assert!(store.present_nodes().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn an_older_event_does_not_undo_a_newer_one_but_a_fresh_answer_counts() {
        let (_folder, store) = store().await;
        store.see_node(&node("d-a", 5, 9, "ready"), false).await.unwrap();

        let replayed = store.see_node(&node("d-a", 5, 8, "initializing"), false).await.unwrap();
        let asked = store.see_node(&node("d-a", 2, 3, "down"), true).await.unwrap();

        assert_eq!(replayed, None);
        assert_eq!(asked.as_deref(), Some("d-a"));
        assert_eq!(store.nodes_of("d-a").await.unwrap()[0].status, "down");
    }
}
