//! The store suite on the memory store, and on stores that are broken on purpose.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use session_core::{
    Clock, Create, Loaded, MemoryStore, Record, SessionStore, StoreError, StoreKey, SystemClock, Times, Touch, Update,
    Version, async_trait,
};
use session_testing::store;

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_store_keeps_the_contract() {
    store::suite(|| async { MemoryStore::new() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_behind_a_pointer_keeps_the_contract() {
    store::suite(|| async { Arc::new(MemoryStore::new()) as Arc<dyn SessionStore> }).await;
}

#[tokio::test]
async fn one_thread_is_enough() {
    store::suite(|| async { MemoryStore::new() }).await;
}

#[test]
fn no_sentence_got_lost() {
    assert_eq!(store::SENTENCES.len(), 36);
}

#[tokio::test(flavor = "multi_thread")]
#[should_panic(expected = "updating_a_missing_record_makes_nothing")]
async fn a_suite_that_found_something_says_what() {
    store::suite(|| async { Simple::new(Fault::UpdateCreates) }).await;
}

/// All sentences on a store with this fault, in a runtime of its own.
fn failures(fault: Fault) -> Vec<&'static str> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(store::failures(|| async { Simple::new(fault) }))
}

/// Each fault, and a sentence that has to notice it.
#[test]
fn every_fault_is_found() {
    assert_eq!(failures(Fault::None), [""; 0]);
    let expected = [
        (Fault::CreateOverwrites, "a_taken_key_is_refused_and_left_as_it_is"),
        (Fault::UpdateCreates, "updating_a_deleted_record_makes_nothing"),
        (Fault::UpdateIsBlind, "of_two_writers_one_wins_and_the_other_knows_it"),
        (Fault::UpdateIsTorn, "fifty_writers_of_one_record_lose_nothing"),
        (Fault::UpdateBringsBack, "nothing_brings_back_what_was_deleted"),
        (Fault::TouchRewritesOldData, "touching_after_an_update_keeps_the_new_data"),
        (Fault::TouchCountsAsChange, "touching_keeps_everything_but_the_times"),
        (Fault::TouchStretchesTheLifetime, "no_deadline_moves_beyond_the_lifetime"),
        (Fault::TouchDoesNothing, "what_is_not_used_expires_and_what_is_touched_does_not"),
        (Fault::RenameCopies, "renaming_moves_the_record_in_one_step"),
        (Fault::RenameHasTwoSteps, "a_rename_has_no_moment_with_both_or_neither"),
        (Fault::RenameOverwrites, "renaming_onto_a_taken_key_is_an_error_and_both_stay"),
        (Fault::RenameBeginsAnew, "renaming_moves_the_record_in_one_step"),
        (Fault::DeleteForgetsRenames, "deleting_by_a_former_key_ends_the_session"),
        (Fault::DeleteFailsTwice, "deleting_twice_is_fine_and_takes_no_other"),
        (Fault::NothingExpires, "an_expired_record_is_absent_in_every_verb"),
        (Fault::SweepsTooMuch, "sweeping_takes_the_expired_within_its_limit_and_leaves_the_living"),
        (Fault::SweepsTheLiving, "sweeping_takes_the_expired_within_its_limit_and_leaves_the_living"),
        (Fault::ExpiredKeysStayTaken, "an_expired_key_can_be_created_anew"),
        (Fault::CutsText, "every_record_comes_back_equal"),
        (Fault::RefusesLargeRecords, "records_of_a_megabyte_come_back_equal"),
        (Fault::ForgetsTheEndOfTime, "a_very_long_life_is_a_life"),
    ];
    // Side by side, because each of them mostly waits.
    std::thread::scope(|scope| {
        let threads = expected.map(|(fault, sentence)| (fault, sentence, scope.spawn(move || failures(fault))));
        for (fault, sentence, thread) in threads {
            let failed = thread.join().unwrap();
            assert!(failed.contains(&sentence), "{fault:?} was found by {failed:?} only");
        }
    });
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    CreateOverwrites,
    UpdateCreates,
    UpdateIsBlind,
    UpdateIsTorn,
    UpdateBringsBack,
    TouchRewritesOldData,
    TouchCountsAsChange,
    TouchStretchesTheLifetime,
    TouchDoesNothing,
    RenameCopies,
    RenameHasTwoSteps,
    RenameOverwrites,
    RenameBeginsAnew,
    DeleteForgetsRenames,
    DeleteFailsTwice,
    NothingExpires,
    SweepsTooMuch,
    SweepsTheLiving,
    ExpiredKeysStayTaken,
    CutsText,
    RefusesLargeRecords,
    ForgetsTheEndOfTime,
}

/// The simplest store there can be, but for its fault.
struct Simple {
    entries: Mutex<HashMap<StoreKey, Entry>>,
    renamed: Mutex<HashMap<StoreKey, StoreKey>>,
    fault: Fault,
}

#[derive(Clone)]
struct Entry {
    record: Record,
    first: Record,
    version: Version,
    times: Times,
}

impl Simple {
    fn new(fault: Fault) -> Self {
        Self { entries: Mutex::default(), renamed: Mutex::default(), fault }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<StoreKey, Entry>> {
        self.entries.lock().expect("nothing panics under the lock")
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn entry(&self, record: &Record, version: Version, times: Times) -> Result<Entry, StoreError> {
        let mut record = record.clone();
        if self.has(Fault::CutsText) {
            record.subject = record.subject.map(|subject| subject.chars().take(100).collect());
        }
        if self.has(Fault::RefusesLargeRecords) && record.size() > 65_536 {
            return Err(StoreError::new("updating", "data too long for column"));
        }
        if self.has(Fault::ForgetsTheEndOfTime) && times.expires.as_millis() > i64::MAX as u64 {
            return Err(StoreError::new("updating", "bigint out of range"));
        }
        Ok(Entry { first: record.clone(), record, version, times })
    }

    fn live(&self, key: &StoreKey) -> Option<Entry> {
        let now = SystemClock.now();
        let entries = self.entries();
        entries.get(key).filter(|entry| self.has(Fault::NothingExpires) || !entry.times.is_over(now)).cloned()
    }

    /// Replaces the entry if it is still what it was. A fault leaves the question out.
    fn swap(&self, key: &StoreKey, seen: &Entry, new: Entry) -> Update {
        let mut entries = self.entries();
        let current = entries.get(key).map(|entry| entry.version);
        match current {
            None if !self.has(Fault::UpdateBringsBack) => return Update::Gone,
            Some(version) if version != seen.version && !self.has(Fault::UpdateIsTorn) => return Update::Conflict,
            _ => {}
        }
        entries.insert(*key, new);
        Update::Updated
    }
}

#[async_trait]
impl SessionStore for Simple {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>, StoreError> {
        let now = SystemClock.now();
        Ok(self.live(key).map(|Entry { record, version, times, .. }| Loaded { record, version, times, now }))
    }

    async fn create(&self, key: &StoreKey, record: &Record) -> Result<Create, StoreError> {
        let now = SystemClock.now();
        let entry = self.entry(record, Version::FIRST, Times::begin(now, record.expiry))?;
        let mut entries = self.entries();
        let taken = entries.get(key).is_some_and(|entry| {
            self.has(Fault::NothingExpires) || self.has(Fault::ExpiredKeysStayTaken) || !entry.times.is_over(now)
        });
        if taken && !self.has(Fault::CreateOverwrites) {
            return Ok(Create::Taken);
        }
        entries.insert(*key, entry);
        Ok(Create::Created)
    }

    async fn update(&self, key: &StoreKey, record: &Record, seen: Version) -> Result<Update, StoreError> {
        let now = SystemClock.now();
        let Some(entry) = self.live(key) else {
            if self.has(Fault::UpdateCreates) {
                self.create(key, record).await?;
            }
            return Ok(Update::Gone);
        };
        if entry.version != seen && !self.has(Fault::UpdateIsBlind) {
            return Ok(Update::Conflict);
        }
        if self.has(Fault::UpdateIsTorn) || self.has(Fault::UpdateBringsBack) {
            tokio::task::yield_now().await;
        }
        let new = self.entry(record, entry.version.next(), entry.times.touched(now, record.expiry))?;
        Ok(self.swap(key, &entry, Entry { first: entry.first.clone(), ..new }))
    }

    async fn touch(&self, key: &StoreKey) -> Result<Touch, StoreError> {
        let now = SystemClock.now();
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(key) else { return Ok(Touch::Gone) };
        if entry.times.is_over(now) && !self.has(Fault::NothingExpires) {
            return Ok(Touch::Gone);
        }
        let created = entry.times.created;
        match self.fault {
            Fault::TouchDoesNothing => return Ok(Touch::Touched),
            Fault::TouchRewritesOldData => entry.record = entry.first.clone(),
            Fault::TouchCountsAsChange => entry.version = entry.version.next(),
            Fault::TouchStretchesTheLifetime => entry.times.created = now,
            _ => {}
        }
        entry.times = Times { created, ..entry.times.touched(now, entry.record.expiry) };
        Ok(Touch::Touched)
    }

    async fn rename(
        &self,
        old: &StoreKey,
        new: &StoreKey,
        record: &Record,
        seen: Version,
    ) -> Result<Update, StoreError> {
        let now = SystemClock.now();
        let Some(entry) = self.live(old) else { return Ok(Update::Gone) };
        if entry.version != seen {
            return Ok(Update::Conflict);
        }
        let mut renamed = self.entry(record, seen.next(), entry.times.touched(now, record.expiry))?;
        if self.has(Fault::RenameBeginsAnew) {
            renamed.times.created = now;
        }
        if self.live(new).is_some() && !self.has(Fault::RenameOverwrites) {
            return Err(StoreError::new("renaming", "the new key is taken"));
        }
        if self.has(Fault::RenameHasTwoSteps) {
            self.entries().insert(*new, renamed);
            tokio::time::sleep(Duration::from_millis(2)).await;
            self.entries().remove(old);
            return Ok(Update::Updated);
        }
        let mut entries = self.entries();
        match entries.get(old) {
            None => return Ok(Update::Gone),
            Some(entry) if entry.version != seen => return Ok(Update::Conflict),
            Some(_) if !self.has(Fault::RenameCopies) => drop(entries.remove(old)),
            Some(_) => {}
        }
        entries.insert(*new, renamed);
        if !self.has(Fault::DeleteForgetsRenames) {
            self.renamed.lock().expect("nothing panics under the lock").insert(*old, *new);
        }
        Ok(Update::Updated)
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        // A rename holds the entries while it notes the new key, so neither can slip past the other.
        let mut entries = self.entries();
        let mut key = *key;
        while let Some(to) = self.renamed.lock().expect("nothing panics under the lock").remove(&key) {
            key = to;
        }
        match entries.remove(&key) {
            None if self.has(Fault::DeleteFailsTwice) => Err(StoreError::new("deleting", "no such row")),
            _ => Ok(()),
        }
    }

    async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        let now = SystemClock.now();
        let mut entries = self.entries();
        let limit = if self.has(Fault::SweepsTooMuch) { usize::MAX } else { limit };
        let over = entries.iter().filter(|(_, entry)| entry.times.is_over(now) || self.has(Fault::SweepsTheLiving));
        let over: Vec<_> = over.map(|(key, _)| *key).take(limit).collect();
        over.iter().for_each(|key| drop(entries.remove(key)));
        Ok(over.len())
    }
}
