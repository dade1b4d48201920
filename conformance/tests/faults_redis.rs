//! Faults of a Redis that two labs share, under load; what is in it, and what harm to it does.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

mod common;
mod faults;

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use common::{Browser, Lab, PATIENT, SECRET};
use faults::checker::Promise;
use faults::entries::{a_dump_has_no_id_and_no_cookie, a_harmed_entry_is_nobody, an_encrypted_dump_tells_nothing};
use faults::history::Deed;
use faults::network::{Weather, through_a_proxy};
use faults::play::{Play, TURN, nodes, settles};
use faults::redis::{Keys, connections, info};
use faults::server;
use session_core::{Expiry, Record, StoreKey, SubjectLimit};
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

/// Who writes its log to the disk once a second has handed it to the system before: it is in no danger but that of a
/// loss of power, which no test here can bring about.
#[tokio::test(flavor = "multi_thread")]
async fn killed_and_started_again_with_a_log_that_is_flushed_every_second() {
    let _turn = TURN.lock().await;
    let Some(redis) = Redis::start_with(&["--appendfsync", "everysec"]) else { return };
    let url = redis.url();
    let (_labs, redis) = server::killed_and_started_again(2, &url, redis).await;
    settles(CONNECTIONS, || async { connections(&redis) }).await;
}

/// With snapshots and no log a killed server is back at its last snapshot: what was written since is lost, and who logged
/// out since is logged in. This is no promise, but what `SECURITY.md` warns of.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_brings_back_what_was_ended_since() {
    let _turn = TURN.lock().await;
    let Some(redis) = Redis::start_with(&["--appendonly", "no"]) else { return };
    let lab = Arc::new(Lab::start("axum", &[("LAB_STORE", &redis.url()), ("LAB_SECRETS", SECRET), PATIENT]));
    let [mut ended, mut begun] = [Browser::new(&lab), Browser::new(&lab)];
    ended.expect("POST /login?u=ada", r#"200 {"user":"ada"}"#).await;
    let before = ended.jar.clone();
    redis.ask(&["SAVE"]).unwrap();
    ended.expect("POST /logout", r#"200 {"ok":true}"#).await;
    begun.expect("POST /login?u=bob", r#"200 {"user":"bob"}"#).await;
    redis.kill();
    redis.restart();
    ended.jar = before;
    let mut response = ended.send("GET /me").await;
    // The first request may find that the connection was lost.
    for _ in 0..100 {
        if response.status != 503 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        response = ended.send("GET /me").await;
    }
    assert_eq!(response.text(), r#"{"user":"ada"}"#);
    begun.expect("GET /me", r#"401 {"user":null}"#).await;
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
    summary.hardly_failed();
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
        for n in 0..30 {
            let more = "for i = 1, 40 do redis.call('SET', 'other:' .. ARGV[1] .. ':' .. i, string.rep('x', 1000)) end";
            redis.ask(&["EVAL", more, "0", &n.to_string()]).unwrap();
            sleep(Duration::from_millis(20));
        }
        redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
        redis
    };
    let (summary, redis) = Play::new(&nodes).promise(Promise::MayVanish).run(evict).await;
    summary.hardly_failed();
    assert!(info(&redis, "evicted_keys") > 100);
    assert!(summary.vanished() > 10, "{} sessions vanished", summary.vanished());
    settles(CONNECTIONS, || async { connections(&redis) }).await;
}

/// The server has too little memory and refuses to write: who wants to be logged in is told to come later, whoever is
/// stays so, and a logout is possible.
#[tokio::test(flavor = "multi_thread")]
async fn out_of_memory_and_told_to_refuse() {
    let _turn = TURN.lock().await;
    let Some(redis) = Redis::start_with(&["--maxmemory-policy", "noeviction"]) else { return };
    let nodes = nodes(1, &redis.url());
    let refuse = move || {
        redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
        sleep(Duration::from_secs(1));
        redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
        redis
    };
    let (summary, _redis) = Play::new(&nodes).run(refuse).await;
    summary.failed_in_time();
    for event in summary.during_fault() {
        let writes = matches!(event.deed, Deed::Login | Deed::Mark | Deed::Increment | Deed::Renew);
        assert!(!event.failed() || writes, "{event:?}");
    }
    assert!(summary.during_fault().any(|event| event.deed == Deed::Logout), "nobody logged out");
}

/// Revocations of cookie sessions are entries as all others: a server that was emptied doesn't know them any more. This is
/// no promise, but what `SECURITY.md` warns of.
#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_server_has_forgotten_who_was_logged_out() {
    let _turn = TURN.lock().await;
    let Some(redis) = Redis::start() else { return };
    let variables = [("LAB_STORE", "sealed:"), ("LAB_REVOCATION", &redis.url()), ("LAB_SECRETS", SECRET), PATIENT];
    let mut browser = Browser::new(&Arc::new(Lab::start("warp", &variables)));
    browser.expect("POST /login?u=ada", r#"200 {"user":"ada"}"#).await;
    let copied = browser.jar.clone();
    browser.expect("POST /logout", r#"200 {"ok":true}"#).await;
    browser.jar = copied;
    browser.expect("GET /me", r#"401 {"user":null}"#).await;
    redis.ask(&["FLUSHALL"]).unwrap();
    browser.expect("GET /me", r#"200 {"user":"ada"}"#).await;
}

/// The list of a subject's sessions is an entry too, and may be evicted before them: then to end all of them ends none. This is
/// no promise, but what `SECURITY.md` warns of.
#[tokio::test(flavor = "multi_thread")]
async fn without_its_index_a_session_is_not_found_by_its_subject() {
    let _turn = TURN.lock().await;
    let Some(redis) = Redis::start() else { return };
    let store = session_stores::connect(&format!("{}?timeout_ms=10000", redis.url())).await.unwrap();
    let (keys, mut record) = ([[1; 32], [2; 32]].map(StoreKey::from_bytes), Record::new(Expiry::default()));
    record.subject = Some("ada".into());
    for key in &keys {
        store.create(key, &record, SubjectLimit::None).await.unwrap();
        assert_eq!(redis.ask(&["DEL", "session:{of:ada}"]).unwrap(), "1");
        assert_eq!(store.delete_all_of("ada", None).await.unwrap(), 0);
        assert!(store.load(key).await.unwrap().is_some());
    }
    assert!(store.delete(&keys[0]).await.unwrap());
    assert!(store.load(&keys[0]).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn harmed_entries_and_a_dump() {
    let _turn = TURN.lock().await;
    let Some(redis) = Redis::start() else { return };
    a_dump_has_no_id_and_no_cookie("rocket", &redis.url(), &Keys(vec![&redis])).await;
    a_harmed_entry_is_nobody("rocket", &redis.url(), &Keys(vec![&redis])).await;
    let Some(redis) = Redis::start() else { return };
    an_encrypted_dump_tells_nothing(&redis.url(), &Keys(vec![&redis])).await;
}
