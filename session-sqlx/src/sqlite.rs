//! The store on SQLite.

use std::error::Error as StdError;
use std::path::Path;
use std::time::Duration;

use session_core::{
    Create, Expiry, Loaded, Record, SessionStore, StoreError, StoreKey, Times, Timestamp, Touch, Update, Version,
    async_trait,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqliteRow, SqliteSynchronous};
use sqlx::{Executor as _, Row as _};

/// Longer than anybody waits, and short enough that no sum of two of them and the time leaves the range of an integer.
const LONGEST_MILLIS: i64 = i64::MAX / 4;

/// The database's clock in milliseconds; the same at each place of one statement.
macro_rules! now {
    () => {
        "CAST(round(unixepoch('subsec') * 1000) AS INTEGER)"
    };
}

/// Keeps sessions in an SQLite database of yours. Each verb is one statement, so each is atomic; the database's own clock
/// judges deadlines. Clones use the same pool.
///
/// A write that finds the database locked waits for the pool's `busy_timeout`. With `synchronous = NORMAL`, the usual
/// setting with a write-ahead log, a loss of power may take the last moments' writes and logouts with it; the end of the
/// process takes nothing.
///
/// See the [crate's page](crate) for an example.
#[derive(Clone, Debug)]
pub struct SqliteStore(SqlitePool);

impl SqliteStore {
    /// A store on the tables of `schema/sqlite.sql`. The pool of an in-memory database may have one connection only:
    /// each would see a database of its own.
    ///
    /// ```
    /// # use session_sqlx::SqliteStore;
    /// # use sqlx::sqlite::SqlitePool;
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let store = SqliteStore::new(SqlitePool::connect_lazy_with(SqliteStore::options("sessions.db")));
    /// assert!(format!("{store:?}").starts_with("SqliteStore"));
    /// # });
    /// ```
    #[must_use]
    pub const fn new(pool: SqlitePool) -> Self {
        Self(pool)
    }

    /// What suits sessions in a file: created if it is missing, a write-ahead log so that reading never waits for writing,
    /// `synchronous = NORMAL`, and at most half a second of waiting for another writer.
    ///
    /// ```
    /// # use session_sqlx::SqliteStore;
    /// assert_eq!(SqliteStore::options("sessions.db").get_filename().to_str(), Some("sessions.db"));
    /// ```
    #[must_use]
    pub fn options(file: impl AsRef<Path>) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(Duration::from_millis(500))
    }

    /// Makes the tables if they are missing. Doing it twice is fine.
    ///
    /// # Errors
    /// If the database refuses.
    ///
    /// ```
    /// # use session_sqlx::SqliteStore;
    /// # use sqlx::sqlite::SqlitePoolOptions;
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
    /// let store = SqliteStore::new(pool);
    /// store.migrate().await?;
    /// assert!(store.migrate().await.is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub async fn migrate(&self) -> Result<(), StoreError> {
        self.0.execute(Self::schema()).await.map_err(|error| StoreError::new("making the tables for", error))?;
        Ok(())
    }

    /// The tables as SQL, to run yourself.
    ///
    /// ```
    /// # use session_sqlx::SqliteStore;
    /// assert!(SqliteStore::schema().contains("CREATE TABLE IF NOT EXISTS sessions"));
    /// ```
    #[must_use]
    pub const fn schema() -> &'static str {
        include_str!("../schema/sqlite.sql")
    }
}

const LOAD: &str = concat!(
    "SELECT version, created_at, seen_at, expires_at, record, ",
    now!(),
    " AS now ",
    "FROM sessions WHERE key = ?1 AND expires_at > ",
    now!()
);

/// An expired record gives its place up.
const CREATE: &str = concat!(
    "INSERT INTO sessions (key, version, subject, created_at, seen_at, expires_at, idle, lifetime, record) ",
    "VALUES (?1, 1, ?2, ",
    now!(),
    ", ",
    now!(),
    ", ",
    now!(),
    " + min(?3, ?4), ?3, ?4, ?5) ",
    "ON CONFLICT (key) DO UPDATE SET version = 1, subject = excluded.subject, created_at = excluded.created_at, ",
    "seen_at = excluded.seen_at, expires_at = excluded.expires_at, idle = excluded.idle, ",
    "lifetime = excluded.lifetime, record = excluded.record ",
    "WHERE sessions.expires_at <= ",
    now!()
);

/// `update` and `rename` are the same statement, with the old key or a new one. An expired record gives its place up.
const WRITE: &str = concat!(
    "UPDATE OR REPLACE sessions SET key = ?6, version = ?7 + 1, subject = ?2, seen_at = ",
    now!(),
    ", ",
    "expires_at = min(",
    now!(),
    " + ?3, created_at + ?4), idle = ?3, lifetime = ?4, record = ?5 ",
    "WHERE key = ?1 AND version = ?7 AND expires_at > ",
    now!(),
    " AND (?6 = ?1 OR NOT EXISTS ",
    "(SELECT 1 FROM sessions AS other WHERE other.key = ?6 AND other.expires_at > ",
    now!(),
    "))"
);

const VERSION: &str = concat!("SELECT version FROM sessions WHERE key = ?1 AND expires_at > ", now!());

const TOUCH: &str = concat!(
    "UPDATE sessions SET seen_at = ",
    now!(),
    ", expires_at = min(",
    now!(),
    " + idle, created_at + lifetime) ",
    "WHERE key = ?1 AND expires_at > ",
    now!()
);

const DELETE: &str = concat!(
    "WITH RECURSIVE chain (key) AS (VALUES (?1) UNION SELECT session_renames.key FROM session_renames ",
    "JOIN chain ON session_renames.former = chain.key WHERE session_renames.until > ",
    now!(),
    ") ",
    "DELETE FROM sessions WHERE key IN (SELECT key FROM chain)"
);

const SWEEP: &str = concat!(
    "DELETE FROM sessions WHERE key IN (SELECT key FROM sessions WHERE expires_at <= ",
    now!(),
    " LIMIT ?1) ",
    "AND expires_at <= ",
    now!()
);

const SWEEP_RENAMES: &str = concat!(
    "DELETE FROM session_renames WHERE former IN (SELECT former FROM session_renames WHERE until <= ",
    now!(),
    " LIMIT ?1)"
);

#[async_trait]
impl SessionStore for SqliteStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>, StoreError> {
        let row = sqlx::query(LOAD).bind(key.to_hex()).fetch_optional(&self.0).await;
        match row.map_err(|error| StoreError::new("loading", error))? {
            Some(row) => read(&row).map_err(|error| StoreError::new("loading", error)),
            None => Ok(None),
        }
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Create, StoreError> {
        let created = sqlx::query(CREATE)
            .bind(key.to_hex())
            .bind(record.subject.as_deref())
            .bind(idle(record.expiry))
            .bind(lifetime(record.expiry))
            .bind(json(record))
            .execute(&self.0)
            .await
            .map_err(|error| StoreError::new("creating", error))?;
        Ok(if created.rows_affected() == 1 { Create::Created } else { Create::Taken })
    }

    async fn update(&self, key: &StoreKey, record: &Record, seen: Version) -> Result<Update, StoreError> {
        self.write(key, key, record, seen).await.map_err(|error| StoreError::new("updating", error))
    }

    async fn touch(&self, key: &StoreKey) -> Result<Touch, StoreError> {
        let touched = sqlx::query(TOUCH).bind(key.to_hex()).execute(&self.0).await;
        let touched = touched.map_err(|error| StoreError::new("touching", error))?;
        Ok(if touched.rows_affected() == 1 { Touch::Touched } else { Touch::Gone })
    }

    async fn rename(
        &self,
        old: &StoreKey,
        new: &StoreKey,
        record: &Record,
        seen: Version,
    ) -> Result<Update, StoreError> {
        self.write(old, new, record, seen).await.map_err(|error| StoreError::new("renaming", error))
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        let deleted = sqlx::query(DELETE).bind(key.to_hex()).execute(&self.0).await;
        deleted.map_err(|error| StoreError::new("deleting", error))?;
        Ok(())
    }

    async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let failed = |error| StoreError::new("sweeping", error);
        sqlx::query(SWEEP_RENAMES).bind(limit).execute(&self.0).await.map_err(failed)?;
        let swept = sqlx::query(SWEEP).bind(limit).execute(&self.0).await.map_err(failed)?;
        Ok(usize::try_from(swept.rows_affected()).unwrap_or(usize::MAX))
    }
}

impl SqliteStore {
    async fn write(
        &self,
        old: &StoreKey,
        new: &StoreKey,
        record: &Record,
        seen: Version,
    ) -> Result<Update, Box<dyn StdError + Send + Sync>> {
        let written = sqlx::query(WRITE)
            .bind(old.to_hex())
            .bind(record.subject.as_deref())
            .bind(idle(record.expiry))
            .bind(lifetime(record.expiry))
            .bind(json(record))
            .bind(new.to_hex())
            .bind(integer(seen.as_u64()))
            .execute(&self.0)
            .await?;
        if written.rows_affected() == 1 {
            return Ok(Update::Updated);
        }
        // Nothing happened; this only says why.
        let version: Option<i64> = sqlx::query_scalar(VERSION).bind(old.to_hex()).fetch_optional(&self.0).await?;
        match version {
            None => Ok(Update::Gone),
            Some(version) if version == integer(seen.as_u64()) && old != new => Err("the new key is taken".into()),
            Some(_) => Ok(Update::Conflict),
        }
    }
}

/// A record that can't be read is no session: its visitor begins anew.
fn read(row: &SqliteRow) -> Result<Option<Loaded>, sqlx::Error> {
    let json: String = row.try_get("record")?;
    let record = match Record::from_json(json.as_bytes()) {
        Ok(record) => record,
        Err(error) => {
            tracing::warn!(%error, "a session in the store can't be read and counts as absent");
            return Ok(None);
        }
    };
    let number = |column: &str| row.try_get(column).map(|number: i64| u64::try_from(number).unwrap_or(0));
    let time = |column: &str| number(column).map(Timestamp::from_millis);
    let times = Times { created: time("created_at")?, seen: time("seen_at")?, expires: time("expires_at")? };
    Ok(Some(Loaded { record, version: Version::from_u64(number("version")?), times, now: time("now")? }))
}

fn json(record: &Record) -> String {
    String::from_utf8_lossy(&record.to_json()).into_owned()
}

fn idle(expiry: Expiry) -> i64 {
    millis(expiry.idle)
}

fn lifetime(expiry: Expiry) -> i64 {
    millis(expiry.lifetime)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(LONGEST_MILLIS).min(LONGEST_MILLIS)
}

fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
