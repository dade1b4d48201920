//! What a lab counts: operations that reach its store, what happens to sessions, and panics.

use std::collections::BTreeMap;
use std::panic;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use session_core::{Counting, Event, Happening, Observer, SessionStore, Verb};

/// The counters of one lab.
#[derive(Debug)]
pub struct Stats {
    store: Counting<Arc<dyn SessionStore>>,
    panics: AtomicU64,
    events: Mutex<BTreeMap<&'static str, u64>>,
}

impl Stats {
    /// The counts of `store`, and none of anything else yet.
    ///
    /// See [`Stats::json`] for an example.
    #[must_use]
    pub fn new(store: Counting<Arc<dyn SessionStore>>) -> Self {
        let events = Event::ALL.iter().map(|event| (event.name(), 0)).collect();
        Self { store, panics: AtomicU64::new(0), events: Mutex::new(events) }
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
    /// use session_conformance::Stats;
    /// use session_core::{Counting, MemoryStore, SessionStore, StoreKey};
    /// use std::sync::Arc;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let store = Counting::new(Arc::new(MemoryStore::new()) as Arc<dyn SessionStore>);
    /// let stats = Stats::new(store.clone());
    /// store.load(&StoreKey::from_bytes([1; 32])).await?;
    /// let json = stats.json(Some(3));
    /// assert_eq!((&json["load"], &json["create"], &json["live"]), (&1.into(), &0.into(), &3.into()));
    /// # Ok::<(), session_core::StoreError>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn json(&self, live: Option<usize>) -> Value {
        let mut json = json!({
            "panics": self.panics.load(Ordering::Relaxed),
            "live": live,
            "failed": self.store.failed(),
            "events": *self.events.lock().unwrap_or_else(PoisonError::into_inner),
        });
        for verb in Verb::ALL {
            json[verb.name()] = self.store.count(verb).into();
        }
        json
    }
}

impl Observer for Stats {
    fn observe(&self, happening: &Happening<'_>) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        *events.entry(happening.event().name()).or_default() += 1;
    }
}
