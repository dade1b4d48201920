//! What the stores have in common: how a session is written in columns, and how an operation is done.

use std::time::{Duration, Instant};

use session_core::{
    Count, Ended, EndedBy, Found, Loaded, Place, Record, StoreError, StoreKey, SubjectLimit, Times, Timestamp, Verb,
    Version, Witnesses,
};
use sha2::{Digest as _, Sha256};
use sqlx::{ColumnIndex, Decode, Error, Row, Type};
use tokio::time::sleep;

/// Longer than anybody waits, and short enough that no sum of two of them and the time leaves the range of an integer.
const LONGEST_MILLIS: i64 = i64::MAX / 4;

/// So many times as long as a batch took does a sweep rest, for others that want the same rows, pages or processors.
const RESTS: u32 = 2;

/// So often is done what the database undid because of others, all together.
const ATTEMPTS: usize = 6;

/// A limit that has to be kept, because the record has a subject.
pub(crate) struct Limit {
    /// The subject's hash.
    pub(crate) subject: String,
    /// How many other sessions it may have.
    pub(crate) others: i64,
    refuses: bool,
}

impl Limit {
    /// Whether the new session is refused, because these have to end before it may begin.
    pub(crate) fn refuses(&self, beyond: &[i64]) -> bool {
        self.refuses && !beyond.is_empty()
    }

    /// A number that the logins of this subject have in common, and those of few others.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(crate) fn number(&self) -> u32 {
        self.subject.get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(0)
    }

    pub(crate) fn of(record: &Record, limit: SubjectLimit) -> Option<Self> {
        let (subject, most) = (subject_hash(record)?, limit.most()?);
        Some(Self { subject, others: i64::from(most) - 1, refuses: matches!(limit, SubjectLimit::Refuse(_)) })
    }
}

/// Does it again as long as the database has undone all of it because of what others did at that moment. Who waits for too
/// long is told so by an error of another kind, and that is not done again.
pub(crate) async fn again<T, F>(operation: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    for _ in 1..ATTEMPTS {
        match operation().await {
            Err(error) if was_undone(&error) => {}
            outcome => return outcome,
        }
    }
    operation().await
}

/// Does the work of a sweep: `delete` gets how many rows it may delete at once, at most `batch`, and says how many it did.
pub(crate) async fn in_batches<F>(batch: usize, limit: usize, delete: impl Fn(i64) -> F) -> Result<usize, Error>
where
    F: Future<Output = Result<u64, Error>>,
{
    let mut deleted = 0;
    while deleted < limit {
        let (started, batch) = (Instant::now(), batch.min(limit - deleted));
        let rows = count(delete(integer(batch as u64)).await?);
        deleted += rows;
        if rows < batch {
            break;
        }
        sleep(started.elapsed() * RESTS).await;
    }
    Ok(deleted)
}

fn was_undone(error: &Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    #[cfg(feature = "mysql")]
    if let Some(error) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()
        && error.number() == 1020
    {
        // MariaDB's serialization failure has no code of its own.
        return true;
    }
    // The standard's serialization failure, which MySQL reports a deadlock as; PostgreSQL's deadlock; SQLite's snapshot
    // that is too old to be written to.
    error.code().is_some_and(|code| ["40001", "40P01", "517"].contains(&code.as_ref()))
}

/// Whether a record couldn't be written because another one has its key.
pub(crate) fn is_taken<T>(outcome: &Result<T, Error>) -> bool {
    let error = outcome.as_ref().err().and_then(Error::as_database_error);
    error.is_some_and(|error| error.is_unique_violation())
}

/// The error of a verb. A database says which key was taken; nobody else needs to know.
pub(crate) fn failed<T>(verb: Verb, outcome: Result<T, Error>) -> Result<T, StoreError> {
    let taken = is_taken(&outcome);
    outcome.map_err(|error| if taken { verb.failed("the new key is taken") } else { verb.failed(error) })
}

/// The record that a row of `version, created_at, seen_at, expires_at, record, now` holds.
pub(crate) fn loaded<'r, R: Row>(row: &'r R) -> Result<Loaded, StoreError>
where
    &'static str: ColumnIndex<R>,
    &'r str: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    let (times, now) = dated(row)?;
    let version = row.try_get("version").map(|number: i64| u64::try_from(number).unwrap_or(0));
    let version = version.map_err(|error| Verb::Load.failed(error))?;
    let json: &str = row.try_get("record").map_err(StoreError::unreadable)?;
    let record = Record::from_json(json.as_bytes()).map_err(StoreError::unreadable)?;
    Ok(Loaded { record, version: Version::from_u64(version), times, now })
}

/// What came of a write, and whom it has ended.
pub(crate) type Ending<T> = Result<(T, Vec<Ended>), Error>;

/// The outcome of a verb, once who watches has been told whom it has ended.
pub(crate) fn told<T>(witnesses: &Witnesses, verb: Verb, written: Ending<T>) -> Result<T, StoreError> {
    let (outcome, ended) = failed(verb, written)?;
    witnesses.tell(ended);
    Ok(outcome)
}

/// What a row of a session is, live or not.
pub(crate) fn found<'r, R: Row>(row: Option<&'r R>) -> Result<Found, StoreError>
where
    &'static str: ColumnIndex<R>,
    &'r str: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    let Some(row) = row else { return Ok(Found::Absent) };
    let (times, now) = dated(row)?;
    Ok(if times.is_over(now) { Found::Expired } else { Found::Live(loaded(row)?) })
}

fn dated<'r, R: Row>(row: &'r R) -> Result<(Times, Timestamp), StoreError>
where
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    let time = |column| {
        let number = row.try_get(column).map(|number: i64| u64::try_from(number).unwrap_or(0));
        number.map(Timestamp::from_millis).map_err(|error| Verb::Load.failed(error))
    };
    Ok((Times { created: time("created_at")?, seen: time("seen_at")?, expires: time("expires_at")? }, time("now")?))
}

/// The sessions in rows of `key` and what [`loaded`] needs, which have been deleted.
pub(crate) fn ended<'r, R: Row>(rows: &'r [R], by: EndedBy) -> Vec<Ended>
where
    &'static str: ColumnIndex<R>,
    &'r str: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    rows.iter().filter_map(|row| Some(Ended { key: key(row)?, session: loaded(row).ok(), by })).collect()
}

/// What a row of `entries, last, live, with_subject, bytes` says of a stretch of at most `most` sessions, and where the next one
/// begins.
pub(crate) fn counted<R: Row>(row: Result<R, Error>, most: usize) -> Result<(Count, Option<Place>), StoreError>
where
    &'static str: ColumnIndex<R>,
    for<'r> i64: Decode<'r, R::Database> + Type<R::Database>,
{
    let counted = || {
        let row = row?;
        let number = |column| row.try_get(column).map(|number: i64| u64::try_from(number).unwrap_or(0));
        let (entries, live) = (number("entries")?, number("live")?);
        let expired = entries.saturating_sub(live);
        let count = Count { live, with_subject: number("with_subject")?, expired, bytes: number("bytes")? };
        let next = Place { part: 0, entry: number("last")? };
        Ok::<_, Error>((count, (entries >= most as u64).then_some(next)))
    };
    counted().map_err(|error| StoreError::new("counting the sessions", error))
}

/// A list in the making. Entries that can't be read are left out, so it may take more than one page.
pub(crate) struct Listing {
    sessions: Vec<(StoreKey, Loaded)>,
    most: usize,
    next: Option<After>,
}

/// Where a page begins: after the session that was created then and has this number; the latest come first.
#[derive(Clone, Copy)]
pub(crate) struct After {
    pub(crate) created: i64,
    pub(crate) number: i64,
}

impl Listing {
    pub(crate) fn new(most: usize) -> Self {
        let start = After { created: i64::MAX, number: i64::MAX };
        Self { sessions: Vec::new(), most, next: (most > 0).then_some(start) }
    }

    /// The next page to ask for and how long it should be, if any.
    pub(crate) fn next(&self) -> Option<(After, i64)> {
        self.next.map(|after| (after, integer((self.most - self.sessions.len()) as u64)))
    }

    /// Takes a page of rows: `number, key` and what [`loaded`] needs.
    pub(crate) fn add<'r, R: Row>(&mut self, rows: &'r [R]) -> Result<(), StoreError>
    where
        &'static str: ColumnIndex<R>,
        &'r str: Decode<'r, R::Database> + Type<R::Database>,
        i64: Decode<'r, R::Database> + Type<R::Database>,
    {
        let asked = self.most - self.sessions.len();
        for row in rows {
            match loaded(row) {
                Ok(loaded) => self.sessions.extend(key(row).map(|key| (key, loaded))),
                Err(error) if error.is_unreadable() => {}
                Err(error) => return Err(error),
            }
        }
        let full = rows.len() >= asked && self.sessions.len() < self.most;
        let last = rows
            .last()
            .filter(|_| full)
            .map(|row| Ok(After { created: row.try_get("created_at")?, number: row.try_get("number")? }));
        self.next = last.transpose().map_err(|error: Error| Verb::SessionsOf.failed(error))?;
        Ok(())
    }

    pub(crate) fn sessions(self) -> Vec<(StoreKey, Loaded)> {
        self.sessions
    }
}

/// The key in a row, if it is one.
fn key<'r, R: Row>(row: &'r R) -> Option<StoreKey>
where
    &'static str: ColumnIndex<R>,
    &'r str: Decode<'r, R::Database> + Type<R::Database>,
{
    let hex: &str = row.try_get("key").ok()?;
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    // Only in one spelling, by which it can be found.
    let key = StoreKey::from_bytes(bytes);
    (key.to_hex() == hex).then_some(key)
}

/// SHA-256 in hexadecimal: subjects of any length and any bytes are compared exactly, and have room in an index.
pub(crate) fn hash(subject: &str) -> String {
    StoreKey::from_bytes(Sha256::digest(subject).into()).to_hex()
}

pub(crate) fn subject_hash(record: &Record) -> Option<String> {
    record.subject.as_deref().map(hash)
}

pub(crate) fn json(record: &Record) -> String {
    String::from_utf8_lossy(&record.to_json()).into_owned()
}

pub(crate) fn idle(record: &Record) -> i64 {
    millis(record.expiry.idle)
}

pub(crate) fn lifetime(record: &Record) -> i64 {
    millis(record.expiry.lifetime)
}

pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(LONGEST_MILLIS).min(LONGEST_MILLIS)
}

pub(crate) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// How many rows a statement changed, as the callers of a store count.
pub(crate) fn count(rows: u64) -> usize {
    usize::try_from(rows).unwrap_or(usize::MAX)
}
