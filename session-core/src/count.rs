//! How many sessions a store holds: for operators, never for requests.

use async_trait::async_trait;

use crate::error::StoreError;
use crate::store::SessionStore;

/// A store that can count what it holds, stretch by stretch, so that no single call takes long however many sessions there are.
/// Beside the contract of [`SessionStore`]: an application needs nothing of it.
///
/// Sessions come and go while they are counted. One that is there from the first call to the last is counted once by a
/// database, and at least once by Redis, whose own way through its keys promises no more.
///
/// ```
/// use session_core::{Count, Countable, Expiry, MemoryStore, Place, Record, SessionStore, StoreKey, SubjectLimit};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = MemoryStore::new();
/// let record = Record::new(Expiry::default());
/// store.create(&StoreKey::from_bytes([1; 32]), &record, SubjectLimit::None).await?;
///
/// let (mut count, mut next) = (Count::default(), Some(Place::START));
/// while let Some(place) = next {
///     let (stretch, following) = store.count(place, 1_000).await?;
///     (count, next) = (count.plus(stretch), following);
/// }
/// assert_eq!((count.live, count.with_subject, count.bytes), (1, 0, record.size() as u64));
/// # Ok::<(), session_core::StoreError>(()) }).unwrap();
/// ```
#[async_trait]
pub trait Countable: SessionStore {
    /// Counts about `most` entries from `from` on, and says where to go on, if there is more.
    async fn count(&self, from: Place, most: usize) -> Result<(Count, Option<Place>), StoreError>;
}

/// How far the counting has come; what the numbers mean is the store's.
///
/// ```
/// use session_core::Place;
/// assert_eq!(Place::START, Place { part: 0, entry: 0 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The server or the shard.
    pub part: usize,
    /// Behind which entry of it.
    pub entry: u64,
}

impl Place {
    /// Where to begin.
    pub const START: Self = Self { part: 0, entry: 0 };
}

/// What was counted.
///
/// ```
/// use session_core::Count;
/// let some = Count { live: 2, with_subject: 1, ..Count::default() };
/// assert_eq!(some.plus(some).live, 4);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Sessions that are alive.
    pub live: u64,
    /// Those among them whose subject is logged in.
    pub with_subject: u64,
    /// Sessions that have expired and take up room until they are swept.
    pub expired: u64,
    /// The size of the live sessions' records as JSON, without what the store needs around them.
    pub bytes: u64,
}

impl Count {
    /// Both together.
    ///
    /// ```
    /// # use session_core::Count;
    /// let counted = Count { expired: 3, ..Count::default() }.plus(Count { bytes: 5, ..Count::default() });
    /// assert_eq!((counted.expired, counted.bytes), (3, 5));
    /// ```
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            live: self.live.saturating_add(other.live),
            with_subject: self.with_subject.saturating_add(other.with_subject),
            expired: self.expired.saturating_add(other.expired),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}
