//! The store's contract on real servers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

use std::time::Duration;

use session_redis::RedisStore;
use session_testing::servers::Redis;
use session_testing::store;

/// A machine that runs many tests at once is slower than a request may be.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than any sentence takes.
const KEPT: Duration = Duration::from_secs(3_600);

/// A store with nothing in it, for each sentence, on the same servers.
#[cfg(any(feature = "sentinel", feature = "cluster"))]
fn fresh(store: &RedisStore) -> RedisStore {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    store.clone().prefix(&format!("suite-{}", NUMBER.fetch_add(1, Ordering::Relaxed))).unwrap()
}

/// A disk that is busy with something else must not look like a server that is gone.
#[cfg(any(feature = "sentinel", feature = "cluster"))]
fn forgetful(node: &Redis) {
    node.ask(&["CONFIG", "SET", "appendonly", "no"]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_server_keeps_the_contract() {
    let Some(redis) = Redis::start() else { return };
    store::suite(|| async { RedisStore::connect(&redis.fresh_database()).await.unwrap().timeout(PATIENCE) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_server_that_keeps_what_has_expired_keeps_the_contract() {
    let Some(redis) = Redis::start() else { return };
    let store = || async {
        let store = RedisStore::connect(&redis.fresh_database()).await.unwrap().timeout(PATIENCE);
        store.keep_expired(KEPT)
    };
    store::suite(store).await;
}

#[cfg(feature = "sentinel")]
#[tokio::test(flavor = "multi_thread")]
async fn the_primary_of_sentinels_keeps_the_contract() {
    let Some(redis) = session_testing::servers::RedisSentinel::start() else { return };
    redis.nodes().iter().for_each(forgetful);
    let sentinels: Vec<_> = redis.sentinels().iter().map(Redis::url).collect();
    let store = RedisStore::sentinel(&sentinels, "mymaster").await.unwrap().timeout(PATIENCE);
    store::suite(|| async { fresh(&store) }).await;
}

#[cfg(feature = "cluster")]
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_keeps_the_contract() {
    let Some(cluster) = session_testing::servers::RedisCluster::start() else { return };
    cluster.nodes().iter().for_each(forgetful);
    let store = RedisStore::cluster(&[cluster.nodes()[0].url()]).await.unwrap().timeout(PATIENCE);
    store::suite(|| async { fresh(&store) }).await;
}

#[cfg(feature = "cluster")]
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_keeps_what_has_expired_keeps_the_contract() {
    let Some(cluster) = session_testing::servers::RedisCluster::start() else { return };
    cluster.nodes().iter().for_each(forgetful);
    let store = RedisStore::cluster(&[cluster.nodes()[0].url()]).await.unwrap().timeout(PATIENCE).keep_expired(KEPT);
    store::suite(|| async { fresh(&store) }).await;
}
