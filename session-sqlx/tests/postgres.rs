//! The store's contract on PostgreSQL, and what only a server can show.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

use std::sync::OnceLock;
use std::time::Duration;

use session_sqlx::PostgresStore;
use session_testing::servers::Postgres;
use session_testing::store;
use sqlx::postgres::{PgPool, PgPoolOptions};

/// One for all tests of this file.
fn server() -> Option<&'static Postgres> {
    static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();
    SERVER.get_or_init(Postgres::start).as_ref()
}

async fn store(connections: u32) -> Option<(PostgresStore, PgPool)> {
    let url = server()?.fresh_database();
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(60))
        .connect(&url)
        .await
        .unwrap();
    let store = PostgresStore::new(pool.clone());
    store.migrate().await.unwrap();
    Some((store, pool))
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_the_contract() {
    let Some((store, _)) = store(10).await else { return };
    store::suite(|| async { store.clone() }).await;
}
