//! How often a store is asked for what.

use std::array;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::decorator::Decorator;
use crate::error::StoreError;
use crate::store::SessionStore;
use crate::verb::Verb;

/// Counts what a store is asked for, and how much of it fails. Clones share the counts, so that one is given to the manager
/// and another one is kept to read them.
///
/// ```
/// use session_core::{Counting, MemoryStore, SessionStore, StoreKey, Verb};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = Counting::new(MemoryStore::new());
/// let given_away = store.clone();
/// given_away.load(&StoreKey::from_bytes([1; 32])).await?;
/// assert_eq!((store.count(Verb::Load), store.total()), (1, 1));
/// # Ok::<(), session_core::StoreError>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct Counting<S> {
    inner: S,
    counts: Arc<[AtomicUsize; Verb::ALL.len()]>,
    failed: Arc<AtomicUsize>,
}

impl<S> Counting<S> {
    /// Counts what `inner` is asked for, from zero.
    ///
    /// ```
    /// # use session_core::{Counting, MemoryStore};
    /// assert_eq!(Counting::new(MemoryStore::new()).total(), 0);
    /// ```
    #[must_use]
    pub fn new(inner: S) -> Self {
        Self { inner, counts: Arc::new(array::from_fn(|_| AtomicUsize::new(0))), failed: Arc::default() }
    }

    /// How often it was asked for `verb`.
    ///
    /// ```
    /// # use session_core::{Counting, MemoryStore, SessionStore, Verb};
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let store = Counting::new(MemoryStore::new());
    /// store.sweep(10).await?;
    /// assert_eq!((store.count(Verb::Sweep), store.count(Verb::Load)), (1, 0));
    /// # Ok::<(), session_core::StoreError>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn count(&self, verb: Verb) -> usize {
        self.counts[verb as usize].load(Ordering::SeqCst)
    }

    /// How often it was asked for anything.
    ///
    /// ```
    /// # use session_core::{Counting, MemoryStore, SessionStore, StoreKey};
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let store = Counting::new(MemoryStore::new());
    /// store.sweep(10).await?;
    /// store.delete(&StoreKey::from_bytes([1; 32])).await?;
    /// assert_eq!(store.total(), 2);
    /// # Ok::<(), session_core::StoreError>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn total(&self) -> usize {
        Verb::ALL.iter().map(|verb| self.count(*verb)).sum()
    }

    /// How often it failed, whatever it was asked for.
    ///
    /// ```
    /// # use session_core::{Counting, Expiry, MemoryStore, Record, SessionStore, StoreKey, SubjectLimit};
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let store = Counting::new(MemoryStore::new().capacity(0));
    /// store.load(&StoreKey::from_bytes([1; 32])).await?;
    /// let anonymous = Record::new(Expiry::default());
    /// assert!(store.create(&StoreKey::from_bytes([1; 32]), &anonymous, SubjectLimit::None).await.is_err());
    /// assert_eq!((store.failed(), store.total()), (1, 2));
    /// # Ok::<(), session_core::StoreError>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn failed(&self) -> usize {
        self.failed.load(Ordering::SeqCst)
    }
}

impl<S: SessionStore> Decorator for Counting<S> {
    type Inner = S;

    fn inner(&self) -> &S {
        &self.inner
    }

    async fn around<T: Send>(
        &self,
        verb: Verb,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.counts[verb as usize].fetch_add(1, Ordering::SeqCst);
        let outcome = operation.await;
        if outcome.is_err() {
            self.failed.fetch_add(1, Ordering::SeqCst);
        }
        outcome
    }
}

impl<S> fmt::Debug for Counting<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = Verb::ALL.iter().map(|verb| (verb.name(), self.count(*verb)));
        f.debug_map().entries(counts).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Timestamp;
    use crate::expiry::Expiry;
    use crate::id::StoreKey;
    use crate::memory::MemoryStore;
    use crate::record::Record;
    use crate::store::{SubjectLimit, Version};

    #[tokio::test]
    async fn every_verb_is_counted_as_itself() {
        let counting = Counting::new(MemoryStore::new());
        let (a, b) = (StoreKey::from_bytes([1; 32]), StoreKey::from_bytes([2; 32]));
        let (record, minute) = (Record::new(Expiry::default()), Duration::from_secs(60));
        let store = counting.clone();
        let mut counted = Vec::new();
        macro_rules! ask {
            ($($operation:expr;)*) => {$(
                let before = Verb::ALL.map(|verb| counting.count(verb));
                let _ = $operation.await.unwrap();
                counted.extend(Verb::ALL.into_iter().filter(|verb| counting.count(*verb) != before[*verb as usize]));
            )*};
        }
        ask! {
            store.load(&a);
            store.create(&a, &record, SubjectLimit::None);
            store.update(&a, &record, Version::FIRST);
            store.touch(&a);
            store.rename(&a, &b, &record, Version::FIRST.next(), SubjectLimit::None);
            store.delete(&b);
            store.sessions_of("ada", 1);
            store.delete_one_of("ada", &b);
            store.delete_all_of("ada", None);
            store.sweep(1);
            store.revoke(&a, minute);
            store.revoke_all_of("ada", Timestamp::from_millis(1), minute);
            store.is_revoked(&[a], None, Timestamp::from_millis(1));
        }
        assert_eq!(counted, Verb::ALL);
        assert_eq!(counting.total(), Verb::ALL.len());
        assert!(format!("{counting:?}").starts_with(r#"{"load": 1, "create": 1, "#));
    }
}
