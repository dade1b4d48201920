//! Stores that stand on another store.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::ended::Witness;
use crate::error::StoreError;
use crate::id::StoreKey;
use crate::record::Record;
use crate::store::{Create, Found, Loaded, SessionStore, SubjectLimit, Touch, Update, Version};
use crate::verb::Verb;

/// A store that passes everything on to another one and does something around it: counts it, bounds its time, writes it
/// down. What implements this is a [`SessionStore`].
///
/// ```
/// use session_core::{Decorator, MemoryStore, SessionStore, StoreError, StoreKey, Verb};
///
/// struct ReadOnly(MemoryStore);
///
/// impl Decorator for ReadOnly {
///     type Inner = MemoryStore;
///
///     fn inner(&self) -> &MemoryStore {
///         &self.0
///     }
///
///     async fn around<T: Send>(
///         &self,
///         verb: Verb,
///         operation: impl Future<Output = Result<T, StoreError>> + Send,
///     ) -> Result<T, StoreError> {
///         if verb == Verb::Load { operation.await } else { Err(verb.failed("this node only reads")) }
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = ReadOnly(MemoryStore::new());
/// assert!(store.load(&StoreKey::from_bytes([1; 32])).await.is_ok());
/// assert!(store.delete(&StoreKey::from_bytes([1; 32])).await.is_err());
/// # });
/// ```
pub trait Decorator: Send + Sync + 'static {
    /// The store it stands on.
    type Inner: SessionStore + ?Sized;

    /// The store it stands on.
    fn inner(&self) -> &Self::Inner;

    /// Called for each operation, which happens when the future is awaited: once, or not at all.
    fn around<T: Send>(
        &self,
        verb: Verb,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> impl Future<Output = Result<T, StoreError>> + Send;
}

#[async_trait]
impl<D: Decorator> SessionStore for D {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>, StoreError> {
        self.around(Verb::Load, self.inner().load(key)).await
    }

    async fn find(&self, key: &StoreKey) -> Result<Found, StoreError> {
        self.around(Verb::Load, self.inner().find(key)).await
    }

    async fn create(&self, key: &StoreKey, record: &Record, limit: SubjectLimit) -> Result<Create, StoreError> {
        self.around(Verb::Create, self.inner().create(key, record, limit)).await
    }

    async fn update(&self, key: &StoreKey, record: &Record, seen: Version) -> Result<Update, StoreError> {
        self.around(Verb::Update, self.inner().update(key, record, seen)).await
    }

    async fn touch(&self, key: &StoreKey) -> Result<Touch, StoreError> {
        self.around(Verb::Touch, self.inner().touch(key)).await
    }

    async fn rename(
        &self,
        old: &StoreKey,
        new: &StoreKey,
        record: &Record,
        seen: Version,
        limit: SubjectLimit,
    ) -> Result<Update, StoreError> {
        self.around(Verb::Rename, self.inner().rename(old, new, record, seen, limit)).await
    }

    async fn delete(&self, key: &StoreKey) -> Result<bool, StoreError> {
        self.around(Verb::Delete, self.inner().delete(key)).await
    }

    async fn sessions_of(&self, subject: &str, most: usize) -> Result<Vec<(StoreKey, Loaded)>, StoreError> {
        self.around(Verb::SessionsOf, self.inner().sessions_of(subject, most)).await
    }

    async fn delete_one_of(&self, subject: &str, key: &StoreKey) -> Result<bool, StoreError> {
        self.around(Verb::DeleteOneOf, self.inner().delete_one_of(subject, key)).await
    }

    async fn delete_all_of(&self, subject: &str, except: Option<&StoreKey>) -> Result<usize, StoreError> {
        self.around(Verb::DeleteAllOf, self.inner().delete_all_of(subject, except)).await
    }

    async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        self.around(Verb::Sweep, self.inner().sweep(limit)).await
    }

    async fn revoke(&self, key: &StoreKey, keep: Duration) -> Result<bool, StoreError> {
        self.around(Verb::Revoke, self.inner().revoke(key, keep)).await
    }

    async fn revoke_all_of(&self, subject: &str, until: Timestamp, keep: Duration) -> Result<(), StoreError> {
        self.around(Verb::RevokeAllOf, self.inner().revoke_all_of(subject, until, keep)).await
    }

    async fn is_revoked(&self, keys: &[StoreKey], subject: Option<&str>, made: Timestamp) -> Result<bool, StoreError> {
        self.around(Verb::IsRevoked, self.inner().is_revoked(keys, subject, made)).await
    }

    fn watch(&self, witness: &Arc<dyn Witness>) -> bool {
        self.inner().watch(witness)
    }
}

/// A shared store is the store itself.
impl<S: SessionStore + ?Sized> Decorator for Arc<S> {
    type Inner = S;

    fn inner(&self) -> &S {
        self
    }

    async fn around<T: Send>(
        &self,
        _: Verb,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        operation.await
    }
}
