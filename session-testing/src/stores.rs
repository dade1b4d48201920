//! Stores to test with: one that counts what it is asked for, one that fails when told to, one that takes its time, and
//! one that waits where it is told to. Each wraps another store, and its clones are handles to the same one, so that a
//! test keeps one and gives the other away.
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

mod held;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

pub use session_core::{Counting, Verb};
use session_core::{Decorator, SessionStore, StoreError};
use tokio::time::sleep;

pub use self::held::Held;

/// One `T` for each verb.
type PerVerb<T> = Arc<[T; Verb::ALL.len()]>;

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
    /// # use session_core::{MemoryStore, SessionStore, Verb};
    /// # use session_testing::stores::Failing;
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
    /// # use session_core::{MemoryStore, SessionStore, Verb};
    /// # use session_testing::stores::Failing;
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
    /// # use session_core::{MemoryStore, SessionStore, Verb};
    /// # use session_testing::stores::Failing;
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
    /// # use session_core::{MemoryStore, SessionStore, Verb};
    /// # use session_testing::stores::Failing;
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
}

impl<S: SessionStore> Decorator for Failing<S> {
    type Inner = S;

    fn inner(&self) -> &S {
        &self.inner
    }

    async fn around<T: Send>(
        &self,
        verb: Verb,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        if self.failing[verb as usize].load(Ordering::SeqCst) {
            return Err(verb.failed("the test said so"));
        }
        operation.await
    }
}

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
    /// # use session_core::{MemoryStore, SessionStore, Verb};
    /// # use session_testing::stores::Slow;
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
    /// # use session_core::{MemoryStore, SessionStore, Verb};
    /// # use session_testing::stores::Slow;
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
    /// # use session_core::{MemoryStore, SessionStore, Verb};
    /// # use session_testing::stores::Slow;
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
}

impl<S: SessionStore> Decorator for Slow<S> {
    type Inner = S;

    fn inner(&self) -> &S {
        &self.inner
    }

    async fn around<T: Send>(
        &self,
        verb: Verb,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.wait(verb, 0).await;
        let outcome = operation.await;
        self.wait(verb, 1).await;
        outcome
    }
}

#[cfg(test)]
mod tests {
    use session_core::{Expiry, MemoryStore, Record, SubjectLimit, Timestamp, Version};
    use tokio::time::Instant;

    use super::*;

    /// Asks for every verb once and says which of them failed.
    pub(super) async fn ask(store: &impl SessionStore) -> Vec<Verb> {
        let (key, other) = (crate::store::key(), crate::store::key());
        let (record, now) = (Record::new(Expiry::default()), Timestamp::from_millis(1));
        let (limit, keep) = (SubjectLimit::None, Duration::from_secs(60));
        let failed = [
            store.load(&key).await.is_err(),
            store.create(&key, &record, limit).await.is_err(),
            store.update(&key, &record, Version::FIRST).await.is_err(),
            store.touch(&key).await.is_err(),
            store.rename(&key, &other, &record, Version::FIRST.next(), limit).await.is_err(),
            store.delete(&other).await.is_err(),
            store.sessions_of("ada", 1).await.is_err(),
            store.delete_one_of("ada", &key).await.is_err(),
            store.delete_all_of("ada", None).await.is_err(),
            store.sweep(1).await.is_err(),
            store.revoke(&key, keep).await.is_err(),
            store.revoke_all_of("ada", now, keep).await.is_err(),
            store.is_revoked(&[key], None, now).await.is_err(),
        ];
        Verb::ALL.into_iter().zip(failed).filter(|(_, failed)| *failed).map(|(verb, _)| verb).collect()
    }

    #[tokio::test]
    async fn just_the_verb_that_was_named_fails_and_the_store_does_not_hear_of_it() {
        for verb in Verb::ALL {
            let counting = Counting::new(MemoryStore::new());
            let failing = Failing::new(counting.clone());
            failing.fail(verb);
            assert_eq!(ask(&failing).await, [verb]);
            assert_eq!((counting.count(verb), counting.total()), (0, Verb::ALL.len() - 1));
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
