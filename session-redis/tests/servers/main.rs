//! What only real servers can show: what is written, what it costs, and what faults do.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

mod commands;
mod entries;
mod faults;

#[cfg(feature = "cluster")]
mod cluster;
#[cfg(feature = "sentinel")]
mod sentinel;

use std::num::NonZeroU32;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use session_core::{Create, Expiry, Record, SessionStore, StoreKey, SubjectLimit};
use session_redis::RedisStore;
use session_testing::servers::Redis;

/// A machine that runs many tests at once is slower than a request may be.
const PATIENCE: Duration = Duration::from_secs(20);

/// One server for all tests that do it no harm.
fn redis() -> Option<&'static Redis> {
    static REDIS: OnceLock<Option<Redis>> = OnceLock::new();
    REDIS.get_or_init(Redis::start).as_ref()
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

/// Until a store that was in trouble answers again. How long that took.
async fn recovered(store: &RedisStore) -> Duration {
    let start = Instant::now();
    while store.load(&key(0)).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(30), "service did not resume");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    start.elapsed()
}
