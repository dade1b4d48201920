//! Servers and networks that fail.

use std::error::Error as _;

use session_core::{SessionStore, Update, Version};
use session_testing::servers::{Fault, Proxy};

use super::*;

/// What a person would read in the log.
fn told(error: &StoreError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error} {error:?}");
        source = error.source();
    }
    text
}

async fn behind(proxy: &Proxy) -> RedisStore {
    RedisStore::connect(&format!("redis://{}", proxy.addr())).await.unwrap()
}

#[tokio::test]
async fn what_is_wrong_with_an_address_is_said_without_its_password() {
    for (url, expected) in [
        ("redis://:secret@127.0.0.1:1", "connecting to Redis failed"),
        ("postgres://ada:secret@127.0.0.1", "reading the address of a Redis server failed"),
        ("redis://ada:secret@127.0.0.1/nine", "reading the address of a Redis server failed"),
        ("redis://:secret@", "reading the address of a Redis server failed"),
        ("secret", "reading the address of a Redis server failed"),
    ] {
        let error = RedisStore::connect(url).await.expect_err("there is no server");
        assert_eq!(error.to_string(), expected);
        assert!(!told(&error).contains("secret"), "{}", told(&error));
    }
}

#[tokio::test]
async fn a_password_is_needed_where_there_is_one_and_is_not_shown() {
    let Some(redis) = quick() else { return };
    redis.ask(&["CONFIG", "SET", "requirepass", "secret"]).unwrap();
    for wrong in ["redis://127.0.0.1", "redis://:terces@127.0.0.1"] {
        let error = RedisStore::connect(&format!("{wrong}:{}", redis.port())).await.expect_err("a wrong password");
        assert!(!told(&error).contains("terces"), "{}", told(&error));
    }
    let store = RedisStore::connect(&format!("redis://:secret@127.0.0.1:{}/7", redis.port())).await.unwrap();
    create(&store, 1, None).await;
    assert!(!format!("{store:?}").contains("secret"));
}

#[tokio::test]
async fn a_server_that_was_killed_comes_back_with_its_sessions() {
    let Some(redis) = quick() else { return };
    let store = RedisStore::connect(&redis.url()).await.unwrap();
    create(&store, 1, Some("ada")).await;
    redis.kill();
    let error = told(&fails_in_time(&store, 1).await);
    assert!(error.contains("refused"), "nobody waits for a server that is not there: {error}");
    redis.restart();
    // The first request after it is the first that succeeds, a writing one too.
    assert_eq!(store.update(&key(1), &record(Some("ada")), Version::FIRST).await.unwrap(), Update::Updated);
    assert_eq!(store.sessions_of("ada", 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_restart_that_nobody_noticed_is_no_failure() {
    let Some(redis) = quick() else { return };
    let store = RedisStore::connect(&redis.url()).await.unwrap();
    create(&store, 1, None).await;
    redis.restart();
    // The server's good-bye has to be heard.
    sleep(Duration::from_millis(100)).await;
    assert_eq!(store.update(&key(1), &record(None), Version::FIRST).await.unwrap(), Update::Updated);
}

#[tokio::test]
async fn a_server_that_stands_still_is_an_error_within_the_timeout() {
    let Some(redis) = quick() else { return };
    let store = RedisStore::connect(&redis.url()).await.unwrap();
    create(&store, 1, None).await;
    redis.stop();
    for _ in 0..3 {
        fails_in_time(&store, 1).await;
    }
    let start = Instant::now();
    let short = store.clone().timeout(Duration::from_millis(50));
    short.load(&key(1)).await.unwrap_err();
    assert!(start.elapsed() < TIMEOUT, "{:?}", start.elapsed());
    redis.resume();
    assert!(recovered(&store).await < Duration::from_secs(3));
    assert!(is_live(&store, 1).await);
}

#[tokio::test]
async fn a_silent_network_is_an_error_within_the_timeout_and_service_resumes() {
    let Some(redis) = redis() else { return };
    let proxy = Proxy::to(redis.addr());
    let store = behind(&proxy).await.prefix("silent").unwrap();
    create(&store, 1, None).await;
    proxy.set(Fault::Silent);
    for _ in 0..3 {
        fails_in_time(&store, 1).await;
    }
    proxy.set(Fault::None);
    assert!(recovered(&store).await < Duration::from_secs(3));
    assert!(is_live(&store, 1).await);
    assert!(proxy.connections() <= 2, "connections are left open: {}", proxy.connections());
}

#[tokio::test]
async fn a_network_that_swallows_what_was_open_is_left_for_a_new_connection() {
    let Some(redis) = redis() else { return };
    let proxy = Proxy::to(redis.addr());
    let store = behind(&proxy).await.prefix("swallowed").unwrap();
    create(&store, 1, None).await;
    proxy.set(Fault::Refuse);
    proxy.drop_all();
    fails_in_time(&store, 1).await;
    proxy.set(Fault::None);
    assert!(is_live(&store, 1).await, "the next request finds a new connection");
}

#[tokio::test]
async fn a_read_whose_reply_was_cut_is_asked_again_and_a_write_is_not() {
    let Some(redis) = redis() else { return };
    let proxy = Proxy::to(redis.addr());
    let store = behind(&proxy).await.prefix("cut").unwrap().timeout(PATIENCE);
    create(&store, 1, None).await;
    assert!(is_live(&store, 1).await);
    // A request is on its way when the network begins anew.
    let cut = async {
        sleep(Duration::from_millis(50)).await;
        proxy.drop_all();
        proxy.set(Fault::None);
    };
    proxy.set(Fault::Silent);
    let key_of_it = key(1);
    let (loaded, ()) = tokio::join!(store.load(&key_of_it), cut);
    assert!(loaded.unwrap().is_some());
    // The server has to know the script: that it doesn't is an answer that can be cut as well, and then nothing has happened.
    assert_eq!(store.update(&key(1), &record(None), Version::FIRST).await.unwrap(), Update::Updated);
    let second = Version::FIRST.next();
    proxy.set(Fault::CutMidReply(2));
    store.update(&key(1), &record(None), second).await.expect_err("nobody knows whether it happened");
    proxy.set(Fault::None);
    let loaded = store.load(&key(1)).await.unwrap().unwrap();
    assert_eq!(loaded.version, second.next(), "it happened, and once");
    proxy.set(Fault::CutMidReply(2));
    store.load(&key(1)).await.expect_err("twice is enough");
    proxy.set(Fault::None);
    assert!(is_live(&store, 1).await);
}

#[tokio::test]
async fn a_slow_network_is_no_fault() {
    let Some(redis) = redis() else { return };
    let proxy = Proxy::to(redis.addr());
    let store = behind(&proxy).await.prefix("slow").unwrap().timeout(PATIENCE);
    proxy.set(Fault::Delay(Duration::from_millis(30)));
    let tasks: Vec<_> = (0..50)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { create(&store, number, None).await })
        })
        .collect();
    let start = Instant::now();
    for task in tasks {
        task.await.unwrap();
    }
    // One after another, these would be three seconds.
    assert!(start.elapsed() < Duration::from_secs(2), "requests wait for each other");
}

#[tokio::test]
async fn a_replica_serves_nobody_not_even_a_reader() {
    let Some(redis) = quick() else { return };
    let store = RedisStore::connect(&redis.url()).await.unwrap();
    create(&store, 1, None).await;
    redis.ask(&["REPLICAOF", "127.0.0.1", "1"]).unwrap();
    fails_in_time(&store, 1).await;
    store.touch(&key(1)).await.unwrap_err();
    redis.ask(&["REPLICAOF", "NO", "ONE"]).unwrap();
    assert!(is_live(&store, 1).await);
}

#[tokio::test]
async fn a_request_whose_visitor_left_harms_no_other() {
    let Some(redis) = redis() else { return };
    let proxy = Proxy::to(redis.addr());
    let store = behind(&proxy).await.prefix("left").unwrap().timeout(PATIENCE);
    for number in 0..20 {
        create(&store, number, Some(&number.to_string())).await;
    }
    proxy.set(Fault::Delay(Duration::from_millis(10)));
    let mut left = 0;
    for number in 0..20 {
        // On a machine that stands still for so long the answer may be quicker.
        left += u32::from(tokio::time::timeout(Duration::from_millis(3), store.load(&key(number))).await.is_err());
        let next = (number + 1) % 20;
        let loaded = store.load(&key(next)).await.unwrap().unwrap();
        assert_eq!(loaded.record.subject, Some(next.to_string().into()), "somebody else's session");
    }
    assert!(left > 5, "{left} visitors left");
}
