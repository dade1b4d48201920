use std::sync::Mutex;
use std::thread::{self, ThreadId};
use std::time::Duration;

use super::*;
use crate::clock::{ManualClock, Timestamp};
use crate::expiry::Expiry;

fn key(number: u32) -> StoreKey {
    use sha2::{Digest as _, Sha256};
    StoreKey::from_bytes(Sha256::digest(number.to_be_bytes()).into())
}

fn record(seconds: u64, subject: Option<&str>) -> Record {
    let mut record = Record::new(Expiry { idle: Duration::from_secs(seconds), ..Expiry::default() });
    record.subject = subject.map(Into::into);
    record
}

fn held(store: &MemoryStore) -> usize {
    store.0.counters.held.load(Ordering::Relaxed)
}

fn stopped() -> (MemoryStore, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_000_000)));
    (MemoryStore::new().clock(Arc::clone(&clock)), clock)
}

#[tokio::test]
async fn memory_comes_back_after_a_sweep() {
    let (store, clock) = stopped();
    for number in 0..60_000 {
        let seconds = if number % 100 == 0 { 1_000 } else { 10 };
        store.create(&key(number), &record(seconds, None), SubjectLimit::None).await.unwrap();
    }
    let full = store.room();
    assert!(full >= 60_000);
    clock.advance(Duration::from_secs(10));
    assert_eq!((store.live(), held(&store)), (600, 60_000));
    assert_eq!(store.sweep(500).await.unwrap(), 500);
    assert_eq!(held(&store), 59_500);
    assert_eq!(store.0.sweep(usize::MAX, || ()), 58_900, "without rests, as nobody waits");
    assert_eq!(store.sweep(usize::MAX).await.unwrap(), 0);
    assert_eq!((store.live(), held(&store)), (600, 600));
    assert!(store.room() < full / 4, "{} of {full}", store.room());
    for number in (0..60_000).step_by(100) {
        assert!(store.load(&key(number)).await.unwrap().is_some());
    }
}

/// Knows on which threads it was asked.
struct Witness(Mutex<Vec<ThreadId>>);

impl Clock for Witness {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap().push(thread::current().id());
        Timestamp::from_millis(0)
    }
}

#[tokio::test]
async fn a_sweep_has_a_thread_of_its_own() {
    let clock = Arc::new(Witness(Mutex::default()));
    assert_eq!(MemoryStore::new().clock(Arc::clone(&clock)).sweep(10).await.unwrap(), 0);
    let threads = clock.0.lock().unwrap();
    assert!(!threads.is_empty() && !threads.contains(&thread::current().id()));
}

#[tokio::test]
async fn a_creation_drops_no_more_than_a_little() {
    let (store, clock) = stopped();
    // The next creation is not one of those that sweep anyway.
    let store = store.capacity(60_001);
    for number in 0..60_001 {
        store.create(&key(number), &record(10, None), SubjectLimit::None).await.unwrap();
    }
    clock.advance(Duration::from_secs(10));
    let mut before = held(&store);
    for number in 60_001..60_100 {
        store.create(&key(number), &record(10, None), SubjectLimit::None).await.unwrap();
        let dropped = before + 1 - held(&store);
        // It finds the store full.
        let most = if number == 60_001 { ROOM_MADE + SWEPT_BY_A_CREATION } else { SWEPT_BY_A_CREATION };
        assert!(dropped <= most, "{dropped} by {number}");
        before = held(&store);
    }
    assert!(before > 58_000, "{before}");
}

#[tokio::test]
async fn memory_comes_back_though_nobody_sweeps() {
    let (store, clock) = stopped();
    for number in 0..60_000 {
        store.create(&key(number), &record(1, None), SubjectLimit::None).await.unwrap();
        clock.advance(Duration::from_millis(1));
    }
    // 1,000 are alive at any time; each fourth creation sweeps a shard.
    assert!(held(&store) < 10_000, "{}", held(&store));
}

#[tokio::test]
async fn former_keys_are_forgotten_when_nobody_can_know_them_any_more() {
    let former = |store: &MemoryStore| store.0.shards.all().map(|shard| shard.renamed.len()).sum::<usize>();
    let (store, clock) = stopped();
    let record = record(10, None);
    store.create(&key(0), &record, SubjectLimit::None).await.unwrap();
    let mut version = Version::FIRST;
    for number in 0..100 {
        store.rename(&key(number), &key(number + 1), &record, version, SubjectLimit::None).await.unwrap();
        version = version.next();
    }
    assert_eq!((store.live(), held(&store), former(&store)), (1, 1, 100));
    store.delete(&key(60)).await.unwrap();
    assert_eq!((store.live(), held(&store), former(&store)), (0, 0, 60));
    clock.advance(Duration::from_secs(10));
    store.sweep(usize::MAX).await.unwrap();
    assert_eq!(former(&store), 0);
}

#[tokio::test]
async fn every_verb_counts_right() {
    let (store, clock) = stopped();
    let record = record(1, None);
    for (first, second) in [(1, 2), (3, 4)] {
        store.create(&key(first), &record, SubjectLimit::None).await.unwrap();
        assert_eq!(store.create(&key(first), &record, SubjectLimit::None).await.unwrap(), Create::Taken);
        store.rename(&key(first), &key(second), &record, Version::FIRST, SubjectLimit::None).await.unwrap();
        assert_eq!(held(&store), 1);
        store.delete(&key(first)).await.unwrap();
        assert_eq!(held(&store), 0);
        store.delete(&key(second)).await.unwrap();
        store.delete(&key(second)).await.unwrap();
        assert_eq!(held(&store), 0);
    }
    // An expired one gives its place to a new one and to a renamed one.
    store.create(&key(1), &record, SubjectLimit::None).await.unwrap();
    clock.advance(Duration::from_secs(2));
    assert_eq!(store.create(&key(1), &record, SubjectLimit::None).await.unwrap(), Create::Created);
    clock.advance(Duration::from_secs(2));
    store.create(&key(2), &record, SubjectLimit::None).await.unwrap();
    store.rename(&key(2), &key(1), &record, Version::FIRST, SubjectLimit::None).await.unwrap();
    store.sweep(usize::MAX).await.unwrap();
    assert_eq!((held(&store), store.live()), (1, 1));
}

#[tokio::test]
async fn a_flood_of_refused_sessions_does_not_hide_what_expired() {
    let (store, clock) = stopped();
    let store = store.capacity(10);
    for number in 0..10 {
        store.create(&key(number), &record(10, None), SubjectLimit::None).await.unwrap();
    }
    for number in 10..60 {
        clock.advance(Duration::from_millis(50));
        store.create(&key(number), &record(10, None), SubjectLimit::None).await.unwrap_err();
    }
    store.touch(&key(0)).await.unwrap();
    clock.advance(Duration::from_millis(7_450));
    store.create(&key(60), &record(10, None), SubjectLimit::None).await.unwrap_err();
    clock.advance(Duration::from_millis(60));
    store.create(&key(61), &record(10, None), SubjectLimit::None).await.unwrap_err();
    clock.advance(Duration::from_millis(60));
    store.create(&key(62), &record(10, None), SubjectLimit::None).await.unwrap();
    assert_eq!(store.live(), 2);
}

#[tokio::test]
async fn a_full_store_whose_sessions_expired_has_room_for_as_many() {
    let (store, clock) = stopped();
    let store = store.capacity(100);
    for round in 0..3 {
        for number in 0..100 {
            let created = store.create(&key(1_000 * round + number), &record(1, None), SubjectLimit::None).await;
            assert!(created.is_ok(), "{number} of round {round}");
        }
        store.create(&key(999), &record(1, None), SubjectLimit::None).await.unwrap_err();
        clock.advance(Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_full_store_refuses_anonymous_sessions_only_and_evicts_no_live_one() {
    let (store, clock) = stopped();
    let store = store.capacity(100);
    for number in 0..100 {
        store
            .create(&key(number), &record(if number < 50 { 10 } else { 100 }, None), SubjectLimit::None)
            .await
            .unwrap();
    }
    let refused = store.create(&key(100), &record(10, None), SubjectLimit::None).await.unwrap_err();
    assert_eq!(refused.to_string(), "creating a session failed");
    for number in 100..150 {
        assert_eq!(
            store.create(&key(number), &record(100, Some("ada")), SubjectLimit::None).await.unwrap(),
            Create::Created
        );
    }
    assert_eq!(store.live(), 150);
    clock.advance(Duration::from_secs(10));
    assert_eq!(store.live(), 100);
    store.create(&key(200), &record(10, None), SubjectLimit::None).await.unwrap_err();
    store.delete(&key(99)).await.unwrap();
    clock.advance(Duration::from_secs(1));
    store.create(&key(200), &record(10, None), SubjectLimit::None).await.unwrap();
    for number in (50..99).chain(100..150) {
        assert!(store.load(&key(number)).await.unwrap().is_some(), "{number}");
    }
}
