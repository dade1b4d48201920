//! The store's contract on MariaDB, and what only a server can show.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

use std::sync::OnceLock;
use std::time::Duration;

use session_sqlx::MySqlStore;
use session_testing::servers::MariaDb;
use session_testing::store;
use sqlx::mysql::{MySqlPool, MySqlPoolOptions};

/// One for all tests of this file.
fn server() -> Option<&'static MariaDb> {
    static SERVER: OnceLock<Option<MariaDb>> = OnceLock::new();
    SERVER.get_or_init(MariaDb::start).as_ref()
}

async fn store(connections: u32) -> Option<(MySqlStore, MySqlPool)> {
    let url = server()?.fresh_database();
    let pool = MySqlPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(60))
        .connect(&url)
        .await
        .unwrap();
    let store = MySqlStore::new(pool.clone());
    store.migrate().await.unwrap();
    Some((store, pool))
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_keeps_the_contract() {
    let Some((store, _)) = store(10).await else { return };
    store::suite(|| async { store.clone() }).await;
}
