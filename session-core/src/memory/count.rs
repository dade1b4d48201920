//! How many sessions are in memory.

use async_trait::async_trait;

use super::MemoryStore;
use super::shards::SHARDS;
use crate::count::{Count, Countable, Place};
use crate::error::StoreError;

/// A place is a shard, and a stretch whole ones.
#[async_trait]
impl Countable for MemoryStore {
    async fn count(&self, from: Place, most: usize) -> Result<(Count, Option<Place>), StoreError> {
        let (now, most) = (self.0.clock.now(), most as u64);
        let (mut count, mut place) = (Count::default(), from.part);
        while place < SHARDS && (place == from.part || count.live + count.expired < most) {
            for entry in self.0.shards.at(place).sessions.values() {
                if entry.times.is_over(now) {
                    count.expired += 1;
                    continue;
                }
                count.live += 1;
                count.with_subject += u64::from(entry.record.subject.is_some());
                count.bytes += entry.record.size() as u64;
            }
            place += 1;
        }
        Ok((count, (place < SHARDS).then_some(Place { part: place, entry: 0 })))
    }
}
