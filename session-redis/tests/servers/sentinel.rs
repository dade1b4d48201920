//! A primary that sentinels watch, and its failover.

use std::error::Error as _;

use session_core::{SessionStore, Update, Version};
use session_testing::servers::RedisSentinel;

use super::*;

async fn watched(redis: &RedisSentinel) -> RedisStore {
    let sentinels: Vec<_> = redis.sentinels().iter().map(Redis::url).collect();
    RedisStore::sentinel(&sentinels, "mymaster").await.unwrap()
}

#[tokio::test]
async fn a_failover_is_followed_and_what_a_replica_had_is_there() {
    let Some(redis) = RedisSentinel::start() else { return };
    let store = watched(&redis).await;
    let safe = store.clone().timeout(PATIENCE).wait_for_replicas(1, Duration::from_secs(5));
    create(&safe, 1, Some("ada")).await;
    assert!(!safe.delete(&key(2)).await.unwrap());
    redis.sentinels()[0].kill();
    let former = redis.kill_primary();
    fails_in_time(&store, 1).await;
    redis.failed_over(former);
    recovered(&store).await;
    assert_eq!(store.update(&key(1), &record(Some("ada")), Version::FIRST).await.unwrap(), Update::Updated);
    assert_eq!(store.sessions_of("ada", 10).await.unwrap().len(), 1);
    // Nobody else has it now.
    let lonely = store.timeout(PATIENCE).wait_for_replicas(1, Duration::from_millis(50));
    let error = lonely.touch(&key(1)).await.unwrap_err();
    assert!(error.source().unwrap().to_string().starts_with("0 of 1 replicas"), "{error:?}");
}

#[tokio::test]
async fn a_primary_that_stood_still_and_was_replaced_is_left_alone() {
    let Some(redis) = RedisSentinel::start() else { return };
    let store = watched(&redis).await;
    let safe = store.clone().timeout(PATIENCE).wait_for_replicas(1, Duration::from_secs(5));
    create(&safe, 1, Some("ada")).await;
    let former = redis.primary();
    former.stop();
    fails_in_time(&store, 1).await;
    let primary = redis.failed_over(former);
    recovered(&store).await;
    assert_eq!(store.update(&key(1), &record(Some("ada")), Version::FIRST).await.unwrap(), Update::Updated);
    former.resume();
    for _ in 0..20 {
        store.touch(&key(1)).await.unwrap();
        sleep(Duration::from_millis(20)).await;
    }
    let name = format!("session:{}", key(1).to_hex());
    assert_eq!(primary.ask(&["HGET", &name, "version"]).unwrap(), "2");
}

#[tokio::test]
async fn sentinels_that_lead_nowhere_are_an_error_that_says_so() {
    let Some(redis) = RedisSentinel::start() else { return };
    let sentinels: Vec<_> = redis.sentinels().iter().map(Redis::url).collect();
    let error = RedisStore::sentinel(&sentinels, "another").await.expect_err("there is no such service");
    assert!(error.source().unwrap().to_string().contains("no sentinel knows a primary"), "{error:?}");
    RedisStore::sentinel(&[redis.nodes()[0].url()], "mymaster").await.expect_err("this is no sentinel");
    RedisStore::sentinel(&[""; 0], "mymaster").await.expect_err("there is no sentinel");
}

#[tokio::test]
async fn the_password_is_for_the_servers_and_for_a_sentinel_that_asks_for_it() {
    let Some(redis) = RedisSentinel::start() else { return };
    for node in redis.nodes() {
        node.ask(&["ACL", "SETUSER", "shop", "on", ">secret", "~*", "&*", "+@all"]).unwrap();
        node.ask(&["CONFIG", "SET", "masterauth", "secret"]).unwrap();
        node.ask(&["CONFIG", "SET", "masteruser", "shop"]).unwrap();
        node.ask(&["ACL", "SETUSER", "default", "off"]).unwrap();
    }
    let with = |password: &str| -> Vec<String> {
        redis.sentinels().iter().map(|sentinel| sentinel.url().replace("//", &format!("//shop:{password}@"))).collect()
    };
    create(&RedisStore::sentinel(&with("secret"), "mymaster").await.unwrap(), 1, None).await;
    RedisStore::sentinel(&with("terces"), "mymaster").await.expect_err("a wrong password");
    for sentinel in redis.sentinels() {
        sentinel.ask(&["ACL", "SETUSER", "shop", "on", ">secret", "+@all"]).unwrap();
        sentinel.ask(&["ACL", "SETUSER", "default", "off"]).unwrap();
    }
    assert!(is_live(&RedisStore::sentinel(&with("secret"), "mymaster").await.unwrap(), 1).await);
    RedisStore::sentinel(&with("terces"), "mymaster").await.expect_err("a wrong password");
}
