//! A store that counts what reaches it, and an observer that counts what happens to sessions.

use std::collections::BTreeMap;
use std::panic;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use session_core::{
    Create, Event, Loaded, MemoryStore, Observer, Record, SessionStore, StoreError, StoreKey, Touch, Update, Version,
    async_trait,
};

/// The events that are shown even before they have happened.
const EVENTS: [Event; 10] = [
    Event::Ambiguous,
    Event::CacheOverruled,
    Event::Conflict,
    Event::Created,
    Event::Destroyed,
    Event::Expired,
    Event::Forged,
    Event::Gone,
    Event::Renewed,
    Event::Unknown,
];

/// The counters of one lab.
#[derive(Debug)]
pub struct Stats {
    verbs: BTreeMap<&'static str, AtomicU64>,
    panics: AtomicU64,
    events: Mutex<BTreeMap<&'static str, u64>>,
}

impl Stats {
    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        let verbs = ["load", "create", "update", "touch", "rename", "delete", "sweep"];
        Self {
            verbs: verbs.into_iter().map(|verb| (verb, AtomicU64::new(0))).collect(),
            panics: AtomicU64::new(0),
            events: Mutex::new(EVENTS.iter().map(|event| (event.name(), 0)).collect()),
        }
    }

    /// Counts every panic of this process from now on, also those that a framework catches.
    pub fn count_panics(self: &Arc<Self>) {
        let (stats, before) = (Arc::clone(self), panic::take_hook());
        panic::set_hook(Box::new(move |panic| {
            stats.panics.fetch_add(1, Ordering::Relaxed);
            before(panic);
        }));
    }

    /// The counters as `GET /stats` answers them.
    ///
    /// ```
    /// let stats = session_conformance::Stats::new().json(Some(3));
    /// assert_eq!((&stats["load"], &stats["live"]), (&0.into(), &3.into()));
    /// ```
    #[must_use]
    pub fn json(&self, live: Option<usize>) -> Value {
        let mut json = json!({
            "panics": self.panics.load(Ordering::Relaxed),
            "live": live,
            "events": *self.events.lock().unwrap_or_else(PoisonError::into_inner),
        });
        for (verb, count) in &self.verbs {
            json[*verb] = count.load(Ordering::Relaxed).into();
        }
        json
    }

    fn count(&self, verb: &str) {
        if let Some(count) = self.verbs.get(verb) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Default for Stats {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer for Stats {
    fn observe(&self, event: Event) {
        *self.events.lock().unwrap_or_else(PoisonError::into_inner).entry(event.name()).or_default() += 1;
    }
}

/// The memory store, with every verb that reaches it counted.
///
/// ```
/// use session_conformance::{CountedStore, Stats};
/// use session_core::{MemoryStore, SessionStore, StoreKey};
/// use std::sync::Arc;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let stats = Arc::new(Stats::new());
/// let store = CountedStore::new(MemoryStore::new(), Arc::clone(&stats));
/// store.load(&StoreKey::from_bytes([1; 32])).await?;
/// assert_eq!(stats.json(None)["load"], 1);
/// # Ok::<(), session_core::StoreError>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct CountedStore {
    store: MemoryStore,
    stats: Arc<Stats>,
}

impl CountedStore {
    /// Counts what reaches `store` in `stats`.
    #[must_use]
    pub const fn new(store: MemoryStore, stats: Arc<Stats>) -> Self {
        Self { store, stats }
    }
}

#[async_trait]
impl SessionStore for CountedStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>, StoreError> {
        self.stats.count("load");
        self.store.load(key).await
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Create, StoreError> {
        self.stats.count("create");
        self.store.create(key, record).await
    }

    async fn update(&self, key: &StoreKey, record: &Record, seen: Version) -> Result<Update, StoreError> {
        self.stats.count("update");
        self.store.update(key, record, seen).await
    }

    async fn touch(&self, key: &StoreKey) -> Result<Touch, StoreError> {
        self.stats.count("touch");
        self.store.touch(key).await
    }

    async fn rename(
        &self,
        old: &StoreKey,
        new: &StoreKey,
        record: &Record,
        seen: Version,
    ) -> Result<Update, StoreError> {
        self.stats.count("rename");
        self.store.rename(old, new, record, seen).await
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.stats.count("delete");
        self.store.delete(key).await
    }

    async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        self.stats.count("sweep");
        self.store.sweep(limit).await
    }
}
