//! Every URL that names a server, with a real one behind it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]
#![cfg(all(
    feature = "postgres",
    feature = "mysql",
    feature = "redis",
    feature = "redis-cluster",
    feature = "redis-sentinel"
))]

use std::error::Error;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use session_core::{
    Count, Create, Ended, Expiry, Place, Record, SessionStore, StoreKey, SubjectLimit, Update, Version, Witness,
};
use session_stores::{ConnectError, connect, connect_countable};
use session_testing::servers::{MariaDb, Postgres, Redis, RedisCluster, RedisSentinel, Server};

fn key(number: u8) -> StoreKey {
    StoreKey::from_bytes([number; 32])
}

fn record() -> Record {
    let mut record = Record::new(Expiry::default());
    record.subject = Some("ada".into());
    record.values_mut().insert("n", 1);
    record
}

fn with(url: &str, option: &str) -> String {
    format!("{url}{}{option}", if url.contains('?') { '&' } else { '?' })
}

/// A disk that is busy with something else is no server that is away.
fn patient(url: &str) -> String {
    with(url, "timeout_ms=20000")
}

struct Silent;

impl Witness for Silent {
    fn ended(&self, _: &Ended) {}
}

/// What a store at a URL is for: another process finds what one has left, limits hold, and a server that doesn't answer is
/// an error in time, and no more than that.
async fn serves(url: &str, servers: &[&Server]) {
    let store = connect(&patient(url)).await.unwrap_or_else(|error| unreachable!("{error:?}"));
    assert!(store.watch(&(Arc::new(Silent) as Arc<dyn Witness>)), "it says whom it ends by itself");
    let limit = SubjectLimit::EndOldest(NonZeroU32::new(2).unwrap());
    for number in 1..=3 {
        assert_eq!(store.create(&key(number), &record(), limit).await.unwrap(), Create::Created);
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    let renamed = store.rename(&key(3), &key(4), &record(), Version::FIRST, limit).await.unwrap();
    assert_eq!(renamed, Update::Updated);
    drop(store);

    let store = connect(&with(url, "timeout_ms=300")).await.unwrap();
    let loaded = store.load(&key(4)).await.unwrap().unwrap();
    assert_eq!((loaded.record, loaded.version), (record(), Version::FIRST.next()));
    let keys = store.sessions_of("ada", 9).await.unwrap().into_iter().map(|(key, _)| key);
    assert_eq!(keys.collect::<Vec<_>>(), [key(4), key(2)]);
    counts(url, 2).await;

    servers.iter().for_each(|server| server.stop());
    let start = Instant::now();
    let failed = store.load(&key(4)).await;
    let took = start.elapsed();
    servers.iter().for_each(|server| server.resume());
    assert_eq!(failed.unwrap_err().to_string(), "loading a session failed");
    assert!((250..2_000).contains(&took.as_millis()), "{took:?}");
    // It may take a moment until there is a connection again.
    for _ in 0..20 {
        if store.load(&key(4)).await.is_ok() {
            break;
        }
    }
    let store = connect(&patient(url)).await.unwrap();
    assert!(store.delete(&key(3)).await.unwrap(), "the former key of the one that was renamed");
    assert_eq!(store.delete_all_of("ada", None).await.unwrap(), 1);
}

/// Counting by steps of any length finds what is alive and no more.
async fn counts(url: &str, logged_in: u64) {
    let store = connect_countable(url).await.unwrap();
    let mut anonymous = Record::new(Expiry::default());
    anonymous.values_mut().insert("n", "é");
    store.create(&key(9), &anonymous, SubjectLimit::None).await.unwrap();
    let mut short = Record::new(Expiry { idle: Duration::from_millis(1), ..Expiry::default() });
    short.subject = Some("bob".into());
    store.create(&key(10), &short, SubjectLimit::None).await.unwrap();
    store.revoke(&key(11), Duration::from_secs(60)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let bytes = logged_in * record().size() as u64 + anonymous.size() as u64;
    for most in [0, 1, 2, 1_000] {
        let (mut count, mut next) = (Count::default(), Some(Place::START));
        while let Some(place) = next {
            let (stretch, following) = store.count(place, most).await.unwrap();
            (count, next) = (count.plus(stretch), following);
        }
        assert_eq!((count.live, count.with_subject, count.bytes), (logged_in + 1, logged_in, bytes), "{url} {most}");
        assert_eq!(count.expired, u64::from(!url.starts_with("redis")), "{url} {most}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_by_its_url() {
    let Some(postgres) = Postgres::start() else { return };
    serves(&postgres.fresh_database(), &[&postgres]).await;
    let url = postgres.fresh_database().replace("postgres:", "postgresql:");
    serves(&with(&url, "max_connections=2&sslmode=disable&application_name=shop"), &[&postgres]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_by_its_url() {
    let Some(mariadb) = MariaDb::start() else { return };
    serves(&mariadb.fresh_database(), &[&mariadb]).await;
    let url = mariadb.fresh_database().replace("mysql:", "mariadb:");
    serves(&with(&url, "max_connections=2&ssl-mode=disabled"), &[&mariadb]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_by_its_url() {
    let Some(redis) = Redis::start() else { return };
    serves(&redis.fresh_database(), &[&redis]).await;
    let url = redis.fresh_database();
    serves(&with(&url, "prefix=shop"), &[&redis]).await;
    let url = patient(&url);
    let (shop, other) = (connect(&with(&url, "prefix=shop")).await.unwrap(), connect(&url).await.unwrap());
    shop.create(&key(1), &record(), SubjectLimit::None).await.unwrap();
    assert!(other.load(&key(1)).await.unwrap().is_none() && shop.load(&key(1)).await.unwrap().is_some());

    let keeps = connect(&with(&url, "keep_expired_s=3600")).await.unwrap();
    let mut brief = record();
    brief.expiry.idle = Duration::from_millis(20);
    keeps.create(&key(2), &brief, SubjectLimit::None).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(keeps.sweep(10).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_near_cache_by_its_url() {
    let Some(redis) = Redis::start() else { return };
    let url = with(&patient(&redis.url()), "near_cache_mb=8");
    let (here, there) = (connect(&url).await.unwrap(), connect(&url).await.unwrap());
    here.create(&key(1), &record(), SubjectLimit::None).await.unwrap();
    let commands = || {
        let stats = redis.ask(&["INFO", "stats"]).unwrap();
        let count = stats.lines().find_map(|line| line.strip_prefix("total_commands_processed:")).unwrap();
        count.trim().parse::<u64>().unwrap()
    };
    let loads = async || {
        let before = commands();
        for _ in 0..100 {
            assert!(here.load(&key(1)).await.unwrap().is_some());
        }
        commands() - before
    };
    // It begins when its own connection stands.
    let start = Instant::now();
    while loads().await > 50 {
        assert!(start.elapsed() < Duration::from_secs(10), "nothing comes from memory");
    }
    assert!(there.delete(&key(1)).await.unwrap());
    while here.load(&key(1)).await.unwrap().is_some() {
        assert!(start.elapsed() < Duration::from_secs(10), "it doesn't hear of other nodes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_by_its_url() {
    let Some(cluster) = RedisCluster::start() else { return };
    let nodes: Vec<&Server> = cluster.nodes().iter().map(|node| &**node).collect();
    serves(&cluster.url(), &nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_with_sentinels_by_its_url() {
    let Some(redis) = RedisSentinel::start() else { return };
    let nodes: Vec<&Server> = redis.nodes().iter().map(|node| &**node).collect();
    serves(&redis.url(), &nodes).await;
}

/// Why there is no store, with everything that `Display` and `Debug` say.
async fn refusal(url: &str) -> String {
    let start = Instant::now();
    let Err(error) = connect(url).await else { unreachable!("{url} gave a store") };
    assert!(start.elapsed() < Duration::from_secs(11), "{:?}", start.elapsed());
    assert!(matches!(error, ConnectError::Failed { .. } | ConnectError::Refused { .. }), "{error:?}");
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text} {error} {error:?}");
        source = error.source();
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn no_error_tells_the_password() {
    let (postgres, mariadb, redis) = (Postgres::start(), MariaDb::start(), Redis::start());
    let to = |server: Option<&Server>| server.map(|server| server.addr().to_string());
    let mut urls = Vec::new();
    for scheme in ["postgres", "mysql", "redis", "redis-cluster", "redis-sentinel"] {
        let path = if scheme == "redis-sentinel" { "service" } else { "0" };
        let server = match scheme {
            "postgres" => to(postgres.as_deref()),
            "mysql" => to(mariadb.as_deref()),
            _ => to(redis.as_deref()),
        };
        let nobody = Some("127.0.0.1:1".to_owned());
        for address in [server, nobody].into_iter().flatten() {
            for credentials in ["ada:hunter2", "ada:hunter2%"] {
                urls.push(format!("{scheme}://{credentials}@{address}/{path}"));
            }
        }
        for malformed in
            ["ada:hunter2@h:port", "ada:hunter2@h:99999", "ada:hun#hunter2@h", "ada:hun/hunter2@h", "@", "[", ""]
        {
            urls.push(format!("{scheme}://{malformed}/{path}"));
        }
        urls.push(format!("{scheme}://:hunter2@127.0.0.1:1/{path}"));
        urls.push(format!("{scheme}:ada:hunter2@127.0.0.1:1/{path}"));
        urls.push(format!("{scheme}://ada:hun?hunter2@127.0.0.1:1/{path}"));
        urls.push(format!("{scheme}://ada:a@127.0.0.1:1/{path}?password=hunter2"));
        urls.push(format!("{scheme}://ada:a@127.0.0.1:1/{path}?hunter2=1&timeout_ms=hunter2"));
    }
    for url in urls {
        let text = refusal(&url).await;
        assert!(!text.contains("hunter2"), "{url}: {text}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_to_be_the_matter_at_once() {
    for scheme in ["postgres", "mysql", "redis"] {
        let start = Instant::now();
        let text = refusal(&format!("{scheme}://ada:secret@127.0.0.1:1/0")).await;
        assert!(text.contains("efused"), "{text}");
        assert!(start.elapsed() < Duration::from_secs(3), "{scheme}: {:?}", start.elapsed());
    }
}

#[tokio::test]
async fn connecting_can_be_left_to_another_task() {
    let connected: Result<Arc<dyn SessionStore>, _> = tokio::spawn(connect("memory:")).await.unwrap();
    assert!(connected.is_ok());
}
