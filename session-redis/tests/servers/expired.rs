//! What the server keeps when a session has expired.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use session_core::{Countable, Ended, EndedBy, Found, Place, Witness};

use super::*;

const BRIEF: Duration = Duration::from_millis(100);
const KEPT: Duration = Duration::from_secs(3_600);

#[derive(Default)]
struct Told(Mutex<Vec<Ended>>);

impl Witness for Told {
    fn ended(&self, ended: &Ended) {
        self.0.lock().unwrap().push(ended.clone());
    }
}

/// A store that knows nobody else's sessions, and who is told of it.
async fn watched(redis: &Redis, prefix: &str) -> (RedisStore, Arc<Told>) {
    let store = store(redis).await.prefix(prefix).unwrap();
    let told = watch(&store);
    (store, told)
}

fn watch(store: &RedisStore) -> Arc<Told> {
    let told = Arc::new(Told::default());
    let witness: Arc<dyn Witness> = told.clone();
    assert!(store.watch(&witness));
    told
}

fn brief(subject: &str) -> Record {
    let mut record = record(Some(subject));
    record.expiry.idle = BRIEF;
    record
}

async fn create_brief(store: &RedisStore, numbers: std::ops::Range<u8>) {
    for number in numbers {
        let created = store.create(&key(number), &brief("ada"), SubjectLimit::None).await;
        assert_eq!(created.unwrap(), Create::Created);
    }
}

fn remaining(redis: &Redis, prefix: &str, number: u8) -> i64 {
    redis.ask(&["PTTL", &format!("{prefix}:{}", key(number).to_hex())]).unwrap().parse().unwrap()
}

/// How many scripts a server has run.
fn commands(redis: &Redis) -> u64 {
    let stats = redis.ask(&["INFO", "commandstats"]).unwrap();
    let line = stats.lines().find(|line| line.starts_with("cmdstat_evalsha:")).unwrap();
    let (_, calls) = line.split_once("calls=").unwrap();
    calls.split_once(',').unwrap().0.parse().unwrap()
}

#[tokio::test]
async fn nobody_who_does_not_ask_for_it_keeps_anything() {
    let Some(redis) = redis() else { return };
    let (store, told) = watched(redis, "drops").await;
    create(&store, 2, None).await;
    let idle = i64::try_from(Expiry::default().idle.as_millis()).unwrap();
    assert!((idle - 60_000..=idle).contains(&remaining(redis, "drops", 2)));
    create_brief(&store, 1..2).await;
    sleep(2 * BRIEF).await;
    assert_eq!(remaining(redis, "drops", 1), -2, "there is no such key");
    assert_eq!(store.find(&key(1)).await.unwrap(), Found::Absent);
    assert_eq!(store.sweep(10).await.unwrap(), 0);
    assert!(told.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_has_expired_is_dropped_by_the_server_if_nobody_sweeps_it() {
    let Some(redis) = redis() else { return };
    let (store, told) = watched(redis, "forgets").await;
    let store = store.keep_expired(2 * BRIEF);
    create_brief(&store, 1..2).await;
    sleep(BRIEF + BRIEF / 2).await;
    assert!(!is_live(&store, 1).await);
    sleep(3 * BRIEF).await;
    assert_eq!(remaining(redis, "forgets", 1), -2, "there is no such key");
    assert_eq!(store.sweep(10).await.unwrap(), 0);
    assert!(told.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn every_write_says_for_how_long_a_session_is_kept() {
    let Some(redis) = redis() else { return };
    let store = store(redis).await.prefix("writes").unwrap().keep_expired(KEPT);
    let lasts = |number| {
        let remaining = u64::try_from(remaining(redis, "writes", number)).unwrap();
        let idle = Duration::from_millis(remaining) - KEPT;
        assert!(idle > Duration::from_secs(60) && idle <= Expiry::default().idle, "{idle:?}");
    };
    create(&store, 1, Some("ada")).await;
    lasts(1);
    store.touch(&key(1)).await.unwrap();
    lasts(1);
    store.update(&key(1), &record(Some("ada")), session_core::Version::FIRST).await.unwrap();
    lasts(1);
    let seen = store.load(&key(1)).await.unwrap().unwrap().version;
    store.rename(&key(1), &key(2), &record(Some("ada")), seen, SubjectLimit::None).await.unwrap();
    lasts(2);
}

#[tokio::test]
async fn a_sweep_goes_on_where_the_last_one_stopped_and_tells_of_each_once() {
    // A server of its own, for its commands are counted.
    let Some(redis) = quick() else { return };
    let (store, told) = watched(&redis, "sweeps").await;
    let store = store.keep_expired(KEPT);
    create_brief(&store, 0..250).await;
    for number in 0..500_u16 {
        let mut key = [0xff; 32];
        key[..2].copy_from_slice(&number.to_be_bytes());
        store.create(&StoreKey::from_bytes(key), &record(None), SubjectLimit::None).await.unwrap();
    }
    // Nothing of it is a session that has expired.
    let others =
        ["sweeps", "sweeps:short", &format!("sweeps:{}", "g".repeat(64)), &format!("other:{}", key(0).to_hex())];
    for other in others {
        let fields = ["version", "1", "created", "1", "seen", "1", "idle", "1", "lifetime", "1"];
        redis.ask(&[&["HSET", other][..], &fields].concat()).unwrap();
    }
    sleep(2 * BRIEF).await;
    assert_eq!(store.count(Place::START, 1_000_000).await.unwrap().0.expired, 250);
    let before = commands(&redis);
    for _ in 0..25 {
        assert_eq!(store.sweep(10).await.unwrap(), 10);
    }
    assert_eq!(store.sweep(10).await.unwrap(), 0);
    assert_eq!(store.sweep(0).await.unwrap(), 0);
    // From the beginning each time it would be some hundred.
    let took = commands(&redis) - before;
    assert!((38..150).contains(&took), "{took} commands for 750 sessions");
    assert_eq!(store.count(Place::START, 1_000_000).await.unwrap().0.live, 500);
    let told = told.0.lock().unwrap();
    assert_eq!(told.iter().map(|ended| ended.key).collect::<HashSet<_>>(), (0..250).map(key).collect());
    assert_eq!(told.len(), 250);
    for ended in &*told {
        let was = ended.session.as_ref().unwrap();
        assert_eq!((ended.by, &was.record), (EndedBy::Deadline, &brief("ada")));
        assert!(was.times.is_over(was.now));
    }
    for other in others {
        assert_eq!(redis.ask(&["DEL", other]).unwrap(), "1", "{other}");
    }
}

#[tokio::test]
async fn what_has_expired_is_nobodys_to_change_and_only_a_sweeps_to_end() {
    let Some(redis) = redis() else { return };
    let (store, told) = watched(redis, "ends").await;
    let store = store.keep_expired(KEPT);
    create_brief(&store, 1..3).await;
    sleep(2 * BRIEF).await;
    let one = session_core::Version::FIRST;
    assert_eq!(store.touch(&key(1)).await.unwrap(), session_core::Touch::Gone);
    assert_eq!(store.update(&key(1), &brief("ada"), one).await.unwrap(), session_core::Update::Gone);
    let renamed = store.rename(&key(1), &key(9), &brief("ada"), one, end_oldest(5)).await;
    assert_eq!(renamed.unwrap(), session_core::Update::Gone);
    assert!(!store.delete(&key(1)).await.unwrap());
    assert!(!store.delete_one_of("ada", &key(1)).await.unwrap());
    assert_eq!(store.sessions_of("ada", 10).await.unwrap().len(), 0);
    assert_eq!(store.delete_all_of("ada", None).await.unwrap(), 0);
    assert_eq!(store.find(&key(1)).await.unwrap(), Found::Expired);
    assert!(told.0.lock().unwrap().is_empty());
    assert_eq!(store.sweep(10).await.unwrap(), 2);
    assert_eq!(told.0.lock().unwrap().len(), 2);
}

#[cfg(feature = "cluster")]
#[tokio::test]
async fn a_sweep_of_a_cluster_goes_through_all_of_its_nodes() {
    let Some(cluster) = cluster() else { return };
    let store = RedisStore::cluster(&[cluster.nodes()[0].url()]).await.unwrap().timeout(PATIENCE);
    let store = store.prefix("everywhere").unwrap().keep_expired(KEPT);
    let told = watch(&store);
    create_brief(&store, 0..30).await;
    sleep(2 * BRIEF).await;
    assert_eq!(store.find(&key(1)).await.unwrap(), Found::Expired);
    assert!(!store.delete(&key(1)).await.unwrap());
    assert_eq!([store.sweep(20).await.unwrap(), store.sweep(20).await.unwrap()], [20, 10]);
    let told: HashSet<_> = told.0.lock().unwrap().iter().map(|ended| ended.key).collect();
    assert_eq!(told, (0..30).map(key).collect());
}
