//! Faults of a Redis that two labs share, under load; what is in it, and what harm to it does.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

mod common;
mod faults;

use std::thread::sleep;
use std::time::Duration;

use common::{Lab, SECRET};
use faults::checker::Promise;
use faults::entries::{
    LOUD, a_dump_has_no_id_and_no_cookie, a_harmed_entry_is_nobody, an_encrypted_dump_tells_nothing,
};
use faults::network::{Weather, through_a_proxy};
use faults::play::{Play, TURN, nodes, settles};
use faults::redis::{Keys, connections, info};
use faults::server;
use session_testing::servers::Redis;

/// How many connections two labs have at most: one each.
const CONNECTIONS: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_started_again() {
    let _turn = TURN.lock().await;
    let Some(redis) = Redis::start() else { return };
    let url = redis.url();
    let (_labs, redis) = server::killed_and_started_again(0, &url, redis).await;
    settles(CONNECTIONS, || async { connections(&redis) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_for_two_seconds() {
    let _turn = TURN.lock().await;
    let Some(redis) = Redis::start() else { return };
    let url = redis.url();
    let (_labs, redis) = server::stopped_for_two_seconds(1, &url, redis).await;
    settles(CONNECTIONS, || async { connections(&redis) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn through_bad_weather() {
    let _turn = TURN.lock().await;
    let Some(redis) = Redis::start() else { return };
    for (turn, weather) in (2..).zip(Weather::ALL) {
        let database = redis.fresh_database();
        through_a_proxy(turn, &database, redis.addr(), weather, CONNECTIONS).await;
    }
}

/// Somebody empties the server, sessions and scripts: who was logged in is nobody, and nobody is told to come later.
#[tokio::test(flavor = "multi_thread")]
async fn emptied() {
    let _turn = TURN.lock().await;
    let Some(redis) = Redis::start() else { return };
    let nodes = nodes(3, &redis.url());
    let flush = move || {
        for _ in 0..3 {
            redis.ask(&["FLUSHALL"]).unwrap();
            redis.ask(&["SCRIPT", "FLUSH"]).unwrap();
            sleep(Duration::from_millis(300));
        }
        redis
    };
    let (summary, redis) = Play::new(&nodes).promise(Promise::MayVanish).run(flush).await;
    assert_eq!((summary.failed(), summary.lost()), (0, 0));
    assert!(summary.vanished() > 10, "{} sessions vanished", summary.vanished());
    settles(CONNECTIONS, || async { connections(&redis) }).await;
}

/// The server has too little memory and was told to throw away what was not used for longest: sessions vanish, each as a
/// whole.
#[tokio::test(flavor = "multi_thread")]
async fn out_of_memory_and_told_to_evict() {
    let _turn = TURN.lock().await;
    let Some(redis) = Redis::start_with(&["--maxmemory-policy", "allkeys-lru"]) else { return };
    let nodes = nodes(0, &redis.url());
    let evict = move || {
        let used = info(&redis, "used_memory");
        redis.ask(&["CONFIG", "SET", "maxmemory", &(used + 200_000).to_string()]).unwrap();
        for n in 0..60 {
            let more = "for i = 1, 40 do redis.call('SET', 'other:' .. ARGV[1] .. ':' .. i, string.rep('x', 1000)) end";
            redis.ask(&["EVAL", more, "0", &n.to_string()]).unwrap();
            sleep(Duration::from_millis(20));
        }
        redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
        redis
    };
    let (summary, redis) = Play::new(&nodes).promise(Promise::MayVanish).run(evict).await;
    assert_eq!((summary.failed(), summary.lost()), (0, 0));
    assert!(info(&redis, "evicted_keys") > 100);
    assert!(summary.vanished() > 10, "{} sessions vanished", summary.vanished());
    settles(CONNECTIONS, || async { connections(&redis) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn harmed_entries_and_a_dump() {
    let _turn = TURN.lock().await;
    let Some(redis) = Redis::start() else { return };
    a_dump_has_no_id_and_no_cookie("rocket", &redis.url(), &Keys(vec![&redis])).await;
    let lab = Lab::start("rocket", &[("LAB_STORE", &redis.url()), ("LAB_SECRETS", SECRET), ("RUST_LOG", LOUD)]);
    a_harmed_entry_is_nobody(lab, &Keys(vec![&redis])).await;
    let Some(redis) = Redis::start() else { return };
    an_encrypted_dump_tells_nothing(&redis.url(), &Keys(vec![&redis])).await;
}
