//! What PCs want of their nodes.

use super::Store;

/// A wanted state. `holds` is sorted and holds nothing twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) seq: i64,
    pub(crate) eligible: bool,
    pub(crate) holds: Vec<String>,
}

/// What came of writing a wanted state down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// It is the one that counts now, or was already.
    Counts,
    /// One with this higher number is known, or another one with the same.
    Stale(i64),
}

impl Store {
    /// Keeps a wanted state if its number is the highest.
    pub(crate) async fn want(&self, device: &str, wanted: &Wanted, now_ms: i64) -> Result<Want, sqlx::Error> {
        let holds = wanted.holds.join("\n");
        let mut tx = self.write().await?;
        let known: Option<(i64, i64, String)> =
            sqlx::query_as("SELECT seq, eligible, holds FROM wanted WHERE device = $1")
                .bind(device)
                .fetch_optional(&mut *tx)
                .await?;
        if let Some((seq, eligible, held)) = known
            && seq >= wanted.seq
        {
            let same = (seq, eligible != 0, held) == (wanted.seq, wanted.eligible, holds);
            return Ok(if same { Want::Counts } else { Want::Stale(seq) });
        }
        sqlx::query(
            "INSERT INTO wanted (device, seq, eligible, holds, set_at_ms) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (device) DO UPDATE SET seq = excluded.seq, eligible = excluded.eligible, \
             holds = excluded.holds, set_at_ms = excluded.set_at_ms",
        )
        .bind(device)
        .bind(wanted.seq)
        .bind(i64::from(wanted.eligible))
        .bind(holds)
        .bind(now_ms)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Want::Counts)
    }

    /// The highest sequence number that a device has sent; 0 before the first.
    pub(crate) async fn wanted_seq(&self, device: &str) -> Result<i64, sqlx::Error> {
        let query = "SELECT seq FROM wanted WHERE device = $1";
        Ok(sqlx::query_scalar(query).bind(device).fetch_optional(&self.pool).await?.unwrap_or(0))
    }
}
