//! Loads that ask nobody.

mod memory;
mod tracking;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use session_core::{
    Count, Countable, Create, Found, Loaded, Place, Record, SessionStore, StoreError, StoreKey, SubjectLimit,
    Timestamp, Touch, Update, Version, Witness, async_trait,
};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use self::memory::Remembered;
use self::tracking::Tracking;
use crate::store::RedisStore;
use crate::topology::Topology;

const MEMORY: usize = 64 << 20;
const STALENESS: Duration = Duration::from_secs(1);

/// Answers loads from this process's memory, and lets the server say which sessions have changed: a logout on one node is
/// seen by all of them at once. It stands in front of a [`RedisStore`] or of a store [around](Self::around) one, and
/// every node may have its own.
///
/// It keeps one more connection, on which the server names each key that changes (client tracking in broadcasting mode;
/// Redis 6 or newer, and Valkey). Every call but `load` goes to the server as without it.
///
/// # What it promises
///
/// - What this cache has acknowledged it knows: after a write, a logout, or a login that ended the subject's oldest session,
///   no load through it or a clone returns what was before.
/// - What another node has done it knows as soon as the server's message is here, which takes about as long as any reply.
///   A load in between may still return what was before, a session that has just ended included.
/// - This never lasts longer than the [staleness](Self::staleness), one second if you don't say otherwise, also when the
///   network swallows every message: the cache asks for a sign of life four times in this span, and is bypassed as soon as
///   the last one is as old as that.
/// - After a message was heeded, no load returns what was before it.
/// - When the connection breaks, the memory is emptied; until there is another connection every load goes to the server.
/// - A session past its deadline is never answered from memory.
/// - Nothing is lost by it: the server compares the version in every write, so what was loaded from here is as good a start as
///   any, and a conflict's second load comes from the server.
///
/// It does not promise that two nodes change their view in the same instant. What the store behind it doesn't see, it doesn't
/// see either: writes that the server lost, or a server that was replaced while it still answers. A machine that is suspended
/// may not count the time it sleeps.
///
/// # What it costs
///
/// Memory up to [a bound](Self::memory). For the server a small message to each node for each write of any node, and four
/// questions in each span of staleness. For a logout and a login that ends the oldest sessions one question more. A server
/// that evicts what was least used does not see what is used here: let it evict by time to live, or nothing.
///
/// ```
/// # session_testing::servers::Redis::start().is_some_and(|redis| tokio::runtime::Builder::new_current_thread()
/// #     .enable_all().build().unwrap().block_on(async {
/// use session_core::{KeyRing, Secret, SessionManager};
/// use session_redis::{NearCache, RedisStore};
///
/// let near = NearCache::new(RedisStore::connect(&redis.url()).await?)?;
/// let manager = SessionManager::stored(near, KeyRing::new(Secret::random().unwrap())).build().unwrap();
/// assert_eq!(manager.sweep(100).await?, 0);
/// # Ok::<_, session_core::StoreError>(true) }).unwrap());
/// ```
#[derive(Clone)]
pub struct NearCache<S> {
    inner: S,
    near: Arc<Near>,
}

struct Near {
    tracking: Arc<Tracking>,
    task: AbortHandle,
    hits: AtomicU64,
    misses: AtomicU64,
    bypassed: AtomicU64,
}

impl NearCache<RedisStore> {
    /// In front of `redis`; its clones share the memory. Connects in the background: until that is done it is bypassed.
    ///
    /// # Errors
    /// If this is not called from within a tokio runtime, which has to last as long as the cache is to be of use; and on a
    /// cluster, where no single connection hears of every key.
    ///
    /// ```
    /// # session_testing::servers::Redis::start().is_some_and(|redis| tokio::runtime::Builder::new_current_thread()
    /// #     .enable_all().build().unwrap().block_on(async {
    /// # use session_core::{SessionStore, StoreKey};
    /// # use session_redis::{NearCache, RedisStore};
    /// let near = NearCache::new(RedisStore::connect(&redis.url()).await?)?;
    /// assert!(near.load(&StoreKey::from_bytes([1; 32])).await?.is_none());
    /// # Ok::<_, session_core::StoreError>(true) }).unwrap());
    /// ```
    pub fn new(redis: RedisStore) -> Result<Self, StoreError> {
        Self::around(redis, |redis| redis)
    }
}

impl<S: SessionStore> NearCache<S> {
    /// In front of a store that stands on `redis` and uses the same keys. So what is in memory has been decrypted already.
    ///
    /// # Errors
    /// As [`new`](NearCache::new).
    ///
    /// ```
    /// # session_testing::servers::Redis::start().is_some_and(|redis| tokio::runtime::Builder::new_current_thread()
    /// #     .enable_all().build().unwrap().block_on(async {
    /// # use session_core::{Encrypted, KeyRing, Secret, SessionStore, StoreKey};
    /// # use session_redis::{NearCache, RedisStore};
    /// # let keys = KeyRing::new(Secret::random().unwrap());
    /// let redis = RedisStore::connect(&redis.url()).await?;
    /// let near = NearCache::around(redis, |redis| Encrypted::new(redis, keys))?;
    /// assert!(near.load(&StoreKey::from_bytes([1; 32])).await?.is_none());
    /// # Ok::<_, session_core::StoreError>(true) }).unwrap());
    /// ```
    pub fn around(redis: RedisStore, store: impl FnOnce(RedisStore) -> S) -> Result<Self, StoreError> {
        let refused = |why| StoreError::new("starting the near cache", why);
        let runtime = Handle::try_current().map_err(|_| refused("call this from within a tokio runtime"))?;
        let link = match &*redis.topology {
            Topology::One(link) => Arc::clone(link),
            #[cfg(feature = "cluster")]
            Topology::Cluster(_) => {
                return Err(refused("on a cluster no node hears of every key; use the store itself"));
            }
        };
        let tracking = Arc::new(Tracking::new(link, redis.names.clone(), MEMORY, STALENESS));
        let task = runtime.spawn(Arc::clone(&tracking).run()).abort_handle();
        let [hits, misses, bypassed] = [const { AtomicU64::new(0) }; 3];
        Ok(Self { inner: store(redis), near: Arc::new(Near { tracking, task, hits, misses, bypassed }) })
    }

    /// Takes about so many bytes of memory at most, 64 MiB if you don't say otherwise: enough for some 20,000 sessions of 1 kB.
    /// What was not looked at for longest goes first. A session that takes more than a 32nd part of it is not kept.
    ///
    /// ```
    /// # session_testing::servers::Redis::start().is_some_and(|redis| tokio::runtime::Builder::new_current_thread()
    /// #     .enable_all().build().unwrap().block_on(async {
    /// # use session_redis::{NearCache, RedisStore};
    /// let near = NearCache::new(RedisStore::connect(&redis.url()).await?)?.memory(256 << 20);
    /// assert_eq!(near.stats().bytes, 0);
    /// # Ok::<_, session_core::StoreError>(true) }).unwrap());
    /// ```
    #[must_use]
    pub fn memory(self, bytes: usize) -> Self {
        self.near.tracking.memory.limit(bytes);
        self
    }

    /// How long after the server's last sign of life the memory is served: one second if you don't say otherwise, from 20 ms
    /// to 10 s. A quarter of it should be well above the time that a reply takes.
    ///
    /// ```
    /// # session_testing::servers::Redis::start().is_some_and(|redis| tokio::runtime::Builder::new_current_thread()
    /// #     .enable_all().build().unwrap().block_on(async {
    /// # use session_redis::{NearCache, RedisStore};
    /// # use std::time::Duration;
    /// let near = NearCache::new(RedisStore::connect(&redis.url()).await?)?.staleness(Duration::from_millis(200));
    /// assert!(!near.is_live(), "it has not heard from the server yet");
    /// # Ok::<_, session_core::StoreError>(true) }).unwrap());
    /// ```
    #[must_use]
    pub fn staleness(self, staleness: Duration) -> Self {
        self.near.tracking.bound(staleness);
        self
    }

    /// Whether the memory is served at this moment.
    ///
    /// ```
    /// # session_testing::servers::Redis::start().is_some_and(|redis| tokio::runtime::Builder::new_current_thread()
    /// #     .enable_all().build().unwrap().block_on(async {
    /// # use session_redis::{NearCache, RedisStore};
    /// # use std::time::Duration;
    /// let near = NearCache::new(RedisStore::connect(&redis.url()).await?)?;
    /// while !near.is_live() {
    ///     tokio::time::sleep(Duration::from_millis(1)).await;
    /// }
    /// # Ok::<_, session_core::StoreError>(true) }).unwrap());
    /// ```
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.near.tracking.is_live(Instant::now())
    }

    /// What became of the loads so far, and what is in memory now.
    ///
    /// ```
    /// # session_testing::servers::Redis::start().is_some_and(|redis| tokio::runtime::Builder::new_current_thread()
    /// #     .enable_all().build().unwrap().block_on(async {
    /// # use session_redis::{NearCache, RedisStore};
    /// # use session_core::{SessionStore, StoreKey};
    /// let near = NearCache::new(RedisStore::connect(&redis.url()).await?)?;
    /// near.load(&StoreKey::from_bytes([1; 32])).await?;
    /// let stats = near.stats();
    /// assert_eq!((stats.hits, stats.misses + stats.bypassed), (0, 1));
    /// # Ok::<_, session_core::StoreError>(true) }).unwrap());
    /// ```
    #[must_use]
    pub fn stats(&self) -> NearStats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Near { tracking, hits, misses, bypassed, .. } = &*self.near;
        let (entries, bytes) = tracking.memory.size();
        NearStats { hits: count(hits), misses: count(misses), bypassed: count(bypassed), entries, bytes }
    }

    /// While the guard is there, loads of these keys go to the server: a request that learns of a write by other means before it
    /// is acknowledged, as that a session has its new key, doesn't find the state from before. Whatever becomes of the write,
    /// nothing is kept that was loaded before its end.
    fn held<'a, const N: usize>(&'a self, keys: [&'a StoreKey; N]) -> Held<'a, N> {
        let tracking = &self.near.tracking;
        keys.iter().for_each(|key| tracking.memory.hold(key));
        Held { tracking, keys }
    }
}

struct Held<'a, const N: usize> {
    tracking: &'a Tracking,
    keys: [&'a StoreKey; N],
}

impl<const N: usize> Drop for Held<'_, N> {
    fn drop(&mut self) {
        self.keys.iter().for_each(|key| self.tracking.memory.let_go(key));
    }
}

impl Drop for Near {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<S: fmt::Debug> fmt::Debug for NearCache<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NearCache").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// What became of the loads through a [`NearCache`], and what it has in memory. See [`NearCache::stats`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NearStats {
    /// Loads that were answered from memory.
    pub hits: u64,
    /// Loads that went to the server because the session was not in memory.
    pub misses: u64,
    /// Loads that went to the server because nothing was served from memory.
    pub bypassed: u64,
    /// Sessions in memory.
    pub entries: usize,
    /// About how many bytes they take.
    pub bytes: usize,
}

/// Whether a call may end sessions of the subject whose keys nobody named.
fn ends_others(record: &Record, limit: SubjectLimit) -> bool {
    record.subject.is_some() && matches!(limit, SubjectLimit::EndOldest(_))
}

/// The servers count.
#[async_trait]
impl<S: Countable> Countable for NearCache<S> {
    async fn count(&self, from: Place, most: usize) -> Result<(Count, Option<Place>), StoreError> {
        self.inner.count(from, most).await
    }
}

#[async_trait]
impl<S: SessionStore> SessionStore for NearCache<S> {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>, StoreError> {
        self.find(key).await.map(Found::live)
    }

    async fn find(&self, key: &StoreKey) -> Result<Found, StoreError> {
        let Near { tracking, hits, misses, bypassed, .. } = &*self.near;
        let now = Instant::now();
        if !tracking.is_live(now) {
            bypassed.fetch_add(1, Ordering::Relaxed);
            return self.inner.find(key).await;
        }
        let ticket = match tracking.memory.find(key, now) {
            Remembered::Live(loaded) => {
                hits.fetch_add(1, Ordering::Relaxed);
                return Ok(Found::Live(loaded));
            }
            Remembered::Nothing(ticket) => ticket,
        };
        misses.fetch_add(1, Ordering::Relaxed);
        let found = self.inner.find(key).await?;
        if let Found::Live(loaded) = &found {
            tracking.memory.keep(key, loaded, now, ticket);
        }
        Ok(found)
    }

    async fn create(&self, key: &StoreKey, record: &Record, limit: SubjectLimit) -> Result<Create, StoreError> {
        let created = {
            let _held = self.held([key]);
            self.inner.create(key, record, limit).await?
        };
        if ends_others(record, limit) {
            self.near.tracking.settle().await;
        }
        Ok(created)
    }

    async fn update(&self, key: &StoreKey, record: &Record, seen: Version) -> Result<Update, StoreError> {
        let _held = self.held([key]);
        self.inner.update(key, record, seen).await
    }

    async fn touch(&self, key: &StoreKey) -> Result<Touch, StoreError> {
        let _held = self.held([key]);
        self.inner.touch(key).await
    }

    async fn rename(
        &self,
        old: &StoreKey,
        new: &StoreKey,
        record: &Record,
        seen: Version,
        limit: SubjectLimit,
    ) -> Result<Update, StoreError> {
        let renamed = {
            let _held = self.held([old, new]);
            self.inner.rename(old, new, record, seen, limit).await?
        };
        if ends_others(record, limit) {
            self.near.tracking.settle().await;
        }
        Ok(renamed)
    }

    async fn delete(&self, key: &StoreKey) -> Result<bool, StoreError> {
        let ended = {
            let _held = self.held([key]);
            self.inner.delete(key).await?
        };
        // Another request may have renamed it to a key that nobody here knows.
        self.near.tracking.settle().await;
        Ok(ended)
    }

    async fn sessions_of(&self, subject: &str, most: usize) -> Result<Vec<(StoreKey, Loaded)>, StoreError> {
        self.inner.sessions_of(subject, most).await
    }

    async fn delete_one_of(&self, subject: &str, key: &StoreKey) -> Result<bool, StoreError> {
        let ended = {
            let _held = self.held([key]);
            self.inner.delete_one_of(subject, key).await?
        };
        self.near.tracking.settle().await;
        Ok(ended)
    }

    async fn delete_all_of(&self, subject: &str, except: Option<&StoreKey>) -> Result<usize, StoreError> {
        let ended = self.inner.delete_all_of(subject, except).await?;
        self.near.tracking.settle().await;
        Ok(ended)
    }

    async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        self.inner.sweep(limit).await
    }

    async fn revoke(&self, key: &StoreKey, keep: Duration) -> Result<bool, StoreError> {
        self.inner.revoke(key, keep).await
    }

    async fn revoke_all_of(&self, subject: &str, until: Timestamp, keep: Duration) -> Result<(), StoreError> {
        self.inner.revoke_all_of(subject, until, keep).await
    }

    async fn is_revoked(&self, keys: &[StoreKey], subject: Option<&str>, made: Timestamp) -> Result<bool, StoreError> {
        self.inner.is_revoked(keys, subject, made).await
    }

    fn watch(&self, witness: &Arc<dyn Witness>) -> bool {
        self.inner.watch(witness)
    }
}
