//! How many sessions the servers hold.

use session_core::{Count, Countable, Place, StoreError, async_trait};

use crate::failure::Failure;
use crate::operation::Operation;
use crate::reply::Reply;
use crate::scripts;
use crate::store::RedisStore;

/// A place is a node, and how far its own way through its keys has come. A stretch is of as many of the server's keys, be they
/// sessions or not.
#[async_trait]
impl Countable for RedisStore {
    async fn count(&self, from: Place, most: usize) -> Result<(Count, Option<Place>), StoreError> {
        let operation = Operation::new(self);
        operation.count(from, most).await.map_err(|failure| StoreError::new("counting the sessions", failure))
    }
}

impl Operation<'_> {
    async fn count(&self, from: Place, most: usize) -> Result<(Count, Option<Place>), Failure> {
        let nodes = self.nodes().await?;
        let Some(node) = nodes.get(from.part) else { return Ok((Count::default(), None)) };
        let call = self.anywhere(&scripts::COUNT).number(from.entry).number(most.max(1) as u64);
        let answer = self.run_on(node, call).await?;
        let [live, with_subject, expired, bytes] = [2, 3, 4, 5].map(|place| answer.number(place));
        let count = Count { live: live?, with_subject: with_subject?, expired: expired?, bytes: bytes? };
        let next = next(from, &answer)?;
        Ok((count, (next.part < nodes.len()).then_some(next)))
    }
}

/// Where to go on after a step through a node's keys, of which the answer's second entry tells.
pub(crate) fn next(from: Place, answer: &Reply) -> Result<Place, Failure> {
    Ok(match answer.text(1)?.parse().map_err(|_| Failure::Answer)? {
        0 => Place { part: from.part + 1, entry: 0 },
        entry => Place { part: from.part, entry },
    })
}
