//! The simplest store there can be, with a fault to choose.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use session_core::{
    Clock, Create, Loaded, Record, SessionStore, StoreError, StoreKey, SubjectLimit, SystemClock, Times, Timestamp,
    Touch, Update, Verb, Version, async_trait,
};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
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

pub(crate) struct Simple {
    state: Mutex<State>,
    fault: Fault,
}

#[derive(Default)]
struct State {
    entries: HashMap<StoreKey, Entry>,
    renamed: HashMap<StoreKey, StoreKey>,
    revoked: HashMap<StoreKey, Timestamp>,
    revoked_subjects: HashMap<String, (Timestamp, Timestamp)>,
}

#[derive(Clone)]
struct Entry {
    record: Record,
    first: Record,
    version: Version,
    times: Times,
}

impl Simple {
    pub(crate) fn new(fault: Fault) -> Self {
        Self { state: Mutex::default(), fault }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under the lock")
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
            return Err(Verb::Update.failed("data too long for column"));
        }
        if self.has(Fault::ForgetsTheEndOfTime) && times.expires.as_millis() > i64::MAX as u64 {
            return Err(Verb::Update.failed("bigint out of range"));
        }
        Ok(Entry { first: record.clone(), record, version, times })
    }

    fn is_live(&self, entry: &Entry) -> bool {
        self.has(Fault::NothingExpires) || !entry.times.is_over(SystemClock.now())
    }

    fn live(&self, key: &StoreKey) -> Option<Entry> {
        self.state().entries.get(key).filter(|entry| self.is_live(entry)).cloned()
    }

    /// Replaces the entry if it is still what it was. A fault leaves the question out.
    fn swap(&self, key: &StoreKey, seen: &Entry, new: Entry) -> Update {
        let mut state = self.state();
        let current = state.entries.get(key).map(|entry| entry.version);
        match current {
            None if !self.has(Fault::UpdateBringsBack) => return Update::Gone,
            Some(version) if version != seen.version && !self.has(Fault::UpdateIsTorn) => return Update::Conflict,
            _ => {}
        }
        state.entries.insert(*key, new);
        Update::Updated
    }

    /// The live sessions of a subject, the newest first.
    fn list(&self, state: &State, subject: &str) -> Vec<(StoreKey, Entry)> {
        let entries = state.entries.iter().filter(|(_, entry)| self.is_live(entry));
        let owned = entries.filter(|(_, entry)| entry.record.subject.as_deref() == Some(subject));
        let mut owned: Vec<_> = owned.map(|(key, entry)| (*key, entry.clone())).collect();
        owned.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.times.created));
        owned
    }

    /// Whether there is room for one more of the subject, which is made if it may. `renamed` is on its way out.
    fn make_room(&self, state: &mut State, record: &Record, limit: SubjectLimit, renamed: Option<&StoreKey>) -> bool {
        let (Some(subject), Some(most)) = (&record.subject, limit.most()) else { return true };
        let mut others = self.list(state, subject);
        others.retain(|(key, _)| Some(key) != renamed);
        let room = most as usize - 1;
        if others.len() <= room {
            return true;
        }
        if matches!(limit, SubjectLimit::Refuse(_)) {
            return false;
        }
        for (key, _) in &others[room..] {
            state.entries.remove(key);
        }
        true
    }
}

impl State {
    fn latest(&self, key: &StoreKey) -> StoreKey {
        let mut key = key;
        while let Some(to) = self.renamed.get(key) {
            key = to;
        }
        *key
    }
}

#[async_trait]
impl SessionStore for Simple {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>, StoreError> {
        let now = SystemClock.now();
        Ok(self.live(key).map(|Entry { record, version, times, .. }| Loaded { record, version, times, now }))
    }

    async fn create(&self, key: &StoreKey, record: &Record, limit: SubjectLimit) -> Result<Create, StoreError> {
        let now = SystemClock.now();
        let entry = self.entry(record, Version::FIRST, Times::begin(now, record.expiry))?;
        let mut state = self.state();
        let taken =
            state.entries.get(key).is_some_and(|entry| self.has(Fault::ExpiredKeysStayTaken) || self.is_live(entry));
        if taken && !self.has(Fault::CreateOverwrites) {
            return Ok(Create::Taken);
        }
        if !self.make_room(&mut state, record, limit, None) {
            return Ok(Create::Full);
        }
        state.entries.insert(*key, entry);
        Ok(Create::Created)
    }

    async fn update(&self, key: &StoreKey, record: &Record, seen: Version) -> Result<Update, StoreError> {
        let now = SystemClock.now();
        let Some(entry) = self.live(key) else {
            if self.has(Fault::UpdateCreates) {
                self.create(key, record, SubjectLimit::None).await?;
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
        let mut state = self.state();
        let Some(entry) = state.entries.get_mut(key).filter(|entry| self.is_live(entry)) else {
            return Ok(Touch::Gone);
        };
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
        limit: SubjectLimit,
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
            return Err(Verb::Rename.failed("the new key is taken"));
        }
        if self.has(Fault::RenameHasTwoSteps) {
            self.state().entries.insert(*new, renamed);
            tokio::time::sleep(Duration::from_millis(2)).await;
            self.state().entries.remove(old);
            return Ok(Update::Updated);
        }
        let mut state = self.state();
        match state.entries.get(old) {
            None => return Ok(Update::Gone),
            Some(entry) if entry.version != seen => return Ok(Update::Conflict),
            Some(_) => {}
        }
        if !self.make_room(&mut state, record, limit, Some(old)) {
            return Ok(Update::Full);
        }
        if !self.has(Fault::RenameCopies) {
            state.entries.remove(old);
        }
        state.entries.insert(*new, renamed);
        if !self.has(Fault::DeleteForgetsRenames) {
            state.renamed.insert(*old, *new);
        }
        Ok(Update::Updated)
    }

    async fn delete(&self, key: &StoreKey) -> Result<bool, StoreError> {
        let mut state = self.state();
        let key = state.latest(key);
        match state.entries.remove(&key) {
            None if self.has(Fault::DeleteFailsTwice) => Err(Verb::Delete.failed("no such row")),
            entry => Ok(entry.is_some_and(|entry| self.is_live(&entry))),
        }
    }

    async fn sessions_of(&self, subject: &str, most: usize) -> Result<Vec<(StoreKey, Loaded)>, StoreError> {
        let state = self.state();
        let now = SystemClock.now();
        let loaded = |Entry { record, version, times, .. }| Loaded { record, version, times, now };
        let list = self.list(&state, subject).into_iter().take(most);
        Ok(list.map(|(key, entry)| (key, loaded(entry))).collect())
    }

    async fn delete_one_of(&self, subject: &str, key: &StoreKey) -> Result<bool, StoreError> {
        let mut state = self.state();
        let key = state.latest(key);
        let owned = self.list(&state, subject).iter().any(|(owned, _)| *owned == key);
        Ok(owned && state.entries.remove(&key).is_some())
    }

    async fn delete_all_of(&self, subject: &str, except: Option<&StoreKey>) -> Result<usize, StoreError> {
        let mut state = self.state();
        let except = except.map(|key| state.latest(key));
        let mut list = self.list(&state, subject);
        list.retain(|(key, _)| Some(*key) != except);
        for (key, _) in &list {
            state.entries.remove(key);
        }
        Ok(list.len())
    }

    async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        let now = SystemClock.now();
        let mut state = self.state();
        let limit = if self.has(Fault::SweepsTooMuch) { usize::MAX } else { limit };
        let over =
            state.entries.iter().filter(|(_, entry)| entry.times.is_over(now) || self.has(Fault::SweepsTheLiving));
        let over: Vec<_> = over.map(|(key, _)| *key).take(limit).collect();
        over.iter().for_each(|key| drop(state.entries.remove(key)));
        Ok(over.len())
    }

    async fn revoke(&self, key: &StoreKey, keep: Duration) -> Result<bool, StoreError> {
        let now = SystemClock.now();
        let mut state = self.state();
        let until = now.plus(keep);
        let before = state.revoked.get(key).copied().filter(|until| *until > now);
        state.revoked.insert(*key, before.map_or(until, |before| before.max(until)));
        Ok(before.is_none())
    }

    async fn revoke_all_of(&self, subject: &str, until: Timestamp, keep: Duration) -> Result<(), StoreError> {
        let now = SystemClock.now();
        let mut state = self.state();
        let end = now.plus(keep);
        let before = state.revoked_subjects.get(subject).copied().filter(|(_, end)| *end > now);
        let revoked = before.map_or((until, end), |before| (before.0.max(until), before.1.max(end)));
        state.revoked_subjects.insert(subject.to_owned(), revoked);
        Ok(())
    }

    async fn is_revoked(&self, keys: &[StoreKey], subject: Option<&str>, made: Timestamp) -> Result<bool, StoreError> {
        let now = SystemClock.now();
        let state = self.state();
        let key = keys.iter().any(|key| state.revoked.get(key).is_some_and(|end| *end > now));
        let moment = subject.and_then(|subject| state.revoked_subjects.get(subject)).filter(|(_, end)| *end > now);
        Ok(key || moment.is_some_and(|(until, _)| made <= *until))
    }
}
