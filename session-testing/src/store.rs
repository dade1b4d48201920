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

mod ended;
mod limit;
mod race;
mod revocation;
mod subject;
mod time;
mod verbs;

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::num::NonZeroU32;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use session_core::{
    Create, Expiry, Loaded, Record, SessionStore, StoreError, StoreKey, SubjectLimit, Timestamp, Touch, Update, Version,
};
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
    verbs::deleting_says_whether_it_ended_a_live_session,
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
    time::a_former_key_is_known_for_as_long_as_it_could_have_lived,
    time::expired_sessions_do_not_count_for_a_limit,
    time::expired_sessions_take_no_place_in_a_list,
    race::a_thousand_records_at_once_are_all_there,
    race::of_many_creators_of_one_key_one_wins,
    race::fifty_writers_of_one_record_lose_nothing,
    race::nothing_brings_back_what_was_deleted,
    race::of_many_renames_one_wins,
    race::a_rename_against_a_delete_leaves_neither_alive,
    race::a_rename_against_a_writer_loses_neither,
    race::a_rename_has_no_moment_with_both_or_neither,
    race::a_session_that_is_renamed_is_listed_once_at_every_moment,
    race::of_many_deletes_of_one_session_one_ended_it,
    race::ending_all_leaves_no_session_that_began_before_however_often_it_is_renamed,
    race::ending_all_against_logins_ends_a_session_or_leaves_it_and_says_so,
    race::whatever_happens_at_once_list_and_load_agree,
    race::several_sweepers_take_each_expired_record_once_and_no_live_one,
    race::a_sweep_takes_nothing_that_begins_anew_meanwhile,
    subject::the_sessions_of_a_subject_are_listed_with_the_newest_first,
    subject::a_list_is_no_longer_than_asked_for,
    subject::a_list_says_what_loading_says,
    subject::a_deleted_session_is_in_no_list,
    subject::a_renamed_session_is_listed_once_under_its_new_key,
    subject::an_anonymous_session_is_in_nobodys_list,
    subject::a_session_moves_to_the_list_of_its_subject,
    subject::subjects_that_look_alike_are_kept_apart,
    subject::one_session_of_a_subject_is_ended_by_its_key,
    subject::a_session_of_somebody_else_is_not_ended,
    subject::all_sessions_of_a_subject_end_but_the_one_that_is_spared,
    subject::a_former_key_spares_the_session_it_was_renamed_to,
    subject::nothing_brings_back_what_ended_with_all,
    subject::hundreds_of_sessions_of_one_subject_are_listed_and_ended,
    limit::a_new_session_ends_the_oldest_beyond_the_limit,
    limit::a_login_ends_the_oldest_beyond_the_limit,
    limit::the_session_that_was_just_written_is_never_the_one_that_ends,
    limit::what_a_limit_ended_is_dead_in_every_verb,
    limit::a_lower_limit_ends_several_at_once,
    limit::renewing_at_the_limit_ends_nobody_and_is_not_refused,
    limit::a_full_subject_is_refused_and_nothing_changes,
    limit::a_write_that_does_not_happen_ends_nobody,
    limit::a_limit_is_one_subjects_own,
    limit::no_limit_counts_for_anonymous_sessions,
    limit::of_two_hundred_logins_at_once_none_slips_past_the_limit,
    limit::of_many_logins_at_once_as_many_get_in_as_may,
    limit::sessions_that_change_places_are_not_in_each_others_way,
    revocation::a_revoked_key_is_revoked_and_no_other,
    revocation::one_revoked_key_of_several_is_enough,
    revocation::revoking_twice_is_no_news,
    revocation::a_revocation_ends_with_its_time,
    revocation::of_two_revocations_the_longer_time_counts,
    revocation::a_revocation_can_be_for_ever_and_for_no_time,
    revocation::what_was_made_for_a_subject_is_revoked_up_to_a_moment,
    revocation::the_later_moment_counts_in_whichever_order_it_is_told,
    revocation::revocations_of_subjects_that_look_alike_are_kept_apart,
    revocation::revocations_and_sessions_do_not_know_each_other,
    revocation::of_many_revocations_of_one_key_one_is_news,
    revocation::of_many_revocations_of_a_subject_the_latest_moment_counts,
    revocation::sweeping_leaves_the_revocations_that_hold_and_counts_none,
    ended::whom_a_limit_ends_is_told_once_as_it_was,
    ended::of_many_logins_at_once_whoever_a_limit_ends_is_told_once,
    ended::what_is_swept_is_told_once_as_it_was,
    ended::who_watches_no_longer_is_told_nothing,
    ended::finding_says_what_loading_says_and_no_more_than_is_so,
}

/// A key that no other sentence has, also not in a store that several of them share.
pub(crate) fn key() -> StoreKey {
    let mut bytes = [0; 32];
    for part in bytes.chunks_exact_mut(8) {
        part.copy_from_slice(&RandomState::new().build_hasher().finish().to_le_bytes());
    }
    StoreKey::from_bytes(bytes)
}

/// A subject that no other sentence has.
fn somebody() -> String {
    format!("ada-{:.16}", key().to_hex())
}

/// A record with the number `n` in it, for a long life.
fn record(n: u64) -> Record {
    living(n, HOUR, HOUR * 2)
}

fn living(n: u64, idle: Duration, lifetime: Duration) -> Record {
    let mut record = Record::new(Expiry { idle, lifetime });
    record.subject = Some("ada".into());
    record.values_mut().insert("n", n);
    record
}

/// The same record, of somebody else, or of nobody.
fn owned(subject: Option<&str>, mut record: Record) -> Record {
    record.subject = subject.map(Into::into);
    record
}

fn of(subject: &str, n: u64) -> Record {
    owned(Some(subject), record(n))
}

fn of_nobody(n: u64) -> Record {
    owned(None, record(n))
}

fn number(record: &Record) -> u64 {
    record.values().get("n").and_then(|n| n.as_u64()).expect("the suite's records have a number in them")
}

fn end_oldest(most: u32) -> SubjectLimit {
    SubjectLimit::EndOldest(NonZeroU32::new(most).expect("the suite's limits let somebody in"))
}

fn refuse(most: u32) -> SubjectLimit {
    SubjectLimit::Refuse(NonZeroU32::new(most).expect("the suite's limits let somebody in"))
}

const HOUR: Duration = Duration::from_secs(3_600);

/// So that no two sessions were created in the same millisecond.
const APART: Duration = ms(5);

/// More sessions than any subject of a sentence has.
const ALL: usize = 1_000;

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
        self.create_within(SubjectLimit::None, key, record).await
    }

    async fn create_within(&self, limit: SubjectLimit, key: &StoreKey, record: &Record) -> Create {
        sound(self.0.create(key, record, limit).await)
    }

    /// A new record under a new key.
    async fn created(&self, record: &Record) -> StoreKey {
        self.created_within(SubjectLimit::None, record).await
    }

    async fn created_within(&self, limit: SubjectLimit, record: &Record) -> StoreKey {
        let key = key();
        assert_eq!(self.create_within(limit, &key, record).await, Create::Created);
        key
    }

    async fn update(&self, key: &StoreKey, record: &Record, seen: Version) -> Update {
        sound(self.0.update(key, record, seen).await)
    }

    async fn touch(&self, key: &StoreKey) -> Touch {
        sound(self.0.touch(key).await)
    }

    async fn rename(&self, old: &StoreKey, new: &StoreKey, record: &Record, seen: Version) -> Update {
        self.rename_within(SubjectLimit::None, old, new, record, seen).await
    }

    async fn rename_within(
        &self,
        limit: SubjectLimit,
        old: &StoreKey,
        new: &StoreKey,
        record: &Record,
        seen: Version,
    ) -> Update {
        sound(self.0.rename(old, new, record, seen, limit).await)
    }

    /// The new key of a session that nobody changed yet.
    async fn renamed_within(&self, limit: SubjectLimit, old: &StoreKey, record: &Record) -> StoreKey {
        let new = key();
        assert_eq!(self.rename_within(limit, old, &new, record, Version::FIRST).await, Update::Updated);
        new
    }

    async fn renamed(&self, old: &StoreKey, record: &Record) -> StoreKey {
        self.renamed_within(SubjectLimit::None, old, record).await
    }

    async fn delete(&self, key: &StoreKey) -> bool {
        sound(self.0.delete(key).await)
    }

    async fn sessions_of(&self, subject: &str) -> Vec<(StoreKey, Loaded)> {
        sound(self.0.sessions_of(subject, ALL).await)
    }

    async fn keys_of(&self, subject: &str) -> Vec<StoreKey> {
        self.sessions_of(subject).await.into_iter().map(|(key, _)| key).collect()
    }

    async fn delete_one_of(&self, subject: &str, key: &StoreKey) -> bool {
        sound(self.0.delete_one_of(subject, key).await)
    }

    async fn delete_all_of(&self, subject: &str, except: Option<&StoreKey>) -> usize {
        sound(self.0.delete_all_of(subject, except).await)
    }

    async fn sweep(&self, limit: usize) -> usize {
        sound(self.0.sweep(limit).await)
    }

    /// Sweeps in pieces until nothing is left to sweep, and says how much it was.
    async fn sweep_all(&self, limit: usize) -> usize {
        let mut swept = 0;
        for _ in 0..ALL {
            let now = self.sweep(limit).await;
            assert!(now <= limit, "{now} records were swept where {limit} were allowed");
            if now == 0 {
                return swept;
            }
            swept += now;
        }
        unreachable!("sweeping found no end");
    }

    async fn revoke(&self, key: &StoreKey, keep: Duration) -> bool {
        sound(self.0.revoke(key, keep).await)
    }

    async fn revoke_all_of(&self, subject: &str, until: Timestamp, keep: Duration) {
        sound(self.0.revoke_all_of(subject, until, keep).await);
    }

    async fn is_revoked(&self, keys: &[StoreKey], subject: Option<&str>, made: Timestamp) -> bool {
        sound(self.0.is_revoked(keys, subject, made).await)
    }
}

#[track_caller]
fn sound<T>(outcome: Result<T, StoreError>) -> T {
    outcome.expect("a store that is well doesn't fail")
}

/// Waits for a task; its panic is ours.
async fn finished<T>(task: JoinHandle<T>) -> T {
    task.await.unwrap_or_else(|error| resume_unwind(error.into_panic()))
}
