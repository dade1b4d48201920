//! How many sessions the database holds.

use session_core::{Count, Countable, Place, StoreError, async_trait};
use sqlx::query;

use super::MySqlStore;
use crate::lent::{Lent, run};
use crate::shared::{again, counted, integer};

#[async_trait]
impl Countable for MySqlStore {
    async fn count(&self, from: Place, most: usize) -> Result<(Count, Option<Place>), StoreError> {
        let most = most.max(1);
        let count = || query(COUNT).bind(integer(from.entry)).bind(integer(most as u64));
        counted(run!(self, |on| count().fetch_one(&mut **on)).await, most)
    }
}

/// A stretch of rows by their numbers, which stay when sessions are renamed.
const COUNT: &str = sql!(
    "SELECT count(*) AS entries, CAST(COALESCE(max(number), 0) AS SIGNED) AS last, CAST(COALESCE(sum(live), 0) AS SIGNED) AS live,
     CAST(COALESCE(sum(CASE WHEN subject_hash IS NULL THEN 0 ELSE live END), 0) AS SIGNED) AS with_subject, CAST(COALESCE(sum(live * bytes), 0) AS SIGNED) AS bytes
     FROM (SELECT number, subject_hash, length(record) AS bytes, CASE WHEN " live " THEN 1 ELSE 0 END AS live
     FROM sessions WHERE number > ? ORDER BY number LIMIT ?) AS stretch"
);
