//! What the gateway remembers. SQL lives here and in the files below, and nowhere else: run-time queries with `$1`
//! placeholders and integer times, so that PostgreSQL can follow.

use std::str::FromStr as _;
use std::time::Duration;

use anyhow::Context as _;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Sqlite, Transaction};

#[path = "store/allocations.rs"]
mod allocations;
#[path = "store/devices.rs"]
mod devices;
#[path = "store/gaps.rs"]
mod gaps;
#[path = "store/history.rs"]
mod history;
#[path = "store/owner.rs"]
mod owner;
#[path = "store/pruning.rs"]
mod pruning;
#[path = "store/region.rs"]
mod region;
#[path = "store/sessions.rs"]
mod sessions;
#[path = "store/wanted.rs"]
mod wanted;

pub(crate) use self::allocations::{AllocationRow, NewAllocation, Price, UnaskedEnd};
pub(crate) use self::devices::{DeviceRow, Ended, EnrolOutcome, Enrolment, Right};
pub(crate) use self::history::{Cursor, HistoryRow, Whose};
pub(crate) use self::region::{KeptNode, NodeRow};
pub(crate) use self::wanted::{Want, Wanted};

pub(crate) type Tx = Transaction<'static, Sqlite>;

/// A handle to the database.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    /// For reading, and for what the region would tell again: a power cut may take the last seconds of it.
    pool: SqlitePool,
    /// For what was answered to somebody: on the disk before the answer.
    durable: SqlitePool,
}

impl Store {
    /// Opens the database, makes it when it is not there, and brings its tables up to date.
    pub(crate) async fn open(url: &str) -> anyhow::Result<Self> {
        let options = SqliteConnectOptions::from_str(url)
            .context("database_url")?
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(Duration::from_secs(5));
        let durable = open(options.clone().synchronous(SqliteSynchronous::Full), 2).await?;
        sqlx::migrate!("./migrations").run(&durable).await.context("bringing the database up to date")?;
        let pool = open(options.synchronous(SqliteSynchronous::Normal), 8).await?;
        Ok(Self { pool, durable })
    }

    /// Whether the database answers.
    pub(crate) async fn ping(&self) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT 1").execute(&self.pool).await.map(drop)
    }

    /// Closes all connections, so that the last writes are in the file.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
        self.durable.close().await;
    }

    /// A transaction that may write, on the disk once it is committed. It takes SQLite's one write lock at once: taking it half-way can fail.
    pub(crate) async fn write(&self) -> Result<Tx, sqlx::Error> {
        self.durable.begin_with("BEGIN IMMEDIATE").await
    }

    /// The same for what the region would tell again: on the disk within moments, so that no event waits for one.
    pub(crate) async fn write_soon(&self) -> Result<Tx, sqlx::Error> {
        self.pool.begin_with("BEGIN IMMEDIATE").await
    }
}

async fn open(options: SqliteConnectOptions, connections: u32) -> anyhow::Result<SqlitePool> {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(10))
        .connect_with(options)
        .await
        .context("opening the database")
}
