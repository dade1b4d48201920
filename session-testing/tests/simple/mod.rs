//! The simplest store there can be, with a fault to choose.

mod fault;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use session_core::{
    Clock, Create, Ended, EndedBy, Found, Loaded, Record, SessionStore, StoreError, StoreKey, SubjectLimit,
    SystemClock, Times, Timestamp, Touch, Update, Verb, Version, Witness, Witnesses, async_trait,
};
use tokio::task::yield_now;

pub(crate) use self::fault::Fault;

pub(crate) struct Simple {
    state: Mutex<State>,
    fault: Fault,
    witnesses: Witnesses,
    kept: Mutex<Vec<Arc<dyn Witness>>>,
}

#[derive(Default)]
struct State {
    entries: HashMap<StoreKey, Entry>,
    /// Where a session went from its former key, and until when that is known.
    renamed: HashMap<StoreKey, (StoreKey, Timestamp)>,
    revoked: HashMap<StoreKey, Timestamp>,
    /// Up to which moment, and until when.
    revoked_subjects: HashMap<String, (Timestamp, Timestamp)>,
    /// What a fault left in lists.
    ghosts: Vec<(StoreKey, Entry)>,
    renaming: usize,
}

#[derive(Clone)]
struct Entry {
    record: Record,
    first: Record,
    /// In whose list it is.
    listed: Option<String>,
    version: Version,
    times: Times,
}

impl Simple {
    pub(crate) fn new(fault: Fault) -> Self {
        Self { state: Mutex::default(), fault, witnesses: Witnesses::default(), kept: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under the lock")
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    async fn torn(&self, fault: Fault) {
        if self.has(fault) {
            yield_now().await;
        }
    }

    fn now(&self) -> Timestamp {
        let now = SystemClock.now();
        match self.fault {
            Fault::ClockStandsStill => Timestamp::from_millis(1),
            Fault::TimesAreRounded => Timestamp::from_millis(now.as_millis() / 1_000 * 1_000),
            _ => now,
        }
    }

    fn entry(&self, record: &Record, version: Version, times: Times) -> Result<Entry, StoreError> {
        let mut record = record.clone();
        if self.has(Fault::CutsText) {
            record.subject = record.subject.map(|subject| subject.chars().take(100).collect::<String>().into());
        }
        if self.has(Fault::RefusesLargeRecords) && record.size() > 65_536 {
            return Err(Verb::Update.failed("data too long for column"));
        }
        self.check(times.expires)?;
        Ok(Entry {
            first: record.clone(),
            listed: record.subject.as_deref().map(str::to_owned),
            record,
            version,
            times,
        })
    }

    fn check(&self, time: Timestamp) -> Result<(), StoreError> {
        if self.has(Fault::ForgetsTheEndOfTime) && time.as_millis() > i64::MAX as u64 {
            return Err(Verb::Update.failed("bigint out of range"));
        }
        Ok(())
    }

    fn is_live(&self, entry: &Entry) -> bool {
        self.has(Fault::NothingExpires) || !entry.times.is_over(self.now())
    }

    fn live(&self, key: &StoreKey) -> Option<Entry> {
        self.state().entries.get(key).filter(|entry| self.is_live(entry)).cloned()
    }

    fn loaded(&self, entry: Entry) -> Loaded {
        let Entry { record, version, times, .. } = entry;
        Loaded { record, version, times, now: self.now() }
    }

    fn tell(&self, key: StoreKey, entry: Option<Entry>, by: EndedBy) {
        let Some(entry) = entry else { return };
        let times = match self.fault {
            Fault::TellsNobody => 0,
            Fault::TellsTwice => 2,
            _ => 1,
        };
        let session = (!self.has(Fault::TellsNoData)).then(|| self.loaded(entry));
        self.witnesses.tell(vec![Ended { key, session, by }; times]);
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

    /// How a subject is known.
    fn name(&self, subject: &str) -> String {
        match self.fault {
            Fault::SubjectsFoldCase => subject.trim_end().to_lowercase(),
            Fault::SubjectsAreCut => subject.chars().take(255).collect(),
            _ => subject.to_owned(),
        }
    }

    fn is_in_list_of(&self, subject: &str, entry: &Entry) -> bool {
        match (&entry.listed, self.fault) {
            (None, Fault::ListsNobodyAsEmpty) => subject.is_empty(),
            (Some(listed), Fault::SubjectsArePatterns) if subject.ends_with('*') => {
                listed.starts_with(subject.trim_end_matches('*'))
            }
            (Some(listed), _) => self.name(listed) == self.name(subject),
            (None, _) => false,
        }
    }

    /// The live sessions of a subject, the newest first.
    fn list(&self, state: &State, subject: &str) -> Vec<(StoreKey, Entry)> {
        let counts_expired = self.has(Fault::LimitCountsTheExpired) || self.has(Fault::ListsTheExpired);
        let entries = state.entries.iter().filter(|(_, entry)| counts_expired || self.is_live(entry));
        let owned = entries.filter(|(_, entry)| self.is_in_list_of(subject, entry));
        let mut owned: Vec<_> = owned.map(|(key, entry)| (*key, entry.clone())).collect();
        owned.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.times.created));
        owned
    }

    /// Whether there is room for one more of the subject, which is made if it may be. `renamed` is on its way out.
    fn make_room(&self, state: &mut State, record: &Record, limit: SubjectLimit, renamed: Option<&StoreKey>) -> bool {
        let Some(most) = limit.most() else { return true };
        let mut others = match &record.subject {
            Some(_) if self.has(Fault::LimitIsEverybodys) => {
                state.entries.iter().map(|(key, entry)| (*key, entry.clone())).collect()
            }
            Some(subject) => self.list(state, subject),
            None if self.has(Fault::LimitCountsNobody) => {
                let nobodys = state.entries.iter().filter(|(_, entry)| entry.listed.is_none());
                nobodys.map(|(key, entry)| (*key, entry.clone())).collect()
            }
            None => return true,
        };
        if !self.has(Fault::LimitCountsTheRenamed) {
            others.retain(|(key, _)| Some(key) != renamed);
        }
        let room = most as usize - 1;
        if others.len() <= room {
            return true;
        }
        if matches!(limit, SubjectLimit::Refuse(_)) {
            return false;
        }
        let victims = if self.has(Fault::LimitEndsOne) { others.len() - 1 } else { room };
        for (key, _) in &others[victims..] {
            if self.has(Fault::LimitHidesOnly) {
                state.hide(key);
            } else {
                self.tell(*key, state.entries.remove(key), EndedBy::Limit);
            }
        }
        true
    }

    /// The key a session has now that had `key` once.
    fn latest(&self, state: &mut State, key: &StoreKey) -> StoreKey {
        let (mut key, now) = (*key, self.now());
        while let Some((to, _)) = state.renamed.get(&key).copied().filter(|(_, until)| *until > now) {
            if self.has(Fault::FormerKeysServeOnce) {
                state.renamed.remove(&key);
            }
            key = to;
        }
        key
    }
}

impl State {
    fn hide(&mut self, key: &StoreKey) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.listed = None;
        }
    }
}

#[async_trait]
impl SessionStore for Simple {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>, StoreError> {
        Ok(self.live(key).map(|entry| self.loaded(entry)))
    }

    async fn create(&self, key: &StoreKey, record: &Record, limit: SubjectLimit) -> Result<Create, StoreError> {
        let now = self.now();
        let entry = self.entry(record, Version::FIRST, Times::begin(now, record.expiry))?;
        if self.has(Fault::CreateIsTorn) {
            let taken = self.live(key).is_some();
            yield_now().await;
            if !taken {
                self.state().entries.insert(*key, entry);
            }
            return Ok(if taken { Create::Taken } else { Create::Created });
        }
        let mut in_time = true;
        if self.has(Fault::LimitIsTorn) {
            in_time = self.make_room(&mut self.state(), record, limit, None);
            yield_now().await;
        }
        let mut state = self.state();
        let taken =
            state.entries.get(key).is_some_and(|entry| self.has(Fault::ExpiredKeysStayTaken) || self.is_live(entry));
        if taken && !self.has(Fault::CreateOverwrites) {
            return Ok(Create::Taken);
        }
        let ignores = self.has(Fault::CreateIgnoresTheLimit) || self.has(Fault::LimitIsTorn);
        if !in_time || !ignores && !self.make_room(&mut state, record, limit, None) {
            return Ok(Create::Full);
        }
        if !self.has(Fault::ForgetsEverything) {
            state.entries.insert(*key, entry);
        }
        Ok(Create::Created)
    }

    async fn update(&self, key: &StoreKey, record: &Record, seen: Version) -> Result<Update, StoreError> {
        let now = self.now();
        let Some(entry) = self.live(key) else {
            if self.has(Fault::UpdateCreates) {
                self.create(key, record, SubjectLimit::None).await?;
            }
            return Ok(Update::Gone);
        };
        if entry.version != seen && !self.has(Fault::UpdateIsBlind) {
            return Ok(Update::Conflict);
        }
        self.torn(Fault::UpdateIsTorn).await;
        self.torn(Fault::UpdateBringsBack).await;
        let mut new = self.entry(record, entry.version.next(), entry.times.touched(now, record.expiry))?;
        if self.has(Fault::UpdateKeepsTheDeadline) {
            new.times = entry.times;
        }
        if self.has(Fault::UpdateLeavesTheList) {
            new.listed = entry.listed.clone();
        }
        Ok(self.swap(key, &entry, Entry { first: entry.first.clone(), ..new }))
    }

    async fn touch(&self, key: &StoreKey) -> Result<Touch, StoreError> {
        let now = self.now();
        if self.has(Fault::TouchCreates) && self.live(key).is_none() {
            let record = Record::new(session_core::Expiry::default());
            self.create(key, &record, SubjectLimit::None).await?;
            return Ok(Touch::Gone);
        }
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
        let now = self.now();
        if self.has(Fault::LimitComesFirst) && !self.make_room(&mut self.state(), record, limit, Some(old)) {
            return Ok(Update::Full);
        }
        let Some(entry) = self.live(old) else {
            if self.has(Fault::RenameCreates) {
                self.create(new, record, SubjectLimit::None).await?;
            }
            return Ok(Update::Gone);
        };
        if entry.version != seen && !self.has(Fault::RenameIsBlind) {
            return Ok(Update::Conflict);
        }
        let mut renamed = self.entry(record, entry.version.next(), entry.times.touched(now, record.expiry))?;
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
        if self.has(Fault::RenamesCollide) {
            self.state().renaming += 1;
            yield_now().await;
            let mut state = self.state();
            state.renaming -= 1;
            if state.renaming > 0 {
                return Err(Verb::Rename.failed("deadlock detected"));
            }
        }
        let mut in_time = true;
        if self.has(Fault::LimitIsTorn) {
            in_time = self.make_room(&mut self.state(), record, limit, Some(old));
            yield_now().await;
        }
        self.torn(Fault::RenameIsTorn).await;
        let mut state = self.state();
        match state.entries.get(old) {
            Some(_) if self.has(Fault::RenameIsBlind) => {}
            _ if self.has(Fault::RenameIsTorn) => {}
            None => return Ok(Update::Gone),
            Some(entry) if entry.version != seen => return Ok(Update::Conflict),
            Some(_) => {}
        }
        let ignores = [Fault::RenameIgnoresTheLimit, Fault::LimitIsTorn, Fault::LimitEndsTheWriter];
        if !in_time || !ignores.contains(&self.fault) && !self.make_room(&mut state, record, limit, Some(old)) {
            if self.has(Fault::RefusalEndsTheVisitor) {
                state.entries.remove(old);
            }
            return Ok(Update::Full);
        }
        if !self.has(Fault::RenameCopies) {
            state.entries.remove(old);
        }
        if self.has(Fault::RenameLeavesTheList) {
            state.ghosts.push((*old, entry.clone()));
        }
        let until = if self.has(Fault::FormerKeysDieEarly) { renamed.times.expires } else { entry.times.expires };
        state.entries.insert(*new, renamed);
        if self.has(Fault::LimitEndsTheWriter) {
            let listed = record.subject.as_deref().map(|subject| self.list(&state, subject)).unwrap_or_default();
            let ended = listed.iter().skip(limit.most().map_or(usize::MAX, |most| most as usize));
            ended.for_each(|(key, _)| drop(state.entries.remove(key)));
        }
        state.renamed.insert(*old, (*new, until));
        Ok(Update::Updated)
    }

    async fn delete(&self, key: &StoreKey) -> Result<bool, StoreError> {
        let latest = self.latest(&mut self.state(), key);
        let key = if self.has(Fault::DeleteForgetsRenames) { *key } else { latest };
        if self.has(Fault::DeleteIsTorn) {
            let live = self.live(&key).is_some();
            yield_now().await;
            self.state().entries.remove(&key);
            return Ok(live);
        }
        let mut state = self.state();
        // Between the two locks it may have been renamed again.
        let key = if self.has(Fault::DeleteForgetsRenames) { key } else { self.latest(&mut state, &key) };
        let entry = state.entries.remove(&key);
        match self.fault {
            Fault::DeleteAlwaysSaysYes => return Ok(true),
            Fault::DeleteFailsTwice if entry.is_none() => return Err(Verb::Delete.failed("no such row")),
            Fault::DeleteLeavesTheList => state.ghosts.extend(entry.clone().map(|entry| (key, entry))),
            _ => {}
        }
        Ok(entry.is_some_and(|entry| self.is_live(&entry)))
    }

    async fn sessions_of(&self, subject: &str, most: usize) -> Result<Vec<(StoreKey, Loaded)>, StoreError> {
        let state = self.state();
        let mut list = self.list(&state, subject);
        if self.has(Fault::ListsAHundred) {
            list.truncate(100);
        }
        list.extend(state.ghosts.iter().filter(|(_, entry)| self.is_in_list_of(subject, entry)).cloned());
        if self.has(Fault::ListsTheOldestFirst) {
            list.reverse();
        }
        if self.has(Fault::ListsWhatWasCreated) {
            list.iter_mut().for_each(|(_, entry)| entry.record = entry.first.clone());
        }
        list.truncate(if self.has(Fault::ListsEverything) { usize::MAX } else { most });
        list.retain(|(_, entry)| self.is_live(entry));
        Ok(list.into_iter().map(|(key, entry)| (key, self.loaded(entry))).collect())
    }

    async fn delete_one_of(&self, subject: &str, key: &StoreKey) -> Result<bool, StoreError> {
        let mut state = self.state();
        let key = if self.has(Fault::DeleteOneForgetsRenames) { *key } else { self.latest(&mut state, key) };
        let owned = self.list(&state, subject).iter().any(|(owned, _)| *owned == key);
        Ok((owned || self.has(Fault::DeleteOneTakesAnybodys)) && state.entries.remove(&key).is_some())
    }

    async fn delete_all_of(&self, subject: &str, except: Option<&StoreKey>) -> Result<usize, StoreError> {
        let list = {
            let mut state = self.state();
            let except = match except {
                _ if self.has(Fault::DeleteAllSparesNobody) => None,
                Some(key) if self.has(Fault::DeleteAllForgetsRenames) => Some(*key),
                except => except.map(|key| self.latest(&mut state, key)),
            };
            let mut list = self.list(&state, subject);
            list.retain(|(key, _)| Some(*key) != except);
            if !self.has(Fault::DeleteAllIsTorn) {
                for (key, _) in &list {
                    if self.has(Fault::DeleteAllHidesOnly) {
                        state.hide(key);
                    } else {
                        state.entries.remove(key);
                    }
                }
                return Ok(list.len());
            }
            list
        };
        for (key, _) in &list {
            yield_now().await;
            self.state().entries.remove(key);
        }
        Ok(list.len())
    }

    async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        let now = self.now();
        let limit = if self.has(Fault::SweepsTooMuch) { usize::MAX } else { limit };
        let over: Vec<_> = {
            let mut state = self.state();
            let revocations = state.revoked.len();
            state.revoked.retain(|_, until| *until > now && !self.has(Fault::SweepsRevocations));
            if self.has(Fault::SweepCountsRevocations) && state.revoked.len() < revocations {
                return Ok(revocations - state.revoked.len());
            }
            let over =
                state.entries.iter().filter(|(_, entry)| entry.times.is_over(now) || self.has(Fault::SweepsTheLiving));
            over.map(|(key, _)| *key).take(limit).collect()
        };
        self.torn(Fault::SweepIsTorn).await;
        self.torn(Fault::SweepCountsTwice).await;
        let mut state = self.state();
        if self.has(Fault::SweepCountsTwice) {
            state.entries.retain(|key, entry| !over.contains(key) || !entry.times.is_over(now));
            return Ok(over.len());
        }
        over.iter().for_each(|key| self.tell(*key, state.entries.remove(key), EndedBy::Deadline));
        Ok(over.len())
    }

    async fn revoke(&self, key: &StoreKey, keep: Duration) -> Result<bool, StoreError> {
        let now = self.now();
        let until = now.plus(keep);
        self.check(until)?;
        let before = self.state().revoked.get(key).copied().filter(|until| *until > now);
        self.torn(Fault::RevokeIsTorn).await;
        let mut state = self.state();
        let longest = before.map_or(until, |before| before.max(until));
        match self.fault {
            Fault::RevokesNothing => return Ok(before.is_none()),
            Fault::RevokingDeletes => drop(state.entries.remove(key)),
            _ => {}
        }
        state.revoked.insert(*key, if self.has(Fault::TheLastTimeCounts) { until } else { longest });
        Ok(before.is_none() || self.has(Fault::RevokingIsAlwaysNews))
    }

    async fn revoke_all_of(&self, subject: &str, until: Timestamp, keep: Duration) -> Result<(), StoreError> {
        let now = self.now();
        let (name, end) = (self.name(subject), now.plus(keep));
        self.check(end)?;
        let before = self.state().revoked_subjects.get(&name).copied().filter(|(_, end)| *end > now);
        self.torn(Fault::RevokeAllIsTorn).await;
        let (moment, longest) = before.map_or((until, end), |before| (before.0.max(until), before.1.max(end)));
        let revoked = match self.fault {
            Fault::TheLastMomentCounts => (until, longest),
            Fault::TheLastTimeCounts => (moment, end),
            _ => (moment, longest),
        };
        self.state().revoked_subjects.insert(name, revoked);
        Ok(())
    }

    async fn is_revoked(&self, keys: &[StoreKey], subject: Option<&str>, made: Timestamp) -> Result<bool, StoreError> {
        let now = self.now();
        let state = self.state();
        let holds = |end: Timestamp| end > now || self.has(Fault::RevocationsNeverEnd);
        let keys = if self.has(Fault::RevokesTheFirstKeyOnly) { &keys[..keys.len().min(1)] } else { keys };
        let key = keys.iter().any(|key| state.revoked.get(key).is_some_and(|end| holds(*end)));
        let revoked = subject.and_then(|subject| state.revoked_subjects.get(&self.name(subject)));
        let moment = revoked.filter(|(_, end)| holds(*end)).map(|(moment, _)| *moment);
        let before_only = self.has(Fault::RevokesBeforeOnly);
        Ok(key || moment.is_some_and(|moment| made < moment || made == moment && !before_only))
    }

    async fn find(&self, key: &StoreKey) -> Result<Found, StoreError> {
        let entry = self.state().entries.get(key).cloned();
        Ok(match entry {
            None if self.has(Fault::FindsTheAbsent) => Found::Expired,
            None => Found::Absent,
            Some(entry) if self.is_live(&entry) || self.has(Fault::FindsTheExpired) => Found::Live(self.loaded(entry)),
            Some(_) => Found::Expired,
        })
    }

    fn watch(&self, witness: &Arc<dyn Witness>) -> bool {
        self.witnesses.add(witness);
        if self.has(Fault::KeepsItsWitnesses) {
            self.kept.lock().expect("nothing panics under the lock").push(Arc::clone(witness));
        }
        true
    }
}
