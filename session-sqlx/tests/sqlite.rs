//! The store's contract on SQLite, in memory and in a file.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]
use session_sqlx::SqliteStore;
use session_testing::store;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{env, fs, process};
/// A folder of this test's own that goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("session-sqlx-{}-{number}", process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// A store on the file, as another process would open it.
    #[allow(dead_code)]
    async fn open(&self, file: &str) -> (SqliteStore, SqlitePool) {
        self.open_with(SqliteStore::options(self.0.join(file))).await
    }

    /// As a patient program would: on a busy machine a thousand writers at once wait for longer than half a second.
    async fn open_patiently(&self, file: &str) -> SqliteStore {
        self.open_with(SqliteStore::options(self.0.join(file)).busy_timeout(Duration::from_secs(20))).await.0
    }

    async fn open_with(&self, options: SqliteConnectOptions) -> (SqliteStore, SqlitePool) {
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await.unwrap();
        let store = SqliteStore::new(pool.clone());
        store.migrate().await.unwrap();
        (store, pool)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn in_memory() -> SqliteStore {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    let store = SqliteStore::new(pool);
    store.migrate().await.unwrap();
    store
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_in_memory_keeps_the_contract() {
    store::suite(in_memory).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_in_a_file_with_several_connections_keeps_the_contract() {
    let folder = Folder::new();
    let number = AtomicUsize::new(0);
    store::suite(|| async { folder.open_patiently(&format!("{}.db", number.fetch_add(1, Ordering::Relaxed))).await })
        .await;
}
