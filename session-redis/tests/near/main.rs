//! The near cache against a real server: what it promises, and what happens when the server's messages don't come.

#![allow(clippy::unwrap_used)]

mod faults;
mod race;
#[cfg(feature = "sentinel")]
mod sentinel;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use session_core::{
    Counting, Create, Encrypted, Expiry, KeyRing, Loaded, Record, Secret, SessionStore, StoreKey, SubjectLimit, Touch,
    Update, Verb, Version,
};
use session_redis::{NearCache, RedisStore};
use session_testing::servers::{Fault, Proxy, Redis};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// No message takes this long on a machine that is not standing still.
const SOON: Duration = Duration::from_millis(250);
/// What reconnecting may take: the longest pause between two attempts, and the attempt.
const BACK: Duration = Duration::from_secs(3);

/// One that doesn't wait for the disk: how late a message is says nothing if the write before it waited.
fn redis() -> Option<Redis> {
    Redis::start_with(&["--appendfsync", "no"])
}

/// Patient, on a machine that is busy with other things.
async fn store(url: &str) -> RedisStore {
    RedisStore::connect(url).await.unwrap().timeout(Duration::from_secs(10))
}

/// A node with a near cache that serves.
async fn node(redis: &Redis) -> NearCache<Counting<RedisStore>> {
    let store = store(&redis.url()).await;
    let node = NearCache::around(store, Counting::new).unwrap();
    within(BACK, || node.is_live()).await;
    node
}

/// A node that loads and writes without detours, but hears of changes through a proxy; and the loads that the server saw.
async fn node_behind(proxy: &Proxy, redis: &Redis) -> (NearCache<Counting<RedisStore>>, Counting<RedisStore>) {
    let inner = Counting::new(store(&redis.url()).await);
    let node = NearCache::around(store(&format!("redis://{}", proxy.addr())).await, |_| inner.clone()).unwrap();
    within(BACK, || node.is_live()).await;
    (node, inner)
}

fn key(number: u64) -> StoreKey {
    // The near cache spreads by the first bytes, as those of hashes spread.
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes[8..16].copy_from_slice(&number.to_be_bytes());
    StoreKey::from_bytes(bytes)
}

fn record(number: u64) -> Record {
    let mut record = Record::new(Expiry::default());
    record.subject = Some("ada".into());
    record.values_mut().insert("n", number);
    record
}

fn number(loaded: &Loaded) -> u64 {
    loaded.record.values().get("n").unwrap().as_u64().unwrap()
}

async fn create(store: &impl SessionStore, key: &StoreKey) {
    assert_eq!(store.create(key, &record(0), SubjectLimit::None).await.unwrap(), Create::Created);
}

async fn is_live(store: &impl SessionStore, key: &StoreKey) -> bool {
    store.load(key).await.unwrap().is_some()
}

/// Loads until the session is in memory.
async fn warm<S: SessionStore>(node: &NearCache<S>, key: &StoreKey) {
    let start = Instant::now();
    loop {
        let hits = node.stats().hits;
        assert!(is_live(node, key).await);
        if node.stats().hits > hits {
            return;
        }
        assert!(start.elapsed() < BACK, "the session doesn't stay in memory: {:?}", node.stats());
    }
}

/// Waits until `done`, and says how long that took.
async fn within(limit: Duration, done: impl Fn() -> bool) -> Duration {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < limit, "not within {limit:?}");
        sleep(Duration::from_millis(1)).await;
    }
    start.elapsed()
}

/// Loads until what comes is as expected, and says after how long the load began that brought it.
async fn seen(node: &impl SessionStore, key: &StoreKey, expected: impl Fn(Option<&Loaded>) -> bool) -> Duration {
    let start = Instant::now();
    loop {
        let began = start.elapsed();
        if expected(node.load(key).await.unwrap().as_ref()) {
            return began;
        }
        assert!(began < BACK, "not seen within {BACK:?}");
        tokio::task::yield_now().await;
    }
}

fn print(what: &str, mut took: Vec<Duration>) -> Duration {
    took.sort();
    let at = |part: usize| took[(took.len() - 1) * part / 1_000];
    let [half, p99, p999, most] = [500, 990, 999, 1_000].map(at);
    println!("{what}: {} times, p50 {half:?}, p99 {p99:?}, p99.9 {p999:?}, longest {most:?}", took.len());
    p99
}

/// The other node acknowledges as soon as the server does: no time passes in which the message could arrive.
#[tokio::test(flavor = "multi_thread")]
async fn a_logout_on_one_node_is_seen_by_the_other() {
    let Some(redis) = redis() else { return };
    let (here, there) = (store(&redis.url()).await, node(&redis).await);
    let mut took = Vec::new();
    for round in 0..1_000 {
        let key = key(round);
        create(&here, &key).await;
        warm(&there, &key).await;
        assert!(here.delete(&key).await.unwrap());
        took.push(seen(&there, &key, |loaded| loaded.is_none()).await);
    }
    assert!(there.stats().hits >= 1_000, "{:?}", there.stats());
    let p99 = print("until a load knows of another node's acknowledged logout", took);
    assert!(p99 < 2 * SOON, "half of what would be waited for without messages");
}

#[tokio::test(flavor = "multi_thread")]
async fn warm_loads_ask_nobody() {
    let Some(redis) = redis() else { return };
    let (here, there) = (node(&redis).await, node(&redis).await.staleness(Duration::from_secs(10)));
    let keys: Vec<_> = (0..100).map(key).collect();
    for key in &keys {
        create(&here, key).await;
        warm(&there, key).await;
    }
    redis.ask(&["CONFIG", "RESETSTAT"]).unwrap();
    let before = there.stats();
    let start = Instant::now();
    for _ in 0..100 {
        for key in &keys {
            assert!(is_live(&there, key).await);
        }
    }
    println!("10,000 loads from memory: {:?}", start.elapsed());
    let commands = redis.ask(&["INFO", "commandstats"]).unwrap();
    let asked: Vec<_> = commands.lines().filter_map(|line| line.strip_prefix("cmdstat_")?.split(':').next()).collect();
    assert!(asked.iter().all(|command| ["config|resetstat", "hello"].contains(command)), "{asked:?}");
    let after = there.stats();
    assert_eq!(
        (after.hits - before.hits, after.misses - before.misses, after.bypassed - before.bypassed),
        (10_000, 0, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_another_node_changes_is_heard() {
    let Some(redis) = redis() else { return };
    let (here, there) = (node(&redis).await, node(&redis).await);
    let [a, b, c, d] = [1, 2, 3, 4].map(key);
    create(&here, &a).await;

    warm(&there, &a).await;
    assert_eq!(here.update(&a, &record(7), Version::FIRST).await.unwrap(), Update::Updated);
    seen(&there, &a, |loaded| number(loaded.unwrap()) == 7).await;

    warm(&there, &a).await;
    let was = there.load(&a).await.unwrap().unwrap().times.seen;
    sleep(Duration::from_millis(2)).await;
    assert_eq!(here.touch(&a).await.unwrap(), Touch::Touched);
    seen(&there, &a, |loaded| loaded.unwrap().times.seen > was).await;

    warm(&there, &a).await;
    let seen_version = Version::FIRST.next();
    assert_eq!(here.rename(&a, &b, &record(8), seen_version, SubjectLimit::None).await.unwrap(), Update::Updated);
    seen(&there, &a, |loaded| loaded.is_none()).await;

    warm(&there, &b).await;
    let one = SubjectLimit::EndOldest(std::num::NonZeroU32::MIN);
    assert_eq!(here.create(&c, &record(0), one).await.unwrap(), Create::Created);
    seen(&there, &b, |loaded| loaded.is_none()).await;

    create(&here, &d).await;
    warm(&there, &c).await;
    warm(&there, &d).await;
    assert!(here.delete_one_of("ada", &d).await.unwrap());
    seen(&there, &d, |loaded| loaded.is_none()).await;
    assert_eq!(here.delete_all_of("ada", None).await.unwrap(), 1);
    seen(&there, &c, |loaded| loaded.is_none()).await;

    create(&here, &a).await;
    warm(&there, &a).await;
    redis.ask(&["FLUSHALL"]).unwrap();
    seen(&there, &a, |loaded| loaded.is_none()).await;
}

/// Its messages come 50 ms late; what it did itself it knows at once.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_did_itself_it_knows_at_once() {
    let Some(redis) = redis() else { return };
    let proxy = Proxy::to(redis.addr());
    let other = store(&redis.url()).await;
    let (node, _) = node_behind(&proxy, &redis).await;
    proxy.set(Fault::Delay(Duration::from_millis(50)));
    let [a, b, c] = [1, 2, 3].map(key);

    create(&node, &a).await;
    warm(&node, &a).await;
    assert_eq!(node.update(&a, &record(7), Version::FIRST).await.unwrap(), Update::Updated);
    assert_eq!(number(&node.load(&a).await.unwrap().unwrap()), 7);

    warm(&node, &a).await;
    sleep(Duration::from_millis(2)).await;
    assert_eq!(node.touch(&a).await.unwrap(), Touch::Touched);
    let loaded = node.load(&a).await.unwrap().unwrap();
    assert!(loaded.now.since(loaded.times.seen) < Duration::from_millis(50));

    // Another node renewed the session; a logout by its former key ends it under a key that this node wasn't told.
    warm(&node, &a).await;
    other.rename(&a, &b, &record(8), Version::FIRST.next(), SubjectLimit::None).await.unwrap();
    warm(&node, &b).await;
    assert!(node.delete(&a).await.unwrap());
    assert!(!is_live(&node, &b).await && !is_live(&node, &a).await);

    create(&node, &a).await;
    warm(&node, &a).await;
    other.rename(&a, &b, &record(8), Version::FIRST, SubjectLimit::None).await.unwrap();
    warm(&node, &b).await;
    assert!(node.delete_one_of("ada", &a).await.unwrap());
    assert!(!is_live(&node, &b).await);

    let one = SubjectLimit::EndOldest(std::num::NonZeroU32::MIN);
    create(&node, &a).await;
    warm(&node, &a).await;
    assert_eq!(node.create(&b, &record(0), one).await.unwrap(), Create::Created);
    assert!(!is_live(&node, &a).await);

    create(&node, &a).await;
    warm(&node, &a).await;
    warm(&node, &b).await;
    assert_eq!(node.rename(&a, &c, &record(0), Version::FIRST, one).await.unwrap(), Update::Updated);
    assert!(!is_live(&node, &a).await && !is_live(&node, &b).await);

    create(&node, &b).await;
    warm(&node, &b).await;
    warm(&node, &c).await;
    assert_eq!(node.delete_all_of("ada", Some(&b)).await.unwrap(), 1);
    assert!(!is_live(&node, &c).await && is_live(&node, &b).await);
}

/// What the user of an access list needs beside what the store needs.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_ask_for_messages_is_enough() {
    let Some(redis) = redis() else { return };
    let commands = "+eval +evalsha +time +type +exists +pttl +pexpireat +del +hget +hmget +hset +zadd +zrandmember";
    let user = |name, more| {
        let rule = ["ACL", "SETUSER", name, "on", ">secret", "~session:*"];
        redis.ask(&rule.into_iter().chain(commands.split(' ')).chain(more).collect::<Vec<_>>()).unwrap();
        redis.url().replace("//", &format!("//{name}:secret@"))
    };
    let deaf = NearCache::new(store(&user("deaf", None)).await).unwrap();
    let hears = NearCache::new(store(&user("hears", Some("+client|tracking"))).await).unwrap();
    within(BACK, || hears.is_live()).await;
    create(&hears, &key(1)).await;
    warm(&hears, &key(1)).await;
    assert!(store(&redis.url()).await.delete(&key(1)).await.unwrap());
    seen(&hears, &key(1), |loaded| loaded.is_none()).await;
    assert!(!deaf.is_live() && !is_live(&deaf, &key(1)).await, "who hears nothing believes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_runtime_it_is_refused() {
    let Some(redis) = redis() else { return };
    let store = store(&redis.url()).await;
    let refused = std::thread::spawn(move || NearCache::new(store).unwrap_err()).join().unwrap();
    let why = std::error::Error::source(&refused).unwrap();
    assert_eq!(format!("{refused}: {why}"), "starting the near cache failed: call this from within a tokio runtime");
}

#[cfg(feature = "cluster")]
#[tokio::test(flavor = "multi_thread")]
async fn on_a_cluster_it_is_refused() {
    let Some(cluster) = session_testing::servers::RedisCluster::start() else { return };
    let store = RedisStore::cluster(&cluster.nodes().iter().map(Redis::url).collect::<Vec<_>>()).await.unwrap();
    let refused = NearCache::new(store).unwrap_err();
    assert!(std::error::Error::source(&refused).unwrap().to_string().contains("no node hears of every key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract_of_a_store() {
    let Some(redis) = redis() else { return };
    session_testing::store::suite(|| async {
        let store = store(&redis.fresh_database()).await;
        let near = NearCache::new(store).unwrap();
        within(BACK, || near.is_live()).await;
        near
    })
    .await;
}

/// The keys are the same on the server, so its messages are understood; what is in memory is open already.
#[tokio::test(flavor = "multi_thread")]
async fn it_stands_in_front_of_an_encrypted_store() {
    let Some(redis) = redis() else { return };
    let keys = KeyRing::new(Secret::random().unwrap());
    let other = Encrypted::new(store(&redis.url()).await, keys.clone());
    let node = NearCache::around(store(&redis.url()).await, |redis| Encrypted::new(redis, keys)).unwrap();
    within(BACK, || node.is_live()).await;
    create(&other, &key(1)).await;
    warm(&node, &key(1)).await;
    assert_eq!(node.load(&key(1)).await.unwrap().unwrap().record, record(0));
    assert_eq!(other.delete_all_of("ada", None).await.unwrap(), 1);
    seen(&node, &key(1), |loaded| loaded.is_none()).await;
}

/// More sessions than there is room for, and one that is looked at again and again.
#[tokio::test(flavor = "multi_thread")]
async fn the_memory_is_bounded() {
    const BYTES: usize = 1 << 20;
    let Some(redis) = redis() else { return };
    let node = node(&redis).await.memory(BYTES);
    let mut record = record(0);
    record.values_mut().insert("text", "x".repeat(1_000));
    for number in 0..5_000 {
        let created = node.create(&key(number), &record, SubjectLimit::None).await.unwrap();
        assert_eq!(created, Create::Created);
        assert!(is_live(&node, &key(number)).await && is_live(&node, &key(0)).await);
        assert!(node.stats().bytes <= BYTES);
    }
    let stats = node.stats();
    println!("{stats:?}");
    assert!(stats.entries > 100 && stats.entries < 1_000, "{stats:?}");
    assert!(stats.hits > 4_500, "{stats:?}");
}
