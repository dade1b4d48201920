//! The property test of the whole machine, played in Redis: what core promises does not depend on where sessions are.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

#[path = "../../session-core/tests/machine/model.rs"]
mod model;
#[path = "../../session-core/tests/machine/play.rs"]
mod play;
#[path = "../../session-core/tests/machine/request.rs"]
mod request;
#[path = "../../session-core/tests/machine/store.rs"]
mod store;

use std::sync::Arc;
use std::time::Duration;

use session_redis::RedisStore;
use session_testing::servers::Redis;
use tokio::runtime::Runtime;

use crate::store::Kept;

const CASES: u32 = 500;

#[test]
fn requests_of_one_session_never_harm_each_other_in_redis() {
    let Some(redis) = Redis::start_with(&["--appendonly", "no"]) else { return };
    let runtime = Arc::new(Runtime::new().unwrap());
    let store = runtime.block_on(RedisStore::connect(&redis.url())).unwrap().timeout(Duration::from_secs(20));
    play::no_harm(CASES, || Kept::in_store(store.clone(), &runtime));
}
