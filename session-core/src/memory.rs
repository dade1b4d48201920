//! Sessions in this process's memory: for one process, and gone with it.

mod count;
mod room;
mod shards;
mod table;

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::oneshot;

use crate::clock::{Clock, SystemClock, Timestamp};
use crate::ended::{Ended, EndedBy, Witness, Witnesses};
use crate::error::StoreError;
use crate::expiry::Times;
use crate::id::StoreKey;
use crate::record::Record;
use crate::store::{Create, Found, Loaded, SessionStore, SubjectLimit, Touch, Update, Version};
use crate::verb::Verb;

use shards::{Entry, Locked, Renamed, RevokedSubject, SHARDS, Shard, Shards};
use table::Kept;

/// Every so many creations sweep one shard, so that memory comes back without anybody calling `sweep`.
const CREATIONS_PER_SWEEP: usize = 4;

/// What they drop at most: more than is created meanwhile, and little enough for a request to wait for.
const SWEPT_BY_A_CREATION: usize = 16;

/// A sweep works for so long and then rests.
const WORK: Duration = Duration::from_micros(100);

/// So much room is made at once when the store is full, if there is what has expired.
const ROOM_MADE: usize = 1_000;

/// Keeps sessions in memory. It holds a bounded number of them: at its capacity it makes room by dropping expired
/// ones, and then refuses new anonymous sessions; live ones are never evicted, and people can still log in.
///
/// A [`sweep`](SessionStore::sweep) has a thread of its own and rests for most of the time, whatever the runtime and however many
/// processors there are. It holds a lock for microseconds, and none while memory is taken or given back, so requests don't wait for
/// it. Memory goes back to the allocator, so new sessions get it; how much of it goes back to the system is up to the allocator.
///
/// Clones share the same sessions. They end with the process: use another store to survive a restart or to serve
/// from several machines.
///
/// ```
/// use session_core::{Expiry, MemoryStore, Record, SessionStore, StoreKey, SubjectLimit};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = MemoryStore::new().capacity(1);
/// let record = Record::new(Expiry::default());
/// store.create(&StoreKey::from_bytes([1; 32]), &record, SubjectLimit::None).await?;
/// assert!(store.create(&StoreKey::from_bytes([2; 32]), &record, SubjectLimit::None).await.is_err());
/// assert_eq!(store.live(), 1);
/// # Ok::<(), session_core::StoreError>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct MemoryStore(Arc<Memory>);

#[derive(Clone)]
struct Memory {
    shards: Arc<Shards>,
    counters: Arc<Counters>,
    capacity: usize,
    clock: Arc<dyn Clock>,
    witnesses: Witnesses,
}

#[derive(Default)]
struct Counters {
    held: AtomicUsize,
    creations: AtomicUsize,
    next_to_sweep: AtomicUsize,
    /// When the whole store was last searched for room, in milliseconds.
    searched: AtomicU64,
}

impl MemoryStore {
    /// An empty store for a million sessions.
    ///
    /// ```
    /// # use session_core::MemoryStore;
    /// assert_eq!(MemoryStore::new().live(), 0);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Memory {
            shards: Arc::new(Shards::new()),
            counters: Arc::default(),
            capacity: 1_000_000,
            clock: Arc::new(SystemClock),
            witnesses: Witnesses::default(),
        }))
    }

    /// Holds at most `sessions` of which the last was anonymous.
    ///
    /// ```
    /// # use session_core::MemoryStore;
    /// let store = MemoryStore::new().capacity(10_000);
    /// assert_eq!(format!("{store:?}"), "MemoryStore { live: 0, capacity: 10000 }");
    /// ```
    #[must_use]
    pub fn capacity(mut self, sessions: usize) -> Self {
        Arc::make_mut(&mut self.0).capacity = sessions;
        self
    }

    /// Judges deadlines by another clock.
    ///
    /// ```
    /// use session_core::{Expiry, ManualClock, MemoryStore, Record, SessionStore, StoreKey, SubjectLimit, Timestamp};
    /// use std::sync::Arc;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
    /// let store = MemoryStore::new().clock(Arc::clone(&clock));
    /// let record = Record::new(Expiry::default());
    /// store.create(&StoreKey::from_bytes([1; 32]), &record, SubjectLimit::None).await?;
    /// assert_eq!(store.live(), 1);
    /// clock.advance(record.expiry.idle);
    /// assert_eq!(store.live(), 0);
    /// # Ok::<(), session_core::StoreError>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        Arc::make_mut(&mut self.0).clock = Arc::new(clock);
        self
    }

    /// How many sessions are alive.
    ///
    /// ```
    /// # use session_core::MemoryStore;
    /// assert_eq!(MemoryStore::new().live(), 0);
    /// ```
    #[must_use]
    pub fn live(&self) -> usize {
        let now = self.0.clock.now();
        let live = |shard: &Shard| shard.sessions.iter().filter(|(_, entry)| !entry.times.is_over(now)).count();
        self.0.shards.all().map(|shard| live(&shard)).sum()
    }

    /// Room for how many entries is taken from the allocator, expired ones and spare room included.
    #[cfg(test)]
    fn room(&self) -> usize {
        self.0.shards.all().map(|shard| room::Roomy::capacity(&shard.sessions)).sum()
    }
}

impl Memory {
    /// Drops what has expired in all shards, at most `limit` of each kind.
    fn sweep(&self, limit: usize, mut rest: impl FnMut()) -> usize {
        let mut swept = 0;
        for _ in 0..SHARDS {
            if swept < limit {
                swept += self.sweep_next_shard(limit - swept, &mut rest);
            }
        }
        swept
    }

    /// Drops what has expired in one shard, at most `limit` of each kind, and gives its memory back. After every few
    /// sessions, when it holds no lock, it calls `rest`.
    fn sweep_next_shard(&self, limit: usize, mut rest: impl FnMut()) -> usize {
        let shard = self.counters.next_to_sweep.fetch_add(1, Ordering::Relaxed);
        let now = self.clock.now();
        let (mut swept, mut next) = (0, Some(0));
        while let Some(from) = next.filter(|_| swept < limit) {
            let over;
            (over, next) = self.shards.at(shard).take_over(from, now, limit - swept);
            for kept in &over {
                self.shards.forget(kept);
            }
            self.leave(over.len());
            swept += over.len();
            self.tell(&over, EndedBy::Deadline, now);
            rest();
        }
        self.shards.tidy(shard, now, limit);
        swept
    }

    /// Counts one more session in, unless the store is full.
    fn enter(&self, record: &Record) -> Result<(), StoreError> {
        if self.counters.creations.fetch_add(1, Ordering::Relaxed).is_multiple_of(CREATIONS_PER_SWEEP) {
            self.sweep_next_shard(SWEPT_BY_A_CREATION, || ());
        }
        let room = |held: usize| (record.subject.is_some() || held < self.capacity).then_some(held + 1);
        let enter = || self.counters.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok();
        if enter() || (self.make_room() && enter()) {
            return Ok(());
        }
        Err(Verb::Create.failed(Full(self.capacity)))
    }

    /// Whether there is room now that what had expired is dropped. A flood of refused sessions searches the whole store
    /// ten times a second at most, and one shard otherwise.
    fn make_room(&self) -> bool {
        let now = self.clock.now().as_millis();
        let searched = self.counters.searched.load(Ordering::Relaxed);
        let shards = if now.abs_diff(searched) < 100 { 1 } else { SHARDS };
        if shards == SHARDS {
            self.counters.searched.store(now, Ordering::Relaxed);
        }
        // A good part: who comes next within the tenth of a second finds the room that is left.
        let mut swept = 0;
        for _ in 0..shards {
            if swept < ROOM_MADE {
                swept += self.sweep_next_shard(SWEPT_BY_A_CREATION, || ());
            }
        }
        self.counters.held.load(Ordering::Relaxed) < self.capacity
    }

    fn leave(&self, sessions: usize) {
        self.counters.held.fetch_sub(sessions, Ordering::Relaxed);
    }

    /// Removes the session under `key` and from its subject's list, and says whether it was alive.
    fn end(&self, key: &StoreKey, now: Timestamp) -> bool {
        let Some(kept) = self.shards.of(key).sessions.remove(key) else { return false };
        self.leave(1);
        self.shards.forget(&kept);
        let ended = !kept.1.times.is_over(now);
        if !ended {
            self.tell(&[kept], EndedBy::Deadline, now);
        }
        ended
    }

    /// Tells who watches of sessions that are gone. Hold no lock.
    fn tell(&self, gone: &[Kept], by: EndedBy, now: Timestamp) {
        if !gone.is_empty() && !self.witnesses.is_empty() {
            let ended = |kept: &Kept| Ended { key: kept.0, session: Some(kept.1.loaded(now)), by };
            self.witnesses.tell(gone.iter().map(ended));
        }
    }

    /// The outcome, and who had to end for it.
    fn create(&self, key: &StoreKey, record: &Record, limit: SubjectLimit, now: Timestamp) -> (Create, Vec<Kept>) {
        let entry = Entry { record: record.clone(), version: Version::FIRST, times: Times::begin(now, record.expiry) };
        let subject = record.subject.as_deref();
        let mut lists = self.shards.subjects_of_each([subject, None]);
        let room = subject.map_or(Some(Vec::new()), |subject| {
            self.room_for(lists.of(subject).keys(subject), subject, limit, None, now)
        });
        let victims = room.as_deref().unwrap_or_default();
        let mut shards = self.shards.of_each(victims.iter().chain([key]));
        if shards.of(key).live(key, now).is_some() {
            return (Create::Taken, Vec::new());
        }
        if room.is_none() {
            return (Create::Full, Vec::new());
        }
        let ended = self.end_each(&mut shards, victims);
        if shards.of(key).insert(key, entry) {
            self.leave(1);
        }
        if let Some(subject) = subject {
            lists.of(subject).replace(subject, victims, key);
        }
        (Create::Created, ended)
    }

    /// As `create`.
    fn rename(
        &self,
        [old, new]: [&StoreKey; 2],
        record: &Record,
        seen: Version,
        limit: SubjectLimit,
        now: Timestamp,
    ) -> Result<(Update, Vec<Kept>), StoreError> {
        let nothing = |outcome| Ok((outcome, Vec::new()));
        let former = match self.shards.of(old).live(old, now) {
            None => return nothing(Update::Gone),
            Some(entry) if entry.version != seen => return nothing(Update::Conflict),
            Some(entry) => entry.record.subject.clone(),
        };
        let subject = record.subject.as_deref();
        let mut lists = self.shards.subjects_of_each([former.as_deref(), subject]);
        let room = subject.map_or(Some(Vec::new()), |subject| {
            self.room_for(lists.of(subject).keys(subject), subject, limit, Some(old), now)
        });
        let victims = room.as_deref().unwrap_or_default();
        let mut shards = self.shards.of_each(victims.iter().chain([old, new]));
        let (entry, deadline) = match shards.of(old).live(old, now) {
            None => return nothing(Update::Gone),
            // A record has one subject a version.
            Some(entry) if entry.version != seen || entry.record.subject != former => return nothing(Update::Conflict),
            Some(entry) => (entry.written(record, now), entry.times.expires),
        };
        if room.is_none() {
            return nothing(Update::Full);
        }
        if shards.of(new).live(new, now).is_some() {
            return Err(Verb::Rename.failed("the new key is taken"));
        }
        let ended = self.end_each(&mut shards, victims);
        shards.of(old).sessions.remove(old);
        shards.of(old).renamed.insert(*old, Renamed { to: *new, until: entry.times.expires.max(deadline) });
        if shards.of(new).insert(new, entry) {
            self.leave(1);
        }
        if let Some(former) = &former {
            lists.of(former).forget(former, old);
        }
        if let Some(subject) = subject {
            lists.of(subject).replace(subject, victims, new);
        }
        Ok((Update::Updated, ended))
    }

    /// Who has to end so that one more session of `subject` is within the limit, or `None` if it is refused. Call it
    /// under the subject's lock. `spared` is a session that makes no difference, because it is the one that is written.
    fn room_for(
        &self,
        keys: &[StoreKey],
        subject: &str,
        limit: SubjectLimit,
        spared: Option<&StoreKey>,
        now: Timestamp,
    ) -> Option<Vec<StoreKey>> {
        let Some(most) = limit.most() else { return Some(Vec::new()) };
        let mut live: Vec<_> = keys
            .iter()
            .filter(|key| Some(*key) != spared)
            .filter_map(|key| Some((self.shards.of(key).live_of(subject, key, now)?.times.created, *key)))
            .collect();
        let beyond = (live.len() + 1).saturating_sub(most as usize);
        if beyond > 0 && matches!(limit, SubjectLimit::Refuse(_)) {
            return None;
        }
        live.sort_unstable();
        Some(live.into_iter().take(beyond).map(|(_, key)| key).collect())
    }

    fn end_each(&self, shards: &mut Locked<'_, Shard>, keys: &[StoreKey]) -> Vec<Kept> {
        let ended: Vec<_> = keys.iter().filter_map(|key| shards.of(key).sessions.remove(key)).collect();
        self.leave(ended.len());
        ended
    }
}

/// Leaves nearly all of the time to others, also where there is one processor.
struct Pace {
    since: Instant,
}

impl Pace {
    /// Call it after every bit of work.
    fn rest(&mut self) {
        let worked = self.since.elapsed();
        if worked >= WORK {
            // On a busy machine most of it was waiting, so the rest is bounded.
            thread::sleep((19 * worked).min(Duration::from_millis(5)));
            self.since = Instant::now();
        }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("live", &self.live()).field("capacity", &self.0.capacity).finish()
    }
}

#[derive(Debug, thiserror::Error)]
#[error(
    "the memory store holds {0} sessions and takes no more anonymous ones; give it a larger capacity or a shorter idle time"
)]
struct Full(usize);

#[async_trait]
impl SessionStore for MemoryStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>, StoreError> {
        Ok(self.find(key).await?.live())
    }

    async fn find(&self, key: &StoreKey) -> Result<Found, StoreError> {
        let now = self.0.clock.now();
        let shard = self.0.shards.of(key);
        Ok(match shard.sessions.get(key) {
            None => Found::Absent,
            Some(entry) if entry.times.is_over(now) => Found::Expired,
            Some(entry) => Found::Live(entry.loaded(now)),
        })
    }

    async fn create(&self, key: &StoreKey, record: &Record, limit: SubjectLimit) -> Result<Create, StoreError> {
        self.0.enter(record)?;
        let now = self.0.clock.now();
        let (created, ended) = self.0.create(key, record, limit, now);
        self.0.tell(&ended, EndedBy::Limit, now);
        if created != Create::Created {
            self.0.leave(1);
        }
        Ok(created)
    }

    async fn update(&self, key: &StoreKey, record: &Record, seen: Version) -> Result<Update, StoreError> {
        let now = self.0.clock.now();
        // Nearly always the subject stays, and its list with it.
        let former = match self.0.shards.of(key).live_mut(key, now) {
            None => return Ok(Update::Gone),
            Some(entry) if entry.version != seen => return Ok(Update::Conflict),
            Some(entry) if entry.record.subject == record.subject => {
                *entry = entry.written(record, now);
                return Ok(Update::Updated);
            }
            Some(entry) => entry.record.subject.clone(),
        };
        let subjects = [former.as_deref(), record.subject.as_deref()];
        let mut lists = self.0.shards.subjects_of_each(subjects);
        match self.0.shards.of(key).live_mut(key, now) {
            None => return Ok(Update::Gone),
            // A record has one subject a version.
            Some(entry) if entry.version != seen || entry.record.subject != former => return Ok(Update::Conflict),
            Some(entry) => *entry = entry.written(record, now),
        }
        let [before, after] = subjects;
        if let Some(subject) = before {
            lists.of(subject).forget(subject, key);
        }
        if let Some(subject) = after {
            lists.of(subject).remember(subject, key);
        }
        Ok(Update::Updated)
    }

    async fn touch(&self, key: &StoreKey) -> Result<Touch, StoreError> {
        let now = self.0.clock.now();
        Ok(match self.0.shards.of(key).live_mut(key, now) {
            None => Touch::Gone,
            Some(entry) => {
                entry.times = entry.times.touched(now, entry.record.expiry);
                Touch::Touched
            }
        })
    }

    async fn rename(
        &self,
        old: &StoreKey,
        new: &StoreKey,
        record: &Record,
        seen: Version,
        limit: SubjectLimit,
    ) -> Result<Update, StoreError> {
        let now = self.0.clock.now();
        let (renamed, ended) = self.0.rename([old, new], record, seen, limit, now)?;
        self.0.tell(&ended, EndedBy::Limit, now);
        Ok(renamed)
    }

    async fn delete(&self, key: &StoreKey) -> Result<bool, StoreError> {
        let now = self.0.clock.now();
        let mut ended = false;
        let mut next = Some(*key);
        while let Some(key) = next {
            ended |= self.0.end(&key, now);
            // Each step takes one away, so a chain of renames ends.
            let renamed = self.0.shards.of(&key).renamed.remove(&key);
            next = renamed.filter(|renamed| renamed.until > now).map(|renamed| renamed.to);
        }
        Ok(ended)
    }

    async fn sessions_of(&self, subject: &str, most: usize) -> Result<Vec<(StoreKey, Loaded)>, StoreError> {
        let now = self.0.clock.now();
        let list = self.0.shards.subjects(subject);
        let load = |key: &StoreKey| Some((*key, self.0.shards.of(key).live_of(subject, key, now)?.loaded(now)));
        let mut sessions: Vec<_> = list.keys(subject).iter().filter_map(load).collect();
        drop(list);
        sessions.sort_by_key(|(key, loaded)| Reverse((loaded.times.created, *key)));
        sessions.truncate(most);
        Ok(sessions)
    }

    async fn delete_one_of(&self, subject: &str, key: &StoreKey) -> Result<bool, StoreError> {
        let now = self.0.clock.now();
        // Nothing of this subject is renamed under its lock.
        let mut list = self.0.shards.subjects(subject);
        let key = self.0.shards.latest(key, now);
        let mut shard = self.0.shards.of(&key);
        if shard.live_of(subject, &key, now).is_none() {
            return Ok(false);
        }
        shard.sessions.remove(&key);
        list.forget(subject, &key);
        self.0.leave(1);
        Ok(true)
    }

    async fn delete_all_of(&self, subject: &str, except: Option<&StoreKey>) -> Result<usize, StoreError> {
        let now = self.0.clock.now();
        let mut list = self.0.shards.subjects(subject);
        let spared = except.map(|key| self.0.shards.latest(key, now));
        let mut ended = 0;
        for key in list.keys(subject).to_vec() {
            let mut shard = self.0.shards.of(&key);
            if Some(key) != spared && shard.live_of(subject, &key, now).is_some() {
                shard.sessions.remove(&key);
                list.forget(subject, &key);
                ended += 1;
            }
        }
        self.0.leave(ended);
        Ok(ended)
    }

    async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        let (memory, (done, swept)) = (Arc::clone(&self.0), oneshot::channel());
        // Not on a thread of the runtime: whatever waits there, the network too, would wait for it.
        let sweep = move || {
            let mut pace = Pace { since: Instant::now() };
            done.send(memory.sweep(limit, || pace.rest()))
        };
        thread::Builder::new()
            .name("session sweep".to_owned())
            .spawn(sweep)
            .map_err(|error| Verb::Sweep.failed(error))?;
        swept.await.map_err(|error| Verb::Sweep.failed(error))
    }

    async fn revoke(&self, key: &StoreKey, keep: Duration) -> Result<bool, StoreError> {
        let now = self.0.clock.now();
        let mut shard = self.0.shards.of(key);
        let until = shard.revoked.entry(*key).or_insert(now);
        let news = *until <= now;
        *until = now.plus(keep).max(*until);
        Ok(news)
    }

    async fn revoke_all_of(&self, subject: &str, until: Timestamp, keep: Duration) -> Result<(), StoreError> {
        let now = self.0.clock.now();
        let mut subjects = self.0.shards.subjects(subject);
        let revoked = RevokedSubject { made: until, until: now.plus(keep) };
        let kept = subjects.revoked.entry(subject.to_owned()).or_insert(revoked);
        // What has expired counts no more, not even as the latest moment.
        let made = if kept.until > now { kept.made.max(until) } else { until };
        *kept = RevokedSubject { made, until: now.plus(keep).max(kept.until) };
        Ok(())
    }

    async fn is_revoked(&self, keys: &[StoreKey], subject: Option<&str>, made: Timestamp) -> Result<bool, StoreError> {
        let now = self.0.clock.now();
        let key_is = |key: &StoreKey| self.0.shards.of(key).revoked.get(key).is_some_and(|until| *until > now);
        let subject_is = |subject: &str| {
            let subjects = self.0.shards.subjects(subject);
            subjects.revoked.get(subject).is_some_and(|revoked| revoked.until > now && made <= revoked.made)
        };
        Ok(keys.iter().any(key_is) || subject.is_some_and(subject_is))
    }

    fn watch(&self, witness: &Arc<dyn Witness>) -> bool {
        self.0.witnesses.add(witness);
        true
    }
}

#[cfg(test)]
mod tests;
