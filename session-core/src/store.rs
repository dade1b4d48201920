//! The contract between sessions and whatever keeps them.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::ended::Witness;
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
/// - A former key serves to end or to spare a session (`delete`, `delete_one_of`, `delete_all_of`) alone; in every other
///   verb it is absent.
/// - An error means that the outcome is unknown or nothing happened; a verb never succeeds halfway. An entry that can't
///   be read as a record is an error of its own kind, [`StoreError::unreadable`].
///
/// Write implementations with `#[async_trait]`, which this crate re-exports. See [`MemoryStore`](crate::MemoryStore)
/// for a whole one, and [`Decorator`](crate::Decorator) for a store that stands on another one.
///
/// ```
/// use session_core::{Create, Expiry, MemoryStore, Record, SessionStore, StoreKey, SubjectLimit, Update, Version};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = MemoryStore::new();
/// let (key, record) = (StoreKey::from_bytes([1; 32]), Record::new(Expiry::default()));
/// assert_eq!(store.create(&key, &record, SubjectLimit::None).await?, Create::Created);
/// assert_eq!(store.create(&key, &record, SubjectLimit::None).await?, Create::Taken);
/// assert_eq!(store.update(&key, &record, Version::FIRST).await?, Update::Updated);
/// assert_eq!(store.update(&key, &record, Version::FIRST).await?, Update::Conflict);
/// assert!(store.delete(&key).await?);
/// assert_eq!(store.update(&key, &record, Version::FIRST.next()).await?, Update::Gone);
/// # Ok::<(), session_core::StoreError>(()) }).unwrap();
/// ```
#[async_trait]
pub trait SessionStore: Send + Sync + 'static {
    /// The live record under `key`.
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>, StoreError>;

    /// As `load`, and tells a record past its deadline that has not been swept yet from none at all, so that who watches learns
    /// why there is no session. A store that frees what expires at once needn't have it.
    async fn find(&self, key: &StoreKey) -> Result<Found, StoreError> {
        Ok(self.load(key).await?.map_or(Found::Absent, Found::Live))
    }

    /// Inserts a new record at [`Version::FIRST`], unless a live one has the key. If the record has a subject, `limit`
    /// says how many live sessions it may have with this one, and the same instant sees to it.
    async fn create(&self, key: &StoreKey, record: &Record, limit: SubjectLimit) -> Result<Create, StoreError>;

    /// Replaces the record if it is alive and still at version `seen`; it is then at `seen.next()`.
    async fn update(&self, key: &StoreKey, record: &Record, seen: Version) -> Result<Update, StoreError>;

    /// Moves the idle deadline and nothing else; the version stays.
    async fn touch(&self, key: &StoreKey) -> Result<Touch, StoreError>;

    /// As `update`, and moves the record from `old` to `new` in the same instant: there is no moment at which both
    /// or neither of them is alive. `limit` is kept as in `create`. `new` was just drawn at random; if it is taken all the
    /// same, the outcome is an error.
    async fn rename(
        &self,
        old: &StoreKey,
        new: &StoreKey,
        record: &Record,
        seen: Version,
        limit: SubjectLimit,
    ) -> Result<Update, StoreError>;

    /// Makes sure that there is no record under `key`, nor under any key it was renamed to since: who loaded a session
    /// and ends it has ended it, even if another request renewed it meanwhile. Where it went has to be known until the later
    /// of two deadlines: the one it had under `key`, and the one it got when it was renamed. Says whether this call ended a live session. Doing it twice is fine.
    async fn delete(&self, key: &StoreKey) -> Result<bool, StoreError>;

    /// The live sessions whose record names `subject`, those created last first, at most `most` of them. An entry that
    /// can't be read is left out.
    async fn sessions_of(&self, subject: &str, most: usize) -> Result<Vec<(StoreKey, Loaded)>, StoreError>;

    /// As `delete`, if the live session belongs to `subject`; nothing otherwise.
    async fn delete_one_of(&self, subject: &str, key: &StoreKey) -> Result<bool, StoreError>;

    /// Ends all live sessions of `subject` but the one under `except`, or under the key that was renamed to since, and says
    /// how many. Of the sessions that began before this call none is left; one that begins meanwhile may live.
    async fn delete_all_of(&self, subject: &str, except: Option<&StoreKey>) -> Result<usize, StoreError>;

    /// Frees what expired records, former keys and revocations take up, at most `limit` of each, and says how many records
    /// it was. Never called on the path of a request.
    async fn sweep(&self, limit: usize) -> Result<usize, StoreError>;

    /// Remembers for as long as `keep`, by the store's clock, that `key` is revoked. For sessions that are in their cookie,
    /// so no record has that key. Says whether it is news; if it isn't, the longer time counts.
    async fn revoke(&self, key: &StoreKey, keep: Duration) -> Result<bool, StoreError>;

    /// Remembers for as long as `keep` that all cookies of `subject` made at `until` or before are revoked. Of several
    /// calls the latest moment counts, and the longest time.
    async fn revoke_all_of(&self, subject: &str, until: Timestamp, keep: Duration) -> Result<(), StoreError>;

    /// Whether one of `keys` is revoked, or what was made for `subject` at `made`.
    async fn is_revoked(&self, keys: &[StoreKey], subject: Option<&str>, made: Timestamp) -> Result<bool, StoreError>;

    /// Tells `witness` from now on which sessions this store, or a clone of it, ends by itself: those that a [`SubjectLimit`]
    /// ends, and those that a sweep frees. Each is told once, by whoever ended it, after it has, also if the same witness is named twice. Says whether it will: a store
    /// that tells nobody needn't have it, and its [`Event`](crate::Event)s are fewer. [`Witnesses`](crate::Witnesses) does
    /// the work.
    fn watch(&self, witness: &Arc<dyn Witness>) -> bool {
        let _ = witness;
        false
    }
}

/// How many live sessions one subject may have. The same store keeps it atomically: of logins that happen at once none
/// slips through.
///
/// ```
/// use session_core::SubjectLimit;
/// use std::num::NonZeroU32;
///
/// assert_eq!(SubjectLimit::default(), SubjectLimit::None);
/// assert_eq!(SubjectLimit::EndOldest(NonZeroU32::new(3).unwrap()).most(), Some(3));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SubjectLimit {
    /// Any number.
    #[default]
    None,
    /// At most so many with the new one: those created first are ended to make room.
    EndOldest(NonZeroU32),
    /// At most so many with the new one: the new one is refused as `Full`, and nothing changes.
    Refuse(NonZeroU32),
}

impl SubjectLimit {
    /// The number, if there is a limit.
    ///
    /// ```
    /// assert_eq!(session_core::SubjectLimit::None.most(), None);
    /// ```
    #[must_use]
    pub const fn most(self) -> Option<u32> {
        match self {
            Self::None => None,
            Self::EndOldest(most) | Self::Refuse(most) => Some(most.get()),
        }
    }
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

/// The outcome of [`SessionStore::find`].
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// There is no record.
    Absent,
    /// There is one, and its deadline has passed.
    Expired,
    /// The live record.
    Live(Loaded),
}

impl Found {
    /// The record, if it is live.
    ///
    /// ```
    /// # use session_core::Found;
    /// assert!(Found::Expired.live().is_none());
    /// ```
    #[must_use]
    pub fn live(self) -> Option<Loaded> {
        match self {
            Self::Live(loaded) => Some(loaded),
            Self::Absent | Self::Expired => None,
        }
    }
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
    /// Its subject has as many live sessions as it may have, and [`SubjectLimit::Refuse`] was asked for; nothing changed.
    Full,
    /// A live record has this key; nothing changed.
    Taken,
}

/// The outcome of [`SessionStore::update`] and [`SessionStore::rename`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// Somebody else changed the record since it was loaded; nothing changed.
    Conflict,
    /// As [`Create::Full`]; only [`SessionStore::rename`] has it.
    Full,
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
