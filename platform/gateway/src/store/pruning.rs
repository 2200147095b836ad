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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Enrolment;

    async fn count(store: &Store, table: &str) -> i64 {
        sqlx::query_scalar(&format!("SELECT COUNT(*) FROM {table}")).fetch_one(&store.pool).await.unwrap()
    }

    #[tokio::test]
    async fn what_has_expired_is_forgotten_but_for_the_last_certificate_of_each_device() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        let store = Store::open(&url).await.unwrap();
        let account = store.account("issuer", "alice").await.unwrap();
        for (device, expires_at_ms) in [("d-away", 100), ("d-here", 9_000)] {
            let enrolment = Enrolment {
                account: &account,
                right: &crate::store::Right::Session(None),
                device,
                label: "",
                agreement: 1,
                public_key: device,
                serial: device,
                issued_at_ms: 1,
                expires_at_ms,
            };
            store.enrol(&enrolment).await.unwrap();
        }
        let old =
            "INSERT INTO certificates (serial, device, issued_at_ms, expires_at_ms) VALUES ($1, $2, 0, $3)";
        for number in 0..2_500 {
            let device = if number % 2 == 0 { "d-away" } else { "d-here" };
            let row = sqlx::query(old).bind(number.to_string()).bind(device).bind(number % 90);
            row.execute(&store.pool).await.unwrap();
        }
        store.add_token(&account, None, "expired", 0, 10).await.unwrap();
        store.add_token(&account, None, "live", 0, 5_000).await.unwrap();

        let forgotten =
            (store.forget_certificates(1_000).await.unwrap(), store.forget_tokens(1_000).await.unwrap());

        assert_eq!(forgotten, (2_500, 1));
        assert_eq!((count(&store, "certificates").await, count(&store, "enrolment_tokens").await), (2, 1));
        assert_eq!(store.device("d-away").await.unwrap().unwrap().expires_at_ms, 100);
    }
}
