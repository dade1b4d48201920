//! What this process remembers of the sessions it loaded: a bounded number of bytes.

use std::array;
use std::collections::HashMap;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use session_core::{Loaded, Record, StoreKey};

const SHARDS: usize = 16;
/// A shard counts what it forgets by the second byte of the key, so that forgetting one session seldom keeps the load
/// of another one from being kept.
const SLOTS: usize = 256;
/// What an entry takes beside the text of its record: itself, and its place in a table that may be half empty.
const ENTRY: usize = 512;
/// In two generations: what is looked at moves into the young one; when that is full, it becomes the old one, and of the
/// old one is dropped what nobody has looked at since.
pub(super) struct Memory {
    shards: [Mutex<Shard>; SHARDS],
    /// How many bytes one generation of one shard may take.
    room: AtomicUsize,
}

/// What is known of a key.
#[derive(Debug)]
pub(super) enum Remembered {
    /// A live session, as it is now.
    Live(Loaded),
    /// Nothing; this permits to keep what a load brings that is sent from now on.
    Nothing(Ticket),
}

/// How often something of a slot had been forgotten before a load was sent. If that has changed when the reply is there, the
/// reply may be older than what was forgotten, and isn't kept.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Ticket(u64);

impl Memory {
    pub(super) fn new(bytes: usize) -> Self {
        let memory = Self { shards: array::from_fn(|_| Mutex::new(Shard::new())), room: AtomicUsize::new(0) };
        memory.limit(bytes);
        memory
    }

    /// Takes at most so many bytes; of what it took before the rest goes as new entries come.
    pub(super) fn limit(&self, bytes: usize) {
        self.room.store(bytes / (2 * SHARDS), Ordering::Relaxed);
    }

    /// `now` is before the load that a ticket is for is sent.
    pub(super) fn find(&self, key: &StoreKey, now: Instant) -> Remembered {
        let mut shard = self.shard(key);
        let ticket = shard.slots[slot(key)].ticket;
        let dropped = shard.rejuvenate(key, self.room());
        let found = shard.young.entries.get(key).map(|entry| {
            let now = entry.loaded.now.plus(now.saturating_duration_since(entry.asked));
            Loaded { now, ..entry.loaded.clone() }
        });
        drop(shard);
        // Many entries are freed at once: not while others wait for the shard.
        drop(dropped);
        // The store says whether it is over: a touch may be on its way.
        found.filter(|loaded| !loaded.times.is_over(loaded.now)).map_or(Remembered::Nothing(ticket), Remembered::Live)
    }

    /// `asked` is the `now` of the `find` that gave the ticket.
    pub(super) fn keep(&self, key: &StoreKey, loaded: &Loaded, asked: Instant, ticket: Ticket) {
        let (bytes, room) = (weight(&loaded.record), self.room());
        if bytes > room {
            return;
        }
        let mut shard = self.shard(key);
        let slot = &shard.slots[slot(key)];
        if slot.ticket != ticket || slot.holds > 0 {
            return;
        }
        // Two loads may come back in another order than the store carried them out.
        let age = |loaded: &Loaded| (loaded.version, loaded.times.seen);
        let known = shard.young.entries.get(key).or_else(|| shard.old.entries.get(key));
        if known.is_some_and(|known| age(&known.loaded) > age(loaded)) {
            return;
        }
        shard.remove(key);
        let dropped = shard.enter(*key, Entry { loaded: loaded.clone(), asked, bytes }, room);
        drop(shard);
        drop(dropped);
    }

    pub(super) fn forget(&self, key: &StoreKey) {
        self.change(key, |_| ());
    }

    /// Forgets it, and keeps nothing of it until it is let go: for as long, whoever asks gets the store's answer.
    pub(super) fn hold(&self, key: &StoreKey) {
        self.change(key, |slot| slot.holds += 1);
    }

    pub(super) fn let_go(&self, key: &StoreKey) {
        self.change(key, |slot| slot.holds -= 1);
    }

    fn change(&self, key: &StoreKey, change: impl FnOnce(&mut Slot)) {
        let mut shard = self.shard(key);
        let slot = &mut shard.slots[slot(key)];
        slot.ticket.0 += 1;
        change(slot);
        let dropped = shard.remove(key);
        drop(shard);
        drop(dropped);
    }

    pub(super) fn forget_all(&self) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            shard.slots.iter_mut().for_each(|slot| slot.ticket.0 += 1);
            let dropped = (mem::take(&mut shard.young), mem::take(&mut shard.old));
            drop(shard);
            drop(dropped);
        }
    }

    /// How many entries there are, and how many bytes they take.
    pub(super) fn size(&self) -> (usize, usize) {
        self.shards.iter().map(|shard| lock(shard).size()).fold((0, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1))
    }

    fn room(&self) -> usize {
        self.room.load(Ordering::Relaxed)
    }

    fn shard(&self, key: &StoreKey) -> MutexGuard<'_, Shard> {
        lock(&self.shards[usize::from(key.as_bytes()[0]) % SHARDS])
    }
}

fn slot(key: &StoreKey) -> usize {
    usize::from(key.as_bytes()[1]) % SLOTS
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // Nothing of the user's runs under the lock, so a poisoned shard is whole all the same.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A key is in one generation at most.
struct Shard {
    young: Generation,
    old: Generation,
    slots: [Slot; SLOTS],
}

#[derive(Clone, Copy, Default)]
struct Slot {
    ticket: Ticket,
    /// How many have asked that nothing be kept.
    holds: u32,
}

#[derive(Default)]
struct Generation {
    entries: HashMap<StoreKey, Entry>,
    bytes: usize,
}

struct Entry {
    loaded: Loaded,
    /// When it was asked for, by this process's clock: a moment before `loaded.now`, so that nothing lives too long.
    asked: Instant,
    bytes: usize,
}

impl Shard {
    fn new() -> Self {
        Self { young: Generation::default(), old: Generation::default(), slots: [Slot::default(); SLOTS] }
    }

    /// Moves an old entry into the young generation, and gives what there is no room for any more.
    fn rejuvenate(&mut self, key: &StoreKey, room: usize) -> Generation {
        self.old.remove(key).map_or_else(Generation::default, |entry| self.enter(*key, entry, room))
    }

    fn enter(&mut self, key: StoreKey, entry: Entry, room: usize) -> Generation {
        let mut dropped = Generation::default();
        if self.young.bytes + entry.bytes > room {
            dropped = mem::replace(&mut self.old, mem::take(&mut self.young));
        }
        self.young.bytes += entry.bytes;
        self.young.entries.insert(key, entry);
        dropped
    }

    fn remove(&mut self, key: &StoreKey) -> Option<Entry> {
        self.young.remove(key).or_else(|| self.old.remove(key))
    }

    fn size(&self) -> (usize, usize) {
        (self.young.entries.len() + self.old.entries.len(), self.young.bytes + self.old.bytes)
    }
}

impl Generation {
    fn remove(&mut self, key: &StoreKey) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.bytes -= entry.bytes;
        Some(entry)
    }
}

/// About what a record takes in memory, rather too much than too little.
fn weight(record: &Record) -> usize {
    ENTRY + record.subject.as_deref().map_or(0, str::len) + record.size()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use session_core::{Expiry, Times, Timestamp, Version};

    use super::*;

    const PLENTY: usize = 64 << 20;

    /// Spread by their first bytes, as hashes are.
    fn key(number: u32) -> StoreKey {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b9).to_be_bytes());
        bytes[4..8].copy_from_slice(&number.to_be_bytes());
        StoreKey::from_bytes(bytes)
    }

    fn loaded(version: u64, record: Record) -> Loaded {
        let now = Timestamp::from_millis(1_000_000);
        Loaded { version: Version::from_u64(version), times: Times::begin(now, record.expiry), record, now }
    }

    fn blank(version: u64) -> Loaded {
        loaded(version, Record::new(Expiry::default()))
    }

    fn ticket(memory: &Memory, key: &StoreKey) -> Ticket {
        match memory.find(key, Instant::now()) {
            Remembered::Nothing(ticket) => ticket,
            Remembered::Live(_) => panic!("it is there"),
        }
    }

    fn keep(memory: &Memory, key: &StoreKey, loaded: &Loaded) {
        memory.keep(key, loaded, Instant::now(), ticket(memory, key));
    }

    fn version(memory: &Memory, key: &StoreKey) -> Option<u64> {
        match memory.find(key, Instant::now()) {
            Remembered::Live(loaded) => Some(loaded.version.as_u64()),
            Remembered::Nothing(_) => None,
        }
    }

    #[test]
    fn what_was_kept_is_found_until_it_is_forgotten() {
        let memory = Memory::new(PLENTY);
        keep(&memory, &key(1), &blank(1));
        keep(&memory, &key(2), &blank(2));
        assert_eq!((version(&memory, &key(1)), version(&memory, &key(2))), (Some(1), Some(2)));
        memory.forget(&key(1));
        assert_eq!((version(&memory, &key(1)), version(&memory, &key(2))), (None, Some(2)));
        memory.forget_all();
        assert_eq!((version(&memory, &key(2)), memory.size()), (None, (0, 0)));
    }

    #[test]
    fn a_reply_to_a_question_from_before_is_not_kept() {
        let memory = Memory::new(PLENTY);
        for forget in [(|memory| memory.forget(&key(1))) as fn(&Memory), Memory::forget_all] {
            let before = ticket(&memory, &key(1));
            forget(&memory);
            memory.keep(&key(1), &blank(1), Instant::now(), before);
            assert_eq!(version(&memory, &key(1)), None);
            keep(&memory, &key(1), &blank(2));
            assert_eq!(version(&memory, &key(1)), Some(2));
            memory.forget(&key(1));
        }
    }

    #[test]
    fn what_is_held_is_not_kept_until_all_have_let_go() {
        let memory = Memory::new(PLENTY);
        keep(&memory, &key(1), &blank(1));
        memory.hold(&key(1));
        memory.hold(&key(1));
        let before = ticket(&memory, &key(1));
        for _ in 0..2 {
            keep(&memory, &key(1), &blank(1));
            assert_eq!(version(&memory, &key(1)), None);
            memory.let_go(&key(1));
        }
        memory.keep(&key(1), &blank(1), Instant::now(), before);
        assert_eq!(version(&memory, &key(1)), None);
        keep(&memory, &key(1), &blank(2));
        assert_eq!(version(&memory, &key(1)), Some(2));
    }

    #[test]
    fn of_two_replies_the_newer_one_stays() {
        let memory = Memory::new(PLENTY);
        let ticket = ticket(&memory, &key(1));
        let mut touched = blank(2);
        touched.times.seen = touched.times.seen.plus(Duration::from_secs(1));
        for loaded in [&blank(2), &touched, &blank(2), &blank(1)] {
            memory.keep(&key(1), loaded, Instant::now(), ticket);
        }
        let Remembered::Live(found) = memory.find(&key(1), Instant::now()) else { panic!("it was kept") };
        assert_eq!((found.version.as_u64(), found.times), (2, touched.times));
    }

    #[test]
    fn time_goes_on_and_ends_what_is_kept() {
        let memory = Memory::new(PLENTY);
        let (asked, expiry) = (Instant::now(), Expiry { idle: Duration::from_secs(10), ..Expiry::default() });
        memory.keep(&key(1), &loaded(1, Record::new(expiry)), asked, ticket(&memory, &key(1)));
        let after = |millis| memory.find(&key(1), asked + Duration::from_millis(millis));
        let Remembered::Live(found) = after(9_999) else { panic!("it is alive") };
        assert_eq!(found.now, Timestamp::from_millis(1_009_999));
        assert!(matches!(after(10_000), Remembered::Nothing(_)));
    }

    #[test]
    fn what_is_looked_at_stays_and_the_rest_goes() {
        let memory = Memory::new(4 << 20);
        for number in 0..100_000 {
            keep(&memory, &key(number), &blank(1));
            assert!(number % 100 > 0 || version(&memory, &key(0)).is_some(), "gone after {number}");
        }
        let (entries, bytes) = memory.size();
        assert!(bytes <= 4 << 20 && bytes > 2 << 20, "{bytes}");
        let newest = 100_000 - entries as u32 / 4;
        assert!((newest..100_000).all(|number| version(&memory, &key(number)).is_some()));
        assert!((1..50_000).all(|number| version(&memory, &key(number)).is_none()));
        memory.limit(0);
        keep(&memory, &key(100_001), &blank(1));
        assert_eq!(version(&memory, &key(100_001)), None);
    }

    /// Every shape of record: what the memory believes to take is what the process takes.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_bound_in_bytes_is_a_bound_in_bytes() {
        const BOUND: usize = 32 << 20;
        let resident = || {
            let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
            pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4_096
        };
        let record = |number: u32| {
            let text = "x".repeat(number as usize % 3_000);
            let shape = match number % 4 {
                0 => format!("{text:?}"),
                1 => format!("{:?}", (0..number % 300).collect::<Vec<_>>()),
                2 => format!(r#"{{"a":{{"b":{{"c":[[],[{{}}],{number}]}}}},"text":"{text}"}}"#),
                _ => number.to_string(),
            };
            let head = r#""format":1,"subject":"somebody","idle":1000000,"lifetime":1000000"#;
            Record::from_json(format!(r#"{{{head},"values":{{"shape":{shape}}}}}"#).as_bytes()).unwrap()
        };
        let memory = Memory::new(BOUND);
        let (before, mut most) = (resident(), BTreeMap::new());
        for number in 0..40_000 {
            keep(&memory, &key(number), &loaded(1, record(number)));
            if number % 1_000 == 0 {
                most.insert(resident(), memory.size());
            }
        }
        let (most, (entries, bytes)) = most.pop_last().unwrap();
        println!("{} bytes more, {entries} entries, {bytes} believed, {BOUND} allowed", most - before);
        assert!(bytes <= BOUND);
        assert!(most - before < BOUND * 5 / 4);
        assert!(most - before > BOUND / 4, "so careful that the memory is wasted");
    }
}
