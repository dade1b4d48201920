//! The store on MySQL and MariaDB.

use std::sync::Arc;
use std::time::Duration;

use session_core::{
    Create, Ended, EndedBy, Found, Loaded, Record, SessionStore, StoreError, StoreKey, SubjectLimit, Timestamp, Touch,
    Update, Verb, Version, Witness, Witnesses, async_trait,
};
use sqlx::mysql::{MySql, MySqlPool, MySqlRow};
use sqlx::{Error, Row as _, query, query_scalar, raw_sql};

use crate::lent::{Lent, run};
use crate::shared::{
    Ending, Limit, Listing, again, count, ended, failed, found, hash, idle, in_batches, integer, is_taken, json,
    lifetime, millis, subject_hash, told,
};

/// So many rows does a sweep delete in one statement.
const BATCH: usize = 40;

/// So many rows has the table of locks.
const LOCKS: u32 = 256;

/// Keeps sessions in a MySQL or MariaDB database of yours. Clones use the same pool.
///
/// - **Atomic.** Each verb is one statement, or several each of which leaves nothing halfway. A `rename`, and what has to keep
///   a limit per subject, is a short transaction; in the latter logins of the same subject take turns by the lock on one of
///   the 256 rows of `session_locks`.
/// - **Acknowledged** is what is committed, and so worth what your `innodb_flush_log_at_trx_commit` says: with the default
///   it survives the server's end and a loss of power. After a failover to a replica the last moments may be gone, logouts
///   too.
/// - **Time** is the server's (`UTC_TIMESTAMP`), whatever the time zone of the connection.
/// - **Waiting** ends by the pool's `acquire_timeout` and your `innodb_lock_wait_timeout` and `max_statement_time`, and is an
///   error. What the server undid because of a deadlock is done again, six times in all.
/// - **A future that is dropped** at work closes its connection. Whether its last statement happened is unknown, a
///   transaction is undone, and the pool opens another connection.
///
/// A record may be as large as the server's `max_allowed_packet`, 16 MB or more by default. TLS, the size of the pool and
/// its timeouts are the pool's, with sqlx features of your choice.
///
/// ```no_run
/// use session_sqlx::MySqlStore;
/// use sqlx::mysql::MySqlPoolOptions;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = MySqlPoolOptions::new().max_connections(10).connect("mysql://app@localhost/app").await?;
/// let store = MySqlStore::new(pool);
/// store.migrate().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct MySqlStore {
    pool: MySqlPool,
    witnesses: Witnesses,
}

impl MySqlStore {
    /// A store on the tables of `schema/mysql.sql`.
    ///
    /// ```
    /// # use session_sqlx::MySqlStore;
    /// # use sqlx::mysql::MySqlPool;
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let store = MySqlStore::new(MySqlPool::connect_lazy("mysql://app@localhost/app")?);
    /// assert!(format!("{store:?}").starts_with("MySqlStore"));
    /// # Ok::<(), sqlx::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn new(pool: MySqlPool) -> Self {
        Self { pool, witnesses: Witnesses::default() }
    }

    /// Makes the tables if they are missing. Doing it twice is fine, and so is doing it on several nodes at once.
    ///
    /// # Errors
    /// If the database refuses.
    ///
    /// ```no_run
    /// # use session_sqlx::MySqlStore;
    /// # async fn example(store: MySqlStore) -> Result<(), session_core::StoreError> {
    /// store.migrate().await?;
    /// assert!(store.migrate().await.is_ok());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn migrate(&self) -> Result<(), StoreError> {
        run!(self, |on| migrate(on)).await.map_err(|error| StoreError::new("making the tables for sessions", error))
    }

    /// The tables as SQL, to run yourself.
    ///
    /// ```
    /// # use session_sqlx::MySqlStore;
    /// assert!(MySqlStore::schema().contains("CREATE TABLE IF NOT EXISTS sessions"));
    /// ```
    #[must_use]
    pub const fn schema() -> &'static str {
        include_str!("../schema/mysql.sql")
    }

    /// Deletes at most `limit` rows.
    async fn take(&self, statement: &'static str, limit: usize) -> Result<usize, Error> {
        let delete = |batch| async move {
            let rows = run!(self, |on| query(statement).bind(batch).execute(&mut **on)).await?;
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
            let ended = run!(self, |on| take_and_read(on, batch)).await?;
            let count = ended.len() as u64;
            self.witnesses.tell(ended);
            Ok(count)
        };
        in_batches(BATCH, limit, delete).await
    }
}

#[async_trait]
impl SessionStore for MySqlStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>, StoreError> {
        Ok(self.find(key).await?.live())
    }

    async fn find(&self, key: &StoreKey) -> Result<Found, StoreError> {
        let row = run!(self, |on| query(LOAD).bind(key.to_hex()).fetch_optional(&mut **on)).await;
        found::<MySqlRow>(failed(Verb::Load, row)?.as_ref())
    }

    async fn create(&self, key: &StoreKey, record: &Record, limit: SubjectLimit) -> Result<Create, StoreError> {
        let limit = Limit::of(record, limit);
        let create = || run!(self, |on| create(on, key, record, limit.as_ref()));
        let mut created = create().await;
        if is_taken(&created) {
            failed(Verb::Create, run!(self, |on| free(on, FREE, key)).await)?;
            created = create().await;
        }
        if is_taken(&created) {
            return Ok(Create::Taken);
        }
        told(&self.witnesses, Verb::Create, created)
    }

    async fn update(&self, key: &StoreKey, record: &Record, seen: Version) -> Result<Update, StoreError> {
        failed(Verb::Update, run!(self, |on| update(on, key, record, seen)).await)
    }

    async fn touch(&self, key: &StoreKey) -> Result<Touch, StoreError> {
        let touched = run!(self, |on| query(TOUCH).bind(key.to_hex()).execute(&mut **on)).await;
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
        let rename = || run!(self, |on| rename(on, old, new, record, seen, limit.as_ref()));
        let mut renamed = rename().await;
        if is_taken(&renamed) {
            failed(Verb::Rename, run!(self, |on| free(on, FREE, new)).await)?;
            renamed = rename().await;
        }
        told(&self.witnesses, Verb::Rename, renamed)
    }

    async fn delete(&self, key: &StoreKey) -> Result<bool, StoreError> {
        failed(Verb::Delete, run!(self, |on| delete(on, key, None)).await)
    }

    async fn sessions_of(&self, subject: &str, most: usize) -> Result<Vec<(StoreKey, Loaded)>, StoreError> {
        let subject = hash(subject);
        let mut listing = Listing::new(most);
        while let Some((after, limit)) = listing.next() {
            let page = || query(LIST).bind(&subject).bind(after.created).bind(after.number).bind(limit);
            let rows = run!(self, |on| page().fetch_all(&mut **on)).await;
            listing.add(&failed(Verb::SessionsOf, rows)?)?;
        }
        Ok(listing.sessions())
    }

    async fn delete_one_of(&self, subject: &str, key: &StoreKey) -> Result<bool, StoreError> {
        let subject = hash(subject);
        failed(Verb::DeleteOneOf, run!(self, |on| delete(on, key, Some(&subject))).await)
    }

    async fn delete_all_of(&self, subject: &str, except: Option<&StoreKey>) -> Result<usize, StoreError> {
        let (subject, except) = (hash(subject), except.map(StoreKey::to_hex));
        let ended = run!(self, |on| delete_all(on, &subject, except.as_deref())).await;
        Ok(count(failed(Verb::DeleteAllOf, ended)?))
    }

    async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        for statement in SWEEP_THE_REST {
            failed(Verb::Sweep, self.take(statement, limit).await)?;
        }
        failed(Verb::Sweep, self.take_sessions(limit).await)
    }

    async fn revoke(&self, key: &StoreKey, keep: Duration) -> Result<bool, StoreError> {
        failed(Verb::Revoke, run!(self, |on| revoke(on, key, keep)).await)
    }

    async fn revoke_all_of(&self, subject: &str, until: Timestamp, keep: Duration) -> Result<(), StoreError> {
        let (subject, made) = (hash(subject), integer(until.as_millis()));
        let revoke = || {
            let insert = query(REVOKE_ALL).bind(&subject).bind(made).bind(millis(keep));
            insert.bind(made).bind(made).bind(millis(keep))
        };
        failed(Verb::RevokeAllOf, run!(self, |on| revoke().execute(&mut **on)).await)?;
        Ok(())
    }

    async fn is_revoked(&self, keys: &[StoreKey], subject: Option<&str>, made: Timestamp) -> Result<bool, StoreError> {
        let subject = subject.map(hash);
        failed(Verb::IsRevoked, run!(self, |on| is_revoked(on, keys, subject.as_deref(), made)).await)
    }

    fn watch(&self, witness: &Arc<dyn Witness>) -> bool {
        self.witnesses.add(witness);
        true
    }
}

/// The store at work.
type On = Lent<MySql>;

async fn migrate(on: &mut On) -> Result<(), Error> {
    raw_sql(MySqlStore::schema()).execute(&mut **on).await?;
    Ok(())
}

/// The outcome, and who had to end for it.
async fn create(on: &mut On, key: &StoreKey, record: &Record, limit: Option<&Limit>) -> Ending<Create> {
    let Some(limit) = limit else { return Ok((insert(on, key, record).await?, Vec::new())) };
    let beyond = enter(on, limit, key).await?;
    if limit.refuses(&beyond) {
        return Ok((Create::Full, Vec::new()));
    }
    let created = insert(on, key, record).await?;
    let ended = end(on, beyond, limit).await?;
    on.commit().await?;
    Ok((created, ended))
}

async fn insert(on: &mut On, key: &StoreKey, record: &Record) -> Result<Create, Error> {
    query(CREATE)
        .bind(key.to_hex())
        .bind(subject_hash(record))
        .bind(idle(record))
        .bind(lifetime(record))
        .bind(idle(record))
        .bind(lifetime(record))
        .bind(json(record))
        .execute(&mut **on)
        .await?;
    Ok(Create::Created)
}

async fn update(on: &mut On, key: &StoreKey, record: &Record, seen: Version) -> Result<Update, Error> {
    if write(on, key, key, record, seen).await? {
        return Ok(Update::Updated);
    }
    why(on, key, seen, Update::Conflict).await
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
    let beyond = match limit {
        Some(limit) => enter(on, limit, old).await?,
        None => Vec::new(),
    };
    if limit.is_some_and(|limit| limit.refuses(&beyond)) {
        return Ok((why(on, old, seen, Update::Full).await?, Vec::new()));
    }
    if limit.is_none() {
        on.begin("BEGIN").await?;
    }
    let remembered = query(REMEMBER)
        .bind(idle(record))
        .bind(lifetime(record))
        .bind(old.to_hex())
        .bind(integer(seen.as_u64()))
        .execute(&mut **on)
        .await?;
    if remembered.rows_affected() == 0 || !write(on, old, new, record, seen).await? {
        return Ok((why(on, old, seen, Update::Conflict).await?, Vec::new()));
    }
    let ended = match limit {
        Some(limit) => end(on, beyond, limit).await?,
        None => Vec::new(),
    };
    on.commit().await?;
    Ok((Update::Updated, ended))
}

async fn write(on: &mut On, old: &StoreKey, new: &StoreKey, record: &Record, seen: Version) -> Result<bool, Error> {
    let written = query(WRITE)
        .bind(new.to_hex())
        .bind(subject_hash(record))
        .bind(idle(record))
        .bind(lifetime(record))
        .bind(idle(record))
        .bind(lifetime(record))
        .bind(json(record))
        .bind(old.to_hex())
        .bind(integer(seen.as_u64()))
        .execute(&mut **on)
        .await?;
    Ok(written.rows_affected() == 1)
}

/// Why nothing was written, if the record was live and as it was seen: `otherwise`.
async fn why(on: &mut On, key: &StoreKey, seen: Version, otherwise: Update) -> Result<Update, Error> {
    let version: Option<i64> = query_scalar(VERSION).bind(key.to_hex()).fetch_optional(&mut **on).await?;
    Ok(match version {
        None => Update::Gone,
        Some(version) if version == integer(seen.as_u64()) => otherwise,
        Some(_) => Update::Conflict,
    })
}

/// What has expired gives its key up.
async fn free(on: &mut On, statement: &'static str, key: &StoreKey) -> Result<(), Error> {
    query(statement).bind(key.to_hex()).execute(&mut **on).await?;
    Ok(())
}

/// Begins a transaction in which nobody else logs in to this subject, and says which of its sessions, `own` not among them,
/// are too many.
async fn enter(on: &mut On, limit: &Limit, own: &StoreKey) -> Result<Vec<i64>, Error> {
    on.begin("BEGIN").await?;
    // A change, so that a cluster whose nodes all write sees two logins meet.
    let entered = query(TAKE_TURNS).bind(limit.number() % LOCKS).execute(&mut **on).await?;
    if entered.rows_affected() != 1 {
        return Err(Error::Configuration("session_locks has lost its rows; run the schema again".into()));
    }
    query_scalar(BEYOND).bind(&limit.subject).bind(own.to_hex()).bind(limit.others).fetch_all(&mut **on).await
}

async fn end(on: &mut On, mut beyond: Vec<i64>, limit: &Limit) -> Result<Vec<Ended>, Error> {
    beyond.sort_unstable();
    let mut rows = Vec::new();
    for number in beyond {
        rows.extend(query(ENDING).bind(number).bind(&limit.subject).fetch_optional(&mut **on).await?);
    }
    delete_read(on, &rows, EndedBy::Limit).await
}

/// A batch of a sweep whose rows somebody wants to know: two statements, because MySQL returns nothing of what it deletes.
async fn take_and_read(on: &mut On, batch: i64) -> Result<Vec<Ended>, Error> {
    on.begin("BEGIN").await?;
    let rows = query(SWEEPING).bind(batch).fetch_all(&mut **on).await?;
    let ended = delete_read(on, &rows, EndedBy::Deadline).await?;
    on.commit().await?;
    Ok(ended)
}

/// Deletes what this transaction has locked and read.
async fn delete_read(on: &mut On, rows: &[MySqlRow], by: EndedBy) -> Result<Vec<Ended>, Error> {
    for row in rows {
        query(DELETE_READ).bind(row.try_get::<i64, _>("number")?).execute(&mut **on).await?;
    }
    Ok(ended(rows, by))
}

async fn delete(on: &mut On, key: &StoreKey, subject: Option<&str>) -> Result<bool, Error> {
    let deleted = query(DELETE).bind(key.to_hex()).bind(subject).bind(subject).execute(&mut **on).await?;
    if deleted.rows_affected() > 0 {
        return Ok(true);
    }
    // A rename that happened meanwhile is known by now, and the session's number stays, whatever it is renamed to next.
    let renamed: Option<i64> = query_scalar(RENAMED).bind(key.to_hex()).fetch_optional(&mut **on).await?;
    let Some(number) = renamed else { return Ok(false) };
    let deleted = query(DELETE_NUMBER).bind(number).bind(subject).bind(subject).execute(&mut **on).await?;
    Ok(deleted.rows_affected() > 0)
}

async fn delete_all(on: &mut On, subject: &str, except: Option<&str>) -> Result<u64, Error> {
    // Its number stays, whatever it is renamed to meanwhile.
    let spared: Vec<i64> = query_scalar(NUMBERS).bind(except).bind(except).fetch_all(&mut **on).await?;
    let mut spared = spared.into_iter();
    let delete = query(DELETE_ALL).bind(subject).bind(spared.next().unwrap_or(0)).bind(spared.next().unwrap_or(0));
    Ok(delete.execute(&mut **on).await?.rows_affected())
}

async fn revoke(on: &mut On, key: &StoreKey, keep: Duration) -> Result<bool, Error> {
    for _ in 0..2 {
        let revoked = query(REVOKE).bind(key.to_hex()).bind(millis(keep)).execute(&mut **on).await?;
        if revoked.rows_affected() == 1 {
            return Ok(true);
        }
        free(on, FREE_REVOCATION, key).await?;
    }
    let longer = query(REVOKE_FOR_LONGER).bind(key.to_hex()).bind(millis(keep)).bind(millis(keep));
    longer.execute(&mut **on).await?;
    Ok(false)
}

async fn is_revoked(on: &mut On, keys: &[StoreKey], subject: Option<&str>, made: Timestamp) -> Result<bool, Error> {
    // Four a statement, and nearly always that is all.
    for four in keys.chunks(4).chain(keys.is_empty().then_some(&[][..])) {
        let mut ask = query_scalar(IS_REVOKED);
        for place in 0..4 {
            ask = ask.bind(four.get(place).map(StoreKey::to_hex));
        }
        let revoked: i64 = ask.bind(subject).bind(integer(made.as_millis())).fetch_one(&mut **on).await?;
        if revoked != 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A statement: texts, and between them the database's clock in milliseconds, whether a record is alive, and what is read
/// of one: its state alone, or with its key. The clock is the same at each place of one
/// statement.
///
/// Sessions are found by their key, their number or their subject alone, and `+ 0` and `COALESCE` hide their other columns
/// from the optimizer. In a small table it may take the index on the deadline else, and lock everybody's rows.
macro_rules! sql {
    (@now) => { "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000" };
    (@state) => { concat!("version, created_at, seen_at, expires_at, record, ", sql!(@now), " AS now") };
    (@row) => { concat!("`key`, ", sql!(@state)) };
    (@live) => { concat!("expires_at + 0 > ", sql!(@now)) };
    (@$text:literal) => { $text };
    ($($part:tt)+) => { concat!($(sql!(@$part)),+) };
}

const LOAD: &str = sql!(
    "SELECT " state " FROM sessions WHERE `key` = ?"
);

const CREATE: &str = sql!(
    "INSERT INTO sessions (`key`, version, subject_hash, created_at, seen_at, expires_at, idle, lifetime, record)
     VALUES (?, 1, ?, " now ", " now ", " now " + LEAST(?, ?), ?, ?, ?)"
);

/// Both for `update`, where the key stays, and for `rename`.
const WRITE: &str = sql!(
    "UPDATE sessions SET `key` = ?, version = version + 1, subject_hash = ?, seen_at = " now ",
     expires_at = LEAST(" now " + ?, created_at + ?), idle = ?, lifetime = ?, record = ?
     WHERE `key` = ? AND version = ? AND " live
);

/// The latest there is, also in a transaction that has read before.
const VERSION: &str = sql!("SELECT version FROM sessions WHERE `key` = ? AND " live " FOR UPDATE");

const TOUCH: &str = sql!(
    "UPDATE sessions SET seen_at = " now ", expires_at = LEAST(" now " + idle, created_at + lifetime)
     WHERE `key` = ? AND " live
);

/// The former key is known for as long as the session could have lived under it, and under the new one.
const REMEMBER: &str = sql!(
    "REPLACE INTO session_renames (former, session, until)
     SELECT `key`, number, GREATEST(expires_at, LEAST(" now " + ?, created_at + ?)) FROM sessions
     WHERE `key` = ? AND version = ? AND " live " FOR UPDATE"
);

const FREE: &str = sql!("DELETE FROM sessions WHERE `key` = ? AND expires_at + 0 <= " now);

const TAKE_TURNS: &str = "UPDATE session_locks SET uses = uses + 1 WHERE number = ?";

const BEYOND: &str = sql!(
    "SELECT number FROM sessions WHERE subject_hash = ? AND `key` <> ? AND " live "
     ORDER BY created_at DESC, number DESC LIMIT 1000000 OFFSET ?"
);

/// Locks what is about to be deleted, and reads it.
const ENDING: &str = sql!(
    "SELECT number, " row " FROM sessions WHERE number = ? AND COALESCE(subject_hash, '') = ? FOR UPDATE"
);

const DELETE: &str =
    sql!("DELETE FROM sessions WHERE `key` = ? AND (? IS NULL OR COALESCE(subject_hash, '') = ?) AND " live);

const RENAMED: &str = sql!("SELECT session FROM session_renames WHERE former = ? AND until + 0 > " now);

const DELETE_NUMBER: &str =
    sql!("DELETE FROM sessions WHERE number = ? AND (? IS NULL OR COALESCE(subject_hash, '') = ?) AND " live);

const LIST: &str = sql!(
    "SELECT number, " row " FROM sessions
     WHERE subject_hash = ? AND " live " AND (created_at, number) < (?, ?)
     ORDER BY created_at DESC, number DESC LIMIT ?"
);

/// The session that has this key or had it.
const NUMBERS: &str = sql!(
    "SELECT number FROM sessions WHERE `key` = ? AND " live "
     UNION ALL SELECT session FROM session_renames WHERE former = ? AND until + 0 > " now
);

const DELETE_ALL: &str = sql!("DELETE FROM sessions WHERE subject_hash = ? AND number + 0 NOT IN (?, ?) AND " live);

macro_rules! sweep {
    ($table:literal, $deadline:literal) => {
        sql!("DELETE FROM " $table " WHERE " $deadline " <= " now " ORDER BY " $deadline " LIMIT ?")
    };
}

const SWEEP: &str = sweep!("sessions", "expires_at");

/// What somebody else holds is left to him.
const SWEEPING: &str = sql!(
    "SELECT number, " row " FROM sessions WHERE expires_at <= " now "
     ORDER BY expires_at LIMIT ? FOR UPDATE SKIP LOCKED"
);

const DELETE_READ: &str = "DELETE FROM sessions WHERE number = ?";

const SWEEP_THE_REST: [&str; 3] = [
    sweep!("session_renames", "until"),
    sweep!("session_revocations", "until"),
    sweep!("session_subject_revocations", "until"),
];

const REVOKE: &str = sql!("INSERT IGNORE INTO session_revocations (`key`, until) VALUES (?, " now " + ?)");

/// What has expired is news again.
const FREE_REVOCATION: &str = sql!("DELETE FROM session_revocations WHERE `key` = ? AND until + 0 <= " now);

const REVOKE_FOR_LONGER: &str = sql!(
    "INSERT INTO session_revocations (`key`, until) VALUES (?, " now " + ?)
     ON DUPLICATE KEY UPDATE until = GREATEST(until, " now " + ?)"
);

/// A moment that has expired counts no more. The assignments happen in this order.
const REVOKE_ALL: &str = sql!(
    "INSERT INTO session_subject_revocations (subject_hash, made, until) VALUES (?, ?, " now " + ?)
     ON DUPLICATE KEY UPDATE made = IF(until <= " now ", ?, GREATEST(made, ?)), until = GREATEST(until, " now " + ?)"
);

const IS_REVOKED: &str = sql!(
    "SELECT EXISTS (SELECT 1 FROM session_revocations WHERE `key` IN (?, ?, ?, ?) AND until > " now ")
     OR EXISTS (SELECT 1 FROM session_subject_revocations
     WHERE subject_hash = ? AND made >= ? AND until > " now ")"
);

mod count;

#[cfg(test)]
mod tests;
