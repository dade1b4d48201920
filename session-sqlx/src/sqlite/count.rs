//! How many sessions the database holds.

use session_core::{Count, Countable, Place, StoreError, async_trait};
use sqlx::query;

use super::SqliteStore;
use crate::shared::{again, counted, integer};

#[async_trait]
impl Countable for SqliteStore {
    async fn count(&self, from: Place, most: usize) -> Result<(Count, Option<Place>), StoreError> {
        let most = most.max(1);
        let count = || query(COUNT).bind(integer(from.entry)).bind(integer(most as u64));
        counted(reading!(self, |on| count().fetch_one(on)).await, most)
    }
}

/// A stretch of rows by their numbers, which stay when sessions are renamed.
pub(super) const COUNT: &str = sql!(
    "SELECT count(*) AS entries, COALESCE(max(number), 0) AS last, COALESCE(sum(live), 0) AS live,
     COALESCE(sum(CASE WHEN subject_hash IS NULL THEN 0 ELSE live END), 0) AS with_subject, COALESCE(sum(live * bytes), 0) AS bytes
     FROM (SELECT number, subject_hash, length(CAST(record AS BLOB)) AS bytes, CASE WHEN " live " THEN 1 ELSE 0 END AS live
     FROM sessions WHERE number > ?1 ORDER BY number LIMIT ?2) AS stretch"
);
