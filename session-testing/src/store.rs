//! The contract of a store.
//!
//! ```
//! use session_core::MemoryStore;
//! use session_testing::store;
//!
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
//! store::suite(|| async { MemoryStore::new() }).await;
//! # });
//! ```

mod race;
mod time;
mod verbs;

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use session_core::{Create, Expiry, Loaded, Record, SessionStore, StoreError, StoreKey, Touch, Update, Version};
use tokio::task::JoinHandle;

use crate::sentence::holds;

/// Checks every sentence of the contract, one after another, and prints `ok` or `FAILED` with each. `make` gives an empty
/// store, and is called for each sentence; a store behind a server may give the same server with nothing in it.
///
/// Takes a few seconds, because it waits for real deadlines. Call it from a tokio runtime; best a multi-threaded one, where
/// writers meet in earnest.
///
/// # Panics
/// At the end, if a sentence failed, with the names of all that did.
pub async fn suite<S, F>(make: impl Fn() -> F)
where
    S: SessionStore,
    F: Future<Output = S>,
{
    let failed = failures(make).await;
    assert!(failed.is_empty(), "{} of {} sentences failed: {failed:#?}", failed.len(), SENTENCES.len());
}

macro_rules! sentences {
    ($($module:ident::$sentence:ident,)*) => {
        /// The names of the sentences, so that a test can see that none got lost.
        ///
        /// ```
        /// assert!(session_testing::store::SENTENCES.contains(&"a_deleted_key_can_be_created_again"));
        /// ```
        pub const SENTENCES: &[&str] = &[$(stringify!($sentence)),*];

        /// As [`suite`], but returns the names of the sentences that failed: to test the suite's own teeth on a broken
        /// store.
        ///
        /// ```
        /// # use session_core::MemoryStore;
        /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        /// let failed = session_testing::store::failures(|| async { MemoryStore::new() }).await;
        /// assert!(failed.is_empty());
        /// # });
        /// ```
        pub async fn failures<S, F>(make: impl Fn() -> F) -> Vec<&'static str>
        where
            S: SessionStore,
            F: Future<Output = S>,
        {
            let mut failed = Vec::new();
            $(
                let sentence = async { $module::$sentence(Arc::new(make().await)).await };
                if !holds(stringify!($sentence), Box::pin(sentence)).await {
                    failed.push(stringify!($sentence));
                }
            )*
            failed
        }
    };
}

sentences! {
    verbs::what_is_absent_is_absent_in_every_verb,
    verbs::what_was_created_is_loaded,
    verbs::a_taken_key_is_refused_and_left_as_it_is,
    verbs::of_two_writers_one_wins_and_the_other_knows_it,
    verbs::updating_a_missing_record_makes_nothing,
    verbs::updating_a_deleted_record_makes_nothing,
    verbs::touching_keeps_everything_but_the_times,
    verbs::touching_after_an_update_keeps_the_new_data,
    verbs::touching_a_missing_record_makes_nothing,
    verbs::renaming_moves_the_record_in_one_step,
    verbs::renaming_on_a_conflict_changes_nothing,
    verbs::renaming_a_missing_record_makes_nothing,
    verbs::renaming_onto_a_taken_key_is_an_error_and_both_stay,
    verbs::deleting_twice_is_fine_and_takes_no_other,
    verbs::deleting_by_a_former_key_ends_the_session,
    verbs::a_deleted_key_can_be_created_again,
    verbs::every_record_comes_back_equal,
    verbs::records_of_a_megabyte_come_back_equal,
    time::a_record_is_dated_by_the_clock_of_the_store,
    time::every_write_moves_the_idle_deadline,
    time::no_deadline_moves_beyond_the_lifetime,
    time::an_expired_record_is_absent_in_every_verb,
    time::an_expired_key_can_be_created_anew,
    time::what_is_not_used_expires_and_what_is_touched_does_not,
    time::the_lifetime_ends_what_is_touched,
    time::a_very_long_life_is_a_life,
    time::sweeping_takes_the_expired_within_its_limit_and_leaves_the_living,
    time::sweeping_spares_a_key_that_was_created_anew,
    race::a_thousand_records_at_once_are_all_there,
    race::of_many_creators_of_one_key_one_wins,
    race::fifty_writers_of_one_record_lose_nothing,
    race::nothing_brings_back_what_was_deleted,
    race::of_many_renames_one_wins,
    race::a_rename_against_a_delete_leaves_neither_alive,
    race::a_rename_against_a_writer_loses_neither,
    race::a_rename_has_no_moment_with_both_or_neither,
}

/// A key that no other sentence has, also not in a store that several of them share.
pub(crate) fn key() -> StoreKey {
    let mut bytes = [0; 32];
    for part in bytes.chunks_exact_mut(8) {
        part.copy_from_slice(&RandomState::new().build_hasher().finish().to_le_bytes());
    }
    StoreKey::from_bytes(bytes)
}

/// A record with the number `n` in it, for a long life.
fn record(n: u64) -> Record {
    living(n, Duration::from_secs(3_600), Duration::from_secs(7_200))
}

fn living(n: u64, idle: Duration, lifetime: Duration) -> Record {
    let mut record = Record::new(Expiry { idle, lifetime });
    record.subject = Some("ada".to_owned());
    record.values_mut().insert("n".to_owned(), n.into());
    record
}

fn number(record: &Record) -> u64 {
    record.values().get("n").and_then(|n| n.as_u64()).expect("the suite's records have a number in them")
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The verbs of a store that is expected not to fail.
struct Sound<S>(Arc<S>);

impl<S: SessionStore> Sound<S> {
    fn share(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    async fn load(&self, key: &StoreKey) -> Option<Loaded> {
        sound(self.0.load(key).await)
    }

    async fn is_live(&self, key: &StoreKey) -> bool {
        self.load(key).await.is_some()
    }

    async fn loaded(&self, key: &StoreKey) -> Loaded {
        self.load(key).await.expect("a live record is loaded")
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Create {
        sound(self.0.create(key, record).await)
    }

    /// A new record under a new key.
    async fn created(&self, record: &Record) -> StoreKey {
        let key = key();
        assert_eq!(self.create(&key, record).await, Create::Created);
        key
    }

    async fn update(&self, key: &StoreKey, record: &Record, seen: Version) -> Update {
        sound(self.0.update(key, record, seen).await)
    }

    async fn touch(&self, key: &StoreKey) -> Touch {
        sound(self.0.touch(key).await)
    }

    async fn rename(&self, old: &StoreKey, new: &StoreKey, record: &Record, seen: Version) -> Update {
        sound(self.0.rename(old, new, record, seen).await)
    }

    async fn delete(&self, key: &StoreKey) {
        sound(self.0.delete(key).await);
    }

    async fn sweep(&self, limit: usize) -> usize {
        sound(self.0.sweep(limit).await)
    }
}

#[track_caller]
fn sound<T>(outcome: Result<T, StoreError>) -> T {
    outcome.expect("a store that is well doesn't fail")
}

/// Waits for a task; its panic is ours.
async fn ended<T>(task: JoinHandle<T>) -> T {
    task.await.unwrap_or_else(|error| resume_unwind(error.into_panic()))
}
