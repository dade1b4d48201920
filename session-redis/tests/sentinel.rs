//! Who is connected when a primary that stood still goes on.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

use std::time::{Duration, Instant};

use session_core::{Create, Expiry, Record, SessionStore as _, StoreKey, SubjectLimit};
use session_redis::RedisStore;
use session_testing::servers::{Redis, RedisSentinel};
use tokio::task::block_in_place;
use tokio::time::sleep;

/// The replica has taken its place, and for some seconds it takes itself for the primary: what it acknowledges is lost. A
/// connection that was asked for before and is only answered now must not be taken.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_answered_too_late_is_not_taken() {
    let Some(redis) = RedisSentinel::start() else { return };
    let sentinels: Vec<_> = redis.sentinels().iter().map(Redis::url).collect();
    let store = RedisStore::sentinel(&sentinels, "mymaster").await.unwrap().timeout(Duration::from_millis(50));
    let stopped = redis.primary();
    stopped.stop();
    let asking = {
        let store = store.clone();
        tokio::spawn(async move {
            let until = Instant::now() + Duration::from_secs(30);
            while Instant::now() < until {
                let _ = store.load(&StoreKey::from_bytes([0; 32])).await;
                sleep(Duration::from_millis(5)).await;
            }
        })
    };
    let primary = block_in_place(|| redis.failed_over(stopped));
    stopped.resume();
    sleep(Duration::from_millis(300)).await;
    let record = Record::new(Expiry::default());
    let mut created = 0;
    for number in 1..=100 {
        let outcome = store.create(&StoreKey::from_bytes([number; 32]), &record, SubjectLimit::None).await;
        created += usize::from(outcome.is_ok_and(|outcome| outcome == Create::Created));
        sleep(Duration::from_millis(10)).await;
    }
    asking.abort();
    assert!(created > 20, "only {created} were acknowledged: it proves nothing");
    let kept: usize = primary.ask(&["DBSIZE"]).unwrap().parse().unwrap();
    assert!(kept >= created, "{created} were acknowledged, and {kept} are there");
}
