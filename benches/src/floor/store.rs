//! A map in 256 parts, each behind a lock of its own. Its keys are hashes already, so they aren't hashed again.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

const SHARDS: usize = 256;
const IDLE: u64 = 30 * 60 * 1_000;
/// The idle deadline moves once a minute at most.
const TOUCH_EVERY: u64 = 60 * 1_000;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Key(pub(super) [u8; 32]);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        if let Some(first) = self.0.first_chunk() {
            state.write_u64(u64::from_ne_bytes(*first));
        }
    }
}

/// Takes the eight bytes of a hash as they are.
#[derive(Default)]
struct Taken(u64);

impl Hasher for Taken {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

struct Entry {
    record: Arc<[u8]>,
    version: u64,
    expires: u64,
}

/// A record as it was found.
pub(super) struct Found {
    pub(super) record: Arc<[u8]>,
    pub(super) version: u64,
    left: u64,
}

impl Found {
    pub(super) const fn is_to_be_touched(&self) -> bool {
        self.left < IDLE - TOUCH_EVERY
    }
}

type Shard = HashMap<Key, Entry, BuildHasherDefault<Taken>>;

pub(super) struct Store {
    shards: Box<[Mutex<Shard>]>,
}

impl Store {
    pub(super) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        self.shards[usize::from(key.0[31])].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn load(&self, key: &Key) -> Option<Found> {
        let now = now();
        let shard = self.shard(key);
        let entry = shard.get(key).filter(|entry| now < entry.expires)?;
        Some(Found { record: Arc::clone(&entry.record), version: entry.version, left: entry.expires - now })
    }

    pub(super) fn create(&self, key: Key, record: Arc<[u8]>) {
        let entry = Entry { record, version: 1, expires: now() + IDLE };
        self.shard(&key).insert(key, entry);
    }

    pub(super) fn touch(&self, key: &Key) {
        let now = now();
        if let Some(entry) = self.shard(key).get_mut(key).filter(|entry| now < entry.expires) {
            entry.expires = now + IDLE;
        }
    }

    /// Whether nobody else wrote meanwhile.
    pub(super) fn update(&self, key: &Key, record: Arc<[u8]>, seen: u64) -> bool {
        let now = now();
        let mut shard = self.shard(key);
        let Some(entry) = shard.get_mut(key).filter(|entry| entry.version == seen && now < entry.expires) else {
            return false;
        };
        *entry = Entry { record, version: seen + 1, expires: now + IDLE };
        true
    }

    /// As `update`, under another key. For a moment there is neither of them.
    pub(super) fn rename(&self, old: &Key, new: Key, record: Arc<[u8]>, seen: u64) -> bool {
        let now = now();
        let mut shard = self.shard(old);
        if !shard.get(old).is_some_and(|entry| entry.version == seen && now < entry.expires) {
            return false;
        }
        shard.remove(old);
        drop(shard);
        self.shard(&new).insert(new, Entry { record, version: seen + 1, expires: now + IDLE });
        true
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
