//! The property test of the whole machine, played in SQLite: what core promises does not depend on where sessions are.

#![cfg(feature = "sqlite")]
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

use session_sqlx::SqliteStore;
use sqlx::sqlite::SqlitePoolOptions;
use tokio::runtime::Runtime;

use crate::store::Kept;

const CASES: u32 = 500;

#[test]
fn requests_of_one_session_never_harm_each_other_in_sqlite() {
    let runtime = Arc::new(Runtime::new().unwrap());
    let store = runtime.block_on(async {
        let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
        let store = SqliteStore::new(pool);
        store.migrate().await.unwrap();
        Arc::new(store)
    });
    play::no_harm(CASES, || Kept::in_store(Arc::clone(&store), &runtime));
}
