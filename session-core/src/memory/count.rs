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
            for (_, entry) in self.0.shards.at(place).sessions.iter() {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::clock::{ManualClock, Timestamp};
    use crate::expiry::Expiry;
    use crate::id::StoreKey;
    use crate::record::Record;
    use crate::store::{SessionStore as _, SubjectLimit};

    #[tokio::test]
    async fn steps_of_any_length_count_each_session_once() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1)));
        let store = MemoryStore::new().clock(Arc::clone(&clock));
        let (mut expected, short) = (Count::default(), Expiry { idle: Duration::from_millis(5), ..Expiry::default() });
        for byte in 0..90 {
            let mut record = Record::new(if byte % 3 == 0 { short } else { Expiry::default() });
            record.subject = (byte % 2 == 0).then(|| format!("subject {byte}").into());
            store.create(&StoreKey::from_bytes([byte; 32]), &record, SubjectLimit::None).await.unwrap();
            if byte % 3 == 0 {
                expected.expired += 1;
            } else {
                expected.live += 1;
                expected.with_subject += u64::from(byte % 2 == 0);
                expected.bytes += record.size() as u64;
            }
        }
        clock.advance(Duration::from_millis(10));
        for most in [0, 1, 7, 1_000] {
            let (mut count, mut next, mut steps) = (Count::default(), Some(Place::START), 0);
            while let Some(place) = next {
                let (stretch, following) = store.count(place, most).await.unwrap();
                (count, next, steps) = (count.plus(stretch), following, steps + 1);
            }
            assert_eq!(count, expected, "{most}");
            assert!(if most < 10 { steps > 10 } else { steps == 1 }, "{most}: {steps}");
        }
    }
}
