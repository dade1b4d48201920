//! The sessions of one shard by their keys.

use hashbrown::HashTable;

use super::room::Roomy;
use super::shards::Entry;
use crate::id::StoreKey;

/// A key is a hash of 256 random bits: eight bytes of it are hash enough, and nobody can choose them. A place in the table is one
/// pointer, so that the places that are free cost little and a table that grows moves little.
#[derive(Default)]
pub(super) struct Table(HashTable<Kept>);

/// A session and its key, in one piece: it can be taken out under a lock and dropped, which costs more, without it.
pub(super) type Kept = Box<(StoreKey, Entry)>;

impl Table {
    pub(super) fn get(&self, key: &StoreKey) -> Option<&Entry> {
        self.0.find(hash(key), |kept| kept.0 == *key).map(|kept| &kept.1)
    }

    pub(super) fn get_mut(&mut self, key: &StoreKey) -> Option<&mut Entry> {
        self.0.find_mut(hash(key), |kept| kept.0 == *key).map(|kept| &mut kept.1)
    }

    /// Says whether there was one, which is gone then.
    pub(super) fn insert(&mut self, key: StoreKey, entry: Entry) -> bool {
        if let Some(there) = self.get_mut(&key) {
            *there = entry;
            return true;
        }
        self.0.insert_unique(hash(&key), Box::new((key, entry)), |kept| hash(&kept.0));
        false
    }

    pub(super) fn remove(&mut self, key: &StoreKey) -> Option<Kept> {
        let found = self.0.find_entry(hash(key), |kept| kept.0 == *key).ok()?;
        Some(found.remove().0)
    }

    /// How many places there are.
    pub(super) fn places(&self) -> usize {
        self.0.num_buckets()
    }

    /// Takes out what is at a place, if there is something that `is`.
    pub(super) fn take_if(&mut self, place: usize, is: impl FnOnce(&Entry) -> bool) -> Option<Kept> {
        let found = self.0.get_bucket_entry(place).ok()?;
        is(&found.get().1).then(|| found.remove().0)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&StoreKey, &Entry)> {
        self.0.iter().map(|kept| (&kept.0, &kept.1))
    }
}

impl Roomy for Table {
    fn with_capacity(entries: usize) -> Self {
        Self(HashTable::with_capacity(entries))
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn move_to(&mut self, other: &mut Self) {
        for kept in self.0.drain() {
            other.0.insert_unique(hash(&kept.0), kept, |kept| hash(&kept.0));
        }
    }
}

fn hash(key: &StoreKey) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = *key.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}
