//! The store on PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use session_core::{
    Create, Ended, EndedBy, Found, Loaded, Record, SessionStore, StoreError, StoreKey, SubjectLimit, Timestamp, Touch,
    Update, Verb, Version, Witness, Witnesses, async_trait,
};
use sqlx::postgres::{PgPool, PgQueryResult, PgRow, Postgres};
use sqlx::{Error, query, query_scalar, raw_sql};

use crate::lent::{Lent, run};
use crate::shared::{
    Ending, Limit, Listing, again, count, ended, failed, found, hash, idle, in_batches, integer, is_taken, json,
    lifetime, millis, subject_hash, told,
};

/// So many rows does a sweep delete in one statement.
const BATCH: usize = 100;

/// The first half of the store's advisory locks, "sess", so that they are no other program's.
const LOCKS: i32 = 0x7365_7373;

/// Keeps sessions in a PostgreSQL database of yours. Clones use the same pool.
///
/// - **Atomic.** Each verb is one statement. One that has to keep a limit per subject is a short transaction, in which logins
///   of the same subject take turns by an advisory lock of the transaction (`pg_advisory_xact_lock`, the first number is
///   `0x73657373`).
/// - **Acknowledged** is what is committed, and so worth what your `synchronous_commit` says: with the default it survives
///   the server's end and a loss of power. After a failover to a replica that isn't synchronous the last moments are gone,
///   logouts too.
/// - **Time** is the server's (`statement_timestamp`).
/// - **Waiting** ends by the pool's `acquire_timeout` and your `statement_timeout` and `lock_timeout`, and is an error. What
///   the server undid because of a deadlock or a serialization failure is done again, six times in all. That is enough at
///   PostgreSQL's usual isolation, `READ COMMITTED`; where your connections have a stricter one, writers of one session that
///   meet may be told an error, and nothing happened.
/// - **A future that is dropped** at work closes its connection. Whether its last statement happened is unknown, a
///   transaction is undone, and the pool opens another connection.
///
/// TLS, the size of the pool and its timeouts are the pool's, with sqlx features of your choice. Tables in another schema
/// are found by the `search_path` of the pool's connections.
///
/// ```no_run
/// use session_sqlx::PostgresStore;
/// use sqlx::postgres::PgPoolOptions;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = PgPoolOptions::new().max_connections(10).connect("postgres://app@localhost/app").await?;
/// let store = PostgresStore::new(pool);
/// store.migrate().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct PostgresStore {
    pool: PgPool,
    witnesses: Witnesses,
}

impl PostgresStore {
    /// A store on the tables of `schema/postgres.sql`.
    ///
    /// ```
    /// # use session_sqlx::PostgresStore;
    /// # use sqlx::postgres::PgPool;
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let store = PostgresStore::new(PgPool::connect_lazy("postgres://app@localhost/app")?);
    /// assert!(format!("{store:?}").starts_with("PostgresStore"));
    /// # Ok::<(), sqlx::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self { pool, witnesses: Witnesses::default() }
    }

    /// Makes the tables if they are missing. Doing it twice is fine, and so is doing it on several nodes at once.
    ///
    /// # Errors
    /// If the database refuses.
    ///
    /// ```no_run
    /// # use session_sqlx::PostgresStore;
    /// # async fn example(store: PostgresStore) -> Result<(), session_core::StoreError> {
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
    /// # use session_sqlx::PostgresStore;
    /// assert!(PostgresStore::schema().contains("CREATE TABLE IF NOT EXISTS sessions"));
    /// ```
    #[must_use]
    pub const fn schema() -> &'static str {
        include_str!("../schema/postgres.sql")
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
            let rows = run!(self, |on| query(SWEEP_AND_READ).bind(batch).fetch_all(&mut **on)).await?;
            self.witnesses.tell(ended(&rows, EndedBy::Deadline));
            Ok(rows.len() as u64)
        };
        in_batches(BATCH, limit, delete).await
    }
}

#[async_trait]
impl SessionStore for PostgresStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>, StoreError> {
        Ok(self.find(key).await?.live())
    }

    async fn find(&self, key: &StoreKey) -> Result<Found, StoreError> {
        let row = run!(self, |on| query(LOAD).bind(key.to_hex()).fetch_optional(&mut **on)).await;
        found::<PgRow>(failed(Verb::Load, row)?.as_ref())
    }

    async fn create(&self, key: &StoreKey, record: &Record, limit: SubjectLimit) -> Result<Create, StoreError> {
        let limit = Limit::of(record, limit);
        let created = run!(self, |on| create(on, key, record, limit.as_ref())).await;
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
            failed(Verb::Rename, run!(self, |on| free(on, new)).await)?;
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
        let ended = run!(self, |on| query(DELETE_ALL).bind(&subject).bind(&except).execute(&mut **on)).await;
        Ok(count(failed(Verb::DeleteAllOf, ended)?.rows_affected()))
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
        let revoke = || query(REVOKE_ALL).bind(&subject).bind(made).bind(millis(keep));
        failed(Verb::RevokeAllOf, run!(self, |on| revoke().execute(&mut **on)).await)?;
        Ok(())
    }

    async fn is_revoked(&self, keys: &[StoreKey], subject: Option<&str>, made: Timestamp) -> Result<bool, StoreError> {
        let keys: Vec<_> = keys.iter().map(StoreKey::to_hex).collect();
        let (subject, made) = (subject.map(hash), integer(made.as_millis()));
        let ask = || query_scalar(IS_REVOKED).bind(&keys).bind(&subject).bind(made);
        failed(Verb::IsRevoked, run!(self, |on| ask().fetch_one(&mut **on)).await)
    }

    fn watch(&self, witness: &Arc<dyn Witness>) -> bool {
        self.witnesses.add(witness);
        true
    }
}

/// The store at work.
type On = Lent<Postgres>;

/// `CREATE … IF NOT EXISTS` fails where two do it at once.
async fn migrate(on: &mut On) -> Result<(), Error> {
    on.begin("BEGIN").await?;
    query(TAKE_TURNS).bind(LOCKS).bind(0).execute(&mut **on).await?;
    raw_sql(PostgresStore::schema()).execute(&mut **on).await?;
    on.commit().await
}

/// The outcome, and who had to end for it.
async fn create(on: &mut On, key: &StoreKey, record: &Record, limit: Option<&Limit>) -> Ending<Create> {
    let Some(limit) = limit else { return Ok((insert(on, key, record).await?, Vec::new())) };
    let beyond = enter(on, limit, key).await?;
    if limit.refuses(&beyond) {
        return Ok((Create::Full, Vec::new()));
    }
    let created = insert(on, key, record).await?;
    let mut ended = Vec::new();
    if created == Create::Created {
        lock(on, &beyond, key).await?;
        ended = end(on, &beyond, limit).await?;
    }
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
        .execute(&mut **on)
        .await?;
    Ok(if created.rows_affected() == 1 { Create::Created } else { Create::Taken })
}

async fn update(on: &mut On, key: &StoreKey, record: &Record, seen: Version) -> Result<Update, Error> {
    let updated = query(UPDATE)
        .bind(key.to_hex())
        .bind(integer(seen.as_u64()))
        .bind(subject_hash(record))
        .bind(idle(record))
        .bind(lifetime(record))
        .bind(json(record))
        .execute(&mut **on)
        .await?;
    written(on, updated, key, seen).await
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
    let Some(limit) = limit else { return Ok((replace(on, old, new, record, seen).await?, Vec::new())) };
    let beyond = enter(on, limit, old).await?;
    if limit.refuses(&beyond) {
        return Ok((why(on, old, seen, Update::Full).await?, Vec::new()));
    }
    lock(on, &beyond, old).await?;
    let renamed = replace(on, old, new, record, seen).await?;
    let ended = if renamed == Update::Updated { end(on, &beyond, limit).await? } else { Vec::new() };
    on.commit().await?;
    Ok((renamed, ended))
}

async fn replace(on: &mut On, old: &StoreKey, new: &StoreKey, record: &Record, seen: Version) -> Result<Update, Error> {
    let renamed = query(RENAME)
        .bind(old.to_hex())
        .bind(integer(seen.as_u64()))
        .bind(subject_hash(record))
        .bind(idle(record))
        .bind(lifetime(record))
        .bind(json(record))
        .bind(new.to_hex())
        .execute(&mut **on)
        .await?;
    written(on, renamed, old, seen).await
}

async fn written(on: &mut On, outcome: PgQueryResult, key: &StoreKey, seen: Version) -> Result<Update, Error> {
    if outcome.rows_affected() == 1 {
        return Ok(Update::Updated);
    }
    why(on, key, seen, Update::Conflict).await
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

/// An expired record gives its key up.
async fn free(on: &mut On, key: &StoreKey) -> Result<(), Error> {
    query(FREE).bind(key.to_hex()).execute(&mut **on).await?;
    Ok(())
}

/// Begins a transaction in which nobody else logs in to this subject, and says which of its sessions, `own` not among them,
/// are too many.
async fn enter(on: &mut On, limit: &Limit, own: &StoreKey) -> Result<Vec<i64>, Error> {
    // Whatever the isolation of the pool's connections, what others did before it was this login's turn has to be seen.
    on.begin("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    query(TAKE_TURNS).bind(LOCKS).bind(limit.number().cast_signed()).execute(&mut **on).await?;
    query_scalar(BEYOND).bind(&limit.subject).bind(own.to_hex()).bind(limit.others).fetch_all(&mut **on).await
}

/// Locks the sessions that have to end and the one that is written, in the order that all do it in.
async fn lock(on: &mut On, beyond: &[i64], own: &StoreKey) -> Result<(), Error> {
    if !beyond.is_empty() {
        query(LOCK).bind(beyond).bind(own.to_hex()).execute(&mut **on).await?;
    }
    Ok(())
}

async fn end(on: &mut On, beyond: &[i64], limit: &Limit) -> Result<Vec<Ended>, Error> {
    if beyond.is_empty() {
        return Ok(Vec::new());
    }
    let rows = query(END).bind(beyond).bind(&limit.subject).fetch_all(&mut **on).await?;
    Ok(ended(&rows, EndedBy::Limit))
}

async fn delete(on: &mut On, key: &StoreKey, subject: Option<&str>) -> Result<bool, Error> {
    // A rename that happens meanwhile is seen by the second one, and the session's number stays whatever happens then.
    for _ in 0..2 {
        let deleted = query(DELETE).bind(key.to_hex()).bind(subject).execute(&mut **on).await?;
        if deleted.rows_affected() > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn revoke(on: &mut On, key: &StoreKey, keep: Duration) -> Result<bool, Error> {
    for (statement, news) in [(REVOKE, true), (REVOKE_FOR_LONGER, false)] {
        let revoked = query(statement).bind(key.to_hex()).bind(millis(keep)).execute(&mut **on).await?;
        if news && revoked.rows_affected() == 1 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A statement: texts, and between them the database's clock in milliseconds, whether a record is alive, and what is read
/// of one: its state alone, or with its key. The clock is that of the statement: the same
/// at each place of it, and not that of the transaction, which may have waited for its turn.
macro_rules! sql {
    (@now) => { "floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint" };
    (@state) => { concat!("version, created_at, seen_at, expires_at, record, ", sql!(@now), " AS now") };
    (@row) => { concat!("key, ", sql!(@state)) };
    (@live) => { concat!("expires_at > ", sql!(@now)) };
    (@$text:literal) => { $text };
    ($($part:tt)+) => { concat!($(sql!(@$part)),+) };
}

const LOAD: &str = sql!(
    "SELECT " state " FROM sessions WHERE key = $1"
);

/// An expired record gives its place up.
const CREATE: &str = sql!(
    "INSERT INTO sessions (key, version, subject_hash, created_at, seen_at, expires_at, idle, lifetime, record)
     VALUES ($1, 1, $2, " now ", " now ", " now " + LEAST($3, $4), $3, $4, $5)
     ON CONFLICT (key) DO UPDATE SET version = 1, subject_hash = excluded.subject_hash,
     created_at = excluded.created_at, seen_at = excluded.seen_at, expires_at = excluded.expires_at,
     idle = excluded.idle, lifetime = excluded.lifetime, record = excluded.record
     WHERE sessions.expires_at <= " now
);

const UPDATE: &str = sql!(
    "UPDATE sessions SET version = version + 1, subject_hash = $3, seen_at = " now ",
     expires_at = LEAST(" now " + $4, created_at + $5), idle = $4, lifetime = $5, record = $6
     WHERE key = $1 AND version = $2 AND " live
);

const VERSION: &str = sql!("SELECT version FROM sessions WHERE key = $1 AND " live);

const TOUCH: &str = sql!(
    "UPDATE sessions SET seen_at = " now ", expires_at = LEAST(" now " + idle, created_at + lifetime)
     WHERE key = $1 AND " live
);

/// The former key is known for as long as the session could have lived under it, and under the new one.
const RENAME: &str = sql!(
    "WITH old AS (SELECT number, expires_at FROM sessions WHERE key = $1 AND version = $2 AND " live " FOR UPDATE),
     moved AS (
         UPDATE sessions SET key = $7, version = version + 1, subject_hash = $3, seen_at = " now ",
         expires_at = LEAST(" now " + $4, created_at + $5), idle = $4, lifetime = $5, record = $6
         FROM old WHERE sessions.number = old.number
         RETURNING sessions.number, GREATEST(old.expires_at, sessions.expires_at) AS until
     )
     INSERT INTO session_renames (former, session, until) SELECT $1, number, until FROM moved
     ON CONFLICT (former) DO UPDATE SET session = excluded.session, until = excluded.until"
);

const FREE: &str = sql!("DELETE FROM sessions WHERE key = $1 AND expires_at <= " now);

const TAKE_TURNS: &str = "SELECT pg_advisory_xact_lock($1, $2)";

const BEYOND: &str = sql!(
    "SELECT number FROM sessions WHERE subject_hash = $1 AND key <> $2 AND " live "
     ORDER BY created_at DESC, number DESC OFFSET $3"
);

const LOCK: &str = "SELECT number FROM sessions WHERE number = ANY ($1) OR key = $2 ORDER BY number FOR UPDATE";

const END: &str = sql!("DELETE FROM sessions WHERE number = ANY ($1) AND subject_hash = $2 RETURNING " row);

const DELETE: &str = sql!(
    "DELETE FROM sessions WHERE " live " AND ($2::text IS NULL OR subject_hash = $2) AND (key = $1 OR number =
     (SELECT session FROM session_renames WHERE former = $1 AND until > " now "))"
);

const LIST: &str = sql!(
    "SELECT number, " row " FROM sessions
     WHERE subject_hash = $1 AND " live " AND (created_at, number) < ($2, $3)
     ORDER BY created_at DESC, number DESC LIMIT $4"
);

/// All that delete several sessions lock them in the order of their numbers.
const DELETE_ALL: &str = sql!(
    "WITH ended AS MATERIALIZED (
         SELECT number FROM sessions WHERE subject_hash = $1 AND " live " AND number NOT IN (
             SELECT number FROM sessions WHERE key = $2 AND " live "
             UNION ALL SELECT session FROM session_renames WHERE former = $2 AND until > " now "
         ) ORDER BY number FOR UPDATE
     )
     DELETE FROM sessions USING ended WHERE sessions.number = ended.number"
);

/// Several nodes at once take different rows, and none waits for another.
macro_rules! sweep {
    ($table:literal, $key:literal, $deadline:literal $(, $returning:tt)*) => {
        sql!(
            "WITH over AS MATERIALIZED (SELECT " $key " FROM " $table " WHERE " $deadline " <= " now "
                 ORDER BY " $deadline " LIMIT $1 FOR UPDATE SKIP LOCKED)
             DELETE FROM " $table " AS swept USING over WHERE swept." $key " = over." $key "
             AND swept." $deadline " <= " now $($returning)*
        )
    };
}

const SWEEP: &str = sweep!("sessions", "number", "expires_at");

const SWEEP_AND_READ: &str = sweep!("sessions", "number", "expires_at", " RETURNING ", row);

const SWEEP_THE_REST: [&str; 3] = [
    sweep!("session_renames", "former", "until"),
    sweep!("session_revocations", "key", "until"),
    sweep!("session_subject_revocations", "subject_hash", "until"),
];

/// What has expired is news again.
const REVOKE: &str = sql!(
    "INSERT INTO session_revocations (key, until) VALUES ($1, " now " + $2)
     ON CONFLICT (key) DO UPDATE SET until = excluded.until WHERE session_revocations.until <= " now
);

const REVOKE_FOR_LONGER: &str = sql!(
    "INSERT INTO session_revocations (key, until) VALUES ($1, " now " + $2)
     ON CONFLICT (key) DO UPDATE SET until = GREATEST(session_revocations.until, excluded.until)"
);

/// A moment that has expired counts no more.
const REVOKE_ALL: &str = sql!(
    "INSERT INTO session_subject_revocations AS known (subject_hash, made, until) VALUES ($1, $2, " now " + $3)
     ON CONFLICT (subject_hash) DO UPDATE SET until = GREATEST(known.until, excluded.until), made =
     CASE WHEN known.until <= " now " THEN excluded.made ELSE GREATEST(known.made, excluded.made) END"
);

const IS_REVOKED: &str = sql!(
    "SELECT EXISTS (SELECT FROM session_revocations WHERE key = ANY ($1) AND until > " now ")
     OR EXISTS (SELECT FROM session_subject_revocations
     WHERE subject_hash = $2 AND made >= $3 AND until > " now ")"
);

mod count;

#[cfg(test)]
mod tests;
