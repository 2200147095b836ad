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
#[path = "store/region.rs"]
mod region;
#[path = "store/wanted.rs"]
mod wanted;

pub(crate) use self::allocations::{AllocationRow, Price};
pub(crate) use self::devices::{DeviceRow, Ended, EnrolOutcome, Enrolment};
pub(crate) use self::region::{KeptNode, NodeRow};
pub(crate) use self::wanted::{Want, Wanted};

pub(crate) type Tx = Transaction<'static, Sqlite>;

/// A handle to the database.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pool: SqlitePool,
}

impl Store {
    /// Opens the database, makes it when it is not there, and brings its tables up to date.
    pub(crate) async fn open(url: &str) -> anyhow::Result<Self> {
        let options = SqliteConnectOptions::from_str(url)
            .context("database_url")?
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            // What was answered to a PC must survive a power cut.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new()
            .max_connections(8)
            .acquire_timeout(Duration::from_secs(10))
            .connect_with(options)
            .await
            .context("opening the database")?;
        sqlx::migrate!("./migrations").run(&pool).await.context("bringing the database up to date")?;
        Ok(Self { pool })
    }

    /// Whether the database answers.
    pub(crate) async fn ping(&self) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT 1").execute(&self.pool).await.map(drop)
    }

    /// Closes all connections, so that the last writes are in the file.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    /// A transaction that may write. It takes SQLite's one write lock at once: taking it half-way can fail.
    pub(crate) async fn write(&self) -> Result<Tx, sqlx::Error> {
        self.pool.begin_with("BEGIN IMMEDIATE").await
    }
}
