//! Stores for tests of whatever stands on a store: one that counts, one that fails when told, one that takes its time.
//!
//! Each wraps another store, and its clones are handles to the same one, so that a test keeps one and gives the other away.
//!
//! ```
//! use session_core::{MemoryStore, SessionStore, StoreKey};
//! use session_testing::stores::{Counting, Failing, Verb};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let failing = Failing::new(MemoryStore::new());
//! let counting = Counting::new(failing.clone());
//! let key = StoreKey::from_bytes([1; 32]);
//!
//! failing.fail(Verb::Load);
//! assert!(counting.load(&key).await.is_err());
//! failing.recover();
//! assert!(counting.load(&key).await.is_ok());
//! assert_eq!((counting.count(Verb::Load), counting.total()), (2, 2));
//! # });
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use session_core::{Create, Loaded, Record, SessionStore, StoreError, StoreKey, Touch, Update, Version, async_trait};
use tokio::time::sleep;

/// What a store can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verb {
    /// [`SessionStore::load`].
    Load,
    /// [`SessionStore::create`].
    Create,
    /// [`SessionStore::update`].
    Update,
    /// [`SessionStore::touch`].
    Touch,
    /// [`SessionStore::rename`].
    Rename,
    /// [`SessionStore::delete`].
    Delete,
    /// [`SessionStore::sweep`].
    Sweep,
}

impl Verb {
    /// All of them, in the order of the trait.
    pub const ALL: [Self; 7] =
        [Self::Load, Self::Create, Self::Update, Self::Touch, Self::Rename, Self::Delete, Self::Sweep];

    /// The name of the method.
    ///
    /// ```
    /// assert_eq!(session_testing::stores::Verb::ALL.map(|verb| verb.name())[0], "load");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Create => "create",
            Self::Update => "update",
            Self::Touch => "touch",
            Self::Rename => "rename",
            Self::Delete => "delete",
            Self::Sweep => "sweep",
        }
    }

    const fn doing(self) -> &'static str {
        match self {
            Self::Load => "loading",
            Self::Create => "creating",
            Self::Update => "updating",
            Self::Touch => "touching",
            Self::Rename => "renaming",
            Self::Delete => "deleting",
            Self::Sweep => "sweeping",
        }
    }
}

/// One `T` for each verb.
type PerVerb<T> = Arc<[T; Verb::ALL.len()]>;

/// Passes every verb on, between what `$before` and `$after` say of it.
macro_rules! around {
    ($store:ident) => {
        #[async_trait]
        impl<S: SessionStore> SessionStore for $store<S> {
            async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>, StoreError> {
                self.before(Verb::Load).await?;
                let outcome = self.inner.load(key).await;
                self.after(Verb::Load).await;
                outcome
            }

            async fn create(&self, key: &StoreKey, record: &Record) -> Result<Create, StoreError> {
                self.before(Verb::Create).await?;
                let outcome = self.inner.create(key, record).await;
                self.after(Verb::Create).await;
                outcome
            }

            async fn update(&self, key: &StoreKey, record: &Record, seen: Version) -> Result<Update, StoreError> {
                self.before(Verb::Update).await?;
                let outcome = self.inner.update(key, record, seen).await;
                self.after(Verb::Update).await;
                outcome
            }

            async fn touch(&self, key: &StoreKey) -> Result<Touch, StoreError> {
                self.before(Verb::Touch).await?;
                let outcome = self.inner.touch(key).await;
                self.after(Verb::Touch).await;
                outcome
            }

            async fn rename(
                &self,
                old: &StoreKey,
                new: &StoreKey,
                record: &Record,
                seen: Version,
            ) -> Result<Update, StoreError> {
                self.before(Verb::Rename).await?;
                let outcome = self.inner.rename(old, new, record, seen).await;
                self.after(Verb::Rename).await;
                outcome
            }

            async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
                self.before(Verb::Delete).await?;
                let outcome = self.inner.delete(key).await;
                self.after(Verb::Delete).await;
                outcome
            }

            async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
                self.before(Verb::Sweep).await?;
                let outcome = self.inner.sweep(limit).await;
                self.after(Verb::Sweep).await;
                outcome
            }
        }
    };
}

/// Counts what a store is asked for, also what then fails.
#[derive(Clone, Debug)]
pub struct Counting<S> {
    inner: S,
    counts: PerVerb<AtomicUsize>,
}

impl<S> Counting<S> {
    /// Counts what `inner` is asked for, from zero.
    ///
    /// ```
    /// # use session_core::{MemoryStore};
    /// # use session_testing::stores::{Counting};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let store = Counting::new(MemoryStore::new());
    /// assert_eq!(store.total(), 0);
    /// # });
    /// ```
    pub fn new(inner: S) -> Self {
        Self { inner, counts: Arc::default() }
    }

    /// How often it was asked for `verb`.
    ///
    /// ```
    /// # use session_core::{MemoryStore, SessionStore};
    /// # use session_testing::stores::{Counting, Verb};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let store = Counting::new(MemoryStore::new());
    /// store.sweep(10).await.unwrap();
    /// assert_eq!((store.count(Verb::Sweep), store.count(Verb::Load)), (1, 0));
    /// # });
    /// ```
    #[must_use]
    pub fn count(&self, verb: Verb) -> usize {
        self.counts[verb as usize].load(Ordering::SeqCst)
    }

    /// How often it was asked for anything.
    ///
    /// ```
    /// # use session_core::{MemoryStore, SessionStore};
    /// # use session_testing::stores::{Counting, Verb};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let store = Counting::new(MemoryStore::new());
    /// store.sweep(10).await.unwrap();
    /// assert_eq!(store.total(), 1);
    /// # });
    /// ```
    #[must_use]
    pub fn total(&self) -> usize {
        Verb::ALL.iter().map(|verb| self.count(*verb)).sum()
    }

    async fn before(&self, verb: Verb) -> Result<(), StoreError> {
        self.counts[verb as usize].fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn after(&self, _: Verb) {}
}

around!(Counting);

/// Fails the verbs it is told to fail; the wrapped store doesn't hear of them.
#[derive(Clone, Debug)]
pub struct Failing<S> {
    inner: S,
    failing: PerVerb<AtomicBool>,
}

impl<S> Failing<S> {
    /// Fails nothing of `inner` yet.
    ///
    /// ```
    /// # use session_core::{MemoryStore, SessionStore};
    /// # use session_testing::stores::{Failing, Verb};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let store = Failing::new(MemoryStore::new());
    /// assert!(store.sweep(10).await.is_ok());
    /// # });
    /// ```
    pub fn new(inner: S) -> Self {
        Self { inner, failing: Arc::default() }
    }

    /// From now on `verb` fails.
    ///
    /// ```
    /// # use session_core::{MemoryStore, SessionStore};
    /// # use session_testing::stores::{Failing, Verb};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let store = Failing::new(MemoryStore::new());
    /// store.fail(Verb::Sweep);
    /// assert!(store.sweep(10).await.is_err());
    /// # });
    /// ```
    pub fn fail(&self, verb: Verb) {
        self.failing[verb as usize].store(true, Ordering::SeqCst);
    }

    /// From now on everything fails.
    ///
    /// ```
    /// # use session_core::{MemoryStore, SessionStore};
    /// # use session_testing::stores::{Failing, Verb};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let store = Failing::new(MemoryStore::new());
    /// store.fail_all();
    /// assert!(store.sweep(10).await.is_err());
    /// # });
    /// ```
    pub fn fail_all(&self) {
        Verb::ALL.iter().for_each(|verb| self.fail(*verb));
    }

    /// From now on nothing fails.
    ///
    /// ```
    /// # use session_core::{MemoryStore, SessionStore};
    /// # use session_testing::stores::{Failing, Verb};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let store = Failing::new(MemoryStore::new());
    /// store.fail_all();
    /// store.recover();
    /// assert!(store.sweep(10).await.is_ok());
    /// # });
    /// ```
    pub fn recover(&self) {
        self.failing.iter().for_each(|failing| failing.store(false, Ordering::SeqCst));
    }

    async fn before(&self, verb: Verb) -> Result<(), StoreError> {
        if self.failing[verb as usize].load(Ordering::SeqCst) {
            return Err(StoreError::new(verb.doing(), "the test said so"));
        }
        Ok(())
    }

    async fn after(&self, _: Verb) {}
}

around!(Failing);

/// Takes its time before the wrapped store hears of a verb, and before its answer is passed on.
#[derive(Clone, Debug)]
pub struct Slow<S> {
    inner: S,
    /// In microseconds, before and after.
    delays: PerVerb<[AtomicU64; 2]>,
}

impl<S> Slow<S> {
    /// As fast as `inner`, for now.
    ///
    /// ```
    /// # use session_core::{MemoryStore, SessionStore};
    /// # use session_testing::stores::{Slow, Verb};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let store = Slow::new(MemoryStore::new());
    /// assert_eq!(store.sweep(10).await.unwrap(), 0);
    /// # });
    /// ```
    pub fn new(inner: S) -> Self {
        Self { inner, delays: Arc::default() }
    }

    /// From now on the wrapped store hears of `verb` only after `delay`; a microsecond is the least that counts.
    ///
    /// ```
    /// # use session_core::{MemoryStore, SessionStore};
    /// # use session_testing::stores::{Slow, Verb};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let store = Slow::new(MemoryStore::new());
    /// store.before_it(Verb::Sweep, std::time::Duration::from_millis(5));
    /// let start = std::time::Instant::now();
    /// store.sweep(10).await.unwrap();
    /// assert!(start.elapsed() >= std::time::Duration::from_millis(5));
    /// # });
    /// ```
    pub fn before_it(&self, verb: Verb, delay: Duration) {
        self.set(verb, 0, delay);
    }

    /// From now on `verb` is done at once, but its caller waits for `delay` to hear of it.
    ///
    /// ```
    /// # use session_core::{MemoryStore, SessionStore};
    /// # use session_testing::stores::{Slow, Verb};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let store = Slow::new(MemoryStore::new());
    /// store.after_it(Verb::Sweep, std::time::Duration::from_millis(5));
    /// let start = std::time::Instant::now();
    /// store.sweep(10).await.unwrap();
    /// assert!(start.elapsed() >= std::time::Duration::from_millis(5));
    /// # });
    /// ```
    pub fn after_it(&self, verb: Verb, delay: Duration) {
        self.set(verb, 1, delay);
    }

    fn set(&self, verb: Verb, side: usize, delay: Duration) {
        let micros = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        self.delays[verb as usize][side].store(micros, Ordering::SeqCst);
    }

    async fn wait(&self, verb: Verb, side: usize) {
        let micros = self.delays[verb as usize][side].load(Ordering::SeqCst);
        if micros > 0 {
            sleep(Duration::from_micros(micros)).await;
        }
    }

    async fn before(&self, verb: Verb) -> Result<(), StoreError> {
        self.wait(verb, 0).await;
        Ok(())
    }

    async fn after(&self, verb: Verb) {
        self.wait(verb, 1).await;
    }
}

around!(Slow);

#[cfg(test)]
mod tests {
    use session_core::{Expiry, MemoryStore};
    use tokio::time::Instant;

    use super::*;

    /// Asks for every verb once and says which of them failed.
    async fn ask(store: &impl SessionStore) -> Vec<Verb> {
        let (key, other) = (crate::store::key(), crate::store::key());
        let record = Record::new(Expiry::default());
        let failed = [
            store.load(&key).await.is_err(),
            store.create(&key, &record).await.is_err(),
            store.update(&key, &record, Version::FIRST).await.is_err(),
            store.touch(&key).await.is_err(),
            store.rename(&key, &other, &record, Version::FIRST.next()).await.is_err(),
            store.delete(&other).await.is_err(),
            store.sweep(1).await.is_err(),
        ];
        Verb::ALL.into_iter().zip(failed).filter(|(_, failed)| *failed).map(|(verb, _)| verb).collect()
    }

    #[tokio::test]
    async fn every_verb_is_counted_as_itself() {
        let store = Counting::new(MemoryStore::new());
        assert_eq!(ask(&store.clone()).await, []);
        assert!(Verb::ALL.into_iter().all(|verb| store.count(verb) == 1));
        store.load(&StoreKey::from_bytes([1; 32])).await.unwrap();
        assert_eq!((store.count(Verb::Load), store.total()), (2, 8));
    }

    #[tokio::test]
    async fn just_the_verb_that_was_named_fails_and_the_store_does_not_hear_of_it() {
        for verb in Verb::ALL {
            let counting = Counting::new(MemoryStore::new());
            let failing = Failing::new(counting.clone());
            failing.fail(verb);
            assert_eq!(ask(&failing).await, [verb]);
            assert_eq!((counting.count(verb), counting.total()), (0, 6));
            failing.fail_all();
            assert_eq!(ask(&failing).await, Verb::ALL);
            failing.recover();
            assert_eq!(ask(&failing).await, []);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn just_the_verb_that_was_named_is_slow() {
        for verb in Verb::ALL {
            let store = Slow::new(MemoryStore::new());
            store.before_it(verb, Duration::from_secs(1));
            store.after_it(verb, Duration::from_secs(2));
            let start = Instant::now();
            assert_eq!(ask(&store).await, []);
            assert_eq!(start.elapsed().as_secs(), 3);
        }
    }
}
