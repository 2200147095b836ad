//! Times in which a node did not serve.

use super::Tx;
use crate::nomad::Node;

/// Notes since when a node does not serve, and until when it did not: as its status changes, and as the servers' own
/// notes on it tell of a time in which this gateway was not there.
pub(super) async fn note_gaps(tx: &mut Tx, node: &Node) -> Result<(), sqlx::Error> {
    const OPEN: &str = "SELECT from_s FROM node_gaps WHERE node = $1 AND to_s IS NULL";
    for (from_s, to_s) in node.past_gaps() {
        let query = "INSERT INTO node_gaps (node, from_s, to_s) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        sqlx::query(query).bind(&node.id).bind(from_s).bind(to_s).execute(&mut **tx).await?;
    }
    let open: Option<i64> = sqlx::query_scalar(OPEN).bind(&node.id).fetch_optional(&mut **tx).await?;
    match open {
        None if node.is_away() => {
            let query = "INSERT INTO node_gaps (node, from_s) VALUES ($1, $2) ON CONFLICT DO NOTHING";
            sqlx::query(query).bind(&node.id).bind(node.status_updated_at).execute(&mut **tx).await.map(drop)
        }
        Some(from_s) if node.is_ready() => {
            let back_s = node.back_after(from_s).unwrap_or(node.status_updated_at).max(from_s);
            let query = "UPDATE node_gaps SET to_s = $2 WHERE node = $1 AND to_s IS NULL";
            sqlx::query(query).bind(&node.id).bind(back_s).execute(&mut **tx).await.map(drop)
        }
        Some(_) | None => Ok(()),
    }
}
