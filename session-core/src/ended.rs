//! What a store ends by itself, for whoever watches.

use std::fmt;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::event::{Event, Happening, Observer, emit};
use crate::fingerprint::Fingerprints;
use crate::id::StoreKey;
use crate::store::Loaded;

/// Why a store has ended a session by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// Its deadline has passed, and it was swept.
    Deadline,
    /// Its subject may have so many sessions only, and logged in once more.
    Limit,
}

/// A session that a store has ended by itself.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The last key it had.
    pub key: StoreKey,
    /// How it was; `None` if it can't be read as a record.
    pub session: Option<Loaded>,
    /// Why it ended.
    pub by: EndedBy,
}

/// Is told by a store which sessions it has ended by itself.
///
/// ```
/// use session_core::{Ended, EndedBy, MemoryStore, Record, SessionStore, StoreKey, SubjectLimit, Witness};
/// use session_core::{Expiry, StoreError};
/// use std::num::NonZeroU32;
/// use std::sync::{Arc, Mutex};
///
/// #[derive(Default)]
/// struct List(Mutex<Vec<(StoreKey, EndedBy)>>);
///
/// impl Witness for List {
///     fn ended(&self, ended: &Ended) {
///         self.0.lock().unwrap().push((ended.key, ended.by));
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (store, list) = (MemoryStore::new(), Arc::new(List::default()));
/// let witness: Arc<dyn Witness> = list.clone();
/// assert!(store.watch(&witness));
///
/// let (one, other) = (StoreKey::from_bytes([1; 32]), StoreKey::from_bytes([2; 32]));
/// let mut record = Record::new(Expiry::default());
/// record.subject = Some("ada".into());
/// let limit = SubjectLimit::EndOldest(NonZeroU32::MIN);
/// store.create(&one, &record, limit).await?;
/// store.create(&other, &record, limit).await?;
/// assert_eq!(*list.0.lock().unwrap(), [(one, EndedBy::Limit)]);
/// # Ok::<(), StoreError>(()) }).unwrap();
/// ```
pub trait Witness: Send + Sync + 'static {
    /// Called once for each session, after it has ended, on the path of whatever ended it: a login or a sweep.
    fn ended(&self, ended: &Ended);
}

/// Whom a store tells, for those who write one. Clones tell the same. It keeps no witness alive: who is dropped is told
/// nothing more.
///
/// ```
/// use session_core::{Ended, EndedBy, StoreKey, Witness, Witnesses};
/// use std::sync::Arc;
///
/// struct Silent;
/// impl Witness for Silent {
///     fn ended(&self, _: &Ended) {}
/// }
///
/// let (witnesses, silent) = (Witnesses::default(), Arc::new(Silent) as Arc<dyn Witness>);
/// assert!(witnesses.is_empty());
/// witnesses.add(&silent);
/// assert!(!witnesses.is_empty());
/// witnesses.tell([Ended { key: StoreKey::from_bytes([1; 32]), session: None, by: EndedBy::Deadline }]);
/// drop(silent);
/// assert!(witnesses.is_empty());
/// ```
#[derive(Clone, Default)]
pub struct Witnesses(Arc<Mutex<Vec<Weak<dyn Witness>>>>);

impl Witnesses {
    /// Tells `witness` too from now on, for as long as somebody keeps it. Adding it twice is fine.
    ///
    /// See [`Witnesses`] for an example.
    pub fn add(&self, witness: &Arc<dyn Witness>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let added = Arc::downgrade(witness);
        all.retain(|other| other.strong_count() > 0 && !ptr::addr_eq(other.as_ptr(), added.as_ptr()));
        all.push(added);
    }

    /// Whether nobody wants to know, so that a store needn't read what it ends.
    ///
    /// See [`Witnesses`] for an example.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    /// Tells them all of each. Call it when the sessions have ended for good, and hold no lock.
    ///
    /// See [`Witnesses`] for an example.
    pub fn tell(&self, ended: impl IntoIterator<Item = Ended>) {
        let all = self.all();
        for ended in ended {
            all.iter().for_each(|witness| witness.ended(&ended));
        }
    }

    fn all(&self) -> Vec<Arc<dyn Witness>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter_map(Weak::upgrade).collect()
    }
}

impl fmt::Debug for Witnesses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Witnesses").field(&self.all().len()).finish()
    }
}

/// Whom a manager tells what happens, and under which names. What its store ends by itself too.
pub(crate) struct Reporter {
    pub(crate) fingerprints: Fingerprints,
    pub(crate) observer: Option<Arc<dyn Observer>>,
}

impl Witness for Reporter {
    fn ended(&self, Ended { key, session, by }: &Ended) {
        let event = match by {
            EndedBy::Deadline => Event::Swept,
            EndedBy::Limit => Event::Destroyed,
        };
        let record = session.as_ref().map(|session| &session.record);
        emit(self.observer.as_ref(), Happening::from(event).to(self.fingerprints.of(key)).with(record));
    }
}
