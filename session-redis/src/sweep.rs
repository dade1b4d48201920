//! Frees what was kept when it expired, so that somebody is told of it.

use session_core::{EndedBy, Place};
use tokio::time::{Instant, sleep};

use crate::count;
use crate::failure::Failure;
use crate::operation::Operation;
use crate::scripts;
use crate::single::ended;

/// So many of a server's keys one command looks at. A server does one thing at a time, so live requests wait for it.
const AT_ONCE: u64 = 20;

/// So many times as long as a command took does a sweep rest, for others that want the server.
const RESTS: u32 = 2;

impl Operation<'_> {
    /// Goes on where the last one stopped, and once around unless there is more than it may free.
    pub(crate) async fn sweep(&self, limit: usize) -> Result<usize, Failure> {
        if self.keeps_nothing() {
            return Ok(0);
        }
        let nodes = self.nodes().await?;
        let mut place = *self.next_sweep();
        let (mut swept, mut is_last_round) = (0, place == Place::START);
        while swept < limit {
            let Some(node) = nodes.get(place.part) else {
                place = Place::START;
                *self.next_sweep() = place;
                if is_last_round {
                    break;
                }
                is_last_round = true;
                continue;
            };
            let call = self.anywhere(&scripts::SWEEP).number(place.entry).number(AT_ONCE);
            let start = Instant::now();
            let answer = self.again().run_on(node, call.number((limit - swept) as u64)).await?;
            let took = start.elapsed();
            place = count::next(place, &answer)?;
            *self.next_sweep() = place;
            let freed = answer.last()?;
            swept += freed.len();
            self.tell(ended(freed, EndedBy::Deadline));
            sleep(took * RESTS).await;
        }
        Ok(swept)
    }
}
