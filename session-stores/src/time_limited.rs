//! A bound on the time of one operation.

use std::future::Future;
use std::time::Duration;

use session_core::{Count, Countable, Decorator, Place, SessionStore, StoreError, Verb, async_trait};
use tokio::time::timeout;

const SWEEP: Duration = Duration::from_secs(60);

/// Gives each operation of a store a time within which it has to be done. One that isn't done by then is given up and is an
/// error, so that a request is answered with 503 rather than never. As with every error of a store, what was asked for may
/// have happened all the same.
///
/// Put it around a store that talks to a server; [`connect`](crate::connect) has done so already. It needs a tokio runtime
/// with its timer on, which all four frameworks have.
///
/// ```
/// use session_core::{MemoryStore, SessionStore, StoreKey};
/// use session_stores::TimeLimited;
/// use std::time::Duration;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let store = TimeLimited::new(MemoryStore::new(), Duration::from_millis(500));
/// assert_eq!(store.load(&StoreKey::from_bytes([1; 32])).await?, None);
/// # Ok::<(), session_core::StoreError>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct TimeLimited<S> {
    inner: S,
    limit: Duration,
    sweep: Duration,
}

impl<S> TimeLimited<S> {
    /// Gives each operation `limit`, and a sweep a minute: it is never on the path of a request, and its batch may be large.
    ///
    /// ```
    /// # use session_core::MemoryStore;
    /// # use session_stores::TimeLimited;
    /// # use std::time::Duration;
    /// let store = TimeLimited::new(MemoryStore::new(), Duration::from_millis(500));
    /// assert_eq!(store.limit().as_millis(), 500);
    /// ```
    #[must_use]
    pub const fn new(inner: S, limit: Duration) -> Self {
        Self { inner, limit, sweep: SWEEP }
    }

    /// Gives a sweep another time.
    ///
    /// ```
    /// # use session_core::MemoryStore;
    /// # use session_stores::TimeLimited;
    /// # use std::time::Duration;
    /// # let store = TimeLimited::new(MemoryStore::new(), Duration::from_millis(500));
    /// let store = store.sweep_limit(Duration::from_secs(10));
    /// assert_eq!(store.limit().as_millis(), 500);
    /// ```
    #[must_use]
    pub fn sweep_limit(self, limit: Duration) -> Self {
        Self { sweep: limit, ..self }
    }

    /// What an operation other than a sweep gets.
    ///
    /// ```
    /// # use session_core::MemoryStore;
    /// # use session_stores::TimeLimited;
    /// # use std::time::Duration;
    /// let store = TimeLimited::new(MemoryStore::new(), Duration::from_secs(1));
    /// assert_eq!(store.limit(), Duration::from_secs(1));
    /// ```
    #[must_use]
    pub const fn limit(&self) -> Duration {
        self.limit
    }
}

impl<S: SessionStore> Decorator for TimeLimited<S> {
    type Inner = S;

    fn inner(&self) -> &S {
        &self.inner
    }

    async fn around<T: Send>(
        &self,
        verb: Verb,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let limit = if verb == Verb::Sweep { self.sweep } else { self.limit };
        timeout(limit, operation).await.map_err(|_| verb.failed(TooSlow(limit)))?
    }
}

/// A stretch has as long as a sweep: nobody waits for it on the path of a request.
#[async_trait]
impl<S: Countable> Countable for TimeLimited<S> {
    async fn count(&self, from: Place, most: usize) -> Result<(Count, Option<Place>), StoreError> {
        let counted = timeout(self.sweep, self.inner.count(from, most)).await;
        counted.map_err(|_| StoreError::new("counting the sessions", TooSlow(self.sweep)))?
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the store did not answer within {} ms", .0.as_millis())]
struct TooSlow(Duration);
