//! A Redis with a replica that takes its place, by sentinels and in a cluster, under load.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

mod common;
mod faults;

use std::thread::sleep;
use std::time::Duration;

use faults::checker::Promise;
use faults::entries::{a_dump_has_no_id_and_no_cookie, a_harmed_entry_is_nobody, an_encrypted_dump_tells_nothing};
use faults::play::{Play, TURN, nodes, settles};
use faults::redis::{Keys, connections};
use session_testing::servers::{RedisCluster, RedisSentinel};

/// What the primary acknowledged in its last moment may not have reached the replica.
const LAST: Promise = Promise::LastMayBeLost(Duration::from_millis(500));
/// How long after the failover labs may take to find the new primary.
const FOUND_WITHIN: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_make_a_replica_the_primary() {
    let _turn = TURN.lock().await;
    let Some(redis) = RedisSentinel::start() else { return };
    let nodes = nodes(0, &redis.url());
    let fail_over = move || {
        let killed = redis.kill_primary();
        redis.failed_over(killed);
        killed.restart();
        sleep(Duration::from_millis(300));
        redis
    };
    let (summary, redis) = Play::new(&nodes).promise(LAST).resumes_within(FOUND_WITHIN).run(fail_over).await;
    summary.failed_in_time();
    settles(2, || async { connections(redis.primary()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_of_a_cluster_falls() {
    let _turn = TURN.lock().await;
    let Some(cluster) = RedisCluster::start() else { return };
    let nodes = nodes(2, &cluster.url());
    let fail_over = move || {
        let killed = cluster.kill_primary(1);
        cluster.failed_over(killed);
        killed.restart();
        sleep(Duration::from_millis(300));
        cluster
    };
    let (summary, cluster) = Play::new(&nodes).promise(LAST).resumes_within(FOUND_WITHIN).run(fail_over).await;
    summary.failed_in_time();
    settles(12, || async { cluster.nodes().iter().map(connections).sum() }).await;
}

/// The primary doesn't fall, it stands still: the replica takes its place, and when it goes on it takes itself for the
/// primary for a while. Nobody who asked it then may have been told that something is done.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_stood_still_comes_back_when_sentinels_have_replaced_it() {
    let _turn = TURN.lock().await;
    let Some(redis) = RedisSentinel::start() else { return };
    let nodes = nodes(1, &redis.url());
    let fail_over = move || {
        let stopped = redis.primary();
        stopped.stop();
        redis.failed_over(stopped);
        stopped.resume();
        sleep(Duration::from_millis(1_500));
        redis
    };
    let (summary, redis) = Play::new(&nodes).promise(LAST).resumes_within(FOUND_WITHIN).run(fail_over).await;
    summary.failed_in_time();
    settles(2, || async { redis.nodes().iter().map(connections).sum() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_stood_still_comes_back_when_the_cluster_has_replaced_it() {
    let _turn = TURN.lock().await;
    let Some(cluster) = RedisCluster::start() else { return };
    let nodes = nodes(3, &cluster.url());
    let fail_over = move || {
        let stopped = cluster.primaries()[1];
        stopped.stop();
        cluster.failed_over(stopped);
        stopped.resume();
        sleep(Duration::from_millis(1_500));
        cluster
    };
    let (summary, cluster) = Play::new(&nodes).promise(LAST).resumes_within(FOUND_WITHIN).run(fail_over).await;
    summary.failed_in_time();
    settles(12, || async { cluster.nodes().iter().map(connections).sum() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn harmed_entries_and_a_dump_of_a_cluster() {
    let _turn = TURN.lock().await;
    let Some(cluster) = RedisCluster::start() else { return };
    let (url, primaries) = (cluster.url(), || Keys(cluster.primaries()));
    an_encrypted_dump_tells_nothing(&url, &primaries()).await;
    a_dump_has_no_id_and_no_cookie("warp", &url, &primaries()).await;
    a_harmed_entry_is_nobody("warp", &url, &primaries()).await;
}
