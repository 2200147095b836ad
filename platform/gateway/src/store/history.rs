//! The ledger, read by whoever earned.

use sqlx::sqlite::SqliteRow;

use super::Store;
use super::allocations::{ALLOCATION, AllocationRow};

/// Whose past is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Whose<'a> {
    Device(&'a str),
    /// All devices that the account ever had.
    Account(&'a str),
}

impl<'a> Whose<'a> {
    /// The device's id, or the account's; no two are alike.
    pub(crate) fn name(self) -> &'a str {
        let (Self::Device(name) | Self::Account(name)) = self;
        name
    }
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
}

impl Cursor {
    /// Before everything that was placed before this moment.
    pub(crate) fn at(placed_ns: i64) -> Self {
        Self { placed_ns, allocation: String::new() }
    }

    /// At this row.
    pub(crate) fn of(row: &AllocationRow) -> Self {
        Self { placed_ns: row.entry().created_ns, allocation: row.allocation.clone() }
    }
}

impl Store {
    /// Allocations that had not ended by `from_ns`, from the cursor on, newest placement first.
    pub(crate) async fn ledger(
        &self,
        whose: Whose<'_>,
        from_ns: i64,
        after: &Cursor,
        limit: u32,
    ) -> Result<Vec<AllocationRow>, sqlx::Error> {
        self.page(&page_of(whose), whose, from_ns, after, limit).await
    }

    /// The same, with what an owner wants to know of them.
    pub(crate) async fn history(
        &self,
        whose: Whose<'_>,
        from_ns: i64,
        after: &Cursor,
        limit: u32,
    ) -> Result<Vec<HistoryRow>, sqlx::Error> {
        let query = format!(
            "SELECT l.*, a.gpu, d.label FROM ({}) AS l \
             JOIN allocations a ON a.allocation = l.allocation JOIN devices d ON d.device = l.device \
             ORDER BY l.created_ns DESC, l.allocation DESC",
            page_of(whose)
        );
        self.page(&query, whose, from_ns, after, limit).await
    }

    async fn page<T>(
        &self,
        query: &str,
        whose: Whose<'_>,
        from_ns: i64,
        after: &Cursor,
        limit: u32,
    ) -> Result<Vec<T>, sqlx::Error>
    where
        T: for<'r> sqlx::FromRow<'r, SqliteRow> + Send + Unpin,
    {
        sqlx::query_as(query)
            .bind(whose.name())
            .bind(after.placed_ns)
            .bind(&after.allocation)
            .bind(from_ns)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
    }
}

fn page_of(whose: Whose<'_>) -> String {
    let owner = match whose {
        Whose::Device(_) => "a.device",
        Whose::Account(_) => "a.account",
    };
    format!(
        "{ALLOCATION} WHERE {owner} = $1 AND (a.created_ns, a.allocation) < ($2, $3) \
         AND (a.ended_ns IS NULL OR a.ended_ns > $4) ORDER BY a.created_ns DESC, a.allocation DESC LIMIT $5"
    )
}
