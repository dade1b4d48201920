//! The contract between sessions and whatever keeps them.

use std::sync::Arc;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::expiry::Times;
use crate::id::StoreKey;
use crate::record::Record;

/// Keeps records. There is no blind save: every verb says what must be true for it to happen, and its outcome says
/// whether it was. `session-testing` holds the contract below as a suite of tests for every implementation.
///
/// - A record past its deadline is absent in every verb, whether swept or not.
/// - The store stamps the [`Times`] by its own clock: `create` begins them, `update`, `touch` and `rename` move
///   `seen` and the idle deadline, never beyond the lifetime.
/// - Each verb is atomic, also against all others.
/// - A former key serves `delete` alone; in every other verb it is absent.
/// - An error means that the outcome is unknown or nothing happened; a verb never succeeds halfway.
///
/// Write implementations with `#[async_trait]`, which this crate re-exports. See [`MemoryStore`](crate::MemoryStore)
/// for a whole one.
///
/// ```
/// use session_core::{Create, Expiry, MemoryStore, Record, SessionStore, StoreKey, Update, Version};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = MemoryStore::new();
/// let (key, record) = (StoreKey::from_bytes([1; 32]), Record::new(Expiry::default()));
/// assert_eq!(store.create(&key, &record).await?, Create::Created);
/// assert_eq!(store.create(&key, &record).await?, Create::Taken);
/// assert_eq!(store.update(&key, &record, Version::FIRST).await?, Update::Updated);
/// assert_eq!(store.update(&key, &record, Version::FIRST).await?, Update::Conflict);
/// store.delete(&key).await?;
/// assert_eq!(store.update(&key, &record, Version::FIRST.next()).await?, Update::Gone);
/// # Ok::<(), session_core::StoreError>(()) }).unwrap();
/// ```
#[async_trait]
pub trait SessionStore: Send + Sync + 'static {
    /// The live record under `key`.
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>, StoreError>;

    /// Inserts a new record at [`Version::FIRST`], unless a live one has the key.
    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Create, StoreError>;

    /// Replaces the record if it is alive and still at version `seen`; it is then at `seen.next()`.
    async fn update(&self, key: &StoreKey, record: &Record, seen: Version) -> Result<Update, StoreError>;

    /// Moves the idle deadline and nothing else; the version stays.
    async fn touch(&self, key: &StoreKey) -> Result<Touch, StoreError>;

    /// As `update`, and moves the record from `old` to `new` in the same instant: there is no moment at which both
    /// or neither of them is alive. `new` was just drawn at random; if it is taken all the same, the outcome is an error.
    async fn rename(
        &self,
        old: &StoreKey,
        new: &StoreKey,
        record: &Record,
        seen: Version,
    ) -> Result<Update, StoreError>;

    /// Makes sure that there is no record under `key`, nor under any key it was renamed to since: who loaded a session
    /// and ends it has ended it, even if another request renewed it meanwhile. Where it went has to be known for as long
    /// as the record had to live under `key`. Doing it twice is fine.
    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError>;

    /// Frees what expired records take up, at most `limit` of them, and says how many it was. Never called on the
    /// path of a request.
    async fn sweep(&self, limit: usize) -> Result<usize, StoreError>;
}

/// A record as it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The record.
    pub record: Record,
    /// What to tell `update` and `rename`.
    pub version: Version,
    /// Its times, by the store's clock.
    pub times: Times,
    /// The store's clock when it was loaded, so that one clock judges them.
    pub now: Timestamp,
}

/// Counts the changes of one record, so that a writer knows whether it saw the last one.
///
/// ```
/// use session_core::Version;
/// assert_eq!(Version::FIRST.next().as_u64(), 2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u64);

impl Version {
    /// The version of a record that was just created.
    pub const FIRST: Self = Self(1);

    /// The version after this one.
    ///
    /// ```
    /// # use session_core::Version;
    /// assert!(Version::FIRST.next() > Version::FIRST);
    /// ```
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// A version as a store wrote it down.
    ///
    /// ```
    /// # use session_core::Version;
    /// assert_eq!(Version::from_u64(1), Version::FIRST);
    /// ```
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The number, for a store to write down.
    ///
    /// ```
    /// # use session_core::Version;
    /// assert_eq!(Version::FIRST.as_u64(), 1);
    /// ```
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// The outcome of [`SessionStore::create`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Create {
    /// The record is stored.
    Created,
    /// A live record has this key; nothing changed.
    Taken,
}

/// The outcome of [`SessionStore::update`] and [`SessionStore::rename`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// Somebody else changed the record since it was loaded; nothing changed.
    Conflict,
    /// There is no live record; nothing changed, and nothing was made.
    Gone,
    /// Done.
    Updated,
}

/// The outcome of [`SessionStore::touch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// There is no live record.
    Gone,
    /// Done.
    Touched,
}

#[async_trait]
impl<S: SessionStore + ?Sized> SessionStore for Arc<S> {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>, StoreError> {
        (**self).load(key).await
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Create, StoreError> {
        (**self).create(key, record).await
    }

    async fn update(&self, key: &StoreKey, record: &Record, seen: Version) -> Result<Update, StoreError> {
        (**self).update(key, record, seen).await
    }

    async fn touch(&self, key: &StoreKey) -> Result<Touch, StoreError> {
        (**self).touch(key).await
    }

    async fn rename(
        &self,
        old: &StoreKey,
        new: &StoreKey,
        record: &Record,
        seen: Version,
    ) -> Result<Update, StoreError> {
        (**self).rename(old, new, record, seen).await
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        (**self).delete(key).await
    }

    async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        (**self).sweep(limit).await
    }
}
