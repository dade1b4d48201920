//! The store on SQLite.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use session_core::{
    Create, Ended, EndedBy, Found, Loaded, Record, SessionStore, StoreError, StoreKey, SubjectLimit, Timestamp, Touch,
    Update, Verb, Version, Witness, Witnesses, async_trait,
};
use sqlx::sqlite::{
    Sqlite, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqliteRow, SqliteSynchronous,
};
use sqlx::{Connection as _, Error, Transaction, query, query_scalar, raw_sql};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::shared::{
    Ending, Limit, Listing, again, count, ended, failed, found, hash, idle, in_batches, integer, is_taken, json,
    lifetime, millis, subject_hash, told,
};

/// So many rows does a sweep delete in one statement, for about a millisecond: nobody else writes meanwhile.
const BATCH: usize = 10;

/// Keeps sessions in an SQLite database of yours: one file, one machine, nothing to install. Clones use the same pool.
///
/// - **Atomic.** Each verb is one statement. One that has to keep a limit per subject is a short transaction that begins with
///   `BEGIN IMMEDIATE`, so that nobody else writes meanwhile.
/// - **Acknowledged** is what is committed. With [`options`](Self::options) it survives the end of the process, by `SIGKILL`
///   too; a loss of power may take the last moments' writes and logouts with it, and never harms the file. Set
///   `synchronous(SqliteSynchronous::Full)` to keep those too, at the price of a flush to disk a write.
/// - **Time** is the machine's.
/// - **One writes at a time**, which is SQLite's rule; clones queue for it before they take a connection. So however many wait
///   to write, because another process does, reads find a connection and go on.
/// - **Waiting** for another process that writes ends by the connections' `busy_timeout`, for a turn or a connection by the
///   pool's `acquire_timeout`, and is an error.
/// - **A future that is dropped** at work leaves nothing halfway. Whether its last statement happened is unknown, a
///   transaction is undone.
///
/// A file must be on a disk of this machine, not on a network's. See the [crate's page](crate) for an example.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    pool: SqlitePool,
    /// Who writes has its permit.
    turn: Arc<Semaphore>,
    witnesses: Witnesses,
}

/// Reads on a connection of the store's pool.
macro_rules! reading {
    ($store:expr, |$on:ident| $operation:expr) => {
        again(|| async {
            let mut connection = $store.pool.acquire().await?;
            let $on = &mut *connection;
            $operation.await
        })
    };
}

/// Writes in its turn, again if the database undid it because of another process.
macro_rules! writing {
    ($store:expr, |$on:ident| $operation:expr) => {
        again(|| async {
            let _turn = $store.turn().await?;
            let mut connection = $store.pool.acquire().await?;
            let $on = &mut *connection;
            $operation.await
        })
    };
}

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
    pub fn new(pool: SqlitePool) -> Self {
        Self { pool, turn: Arc::new(Semaphore::new(1)), witnesses: Witnesses::default() }
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

    /// Makes the tables if they are missing. Doing it twice is fine. A database with no tables at all is set to
    /// `auto_vacuum = INCREMENTAL`, so that sweeps can give back what the file has too much of.
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
        writing!(self, |on| migrate(on)).await.map_err(|error| StoreError::new("making the tables for sessions", error))
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

    async fn turn(&self) -> Result<SemaphorePermit<'_>, Error> {
        let turn = timeout(self.pool.options().get_acquire_timeout(), self.turn.acquire()).await;
        turn.map_err(|_| Error::PoolTimedOut)?.map_err(|_| Error::PoolClosed)
    }

    /// Deletes at most `limit` rows.
    async fn take(&self, statement: &'static str, limit: usize) -> Result<usize, Error> {
        let delete = |batch| async move {
            let rows = writing!(self, |on| query(statement).bind(batch).execute(on)).await?;
            self.checkpoint().await?;
            Ok(rows.rows_affected())
        };
        in_batches(BATCH, limit, delete).await
    }

    /// Deletes at most `limit` sessions that have expired.
    async fn take_sessions(&self, limit: usize) -> Result<usize, Error> {
        if self.witnesses.is_empty() {
            return self.take(SWEEP, limit).await;
        }
        let delete = |batch| async move {
            let rows = writing!(self, |on| query(SWEEP_AND_READ).bind(batch).fetch_all(on)).await?;
            self.checkpoint().await?;
            self.witnesses.tell(ended(&rows, EndedBy::Deadline));
            Ok(rows.len() as u64)
        };
        in_batches(BATCH, limit, delete).await
    }

    /// Gives unused pages back, as many as records may be swept at most, if they are more than a quarter of the file.
    async fn shrink(&self, limit: usize) -> Result<(), Error> {
        in_batches(BATCH, limit, |batch| async move {
            let unused = || async { reading!(self, |on| query_scalar(UNUSED).fetch_one(on)).await };
            let before: i64 = unused().await?;
            if before == 0 {
                return Ok(0);
            }
            writing!(self, |on| query(SHRINK).execute(on)).await?;
            self.checkpoint().await?;
            // In a file without `auto_vacuum` it stays as it is.
            let after = unused().await?;
            Ok(if after < before { batch.unsigned_abs() } else { 0 })
        })
        .await?;
        Ok(())
    }

    /// Moves what a batch has written from the log into the file. A request whose write finds the log long has to move all
    /// of it and waits for the disk, so a sweep leaves none of its own there.
    async fn checkpoint(&self) -> Result<(), Error> {
        reading!(self, |on| query(CHECKPOINT).execute(on)).await?;
        Ok(())
    }
}

#[async_trait]
impl SessionStore for SqliteStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>, StoreError> {
        Ok(self.find(key).await?.live())
    }

    async fn find(&self, key: &StoreKey) -> Result<Found, StoreError> {
        let row = reading!(self, |on| query(LOAD).bind(key.to_hex()).fetch_optional(on)).await;
        found::<SqliteRow>(failed(Verb::Load, row)?.as_ref())
    }

    async fn create(&self, key: &StoreKey, record: &Record, limit: SubjectLimit) -> Result<Create, StoreError> {
        let limit = Limit::of(record, limit);
        let created = writing!(self, |on| create(on, key, record, limit.as_ref())).await;
        told(&self.witnesses, Verb::Create, created)
    }

    async fn update(&self, key: &StoreKey, record: &Record, seen: Version) -> Result<Update, StoreError> {
        failed(Verb::Update, writing!(self, |on| update(on, key, record, seen)).await)
    }

    async fn touch(&self, key: &StoreKey) -> Result<Touch, StoreError> {
        let touched = writing!(self, |on| query(TOUCH).bind(key.to_hex()).execute(on)).await;
        Ok(if failed(Verb::Touch, touched)?.rows_affected() == 1 { Touch::Touched } else { Touch::Gone })
    }

    async fn rename(
        &self,
        old: &StoreKey,
        new: &StoreKey,
        record: &Record,
        seen: Version,
        limit: SubjectLimit,
    ) -> Result<Update, StoreError> {
        let limit = Limit::of(record, limit);
        let rename = || writing!(self, |on| rename(on, old, new, record, seen, limit.as_ref()));
        let mut renamed = rename().await;
        if is_taken(&renamed) {
            failed(Verb::Rename, writing!(self, |on| free(on, new)).await)?;
            renamed = rename().await;
        }
        told(&self.witnesses, Verb::Rename, renamed)
    }

    async fn delete(&self, key: &StoreKey) -> Result<bool, StoreError> {
        failed(Verb::Delete, writing!(self, |on| delete(on, key, None)).await)
    }

    async fn sessions_of(&self, subject: &str, most: usize) -> Result<Vec<(StoreKey, Loaded)>, StoreError> {
        let subject = hash(subject);
        let mut listing = Listing::new(most);
        while let Some((after, limit)) = listing.next() {
            let page = || query(LIST).bind(&subject).bind(after.created).bind(after.number).bind(limit);
            let rows = reading!(self, |on| page().fetch_all(on)).await;
            listing.add(&failed(Verb::SessionsOf, rows)?)?;
        }
        Ok(listing.sessions())
    }

    async fn delete_one_of(&self, subject: &str, key: &StoreKey) -> Result<bool, StoreError> {
        let subject = hash(subject);
        failed(Verb::DeleteOneOf, writing!(self, |on| delete(on, key, Some(&subject))).await)
    }

    async fn delete_all_of(&self, subject: &str, except: Option<&StoreKey>) -> Result<usize, StoreError> {
        let (subject, except) = (hash(subject), except.map(StoreKey::to_hex));
        let ended = writing!(self, |on| query(DELETE_ALL).bind(&subject).bind(&except).execute(on)).await;
        Ok(count(failed(Verb::DeleteAllOf, ended)?.rows_affected()))
    }

    async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        for statement in SWEEP_THE_REST {
            failed(Verb::Sweep, self.take(statement, limit).await)?;
        }
        let swept = failed(Verb::Sweep, self.take_sessions(limit).await)?;
        failed(Verb::Sweep, self.shrink(limit).await)?;
        Ok(swept)
    }

    async fn revoke(&self, key: &StoreKey, keep: Duration) -> Result<bool, StoreError> {
        failed(Verb::Revoke, writing!(self, |on| revoke(on, key, keep)).await)
    }

    async fn revoke_all_of(&self, subject: &str, until: Timestamp, keep: Duration) -> Result<(), StoreError> {
        let (subject, made) = (hash(subject), integer(until.as_millis()));
        let revoke = || query(REVOKE_ALL).bind(&subject).bind(made).bind(millis(keep));
        failed(Verb::RevokeAllOf, writing!(self, |on| revoke().execute(on)).await)?;
        Ok(())
    }

    async fn is_revoked(&self, keys: &[StoreKey], subject: Option<&str>, made: Timestamp) -> Result<bool, StoreError> {
        let subject = subject.map(hash);
        failed(Verb::IsRevoked, reading!(self, |on| is_revoked(on, keys, subject.as_deref(), made)).await)
    }

    fn watch(&self, witness: &Arc<dyn Witness>) -> bool {
        self.witnesses.add(witness);
        true
    }
}

/// The store at work.
type On = SqliteConnection;

async fn migrate(on: &mut On) -> Result<(), Error> {
    let tables: i64 = query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *on).await?;
    if tables == 0 {
        // Not an option of each connection, which would have to write for it.
        raw_sql("PRAGMA auto_vacuum = INCREMENTAL; VACUUM").execute(&mut *on).await?;
    }
    let mut on = begin(on).await?;
    raw_sql(SqliteStore::schema()).execute(&mut *on).await?;
    on.commit().await
}

/// Begins a transaction in which nobody else writes.
async fn begin(on: &mut On) -> Result<Transaction<'_, Sqlite>, Error> {
    on.begin_with("BEGIN IMMEDIATE").await
}

/// The outcome, and who had to end for it.
async fn create(on: &mut On, key: &StoreKey, record: &Record, limit: Option<&Limit>) -> Ending<Create> {
    let Some(limit) = limit else { return Ok((insert(on, key, record).await?, Vec::new())) };
    let mut on = begin(on).await?;
    let beyond = beyond(&mut on, limit, key).await?;
    if limit.refuses(&beyond) {
        on.rollback().await?;
        return Ok((Create::Full, Vec::new()));
    }
    let created = insert(&mut on, key, record).await?;
    let ended = if created == Create::Created { end(&mut on, &beyond).await? } else { Vec::new() };
    on.commit().await?;
    Ok((created, ended))
}

async fn insert(on: &mut On, key: &StoreKey, record: &Record) -> Result<Create, Error> {
    let created = query(CREATE)
        .bind(key.to_hex())
        .bind(subject_hash(record))
        .bind(idle(record))
        .bind(lifetime(record))
        .bind(json(record))
        .execute(on)
        .await?;
    Ok(if created.rows_affected() == 1 { Create::Created } else { Create::Taken })
}

async fn update(on: &mut On, key: &StoreKey, record: &Record, seen: Version) -> Result<Update, Error> {
    write(on, key, key, record, seen).await
}

/// As [`create`].
async fn rename(
    on: &mut On,
    old: &StoreKey,
    new: &StoreKey,
    record: &Record,
    seen: Version,
    limit: Option<&Limit>,
) -> Ending<Update> {
    let Some(limit) = limit else { return Ok((write(on, old, new, record, seen).await?, Vec::new())) };
    let mut on = begin(on).await?;
    let beyond = beyond(&mut on, limit, old).await?;
    if limit.refuses(&beyond) {
        let why = why(&mut on, old, seen, Update::Full).await?;
        on.rollback().await?;
        return Ok((why, Vec::new()));
    }
    let renamed = write(&mut on, old, new, record, seen).await?;
    let ended = if renamed == Update::Updated { end(&mut on, &beyond).await? } else { Vec::new() };
    on.commit().await?;
    Ok((renamed, ended))
}

async fn write(on: &mut On, old: &StoreKey, new: &StoreKey, record: &Record, seen: Version) -> Result<Update, Error> {
    let written = query(WRITE)
        .bind(old.to_hex())
        .bind(integer(seen.as_u64()))
        .bind(subject_hash(record))
        .bind(idle(record))
        .bind(lifetime(record))
        .bind(json(record))
        .bind(new.to_hex())
        .execute(&mut *on)
        .await?;
    if written.rows_affected() == 1 {
        return Ok(Update::Updated);
    }
    why(on, old, seen, Update::Conflict).await
}

/// Why nothing was written, if the record was live and as it was seen: `otherwise`.
async fn why(on: &mut On, key: &StoreKey, seen: Version, otherwise: Update) -> Result<Update, Error> {
    let version: Option<i64> = query_scalar(VERSION).bind(key.to_hex()).fetch_optional(on).await?;
    Ok(match version {
        None => Update::Gone,
        Some(version) if version == integer(seen.as_u64()) => otherwise,
        Some(_) => Update::Conflict,
    })
}

/// An expired record gives its key up.
async fn free(on: &mut On, key: &StoreKey) -> Result<(), Error> {
    query(FREE).bind(key.to_hex()).execute(on).await?;
    Ok(())
}

/// Which sessions of the subject, `own` not among them, are too many.
async fn beyond(on: &mut On, limit: &Limit, own: &StoreKey) -> Result<Vec<i64>, Error> {
    query_scalar(BEYOND).bind(&limit.subject).bind(own.to_hex()).bind(limit.others).fetch_all(on).await
}

async fn end(on: &mut On, beyond: &[i64]) -> Result<Vec<Ended>, Error> {
    let mut rows = Vec::new();
    for number in beyond {
        rows.extend(query(END).bind(number).fetch_optional(&mut *on).await?);
    }
    Ok(ended(&rows, EndedBy::Limit))
}

async fn delete(on: &mut On, key: &StoreKey, subject: Option<&str>) -> Result<bool, Error> {
    Ok(query(DELETE).bind(key.to_hex()).bind(subject).execute(on).await?.rows_affected() > 0)
}

async fn revoke(on: &mut On, key: &StoreKey, keep: Duration) -> Result<bool, Error> {
    for (statement, news) in [(REVOKE, true), (REVOKE_FOR_LONGER, false)] {
        let revoked = query(statement).bind(key.to_hex()).bind(millis(keep)).execute(&mut *on).await?;
        if news && revoked.rows_affected() == 1 {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn is_revoked(on: &mut On, keys: &[StoreKey], subject: Option<&str>, made: Timestamp) -> Result<bool, Error> {
    // Four a statement, and nearly always that is all.
    for four in keys.chunks(4).chain(keys.is_empty().then_some(&[][..])) {
        let mut ask = query_scalar(IS_REVOKED);
        for place in 0..4 {
            ask = ask.bind(four.get(place).map(StoreKey::to_hex));
        }
        let revoked: i64 = ask.bind(subject).bind(integer(made.as_millis())).fetch_one(&mut *on).await?;
        if revoked != 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A statement: texts, and between them the database's clock in milliseconds, whether a record is alive, and what is read
/// of one: its state alone, or with its key. The clock is the same at each place of one
/// statement.
macro_rules! sql {
    (@now) => { "CAST(round(unixepoch('subsec') * 1000) AS INTEGER)" };
    (@state) => { concat!("version, created_at, seen_at, expires_at, record, ", sql!(@now), " AS now") };
    (@row) => { concat!("key, ", sql!(@state)) };
    (@live) => { concat!("expires_at > ", sql!(@now)) };
    (@$text:literal) => { $text };
    ($($part:tt)+) => { concat!($(sql!(@$part)),+) };
}

const LOAD: &str = sql!(
    "SELECT " state " FROM sessions WHERE key = ?1"
);

/// An expired record gives its place up.
const CREATE: &str = sql!(
    "INSERT INTO sessions (key, version, subject_hash, created_at, seen_at, expires_at, idle, lifetime, record)
     VALUES (?1, 1, ?2, " now ", " now ", " now " + min(?3, ?4), ?3, ?4, ?5)
     ON CONFLICT (key) DO UPDATE SET version = 1, subject_hash = excluded.subject_hash,
     created_at = excluded.created_at, seen_at = excluded.seen_at, expires_at = excluded.expires_at,
     idle = excluded.idle, lifetime = excluded.lifetime, record = excluded.record
     WHERE sessions.expires_at <= " now
);

/// Both for `update`, where the key stays, and for `rename`: a trigger remembers the former key for as long as the session
/// could have lived under it, and under the new one.
const WRITE: &str = sql!(
    "UPDATE sessions SET key = ?7, version = version + 1, subject_hash = ?3, seen_at = " now ",
     expires_at = min(" now " + ?4, created_at + ?5), idle = ?4, lifetime = ?5, record = ?6
     WHERE key = ?1 AND version = ?2 AND " live
);

const VERSION: &str = sql!("SELECT version FROM sessions WHERE key = ?1 AND " live);

const TOUCH: &str = sql!(
    "UPDATE sessions SET seen_at = " now ", expires_at = min(" now " + idle, created_at + lifetime)
     WHERE key = ?1 AND " live
);

const FREE: &str = sql!("DELETE FROM sessions WHERE key = ?1 AND expires_at <= " now);

const BEYOND: &str = sql!(
    "SELECT number FROM sessions WHERE subject_hash = ?1 AND key <> ?2 AND " live "
     ORDER BY created_at DESC, number DESC LIMIT -1 OFFSET ?3"
);

const END: &str = sql!("DELETE FROM sessions WHERE number = ?1 RETURNING " row);

const DELETE: &str = sql!(
    "DELETE FROM sessions WHERE " live " AND (?2 IS NULL OR subject_hash = ?2) AND (key = ?1 OR number =
     (SELECT session FROM session_renames WHERE former = ?1 AND until > " now "))"
);

const LIST: &str = sql!(
    "SELECT number, " row " FROM sessions
     WHERE subject_hash = ?1 AND " live " AND (created_at, number) < (?2, ?3)
     ORDER BY created_at DESC, number DESC LIMIT ?4"
);

const DELETE_ALL: &str = sql!(
    "DELETE FROM sessions WHERE subject_hash = ?1 AND " live " AND number NOT IN (
         SELECT number FROM sessions WHERE key = ?2 AND " live "
         UNION ALL SELECT session FROM session_renames WHERE former = ?2 AND until > " now "
     )"
);

macro_rules! sweep {
    ($table:literal, $key:literal, $deadline:literal) => {
        sql!(
            "DELETE FROM " $table " WHERE " $key " IN
             (SELECT " $key " FROM " $table " WHERE " $deadline " <= " now " ORDER BY " $deadline " LIMIT ?1)"
        )
    };
}

const SWEEP: &str = sweep!("sessions", "number", "expires_at");

const SWEEP_AND_READ: &str = sql!(
    "DELETE FROM sessions WHERE number IN (SELECT number FROM sessions WHERE expires_at <= " now "
     ORDER BY expires_at LIMIT ?1) RETURNING " row
);

const SWEEP_THE_REST: [&str; 3] = [
    sweep!("session_renames", "former", "until"),
    sweep!("session_revocations", "key", "until"),
    sweep!("session_subject_revocations", "subject_hash", "until"),
];

/// So many pages, unless they are few.
const UNUSED: &str = "SELECT CASE WHEN 4 * freelist_count > page_count AND freelist_count > 250
     THEN freelist_count ELSE 0 END FROM pragma_freelist_count, pragma_page_count";

const SHRINK: &str = "PRAGMA incremental_vacuum (10)";

/// Waits for nobody, and nobody waits for it.
const CHECKPOINT: &str = "PRAGMA wal_checkpoint (PASSIVE)";

/// What has expired is news again.
const REVOKE: &str = sql!(
    "INSERT INTO session_revocations (key, until) VALUES (?1, " now " + ?2)
     ON CONFLICT (key) DO UPDATE SET until = excluded.until WHERE session_revocations.until <= " now
);

const REVOKE_FOR_LONGER: &str = sql!(
    "INSERT INTO session_revocations (key, until) VALUES (?1, " now " + ?2)
     ON CONFLICT (key) DO UPDATE SET until = max(session_revocations.until, excluded.until)"
);

/// A moment that has expired counts no more.
const REVOKE_ALL: &str = sql!(
    "INSERT INTO session_subject_revocations AS known (subject_hash, made, until) VALUES (?1, ?2, " now " + ?3)
     ON CONFLICT (subject_hash) DO UPDATE SET until = max(known.until, excluded.until), made =
     CASE WHEN known.until <= " now " THEN excluded.made ELSE max(known.made, excluded.made) END"
);

const IS_REVOKED: &str = sql!(
    "SELECT EXISTS (SELECT 1 FROM session_revocations WHERE key IN (?1, ?2, ?3, ?4) AND until > " now ")
     OR EXISTS (SELECT 1 FROM session_subject_revocations
     WHERE subject_hash = ?5 AND made >= ?6 AND until > " now ")"
);

mod count;

#[cfg(test)]
mod tests;
