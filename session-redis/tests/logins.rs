//! A changed password, the end of all sessions and the limit of a subject against logins at the same moment, in Redis.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

#[path = "../../session-core/tests/common/mod.rs"]
mod common;
#[path = "../../session-core/tests/logins/race.rs"]
mod race;

use std::time::Duration;

use session_redis::RedisStore;
use session_testing::servers::Redis;

const ROUNDS: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn logins_in_redis_meet_what_ends_sessions() {
    let Some(redis) = Redis::start_with(&["--appendonly", "no"]) else { return };
    let store = RedisStore::connect(&redis.url()).await.unwrap().timeout(Duration::from_secs(20));
    race::all(&store, ROUNDS).await;
}
