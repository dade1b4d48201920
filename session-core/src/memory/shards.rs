//! The memory itself: maps behind short locks, spread by key so that requests rarely meet.
//!
//! Locks are taken in one order: of subjects before those of keys, within each kind by place. A session with a subject
//! begins, changes its key or its subject only under that subject's lock, so who holds it sees all of the subject's
//! sessions; it may end at any time.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use smallvec::SmallVec;

use super::room::give_back;
use super::table::{Kept, Table};
use crate::clock::Timestamp;
use crate::expiry::Times;
use crate::id::StoreKey;
use crate::record::Record;
use crate::store::{Loaded, Version};

/// With a million sessions a shard holds 1,000: what moves it to less room keeps its lock for some hundredths of a millisecond.
pub(super) const SHARDS: usize = 1_024;

/// A sweep looks at so many places of a shard under one lock, which takes microseconds: less than it takes to wake a request
/// that waits for it.
const PLACES_AT_ONCE: usize = 16;

/// What was at so many places. It allocates nothing: the allocator has locks, too, and somebody may wait for this one meanwhile.
type Few = SmallVec<[Kept; PLACES_AT_ONCE]>;

pub(super) struct Shards {
    keys: Box<[Mutex<Shard>]>,
    subjects: Box<[Mutex<Subjects>]>,
    hasher: RandomState,
}

#[derive(Default)]
pub(super) struct Shard {
    pub(super) sessions: Table,
    /// Where renamed sessions went, so that who wants to end one by its former key ends it all the same.
    pub(super) renamed: HashMap<StoreKey, Renamed>,
    /// Until when a key is revoked.
    pub(super) revoked: HashMap<StoreKey, Timestamp>,
}

/// The subjects of one shard.
#[derive(Default)]
pub(super) struct Subjects {
    /// The keys of each one's sessions: all live ones, and some that ended a moment ago.
    pub(super) sessions: HashMap<String, Vec<StoreKey>>,
    pub(super) revoked: HashMap<String, RevokedSubject>,
}

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) record: Record,
    pub(super) version: Version,
    pub(super) times: Times,
}

/// Kept until the session would have expired, under its former key and under its new one: no request that knew the
/// former key runs for longer.
pub(super) struct Renamed {
    pub(super) to: StoreKey,
    pub(super) until: Timestamp,
}

/// What was made for a subject up to a moment is revoked, for as long as it could live.
pub(super) struct RevokedSubject {
    pub(super) made: Timestamp,
    pub(super) until: Timestamp,
}

impl Shards {
    pub(super) fn new() -> Self {
        Self {
            keys: (0..SHARDS).map(|_| Mutex::default()).collect(),
            subjects: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    pub(super) fn of(&self, key: &StoreKey) -> MutexGuard<'_, Shard> {
        lock(&self.keys[place(key)])
    }

    pub(super) fn all(&self) -> impl Iterator<Item = MutexGuard<'_, Shard>> {
        self.keys.iter().map(lock)
    }

    pub(super) fn at(&self, place: usize) -> MutexGuard<'_, Shard> {
        lock(&self.keys[place % SHARDS])
    }

    /// The shards of several keys at once.
    pub(super) fn of_each<'a>(&self, keys: impl IntoIterator<Item = &'a StoreKey>) -> Locked<'_, Shard> {
        Locked::new(&self.keys, keys.into_iter().map(place).collect())
    }

    pub(super) fn subjects(&self, subject: &str) -> MutexGuard<'_, Subjects> {
        lock(&self.subjects[self.subject_place(subject)])
    }

    /// The subjects that there are among several: those of a session before and after a write.
    pub(super) fn subjects_of_each(&self, subjects: [Option<&str>; 2]) -> LockedSubjects<'_> {
        let places = subjects.into_iter().flatten().map(|subject| self.subject_place(subject));
        LockedSubjects { shards: self, locked: Locked::new(&self.subjects, places.collect()) }
    }

    fn subject_place(&self, subject: &str) -> usize {
        // The remainder is below 1,024.
        (self.hasher.hash_one(subject) % SHARDS as u64) as usize
    }

    /// Takes a session that has ended out of its subject's list, unless it began again meanwhile.
    pub(super) fn forget(&self, ended: &Kept) {
        let (key, entry) = &**ended;
        if let Some(subject) = &entry.record.subject {
            let mut subjects = self.subjects(subject);
            if !self.of(key).sessions.get(key).is_some_and(|entry| entry.belongs_to(subject)) {
                let emptied = subjects.forget(subject, key);
                drop(subjects);
                drop(emptied);
            }
        }
    }

    /// Drops what else has expired at a place, at most `limit` of each kind, and gives room back that isn't needed.
    pub(super) fn tidy(&self, place: usize, now: Timestamp, limit: usize) {
        let (shard, subjects) = (|| self.at(place), || lock(&self.subjects[place % SHARDS]));
        shard().renamed.extract_if(|_, renamed| renamed.until <= now).take(limit).for_each(drop);
        shard().revoked.extract_if(|_, until| *until <= now).take(limit).for_each(drop);
        let mut dropped = 0;
        loop {
            let few = subjects().revoked_over(now, limit - dropped);
            dropped += few.len();
            if few.is_empty() {
                break;
            }
        }
        give_back(shard, |shard| &mut shard.sessions);
        give_back(shard, |shard| &mut shard.renamed);
        give_back(shard, |shard| &mut shard.revoked);
        give_back(subjects, |subjects| &mut subjects.sessions);
        give_back(subjects, |subjects| &mut subjects.revoked);
    }

    /// The key a session has now that may have had `key` once.
    pub(super) fn latest(&self, key: &StoreKey, now: Timestamp) -> StoreKey {
        let mut latest = *key;
        // A session's key is nobody's former key, so a chain of renames ends at it.
        while let Some(next) = self.of(&latest).renamed_to(&latest, now) {
            latest = next;
        }
        latest
    }
}

impl Shard {
    pub(super) fn live(&self, key: &StoreKey, now: Timestamp) -> Option<&Entry> {
        self.sessions.get(key).filter(|entry| !entry.times.is_over(now))
    }

    pub(super) fn live_of(&self, subject: &str, key: &StoreKey, now: Timestamp) -> Option<&Entry> {
        self.live(key, now).filter(|entry| entry.belongs_to(subject))
    }

    pub(super) fn live_mut(&mut self, key: &StoreKey, now: Timestamp) -> Option<&mut Entry> {
        self.sessions.get_mut(key).filter(|entry| !entry.times.is_over(now))
    }

    /// What is under a key is no longer elsewhere. True if there was something, which has expired.
    pub(super) fn insert(&mut self, key: &StoreKey, entry: Entry) -> bool {
        self.renamed.remove(key);
        self.sessions.insert(*key, entry)
    }

    /// Takes out what has expired at a few places of the table, from place `from` on, at most `limit` sessions, and says at which
    /// place to go on. What moves between two calls, because the table grows, may be missed: the next sweep finds it.
    pub(super) fn take_over(&mut self, from: usize, now: Timestamp, limit: usize) -> (Few, Option<usize>) {
        let next = from + PLACES_AT_ONCE;
        let over = |place| self.sessions.take_if(place, |entry| entry.times.is_over(now));
        let over = (from..next).filter_map(over).take(limit).collect();
        (over, (next < self.sessions.places()).then_some(next))
    }

    pub(super) fn renamed_to(&self, key: &StoreKey, now: Timestamp) -> Option<StoreKey> {
        self.renamed.get(key).filter(|renamed| renamed.until > now).map(|renamed| renamed.to)
    }
}

impl Subjects {
    /// Takes out a few whose revocation is over.
    fn revoked_over(&mut self, now: Timestamp, limit: usize) -> SmallVec<[(String, RevokedSubject); PLACES_AT_ONCE]> {
        let over = self.revoked.extract_if(|_, revoked| revoked.until <= now);
        over.take(limit.min(PLACES_AT_ONCE)).collect()
    }

    pub(super) fn remember(&mut self, subject: &str, key: &StoreKey) {
        self.replace(subject, &[], key);
    }

    /// Adds a session, for which others had to end.
    pub(super) fn replace(&mut self, subject: &str, ended: &[StoreKey], key: &StoreKey) {
        let keys = self.sessions.entry(subject.to_owned()).or_default();
        keys.retain(|other| other != key && !ended.contains(other));
        keys.push(*key);
    }

    pub(super) fn keys(&self, subject: &str) -> &[StoreKey] {
        self.sessions.get(subject).map_or(&[], Vec::as_slice)
    }

    /// Takes a key out of a subject's list. Returns what is left of a list that is empty now: drop it without the lock, if others
    /// shouldn't wait for the allocator.
    pub(super) fn forget(&mut self, subject: &str, key: &StoreKey) -> Option<(String, Vec<StoreKey>)> {
        let keys = self.sessions.get_mut(subject)?;
        keys.retain(|other| other != key);
        if keys.is_empty() { self.sessions.remove_entry(subject) } else { None }
    }
}

impl Entry {
    pub(super) fn belongs_to(&self, subject: &str) -> bool {
        self.record.subject.as_deref() == Some(subject)
    }

    pub(super) fn loaded(&self, now: Timestamp) -> Loaded {
        Loaded { record: self.record.clone(), version: self.version, times: self.times, now }
    }

    /// The entry after a write.
    pub(super) fn written(&self, record: &Record, now: Timestamp) -> Self {
        Self { record: record.clone(), version: self.version.next(), times: self.times.touched(now, record.expiry) }
    }
}

/// Several shards of one kind, locked in the order of their places.
pub(super) struct Locked<'a, T>(Vec<(usize, MutexGuard<'a, T>)>);

impl<'a, T> Locked<'a, T> {
    fn new(shards: &'a [Mutex<T>], mut places: Vec<usize>) -> Self {
        places.sort_unstable();
        places.dedup();
        Self(places.into_iter().map(|place| (place, lock(&shards[place]))).collect())
    }

    fn at(&mut self, place: usize) -> &mut T {
        let locked = self.0.iter_mut().find(|(at, _)| *at == place);
        &mut locked.expect("who uses a shard has locked it").1
    }
}

impl Locked<'_, Shard> {
    pub(super) fn of(&mut self, key: &StoreKey) -> &mut Shard {
        self.at(place(key))
    }
}

/// The lists of a session's subjects, before and after a write.
pub(super) struct LockedSubjects<'a> {
    shards: &'a Shards,
    locked: Locked<'a, Subjects>,
}

impl LockedSubjects<'_> {
    pub(super) fn of(&mut self, subject: &str) -> &mut Subjects {
        self.locked.at(self.shards.subject_place(subject))
    }
}

/// Keys are hashes: any bytes spread them evenly.
fn place(key: &StoreKey) -> usize {
    let [first, second, ..] = key.as_bytes();
    usize::from(u16::from_be_bytes([*first, *second])) % SHARDS
}

fn lock<T>(shard: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing of the user's runs under the lock, so a poisoned shard is whole all the same.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revocations_and_former_keys_that_are_over_are_dropped_and_no_more_of_them_than_asked() {
        let [now, later] = [1_000, 2_000].map(Timestamp::from_millis);
        let shards = Shards::new();
        for number in 0..100 {
            let key = StoreKey::from_bytes([number; 32]);
            let until = if number < 50 { now } else { later };
            let mut shard = shards.at(0);
            shard.revoked.insert(key, until);
            shard.renamed.insert(key, Renamed { to: key, until });
            let mut subjects = lock(&shards.subjects[0]);
            subjects.revoked.insert(number.to_string(), RevokedSubject { made: now, until });
        }
        let left = || {
            let (shard, subjects) = (shards.at(0), lock(&shards.subjects[0]));
            assert!(shard.revoked.values().filter(|until| **until == later).count() == 50);
            assert!(shard.renamed.values().filter(|renamed| renamed.until == later).count() == 50);
            assert!(subjects.revoked.values().filter(|revoked| revoked.until == later).count() == 50);
            [shard.revoked.len(), shard.renamed.len(), subjects.revoked.len()]
        };
        shards.tidy(0, now, 20);
        assert_eq!(left(), [80; 3]);
        shards.tidy(0, now, usize::MAX);
        assert_eq!(left(), [50; 3]);
    }
}
