//! The ledger, read by whoever earned.

use super::Store;
use super::allocations::{ALLOCATION, AllocationRow};

/// Whose past is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Whose<'a> {
    Device(&'a str),
    /// All devices that the account ever had.
    Account(&'a str),
}

/// A place in the ledger, newest placement first. Nothing that is placed later moves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) placed_ns: i64,
    pub(crate) allocation: String,
}

/// An allocation, and on which PC it ran.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct HistoryRow {
    #[sqlx(flatten)]
    pub(crate) ledger: AllocationRow,
    pub(crate) label: String,
    pub(crate) gpu: Option<String>,
    placed_ns: i64,
}

impl HistoryRow {
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor { placed_ns: self.placed_ns, allocation: self.ledger.allocation.clone() }
    }
}

impl Cursor {
    /// Before everything that was placed before this moment.
    pub(crate) fn at(placed_ns: i64) -> Self {
        Self { placed_ns, allocation: String::new() }
    }
}

impl Store {
    /// Allocations that had not ended by `from_ns`, from the cursor on, newest placement first.
    pub(crate) async fn history(
        &self,
        whose: Whose<'_>,
        from_ns: i64,
        after: &Cursor,
        limit: u32,
    ) -> Result<Vec<HistoryRow>, sqlx::Error> {
        let (column, owner) = match whose {
            Whose::Device(device) => ("a.device", device),
            Whose::Account(account) => ("a.account", account),
        };
        let query = format!(
            "SELECT l.*, l.created_ns AS placed_ns, a.gpu, d.label FROM ({ALLOCATION} WHERE {column} = $1 \
             AND (a.created_ns, a.allocation) < ($2, $3) AND (a.ended_ns IS NULL OR a.ended_ns > $4) \
             ORDER BY a.created_ns DESC, a.allocation DESC LIMIT $5) AS l \
             JOIN allocations a ON a.allocation = l.allocation JOIN devices d ON d.device = l.device \
             ORDER BY l.created_ns DESC, l.allocation DESC"
        );
        sqlx::query_as(&query)
            .bind(owner)
            .bind(after.placed_ns)
            .bind(&after.allocation)
            .bind(from_ns)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
    }
}
