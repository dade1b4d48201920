//! The store's contract on SQLite, in memory and in a file, and what only a file can show.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{env, fs, process};

use session_core::{Create, Expiry, Record, SessionStore, StoreKey, Update, Version};
use session_sqlx::SqliteStore;
use session_testing::store;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

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

fn key(number: u8) -> StoreKey {
    StoreKey::from_bytes([number; 32])
}

fn record(idle: Duration) -> Record {
    let mut record = Record::new(Expiry { idle, ..Expiry::default() });
    record.subject = Some("ada".to_owned());
    record.values_mut().insert("note".to_owned(), "tea & co".into());
    record
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

#[tokio::test]
async fn a_session_survives_the_process() {
    let folder = Folder::new();
    let record = record(Duration::from_secs(60));
    let (store, pool) = folder.open("sessions.db").await;
    assert_eq!(store.create(&key(1), &record).await.unwrap(), Create::Created);
    pool.close().await;
    let (store, _) = folder.open("sessions.db").await;
    let loaded = store.load(&key(1)).await.unwrap().unwrap();
    assert_eq!((loaded.record, loaded.version), (record, Version::FIRST));
}

#[tokio::test]
async fn a_logout_in_one_process_ends_what_another_renewed() {
    let folder = Folder::new();
    let record = record(Duration::from_secs(60));
    let ((one, _), (other, _)) = (folder.open("sessions.db").await, folder.open("sessions.db").await);
    one.create(&key(1), &record).await.unwrap();
    assert_eq!(other.rename(&key(1), &key(2), &record, Version::FIRST).await.unwrap(), Update::Updated);
    one.delete(&key(1)).await.unwrap();
    assert_eq!(other.load(&key(2)).await.unwrap(), None);
}

#[tokio::test]
async fn what_is_no_record_counts_as_absent() {
    let folder = Folder::new();
    let (store, pool) = folder.open("sessions.db").await;
    for broken in ["", "[]", r#"{"format":9}"#] {
        store.create(&key(1), &record(Duration::from_secs(60))).await.unwrap();
        sqlx::query("UPDATE sessions SET record = ?1").bind(broken).execute(&pool).await.unwrap();
        assert_eq!(store.load(&key(1)).await.unwrap(), None);
        store.delete(&key(1)).await.unwrap();
    }
}

#[tokio::test]
async fn a_sweep_leaves_neither_sessions_nor_former_keys() {
    let folder = Folder::new();
    let (store, pool) = folder.open("sessions.db").await;
    let short = record(Duration::from_millis(30));
    for number in 0..10 {
        store.create(&key(number), &short).await.unwrap();
        store.rename(&key(number), &key(100 + number), &short, Version::FIRST).await.unwrap();
    }
    store.create(&key(200), &record(Duration::from_secs(60))).await.unwrap();
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(store.sweep(4).await.unwrap(), 4);
    assert_eq!(store.sweep(100).await.unwrap(), 6);
    let rows = "SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM session_renames)";
    let (sessions, renames): (i64, i64) = sqlx::query_as(rows).fetch_one(&pool).await.unwrap();
    assert_eq!((sessions, renames), (1, 0));
}

#[tokio::test]
async fn a_locked_database_is_an_error_within_the_busy_timeout_and_works_again_afterwards() {
    let folder = Folder::new();
    let (store, pool) = folder.open("sessions.db").await;
    store.create(&key(1), &record(Duration::from_secs(60))).await.unwrap();
    let mut writer = pool.acquire().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *writer).await.unwrap();
    let touched = tokio::time::timeout(Duration::from_secs(5), store.touch(&key(1))).await.unwrap();
    assert_eq!(touched.unwrap_err().to_string(), "touching a session failed");
    // Reading doesn't wait for writing.
    assert!(store.load(&key(1)).await.unwrap().is_some());
    sqlx::query("COMMIT").execute(&mut *writer).await.unwrap();
    assert!(store.touch(&key(1)).await.is_ok());
}
