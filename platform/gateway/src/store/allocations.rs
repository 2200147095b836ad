//! The ledger's rows.

use super::{Store, Tx};
use crate::ledger::{ClientStatus, Entry, Gap, Sighting};

const SECOND_NS: i64 = 1_000_000_000;

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
    lead_ns: Option<i64>,
    marks: String,
    stop_desired_ns: Option<i64>,
    ended_ns: Option<i64>,
    disputed: i64,
    rate_micros_per_hour: i64,
    confirmed_ns: i64,
    missing_since_ns: Option<i64>,
    missing_lists: i64,
    /// When a newer node of the same device took its node's place.
    superseded_s: Option<i64>,
    /// Gaps of its node, `FROM:TO` in seconds, separated by blanks.
    gaps: Option<String>,
}

/// What a sighting did to the ledger.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) device: String,
    pub(crate) before: Entry,
    pub(crate) after: Entry,
}

/// An allocation at first sight.
#[derive(Debug)]
pub(crate) struct NewAllocation<'a> {
    pub(crate) allocation: &'a str,
    pub(crate) node: &'a str,
    pub(crate) job: &'a str,
    pub(crate) entry: &'a Entry,
    /// Its price is settled.
    pub(crate) priced: bool,
    /// The index at which a client ended it.
    pub(crate) sent_end: Option<i64>,
}

/// An end whose node has not been asked yet whether it sent it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct UnaskedEnd {
    pub(crate) allocation: String,
    pub(crate) node: String,
    /// The index at which a client ended it.
    pub(crate) at: i64,
}

/// How an allocation came to its price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Price {
    pub(crate) rate_micros_per_hour: i64,
    /// The slug of the GPU that it is priced as; none at the default price.
    pub(crate) gpu: Option<String>,
    /// Its job demands a GPU and none could be told: a person has to look.
    pub(crate) doubtful: bool,
}

impl AllocationRow {
    pub(crate) fn entry(&self) -> Entry {
        Entry {
            status: ClientStatus::from_word(&self.status),
            modify_index: self.modify_index,
            created_ns: self.created_ns,
            // Only this file writes it.
            marks: serde_json::from_str(&self.marks).unwrap_or_default(),
            started: self.ran != 0,
            lead_ns: self.lead_ns,
            stop_desired_ns: self.stop_desired_ns,
            ended_ns: self.ended_ns,
            disputed: self.disputed != 0,
            gaps: self.gaps.iter().flat_map(|gaps| gaps.split(' ')).filter_map(gap).collect(),
            rate_micros_per_hour: self.rate_micros_per_hour,
        }
    }

    /// Until when the region has confirmed it, if it no longer does: it is missing from the lists, or its node was
    /// replaced.
    pub(crate) fn silent_since_ns(&self) -> Option<i64> {
        let missing = self.missing_since_ns.map(|_| self.last_seen_ns());
        let superseded = self.superseded_s.map(|seconds| seconds.saturating_mul(SECOND_NS));
        match (missing, superseded) {
            (Some(missing), Some(superseded)) => Some(missing.min(superseded)),
            (missing, superseded) => missing.or(superseded),
        }
    }

    /// When a list last held it. That was before one lacked it, whatever the clock of that moment said.
    fn last_seen_ns(&self) -> i64 {
        self.missing_since_ns.map_or(self.confirmed_ns, |missing| self.confirmed_ns.min(missing))
    }

    /// Since when, and in how many lists in a row, it has been missing.
    pub(crate) fn missing(&self) -> Option<(i64, i64)> {
        self.missing_since_ns.map(|since| (since, self.missing_lists))
    }
}

fn gap(text: &str) -> Option<Gap> {
    let (from, to) = text.split_once(':')?;
    let from_ns = from.parse::<i64>().ok()?.saturating_mul(SECOND_NS);
    Some(Gap { from_ns, to_ns: to.parse::<i64>().ok().map(|to| to.saturating_mul(SECOND_NS)) })
}

pub(super) const ALLOCATION: &str = "SELECT a.allocation, a.device, a.job, a.status, a.modify_index, a.created_ns, a.ran, \
    a.lead_ns, a.marks, a.stop_desired_ns, a.ended_ns, a.disputed, a.rate_micros_per_hour, a.confirmed_ns, \
    a.missing_since_ns, a.missing_lists, n.superseded_s, \
    (SELECT group_concat(g.from_s || ':' || COALESCE(g.to_s, ''), ' ') FROM node_gaps g WHERE g.node = a.node \
    AND (g.to_s IS NULL OR g.to_s > a.created_ns / 1000000000) \
    AND (a.ended_ns IS NULL OR g.from_s <= a.ended_ns / 1000000000)) AS gaps \
    FROM allocations a JOIN nodes n ON n.node = a.node";

const UNASKED: &str =
    "SELECT allocation, node, unasked_end AS at FROM allocations WHERE unasked_end IS NOT NULL";

impl Store {
    /// A device's allocations that are live or ended at `since_ns` or later: those that live first, each kind the newest first.
    pub(crate) async fn allocations_since(
        &self,
        device: &str,
        since_ns: i64,
    ) -> Result<Vec<AllocationRow>, sqlx::Error> {
        let query = format!(
            "{ALLOCATION} WHERE a.device = $1 AND (a.ended_ns IS NULL OR a.ended_ns >= $2) \
             ORDER BY CASE WHEN a.ended_ns IS NULL THEN 0 ELSE 1 END, a.created_ns DESC, a.allocation"
        );
        sqlx::query_as(&query).bind(device).bind(since_ns).fetch_all(&self.pool).await
    }

    /// Every allocation that has not ended.
    pub(crate) async fn live_allocations(&self) -> Result<Vec<AllocationRow>, sqlx::Error> {
        sqlx::query_as(&format!("{ALLOCATION} WHERE a.ended_ns IS NULL")).fetch_all(&self.pool).await
    }

    /// Takes a sighting into an allocation's row, in one piece: two gateways on one database lose nothing of each other's.
    /// None: the ledger does not have it. `sent_end`: the index at which a client sent the end that is seen; its node is
    /// to be asked, unless it had ended before that or its end is disputed already.
    pub(crate) async fn see_allocation(
        &self,
        allocation: &str,
        sighting: Sighting,
        sent_end: Option<i64>,
    ) -> Result<Option<Look>, sqlx::Error> {
        let query = format!("{ALLOCATION} WHERE a.allocation = $1");
        let read = || sqlx::query_as::<_, AllocationRow>(&query).bind(allocation);
        let Some(row) = read().fetch_optional(&self.pool).await? else { return Ok(None) };
        let look = look_at(&row, sighting);
        if look.after == look.before {
            return Ok(Some(look));
        }
        let mut tx = self.write_soon().await?;
        let look = look_at(&read().fetch_one(&mut *tx).await?, sighting);
        if look.after != look.before {
            let had_ended = |at| look.before.marks.first_end().is_some_and(|first| first < at);
            let unasked = sent_end.filter(|at| !look.after.disputed && !had_ended(*at));
            write(&mut tx, allocation, &look.after, unasked).await?;
        }
        tx.commit().await?;
        Ok(Some(look))
    }

    /// Writes down an allocation at first sight, at the price of the moment. Somebody else may have been first.
    pub(crate) async fn add_allocation(
        &self,
        new: &NewAllocation<'_>,
        now_ns: i64,
    ) -> Result<(), sqlx::Error> {
        let NewAllocation { allocation, node, job, entry, priced, sent_end } = *new;
        let mut tx = self.write_soon().await?;
        let added = sqlx::query(
            "INSERT INTO allocations (allocation, node, device, account, job, status, modify_index, created_ns, ran, \
             confirmed_ns, rate_micros_per_hour, priced) \
             SELECT $1, n.node, n.device, d.account, $3, $4, $5, $6, 0, $7, $8, $9 \
             FROM nodes n JOIN devices d ON d.device = n.device WHERE n.node = $2 \
             ON CONFLICT (allocation) DO NOTHING",
        )
        .bind(allocation)
        .bind(node)
        .bind(job)
        .bind(entry.status.word())
        .bind(entry.modify_index)
        .bind(entry.created_ns)
        .bind(now_ns)
        .bind(entry.rate_micros_per_hour)
        .bind(i64::from(priced))
        .execute(&mut *tx)
        .await?;
        if added.rows_affected() == 1 {
            write(&mut tx, allocation, entry, sent_end).await?;
        }
        tx.commit().await
    }

    /// Ends an allocation that the region has forgotten for certain.
    pub(crate) async fn end_forgotten(&self, row: &AllocationRow) -> Result<(), sqlx::Error> {
        let mut entry = row.entry();
        entry.vanish(row.last_seen_ns());
        let query = "UPDATE allocations SET status = $1, ended_ns = $2 \
                     WHERE allocation = $3 AND ended_ns IS NULL AND missing_since_ns IS NOT NULL";
        let ended = sqlx::query(query).bind(entry.status.word()).bind(entry.ended_ns).bind(&row.allocation);
        ended.execute(&self.pool).await.map(drop)
    }

    /// An allocation's end, if its node is still to be asked whether it sent it.
    pub(crate) async fn unasked_end(&self, allocation: &str) -> Result<Option<UnaskedEnd>, sqlx::Error> {
        let query = format!("{UNASKED} AND allocation = $1");
        sqlx::query_as(&query).bind(allocation).fetch_optional(&self.pool).await
    }

    /// Every such end.
    pub(crate) async fn unasked_ends(&self) -> Result<Vec<UnaskedEnd>, sqlx::Error> {
        sqlx::query_as(UNASKED).fetch_all(&self.pool).await
    }

    /// Its node has been asked. `disputed`: it did not send this end.
    pub(crate) async fn settle_end(&self, end: &UnaskedEnd, disputed: bool) -> Result<(), sqlx::Error> {
        let query = "UPDATE allocations SET unasked_end = NULL, disputed = CASE WHEN $3 = 1 THEN 1 ELSE disputed END \
                     WHERE allocation = $1 AND unasked_end = $2";
        let settled = sqlx::query(query).bind(&end.allocation).bind(end.at).bind(i64::from(disputed));
        settled.execute(&self.pool).await.map(drop)
    }

    /// A complete list of the region holds these live allocations of the ledger, and lacks those.
    pub(crate) async fn note_list(
        &self,
        listed: &[String],
        missing: &[String],
        now_ns: i64,
    ) -> Result<(), sqlx::Error> {
        let mut tx = self.write_soon().await?;
        for allocation in listed {
            sqlx::query(
                "UPDATE allocations SET confirmed_ns = $1, missing_since_ns = NULL, missing_lists = 0 \
                 WHERE allocation = $2",
            )
            .bind(now_ns)
            .bind(allocation)
            .execute(&mut *tx)
            .await?;
        }
        for allocation in missing {
            sqlx::query(
                "UPDATE allocations SET missing_since_ns = COALESCE(missing_since_ns, $1), \
                 missing_lists = missing_lists + 1 WHERE allocation = $2",
            )
            .bind(now_ns)
            .bind(allocation)
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await
    }

    /// Allocations whose price is not settled yet, and their nodes.
    pub(crate) async fn unpriced(&self) -> Result<Vec<(String, String)>, sqlx::Error> {
        let query =
            "SELECT allocation, node FROM allocations WHERE priced = 0 ORDER BY created_ns, allocation";
        sqlx::query_as(query).fetch_all(&self.pool).await
    }

    /// Settles an allocation's price, once and for all. Gives its device if this did it.
    pub(crate) async fn settle_price(
        &self,
        allocation: &str,
        price: &Price,
    ) -> Result<Option<String>, sqlx::Error> {
        sqlx::query_scalar(
            "UPDATE allocations SET rate_micros_per_hour = $1, gpu = $2, priced = $3 \
             WHERE allocation = $4 AND priced = 0 RETURNING device",
        )
        .bind(price.rate_micros_per_hour)
        .bind(&price.gpu)
        .bind(if price.doubtful { 2 } else { 1 })
        .bind(allocation)
        .fetch_optional(&self.pool)
        .await
    }
}

fn look_at(row: &AllocationRow, sighting: Sighting) -> Look {
    let before = row.entry();
    let mut after = before.clone();
    after.see(sighting);
    Look { device: row.device.clone(), before, after }
}

/// `unasked_end`: none leaves it as it was.
async fn write(
    tx: &mut Tx,
    allocation: &str,
    entry: &Entry,
    unasked_end: Option<i64>,
) -> Result<(), sqlx::Error> {
    let marks = serde_json::to_string(&entry.marks).map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query(
        "UPDATE allocations SET status = $1, modify_index = $2, ran = $3, lead_ns = $4, marks = $5, \
         stop_desired_ns = $6, ended_ns = $7, disputed = $8, unasked_end = COALESCE($10, unasked_end) \
         WHERE allocation = $9",
    )
    .bind(entry.status.word())
    .bind(entry.modify_index)
    .bind(i64::from(entry.started))
    .bind(entry.lead_ns)
    .bind(marks)
    .bind(entry.stop_desired_ns)
    .bind(entry.ended_ns)
    .bind(i64::from(entry.disputed))
    .bind(allocation)
    .bind(unasked_end)
    .execute(&mut **tx)
    .await
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: i64 = 1_795_378_611_000_000_000;

    /// With three allocations of the first version's.
    async fn old_books() -> Store {
        let pool = sqlx::sqlite::SqlitePoolOptions::new()
            .max_connections(1)
            .connect("sqlite::memory:")
            .await
            .unwrap();
        let old = format!(
            "INSERT INTO accounts VALUES ('a', 'issuer', 'alice', 1); \
             INSERT INTO devices VALUES ('d', 'a', '', 1, 'aa', 1, NULL); \
             INSERT INTO nodes VALUES ('n', 'd', 'ready', 1, 1, 5, 6, 7, NULL); \
             INSERT INTO allocations VALUES \
             ('ended', 'n', 'd', 'j', 'complete', 9, {BEGIN}, 1, NULL, {BEGIN} + 10000000000, 1, 3600000), \
             ('running', 'n', 'd', 'j', 'running', 9, {BEGIN}, 1, NULL, NULL, 1, 3600000), \
             ('never-ran', 'n', 'd', 'j', 'failed', 9, {BEGIN}, 0, NULL, {BEGIN} + 10000000000, 1, 3600000)"
        );
        let migrations = [
            include_str!("../../migrations/0001_first.sql"),
            &old,
            include_str!("../../migrations/0002_wanted_and_money.sql"),
        ];
        for sql in migrations {
            sqlx::raw_sql(sql).execute(&pool).await.unwrap();
        }

        Store { durable: pool.clone(), pool }
    }

    #[tokio::test]
    async fn what_was_in_the_books_before_earns_what_it_did() {
        let rows = old_books().await.allocations_since("d", 0).await.unwrap();

        let earned: Vec<_> = rows
            .iter()
            .map(|row| {
                (row.allocation.as_str(), row.entry().total_at(BEGIN + 20 * SECOND_NS, row.silent_since_ns()))
            })
            .collect();
        assert_eq!(earned, [("running", 20_000), ("ended", 10_000), ("never-ran", 0)]);
    }

    #[tokio::test]
    async fn what_was_confirmed_while_the_clock_was_ahead_is_paid_until_it_was_missing() {
        let store = old_books().await;
        let (seen, ahead) = (["running".to_owned()], BEGIN + 3_600 * SECOND_NS);
        store.note_list(&seen, &[], ahead).await.unwrap();
        store.note_list(&[], &seen, BEGIN + 5 * SECOND_NS).await.unwrap();
        let earned = async || {
            let rows = store.allocations_since("d", 0).await.unwrap();
            let row = rows.into_iter().find(|row| row.allocation == "running").unwrap();
            (row.entry().total_at(ahead, row.silent_since_ns()), row)
        };

        let (while_missing, row) = earned().await;
        store.end_forgotten(&row).await.unwrap();

        assert_eq!((while_missing, earned().await.0), (5_000, 5_000));
    }
}
