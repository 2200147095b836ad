//! Rows that are of no more use.

use super::Store;

/// Rows forgotten in one go: the write lock is not held for long.
const AT_ONCE: i64 = 1_000;

impl Store {
    /// Forgets certificates that have expired; each device's last one stays, for it tells when that was.
    pub(crate) async fn forget_certificates(&self, now_ms: i64) -> Result<u64, sqlx::Error> {
        self.forget(
            "DELETE FROM certificates WHERE serial IN (SELECT c.serial FROM certificates c \
             WHERE c.expires_at_ms < $1 AND EXISTS (SELECT 1 FROM certificates newer WHERE newer.device = c.device \
             AND (newer.expires_at_ms > c.expires_at_ms \
             OR (newer.expires_at_ms = c.expires_at_ms AND newer.serial > c.serial))) LIMIT $2)",
            now_ms,
        )
        .await
    }

    /// Forgets enrolment tokens that expired before.
    pub(crate) async fn forget_tokens(&self, before_ms: i64) -> Result<u64, sqlx::Error> {
        self.forget(
            "DELETE FROM enrolment_tokens WHERE token_hash IN \
             (SELECT token_hash FROM enrolment_tokens WHERE expires_at_ms < $1 LIMIT $2)",
            before_ms,
        )
        .await
    }

    async fn forget(&self, query: &str, before_ms: i64) -> Result<u64, sqlx::Error> {
        let mut forgotten = 0;
        loop {
            let done = sqlx::query(query).bind(before_ms).bind(AT_ONCE).execute(&self.pool).await?;
            forgotten += done.rows_affected();
            if done.rows_affected() < AT_ONCE.unsigned_abs() {
                return Ok(forgotten);
            }
        }
    }
}
