//! What only real servers can show: what is written, what it costs, and what faults do.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

mod commands;
mod entries;
mod expired;
mod faults;

#[cfg(feature = "cluster")]
mod cluster;
#[cfg(feature = "sentinel")]
mod sentinel;

use std::num::NonZeroU32;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use session_core::{Create, Expiry, Record, SessionStore, StoreError, StoreKey, SubjectLimit};
use session_redis::RedisStore;
use session_testing::servers::Redis;
use tokio::time::sleep;

/// A machine that runs many tests at once is slower than a request may be.
const PATIENCE: Duration = Duration::from_secs(20);

/// One server for all tests that do it no harm.
fn redis() -> Option<&'static Redis> {
    static REDIS: OnceLock<Option<Redis>> = OnceLock::new();
    REDIS.get_or_init(quick).as_ref()
}

/// One that doesn't wait for the disk: a disk that is busy with something else must not look like a server that is away. What it
/// has written outlives it all the same, if not a loss of power.
fn quick() -> Option<Redis> {
    Redis::start_with(&["--appendfsync", "no"])
}

/// One cluster for all tests that do it no harm, each under a prefix of its own.
#[cfg(feature = "cluster")]
fn cluster() -> Option<&'static session_testing::servers::RedisCluster> {
    static CLUSTER: OnceLock<Option<session_testing::servers::RedisCluster>> = OnceLock::new();
    CLUSTER.get_or_init(session_testing::servers::RedisCluster::start).as_ref()
}

async fn store(redis: &Redis) -> RedisStore {
    RedisStore::connect(&redis.url()).await.unwrap().timeout(PATIENCE)
}

/// A key that is the same in each run, whose hexadecimal digits show its number.
fn key(number: u8) -> StoreKey {
    StoreKey::from_bytes([number; 32])
}

fn record(subject: Option<&str>) -> Record {
    let mut record = Record::new(Expiry::default());
    record.subject = subject.map(Into::into);
    record.values_mut().insert("note", "tea & co");
    record
}

fn end_oldest(most: u32) -> SubjectLimit {
    SubjectLimit::EndOldest(NonZeroU32::new(most).unwrap())
}

async fn create(store: &RedisStore, number: u8, subject: Option<&str>) {
    assert_eq!(store.create(&key(number), &record(subject), SubjectLimit::None).await.unwrap(), Create::Created);
}

async fn is_live(store: &RedisStore, number: u8) -> bool {
    store.load(&key(number)).await.unwrap().is_some()
}

/// How long an operation may take if nobody says otherwise, and how much later that may be noticed.
const TIMEOUT: Duration = Duration::from_millis(500);
const LATE: Duration = Duration::from_millis(400);

/// Loading is an error, and in time: by a clock beside it, for a machine that stands still lets both of them wait.
async fn fails_in_time(store: &RedisStore, number: u8) -> StoreError {
    let (start, key) = (Instant::now(), key(number));
    let timed = async {
        let loaded = store.load(&key).await;
        (loaded, start.elapsed())
    };
    let clock = async {
        sleep(TIMEOUT).await;
        start.elapsed()
    };
    let ((loaded, took), rang) = tokio::join!(timed, clock);
    assert!(took < rang + LATE, "{took:?}, where {TIMEOUT:?} took {rang:?}");
    let error = loaded.expect_err("a server that is away is an error, never nothing");
    assert!(!error.is_unreadable());
    error
}

/// Until a store that was in trouble answers again. How long that took.
async fn recovered(store: &RedisStore) -> Duration {
    let start = Instant::now();
    while store.load(&key(0)).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(30), "service did not resume");
        sleep(Duration::from_millis(20)).await;
    }
    start.elapsed()
}
