//! A changed password, the end of all sessions and the limit of a subject against logins at the same moment, in a file that
//! four connections share.

#![cfg(feature = "sqlite")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

#[path = "../../session-core/tests/common/mod.rs"]
mod common;
#[path = "../../session-core/tests/logins/race.rs"]
mod race;

use std::time::Duration;
use std::{env, fs, process};

use session_sqlx::SqliteStore;
use sqlx::sqlite::SqlitePoolOptions;

const ROUNDS: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn logins_in_sqlite_meet_what_ends_sessions() {
    let folder = env::temp_dir().join(format!("session-sqlx-logins-{}", process::id()));
    fs::create_dir(&folder).unwrap();
    // As a patient program would open it: a disk that others keep busy is no fault.
    let options = SqliteStore::options(folder.join("sessions.db")).busy_timeout(Duration::from_secs(20));
    let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await.unwrap();
    let store = SqliteStore::new(pool.clone());
    store.migrate().await.unwrap();
    race::all(&store, ROUNDS).await;
    pool.close().await;
    fs::remove_dir_all(&folder).unwrap();
}
