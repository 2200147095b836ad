//! Losses, and the sessions that end with them.

use super::Store;

#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Sessions {
    /// When the account last lost a PC; none if it never did.
    #[sqlx(rename = "sessions_ended_ms")]
    pub(crate) ended_ms: Option<i64>,
    pub(crate) shown: Option<String>,
}

impl Store {
    /// What is known of an account's sessions and of what a person recognises it by.
    pub(crate) async fn sessions(&self, account: &str) -> Result<Sessions, sqlx::Error> {
        let query = "SELECT sessions_ended_ms, shown FROM accounts WHERE account = $1";
        sqlx::query_as(query).bind(account).fetch_one(&self.pool).await
    }

    /// Marks a device as lost, and ends its account's sessions: whoever has the PC has the one on its disk. A device that
    /// is lost already stays so, and ends nothing anew. False: there is no such device, or it is not this account's.
    pub(crate) async fn mark_lost(
        &self,
        account: Option<&str>,
        device: &str,
        now_ms: i64,
    ) -> Result<bool, sqlx::Error> {
        let mut tx = self.write().await?;
        let found: Option<(String, Option<i64>)> =
            sqlx::query_as("SELECT account, lost_at_ms FROM devices WHERE device = $1")
                .bind(device)
                .fetch_optional(&mut *tx)
                .await?;
        let Some((owner, lost)) = found.filter(|(owner, _)| account.is_none_or(|account| account == owner))
        else {
            return Ok(false);
        };
        if lost.is_none() {
            let query = "UPDATE devices SET lost_at_ms = $1 WHERE device = $2";
            sqlx::query(query).bind(now_ms).bind(device).execute(&mut *tx).await?;
            let query = "UPDATE accounts SET sessions_ended_ms = $1 WHERE account = $2";
            sqlx::query(query).bind(now_ms).bind(&owner).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{EnrolOutcome, Enrolment, Right};

    #[tokio::test]
    async fn a_loss_between_the_look_at_a_session_and_what_it_asked_for_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        let store = Store::open(&url).await.unwrap();
        let account = store.account("issuer", "alice").await.unwrap();
        let enrol = async |name: &str, right: Right| {
            let (device, public_key, serial) = (name, name, name);
            let (account, right) = (account.as_str(), &right);
            let (label, agreement, issued_at_ms, expires_at_ms) = ("", 1, 20, 99);
            let enrolment = Enrolment {
                account,
                right,
                device,
                label,
                agreement,
                public_key,
                serial,
                issued_at_ms,
                expires_at_ms,
            };
            store.enrol(&enrolment).await.unwrap()
        };
        assert_eq!(enrol("stolen", Right::Session(None)).await, EnrolOutcome::Enrolled);
        assert!(store.add_token(&account, None, "before", 5, 99).await.unwrap());

        assert!(store.mark_lost(None, "stolen", 10).await.unwrap());

        assert_eq!(enrol("by-session", Right::Session(None)).await, EnrolOutcome::SessionEnded);
        assert_eq!(enrol("by-token", Right::Token("before".to_owned())).await, EnrolOutcome::TokenSpent);
        assert!(!store.add_token(&account, None, "after", 15, 99).await.unwrap());
        assert_eq!(store.devices_of(&account).await.unwrap().len(), 1);
        assert_eq!(enrol("anew", Right::Session(Some(10))).await, EnrolOutcome::Enrolled);
        assert!(store.add_token(&account, Some(10), "anew", 15, 99).await.unwrap());
        assert_eq!(enrol("anew-by-token", Right::Token("anew".to_owned())).await, EnrolOutcome::Enrolled);
    }
}
