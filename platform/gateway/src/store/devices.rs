//! Accounts, devices, their certificates, and enrolment tokens.

use super::{Store, Tx};

/// A device.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct DeviceRow {
    pub(crate) device: String,
    pub(crate) account: String,
    pub(crate) label: String,
    /// SubjectPublicKeyInfo, DER, lower-case hex.
    pub(crate) public_key: String,
    pub(crate) enrolled_at_ms: i64,
    pub(crate) lost_at_ms: Option<i64>,
    pub(crate) retired_at_ms: Option<i64>,
    /// When its newest certificate expires; 0 without one.
    pub(crate) expires_at_ms: i64,
}

/// Who holds a certificate.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct Holder {
    pub(crate) device: String,
    pub(crate) public_key: String,
    lost_at_ms: Option<i64>,
    retired_at_ms: Option<i64>,
}

/// Why a device is none any more. Lost is the graver one, so it is what counts when both are true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Lost,
    Retired,
}

impl DeviceRow {
    pub(crate) fn ended(&self) -> Option<Ended> {
        ended(self.lost_at_ms, self.retired_at_ms)
    }
}

impl Holder {
    pub(crate) fn ended(&self) -> Option<Ended> {
        ended(self.lost_at_ms, self.retired_at_ms)
    }
}

fn ended(lost_at_ms: Option<i64>, retired_at_ms: Option<i64>) -> Option<Ended> {
    let retired = retired_at_ms.map(|_| Ended::Retired);
    lost_at_ms.map(|_| Ended::Lost).or(retired)
}

/// An enrolment to be written down.
#[derive(Debug)]
pub(crate) struct Enrolment<'a> {
    pub(crate) account: &'a str,
    pub(crate) right: &'a Right,
    pub(crate) device: &'a str,
    pub(crate) label: &'a str,
    pub(crate) agreement: u32,
    pub(crate) public_key: &'a str,
    pub(crate) serial: &'a str,
    pub(crate) issued_at_ms: i64,
    pub(crate) expires_at_ms: i64,
}

/// By what right somebody enrols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Right {
    /// A session, good while the account's sessions have not ended since this moment.
    Session(Option<i64>),
    /// An enrolment token; this is its hash.
    Token(String),
}

/// What came of writing an enrolment down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EnrolOutcome {
    Enrolled,
    /// A PC of the account was reported lost in the meantime.
    SessionEnded,
    TokenSpent,
    /// Another device took the key in the meantime.
    KeyTaken,
    Ended(Ended),
}

/// Certificates that a device may have at one time.
const LIVE_CERTIFICATES: i64 = 16;

const DEVICE: &str = "SELECT d.device, d.account, d.label, d.public_key, d.enrolled_at_ms, d.lost_at_ms, d.retired_at_ms, \
    COALESCE((SELECT MAX(c.expires_at_ms) FROM certificates c WHERE c.device = d.device), 0) AS expires_at_ms \
    FROM devices d";

impl Store {
    /// The id of an account; it is made at first sight.
    pub(crate) async fn account(&self, issuer: &str, subject: &str) -> Result<String, sqlx::Error> {
        let known = "SELECT account FROM accounts WHERE issuer = $1 AND subject = $2";
        let found = sqlx::query_scalar(known).bind(issuer).bind(subject).fetch_optional(&self.pool).await?;
        if let Some(account) = found {
            return Ok(account);
        }
        sqlx::query(
            "INSERT INTO accounts (account, issuer, subject, created_at_ms) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (issuer, subject) DO NOTHING",
        )
        .bind(format!("a-{}", uuid::Uuid::new_v4().simple()))
        .bind(issuer)
        .bind(subject)
        .bind(crate::clock::now_ms())
        .execute(&self.pool)
        .await?;
        sqlx::query_scalar(known).bind(issuer).bind(subject).fetch_one(&self.pool).await
    }

    pub(crate) async fn device(&self, device: &str) -> Result<Option<DeviceRow>, sqlx::Error> {
        sqlx::query_as(&format!("{DEVICE} WHERE d.device = $1")).bind(device).fetch_optional(&self.pool).await
    }

    pub(crate) async fn device_by_key(&self, public_key: &str) -> Result<Option<DeviceRow>, sqlx::Error> {
        let query = format!("{DEVICE} WHERE d.public_key = $1");
        sqlx::query_as(&query).bind(public_key).fetch_optional(&self.pool).await
    }

    /// An account's devices, the oldest first.
    pub(crate) async fn devices_of(&self, account: &str) -> Result<Vec<DeviceRow>, sqlx::Error> {
        let query = format!("{DEVICE} WHERE d.account = $1 ORDER BY d.enrolled_at_ms, d.device");
        sqlx::query_as(&query).bind(account).fetch_all(&self.pool).await
    }

    /// Who holds the certificate with this serial number.
    pub(crate) async fn holder(&self, serial: &str) -> Result<Option<Holder>, sqlx::Error> {
        sqlx::query_as(
            "SELECT d.device, d.public_key, d.lost_at_ms, d.retired_at_ms FROM certificates c \
             JOIN devices d ON d.device = c.device WHERE c.serial = $1",
        )
        .bind(serial)
        .fetch_optional(&self.pool)
        .await
    }

    /// Whether and how the device has ended; one that does not exist counts as lost.
    pub(crate) async fn ended(&self, device: &str) -> Result<Option<Ended>, sqlx::Error> {
        let found: Option<(Option<i64>, Option<i64>)> =
            sqlx::query_as("SELECT lost_at_ms, retired_at_ms FROM devices WHERE device = $1")
                .bind(device)
                .fetch_optional(&self.pool)
                .await?;
        Ok(found.map_or(Some(Ended::Lost), |(lost, retired)| ended(lost, retired)))
    }

    /// The device leaves its account of its own accord.
    pub(crate) async fn retire(&self, device: &str, now_ms: i64) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE devices SET retired_at_ms = COALESCE(retired_at_ms, $1) WHERE device = $2")
            .bind(now_ms)
            .bind(device)
            .execute(&self.durable)
            .await
            .map(drop)
    }

    /// Notes what a person recognises an account by.
    pub(crate) async fn know_account(&self, account: &str, shown: &str) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE accounts SET shown = $1 WHERE account = $2 AND (shown IS NULL OR shown <> $1)")
            .bind(shown)
            .bind(account)
            .execute(&self.pool)
            .await
            .map(drop)
    }

    /// Subject and shown name of the account that a device belongs to.
    pub(crate) async fn account_of(&self, device: &str) -> Result<(String, String), sqlx::Error> {
        sqlx::query_as(
            "SELECT a.subject, COALESCE(a.shown, a.subject) FROM devices d \
             JOIN accounts a ON a.account = d.account WHERE d.device = $1",
        )
        .bind(device)
        .fetch_one(&self.pool)
        .await
    }

    /// Writes down a device (or its further enrolment), its certificate and the spent token, or nothing of them.
    pub(crate) async fn enrol(&self, enrolment: &Enrolment<'_>) -> Result<EnrolOutcome, sqlx::Error> {
        let mut tx = self.write().await?;
        if let Some(refused) = use_right(&mut tx, enrolment).await? {
            return Ok(refused);
        }
        insert_device(&mut tx, enrolment).await?;
        let (device, lost, retired): (String, Option<i64>, Option<i64>) =
            sqlx::query_as("SELECT device, lost_at_ms, retired_at_ms FROM devices WHERE public_key = $1")
                .bind(enrolment.public_key)
                .fetch_one(&mut *tx)
                .await?;
        if device != enrolment.device {
            return Ok(EnrolOutcome::KeyTaken);
        }
        if let Some(ended) = ended(lost, retired) {
            return Ok(EnrolOutcome::Ended(ended));
        }
        insert_certificate(
            &mut tx,
            enrolment.device,
            enrolment.serial,
            enrolment.issued_at_ms,
            enrolment.expires_at_ms,
        )
        .await?;
        tx.commit().await?;
        Ok(EnrolOutcome::Enrolled)
    }

    /// Writes down a renewed certificate; gives how the device has ended in the meantime, and then nothing was written.
    pub(crate) async fn renew(
        &self,
        device: &str,
        serial: &str,
        issued_at_ms: i64,
        expires_at_ms: i64,
    ) -> Result<Option<Ended>, sqlx::Error> {
        let mut tx = self.write().await?;
        let (lost, retired): (Option<i64>, Option<i64>) =
            sqlx::query_as("SELECT lost_at_ms, retired_at_ms FROM devices WHERE device = $1")
                .bind(device)
                .fetch_one(&mut *tx)
                .await?;
        if let Some(ended) = ended(lost, retired) {
            return Ok(Some(ended));
        }
        insert_certificate(&mut tx, device, serial, issued_at_ms, expires_at_ms).await?;
        tx.commit().await?;
        Ok(None)
    }

    /// Writes down a new enrolment token, by its hash. False: the account's sessions have ended since `ended_ms`.
    pub(crate) async fn add_token(
        &self,
        account: &str,
        ended_ms: Option<i64>,
        token_hash: &str,
        issued_at_ms: i64,
        expires_at_ms: i64,
    ) -> Result<bool, sqlx::Error> {
        let added = sqlx::query(
            "INSERT INTO enrolment_tokens (token_hash, account, issued_at_ms, expires_at_ms) \
             SELECT $1, account, $3, $4 FROM accounts WHERE account = $2 \
             AND COALESCE(sessions_ended_ms, -1) = COALESCE($5, -1)",
        )
        .bind(token_hash)
        .bind(account)
        .bind(issued_at_ms)
        .bind(expires_at_ms)
        .bind(ended_ms)
        .execute(&self.durable)
        .await?;
        Ok(added.rows_affected() == 1)
    }

    /// The account that a live enrolment token stands for. A used one counts as live for the key that it was used
    /// for, so that a PC that never got the answer can ask again.
    pub(crate) async fn token_account(
        &self,
        token_hash: &str,
        public_key: &str,
        now_ms: i64,
    ) -> Result<Option<String>, sqlx::Error> {
        sqlx::query_scalar(
            "SELECT t.account FROM enrolment_tokens t JOIN accounts a ON a.account = t.account \
             WHERE t.token_hash = $1 AND t.expires_at_ms > $2 AND (t.used_at_ms IS NULL OR t.used_for = $3) \
             AND t.issued_at_ms >= COALESCE(a.sessions_ended_ms, 0)",
        )
        .bind(token_hash)
        .bind(now_ms)
        .bind(public_key)
        .fetch_optional(&self.pool)
        .await
    }
}

/// Its first enrolment or a further one; what is somebody else's or has ended stays as it is.
async fn insert_device(tx: &mut Tx, enrolment: &Enrolment<'_>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO devices (device, account, label, agreement, public_key, enrolled_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (public_key) DO UPDATE \
         SET label = excluded.label, agreement = excluded.agreement \
         WHERE devices.device = excluded.device AND devices.account = excluded.account \
         AND devices.lost_at_ms IS NULL AND devices.retired_at_ms IS NULL",
    )
    .bind(enrolment.device)
    .bind(enrolment.account)
    .bind(enrolment.label)
    .bind(i64::from(enrolment.agreement))
    .bind(enrolment.public_key)
    .bind(enrolment.issued_at_ms)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Uses the right to enrol, which a loss may have ended in the meantime. Gives what is wrong with it, if anything is.
async fn use_right(tx: &mut Tx, enrolment: &Enrolment<'_>) -> Result<Option<EnrolOutcome>, sqlx::Error> {
    let (is_good, refused) = match enrolment.right {
        Right::Session(ended_ms) => {
            let query = "SELECT sessions_ended_ms FROM accounts WHERE account = $1";
            let now: Option<i64> =
                sqlx::query_scalar(query).bind(enrolment.account).fetch_one(&mut **tx).await?;
            (now == *ended_ms, EnrolOutcome::SessionEnded)
        }
        Right::Token(hash) => (spend_token(tx, hash, enrolment).await?, EnrolOutcome::TokenSpent),
    };
    Ok((!is_good).then_some(refused))
}

async fn spend_token(tx: &mut Tx, token_hash: &str, enrolment: &Enrolment<'_>) -> Result<bool, sqlx::Error> {
    let spent = sqlx::query(
        "UPDATE enrolment_tokens SET used_at_ms = $1, used_for = $2 WHERE token_hash = $3 AND account = $4 \
         AND expires_at_ms > $1 AND (used_at_ms IS NULL OR used_for = $2) AND issued_at_ms >= \
         COALESCE((SELECT a.sessions_ended_ms FROM accounts a WHERE a.account = $4), 0)",
    )
    .bind(enrolment.issued_at_ms)
    .bind(enrolment.public_key)
    .bind(token_hash)
    .bind(enrolment.account)
    .execute(&mut **tx)
    .await?;
    Ok(spent.rows_affected() == 1)
}

async fn insert_certificate(
    tx: &mut Tx,
    device: &str,
    serial: &str,
    issued_at_ms: i64,
    expires_at_ms: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO certificates (serial, device, issued_at_ms, expires_at_ms, recorded_ns) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(serial)
    .bind(device)
    .bind(issued_at_ms)
    .bind(expires_at_ms)
    .bind(crate::clock::now_ns())
    .execute(&mut **tx)
    .await?;
    // An expired certificate opens nothing. A PC has one that is live, and a few whose answer got lost on its way.
    sqlx::query(
        "DELETE FROM certificates WHERE device = $1 AND (expires_at_ms < $2 OR serial NOT IN \
         (SELECT serial FROM certificates WHERE device = $1 ORDER BY recorded_ns DESC LIMIT $3))",
    )
    .bind(device)
    .bind(issued_at_ms)
    .bind(LIVE_CERTIFICATES)
    .execute(&mut **tx)
    .await
    .map(drop)
}
