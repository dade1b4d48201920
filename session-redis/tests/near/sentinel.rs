//! Another server becomes the primary.

use session_testing::servers::RedisSentinel;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn it_follows_a_failover() {
    let Some(redis) = RedisSentinel::start() else { return };
    let sentinels: Vec<_> = redis.sentinels().iter().map(Redis::url).collect();
    let (here, there) = (RedisStore::sentinel(&sentinels, "mymaster"), RedisStore::sentinel(&sentinels, "mymaster"));
    let (here, there) = (here.await.unwrap(), there.await.unwrap());
    let node = NearCache::new(here).unwrap();
    within(BACK, || node.is_live()).await;
    // Acknowledged before it is replicated: wait until the other server has it.
    let there = there.wait_for_replicas(1, BACK).timeout(BACK);
    create(&there, &key(1)).await;
    let there = there.wait_for_replicas(0, BACK);
    warm(&node, &key(1)).await;

    let former = redis.kill_primary();
    within(BACK, || !node.is_live()).await;
    redis.failed_over(former);
    within(4 * BACK, || node.is_live()).await;
    warm(&node, &key(1)).await;
    // The other store finds the new primary, and the cache hears from it.
    assert!(there.delete(&key(1)).await.unwrap());
    println!("a logout on the new primary is seen after {:?}", seen(&node, &key(1), |loaded| loaded.is_none()).await);
}
