//! Sessions in this process's memory: for one process, and gone with it.

use std::array;
use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use async_trait::async_trait;

use crate::clock::{Clock, SystemClock, Timestamp};
use crate::error::StoreError;
use crate::expiry::Times;
use crate::id::StoreKey;
use crate::record::Record;
use crate::store::{Create, Loaded, SessionStore, Touch, Update, Version};

/// With a million sessions a shard holds 4,000, so sweeping one keeps its lock for well under a millisecond.
const SHARDS: usize = 256;
/// Every so many creations sweep one shard, so that memory comes back without anybody calling `sweep`.
const CREATIONS_PER_SWEEP: usize = 16;

/// Keeps sessions in memory. It holds a bounded number of them: at its capacity it makes room by dropping expired
/// ones, and then refuses new anonymous sessions; live ones are never evicted, and people can still log in.
///
/// Clones share the same sessions. They end with the process: use another store to survive a restart or to serve
/// from several machines.
///
/// ```
/// use session_core::{Expiry, MemoryStore, Record, SessionStore, StoreKey};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = MemoryStore::new().capacity(1);
/// let record = Record::new(Expiry::default());
/// store.create(&StoreKey::from_bytes([1; 32]), &record).await?;
/// assert!(store.create(&StoreKey::from_bytes([2; 32]), &record).await.is_err());
/// assert_eq!(store.live(), 1);
/// # Ok::<(), session_core::StoreError>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct MemoryStore(Arc<Memory>);

#[derive(Clone)]
struct Memory {
    shards: Arc<[Mutex<Shard>; SHARDS]>,
    counters: Arc<Counters>,
    capacity: usize,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct Counters {
    held: AtomicUsize,
    creations: AtomicUsize,
    next_to_sweep: AtomicUsize,
    /// When the whole store was last searched for room, in milliseconds.
    searched: AtomicU64,
}

#[derive(Default)]
struct Shard {
    sessions: HashMap<StoreKey, Entry>,
    /// Where renamed sessions went, so that who wants to end one by its former key ends it all the same.
    renamed: HashMap<StoreKey, Renamed>,
}

struct Entry {
    record: Record,
    version: Version,
    times: Times,
}

/// Kept until the session would have expired under its former key: no request that knew it runs for longer.
struct Renamed {
    to: StoreKey,
    until: Timestamp,
}

impl MemoryStore {
    /// An empty store for a million sessions.
    ///
    /// ```
    /// # use session_core::MemoryStore;
    /// assert_eq!(MemoryStore::new().live(), 0);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Memory {
            shards: Arc::new(array::from_fn(|_| Mutex::default())),
            counters: Arc::default(),
            capacity: 1_000_000,
            clock: Arc::new(SystemClock),
        }))
    }

    /// Holds at most `sessions` of which the last was anonymous.
    ///
    /// ```
    /// # use session_core::MemoryStore;
    /// let store = MemoryStore::new().capacity(10_000);
    /// ```
    #[must_use]
    pub fn capacity(mut self, sessions: usize) -> Self {
        Arc::make_mut(&mut self.0).capacity = sessions;
        self
    }

    /// Judges deadlines by another clock.
    ///
    /// ```
    /// # use session_core::{ManualClock, MemoryStore, Timestamp};
    /// let store = MemoryStore::new().clock(ManualClock::new(Timestamp::from_millis(0)));
    /// ```
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        Arc::make_mut(&mut self.0).clock = Arc::new(clock);
        self
    }

    /// How many sessions are alive.
    ///
    /// ```
    /// # use session_core::MemoryStore;
    /// assert_eq!(MemoryStore::new().live(), 0);
    /// ```
    #[must_use]
    pub fn live(&self) -> usize {
        let now = self.0.clock.now();
        self.0
            .shards
            .iter()
            .map(|shard| lock(shard).sessions.values().filter(|entry| !entry.times.is_over(now)).count())
            .sum()
    }

    /// Room for how many entries is taken from the allocator, expired ones and spare room included.
    #[cfg(test)]
    fn room(&self) -> usize {
        self.0.shards.iter().map(|shard| lock(shard).sessions.capacity()).sum()
    }
}

impl Memory {
    fn shard(&self, key: &StoreKey) -> MutexGuard<'_, Shard> {
        lock(&self.shards[Self::place(key)])
    }

    /// Keys are hashes: any byte spreads them evenly.
    fn place(key: &StoreKey) -> usize {
        usize::from(key.as_bytes()[0])
    }

    /// Locks the shards of both keys, always in the same order.
    fn with_both<T>(&self, old: &StoreKey, new: &StoreKey, act: impl FnOnce(&mut Shard, Option<&mut Shard>) -> T) -> T {
        let (a, b) = (Self::place(old), Self::place(new));
        if a == b {
            return act(&mut lock(&self.shards[a]), None);
        }
        let mut lower = lock(&self.shards[a.min(b)]);
        let mut upper = lock(&self.shards[a.max(b)]);
        if a < b { act(&mut lower, Some(&mut upper)) } else { act(&mut upper, Some(&mut lower)) }
    }

    /// Drops what has expired in one shard, at most `limit`, and gives its memory back.
    fn sweep_shard(&self, place: usize, limit: usize) -> usize {
        let now = self.clock.now();
        let mut shard = lock(&self.shards[place % SHARDS]);
        let Shard { sessions, renamed } = &mut *shard;
        let over: Vec<_> =
            sessions.iter().filter(|(_, entry)| entry.times.is_over(now)).map(|(key, _)| *key).take(limit).collect();
        for key in &over {
            sessions.remove(key);
        }
        renamed.retain(|_, renamed| renamed.until > now);
        shrink(sessions);
        shrink(renamed);
        self.counters.held.fetch_sub(over.len(), Ordering::Relaxed);
        over.len()
    }

    fn sweep_next_shard(&self, limit: usize) -> usize {
        self.sweep_shard(self.counters.next_to_sweep.fetch_add(1, Ordering::Relaxed), limit)
    }

    /// Counts one more session in, unless the store is full.
    fn enter(&self, record: &Record) -> Result<(), StoreError> {
        if self.counters.creations.fetch_add(1, Ordering::Relaxed).is_multiple_of(CREATIONS_PER_SWEEP) {
            self.sweep_next_shard(usize::MAX);
        }
        let room = |held: usize| (record.subject.is_some() || held < self.capacity).then_some(held + 1);
        let enter = || self.counters.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok();
        if enter() || (self.make_room() && enter()) {
            return Ok(());
        }
        Err(StoreError::new("creating", Full(self.capacity)))
    }

    /// Whether there is room now that what had expired is dropped. A flood of refused sessions searches the whole store
    /// ten times a second at most, and one shard otherwise.
    fn make_room(&self) -> bool {
        let now = self.clock.now().as_millis();
        let searched = self.counters.searched.load(Ordering::Relaxed);
        let shards = if now.abs_diff(searched) < 100 { 1 } else { SHARDS };
        if shards == SHARDS {
            self.counters.searched.store(now, Ordering::Relaxed);
        }
        // All of them: who comes next within the tenth of a second finds the room that is left.
        for _ in 0..shards {
            self.sweep_next_shard(usize::MAX);
        }
        self.counters.held.load(Ordering::Relaxed) < self.capacity
    }

    fn leave(&self) {
        self.counters.held.fetch_sub(1, Ordering::Relaxed);
    }
}

fn shrink<T>(map: &mut HashMap<StoreKey, T>) {
    if map.capacity() > 2 * map.len().max(16) {
        map.shrink_to_fit();
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // Nothing of the user's runs under the lock, so a poisoned shard is whole all the same.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("live", &self.live()).field("capacity", &self.0.capacity).finish()
    }
}

#[derive(Debug, thiserror::Error)]
#[error(
    "the memory store holds {0} sessions and takes no more anonymous ones; give it a larger capacity or a shorter idle time"
)]
struct Full(usize);

#[async_trait]
impl SessionStore for MemoryStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>, StoreError> {
        let now = self.0.clock.now();
        let shard = self.0.shard(key);
        let live = shard.sessions.get(key).filter(|entry| !entry.times.is_over(now));
        Ok(live.map(|entry| Loaded { record: entry.record.clone(), version: entry.version, times: entry.times, now }))
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Create, StoreError> {
        self.0.enter(record)?;
        let now = self.0.clock.now();
        let entry = Entry { record: record.clone(), version: Version::FIRST, times: Times::begin(now, record.expiry) };
        let mut shard = self.0.shard(key);
        let created = match shard.sessions.entry(*key) {
            Place::Vacant(place) => {
                place.insert(entry);
                return Ok(Create::Created);
            }
            Place::Occupied(mut place) if place.get().times.is_over(now) => {
                place.insert(entry);
                Create::Created
            }
            Place::Occupied(_) => Create::Taken,
        };
        self.0.leave();
        Ok(created)
    }

    async fn update(&self, key: &StoreKey, record: &Record, seen: Version) -> Result<Update, StoreError> {
        let now = self.0.clock.now();
        Ok(match self.0.shard(key).sessions.get_mut(key).filter(|entry| !entry.times.is_over(now)) {
            None => Update::Gone,
            Some(entry) if entry.version != seen => Update::Conflict,
            Some(entry) => {
                *entry = Entry {
                    record: record.clone(),
                    version: seen.next(),
                    times: entry.times.touched(now, record.expiry),
                };
                Update::Updated
            }
        })
    }

    async fn touch(&self, key: &StoreKey) -> Result<Touch, StoreError> {
        let now = self.0.clock.now();
        Ok(match self.0.shard(key).sessions.get_mut(key).filter(|entry| !entry.times.is_over(now)) {
            None => Touch::Gone,
            Some(entry) => {
                entry.times = entry.times.touched(now, entry.record.expiry);
                Touch::Touched
            }
        })
    }

    async fn rename(
        &self,
        old: &StoreKey,
        new: &StoreKey,
        record: &Record,
        seen: Version,
    ) -> Result<Update, StoreError> {
        let now = self.0.clock.now();
        self.0.with_both(old, new, |from, to| {
            let Some(entry) = from.sessions.get(old).filter(|entry| !entry.times.is_over(now)) else {
                return Ok(Update::Gone);
            };
            if entry.version != seen {
                return Ok(Update::Conflict);
            }
            let entry =
                Entry { record: record.clone(), version: seen.next(), times: entry.times.touched(now, record.expiry) };
            let taken = to.as_deref().unwrap_or(from).sessions.get(new).is_some_and(|entry| !entry.times.is_over(now));
            if taken {
                return Err(StoreError::new("renaming", "the new key is taken"));
            }
            from.sessions.remove(old);
            from.renamed.insert(*old, Renamed { to: *new, until: entry.times.expires });
            if to.unwrap_or(from).sessions.insert(*new, entry).is_some() {
                self.0.leave();
            }
            Ok(Update::Updated)
        })
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        let now = self.0.clock.now();
        let mut next = Some(*key);
        while let Some(key) = next {
            let mut shard = self.0.shard(&key);
            if shard.sessions.remove(&key).is_some() {
                self.0.leave();
            }
            // Each step takes one away, so a chain of renames ends.
            next = shard.renamed.remove(&key).filter(|renamed| renamed.until > now).map(|renamed| renamed.to);
        }
        Ok(())
    }

    async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        let mut swept = 0;
        for _ in 0..SHARDS {
            if swept < limit {
                swept += self.0.sweep_next_shard(limit - swept);
                let_others_run().await;
            }
        }
        Ok(swept)
    }
}

/// Gives the thread back to the runtime once, whichever it is.
async fn let_others_run() {
    let mut ran = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut ran, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
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
        record.subject = subject.map(str::to_owned);
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
        for number in 0..20_000 {
            store.create(&key(number), &record(if number % 100 == 0 { 1_000 } else { 10 }, None)).await.unwrap();
        }
        let full = store.room();
        assert!(full >= 20_000);
        clock.advance(Duration::from_secs(10));
        assert_eq!((store.live(), held(&store)), (200, 20_000));
        assert_eq!(store.sweep(500).await.unwrap(), 500);
        assert_eq!(held(&store), 19_500);
        assert_eq!(store.sweep(usize::MAX).await.unwrap(), 19_300);
        assert_eq!(store.sweep(usize::MAX).await.unwrap(), 0);
        assert_eq!((store.live(), held(&store)), (200, 200));
        assert!(store.room() < full / 4, "{} of {full}", store.room());
        for number in (0..20_000).step_by(100) {
            assert!(store.load(&key(number)).await.unwrap().is_some());
        }
    }

    #[tokio::test]
    async fn memory_comes_back_though_nobody_sweeps() {
        let (store, clock) = stopped();
        for number in 0..60_000 {
            store.create(&key(number), &record(1, None)).await.unwrap();
            clock.advance(Duration::from_millis(1));
        }
        // 1,000 are alive at any time; a creation sweeps a sixteenth of a shard.
        assert!(held(&store) < 10_000, "{}", held(&store));
    }

    #[tokio::test]
    async fn former_keys_are_forgotten_when_nobody_can_know_them_any_more() {
        let former = |store: &MemoryStore| store.0.shards.iter().map(|shard| lock(shard).renamed.len()).sum::<usize>();
        let (store, clock) = stopped();
        let record = record(10, None);
        store.create(&key(0), &record).await.unwrap();
        let mut version = Version::FIRST;
        for number in 0..100 {
            store.rename(&key(number), &key(number + 1), &record, version).await.unwrap();
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
            store.create(&key(first), &record).await.unwrap();
            assert_eq!(store.create(&key(first), &record).await.unwrap(), Create::Taken);
            store.rename(&key(first), &key(second), &record, Version::FIRST).await.unwrap();
            assert_eq!(held(&store), 1);
            store.delete(&key(first)).await.unwrap();
            assert_eq!(held(&store), 0);
            store.delete(&key(second)).await.unwrap();
            store.delete(&key(second)).await.unwrap();
            assert_eq!(held(&store), 0);
        }
        // An expired one gives its place to a new one and to a renamed one.
        store.create(&key(1), &record).await.unwrap();
        clock.advance(Duration::from_secs(2));
        assert_eq!(store.create(&key(1), &record).await.unwrap(), Create::Created);
        clock.advance(Duration::from_secs(2));
        store.create(&key(2), &record).await.unwrap();
        store.rename(&key(2), &key(1), &record, Version::FIRST).await.unwrap();
        store.sweep(usize::MAX).await.unwrap();
        assert_eq!((held(&store), store.live()), (1, 1));
    }

    #[tokio::test]
    async fn a_flood_of_refused_sessions_does_not_hide_what_expired() {
        let (store, clock) = stopped();
        let store = store.capacity(10);
        for number in 0..10 {
            store.create(&key(number), &record(10, None)).await.unwrap();
        }
        for number in 10..60 {
            clock.advance(Duration::from_millis(50));
            store.create(&key(number), &record(10, None)).await.unwrap_err();
        }
        store.touch(&key(0)).await.unwrap();
        clock.advance(Duration::from_millis(7_450));
        store.create(&key(60), &record(10, None)).await.unwrap_err();
        clock.advance(Duration::from_millis(60));
        store.create(&key(61), &record(10, None)).await.unwrap_err();
        clock.advance(Duration::from_millis(60));
        store.create(&key(62), &record(10, None)).await.unwrap();
        assert_eq!(store.live(), 2);
    }

    #[tokio::test]
    async fn a_full_store_whose_sessions_expired_has_room_for_as_many() {
        let (store, clock) = stopped();
        let store = store.capacity(100);
        for round in 0..3 {
            for number in 0..100 {
                let created = store.create(&key(1_000 * round + number), &record(1, None)).await;
                assert!(created.is_ok(), "{number} of round {round}");
            }
            store.create(&key(999), &record(1, None)).await.unwrap_err();
            clock.advance(Duration::from_secs(1));
        }
    }

    #[tokio::test]
    async fn a_full_store_refuses_anonymous_sessions_only_and_evicts_no_live_one() {
        let (store, clock) = stopped();
        let store = store.capacity(100);
        for number in 0..100 {
            store.create(&key(number), &record(if number < 50 { 10 } else { 100 }, None)).await.unwrap();
        }
        let refused = store.create(&key(100), &record(10, None)).await.unwrap_err();
        assert_eq!(refused.to_string(), "creating a session failed");
        for number in 100..150 {
            assert_eq!(store.create(&key(number), &record(100, Some("ada"))).await.unwrap(), Create::Created);
        }
        assert_eq!(store.live(), 150);
        clock.advance(Duration::from_secs(10));
        assert_eq!(store.live(), 100);
        store.create(&key(200), &record(10, None)).await.unwrap_err();
        store.delete(&key(99)).await.unwrap();
        clock.advance(Duration::from_secs(1));
        store.create(&key(200), &record(10, None)).await.unwrap();
        for number in (50..99).chain(100..150) {
            assert!(store.load(&key(number)).await.unwrap().is_some(), "{number}");
        }
    }
}
