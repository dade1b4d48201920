//! How many sessions the servers hold.

use session_core::{Count, Countable, Place, StoreError, async_trait};

use crate::failure::Failure;
use crate::operation::Operation;
use crate::reply::Reply;
use crate::scripts::{self, Call};
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
        let call = Call::anywhere(&scripts::COUNT, self.names().prefix());
        let call = call.number(from.entry).number(most.max(1) as u64);
        let answer = Reply::new(node.run(&call, crate::link::Asking::No, self.limits()).await?)?;
        let [live, with_subject, bytes] = [2, 3, 4].map(|place| answer.number(place));
        // Redis drops what has expired by itself.
        let count = Count { live: live?, with_subject: with_subject?, expired: 0, bytes: bytes? };
        let cursor = answer.text(1)?.parse().map_err(|_| Failure::Answer)?;
        let next = match cursor {
            0 => Place { part: from.part + 1, entry: 0 },
            _ => Place { part: from.part, entry: cursor },
        };
        Ok((count, (next.part < nodes.len()).then_some(next)))
    }
}
