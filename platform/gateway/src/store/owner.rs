//! Whose a node is, and which of a device's nodes counts.
//!
//! The servers hold a node's name to an introduction of that name only when it registers for the first time: afterwards
//! whoever has it may call it as he likes. So a node belongs to the device whose id it bore then.

use super::Tx;
use crate::nomad::Node;

/// Settles whose a recorded node is, if this is its first registration and that had not been seen. Gives the devices that
/// it changes: the one that it was taken for goes without, also in the ledger.
pub(super) async fn prove(tx: &mut Tx, node: &Node) -> Result<Vec<String>, sqlx::Error> {
    if !node.is_first_registration() {
        return Ok(Vec::new());
    }
    let query = "SELECT device FROM nodes WHERE node = $1 AND create_index <= $2 AND proven = 0 \
                 AND EXISTS (SELECT 1 FROM devices WHERE device = $3)";
    let unproven: Option<String> = sqlx::query_scalar(query)
        .bind(&node.id)
        .bind(node.create_index)
        .bind(&node.name)
        .fetch_optional(&mut **tx)
        .await?;
    let Some(before) = unproven else { return Ok(Vec::new()) };
    sqlx::query(
        "UPDATE nodes SET proven = 1, device = $2, \
         superseded_s = CASE WHEN device = $2 THEN superseded_s END WHERE node = $1",
    )
    .bind(&node.id)
    .bind(&node.name)
    .execute(&mut **tx)
    .await?;
    if before == node.name {
        return Ok(vec![before]);
    }
    tracing::warn!(
        node = node.id,
        taken_for = before,
        device = node.name,
        "a node bears another device's name"
    );
    let query = "UPDATE allocations SET device = $2, account = (SELECT account FROM devices WHERE device = $2) \
                 WHERE node = $1";
    sqlx::query(query).bind(&node.id).bind(&node.name).execute(&mut **tx).await?;
    Ok(vec![before, node.name.clone()])
}

/// Writes down what is newer than the record. Gives the node's device if it did.
pub(super) async fn upsert(tx: &mut Tx, node: &Node, current: bool) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(
        "INSERT INTO nodes \
         (node, device, status, eligible, present, create_index, modify_index, status_updated_s, tags, proven) \
         SELECT $1, owner.device, $3, $4, 1, $5, $6, $7, $9, $10 FROM \
         (SELECT device FROM nodes WHERE node = $1 UNION ALL SELECT device FROM devices WHERE device = $2 \
          AND NOT EXISTS (SELECT 1 FROM nodes WHERE node = $1)) AS owner WHERE 1 = 1 \
         ON CONFLICT (node) DO UPDATE SET status = excluded.status, eligible = excluded.eligible, present = 1, \
         create_index = excluded.create_index, modify_index = excluded.modify_index, \
         status_updated_s = excluded.status_updated_s, tags = excluded.tags \
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
    .bind(node.tags())
    .bind(i64::from(node.is_first_registration()))
    .fetch_optional(&mut **tx)
    .await
}

/// Notes when a node that is ready was registered.
pub(super) async fn note_registration(tx: &mut Tx, node: &Node) -> Result<(), sqlx::Error> {
    if !node.is_ready() {
        return Ok(());
    }
    sqlx::query("UPDATE nodes SET registered_s = COALESCE(registered_s, $2) WHERE node = $1")
        .bind(&node.id)
        .bind(node.registered_s())
        .execute(&mut **tx)
        .await
        .map(drop)
}

/// One PC has one node. The one that registered last, once it was ready, takes the place of all before it, for good:
/// they get no work any more, and earn nothing from then on. Only one that is the device's for certain does that.
pub(super) async fn note_succession(tx: &mut Tx, device: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE nodes SET superseded_s = (SELECT MIN(o.registered_s) FROM nodes o WHERE o.device = $1 \
         AND o.proven = 1 AND o.node <> nodes.node AND (o.registered_s > nodes.registered_s \
         OR (o.registered_s = nodes.registered_s AND o.create_index > nodes.create_index))) \
         WHERE device = $1 AND superseded_s IS NULL AND registered_s IS NOT NULL",
    )
    .bind(device)
    .execute(&mut **tx)
    .await
    .map(drop)
}
