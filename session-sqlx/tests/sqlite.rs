//! The store on SQLite, in memory and in a file.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

mod common;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process};

use session_core::{Ended, SessionStore, StoreError, SubjectLimit, Version, Witness};
use session_sqlx::SqliteStore;
use session_testing::store;
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, query_scalar, raw_sql};
use tokio::time::timeout;

use crate::common::{Database, HOUR, end_oldest, key, on, record};

/// A file in a folder of its own that goes with it.
struct File {
    folder: PathBuf,
    pool: SqlitePool,
}

impl File {
    /// As a patient program would open it: on a busy machine a thousand writers at once wait for longer than half a second.
    async fn open(&self) -> SqlitePool {
        open(&self.folder, Duration::from_secs(20)).await
    }
}

async fn open(folder: &std::path::Path, patience: Duration) -> SqlitePool {
    let options = SqliteStore::options(folder.join("sessions.db")).busy_timeout(patience);
    SqlitePoolOptions::new().max_connections(4).connect_with(options).await.unwrap()
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Database for File {
    type Store = SqliteStore;

    async fn bare() -> Option<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("session-sqlx-{}-{number}", process::id()));
        fs::create_dir(&folder).unwrap();
        let pool = open(&folder, Duration::from_secs(20)).await;
        Some(Self { folder, pool })
    }

    fn store(&self) -> SqliteStore {
        SqliteStore::new(self.pool.clone())
    }

    async fn node(&self) -> SqliteStore {
        SqliteStore::new(self.open().await)
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        self.store().migrate().await
    }

    async fn run_schema(&self) {
        self.run(SqliteStore::schema()).await;
    }

    async fn run(&self, sql: &str) {
        raw_sql(AssertSqlSafe(sql)).execute(&self.pool).await.unwrap();
    }

    async fn number(&self, sql: &str) -> i64 {
        query_scalar(AssertSqlSafe(sql)).fetch_one(&self.pool).await.unwrap()
    }

    async fn shape(&self) -> String {
        let parts = "SELECT group_concat(sql, char(10)) FROM (SELECT sql FROM sqlite_schema ORDER BY name)";
        query_scalar(parts).fetch_one(&self.pool).await.unwrap()
    }

    async fn dump(&self) -> Vec<u8> {
        fs::read_dir(&self.folder).unwrap().flat_map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
    }

    async fn is_at_rest(&self) {
        let mut connections = Vec::new();
        for _ in 0..self.pool.options().get_max_connections() {
            connections.push(self.pool.acquire().await.unwrap());
        }
        assert!(self.pool.size() <= 4);
        drop(connections);
        // Nobody else is writing.
        let other = open(&self.folder, Duration::from_secs(2)).await;
        raw_sql("BEGIN IMMEDIATE; COMMIT").execute(&other).await.unwrap();
    }
}

on! { File:
    it_keeps_the_contract,
    nodes_that_start_together_make_the_tables_once,
    the_schema_can_be_run_by_hand,
    a_dump_contains_no_id,
    what_is_no_record_is_unreadable_and_ends_like_any_other,
    subjects_are_any_text,
    a_former_key_ends_no_session_that_came_later,
    an_error_says_nothing_about_a_session,
    a_sweep_leaves_neither_sessions_nor_former_keys_nor_revocations,
    two_nodes_at_work_do_not_get_in_each_others_way,
    a_future_that_is_dropped_leaves_nothing_open,
}

struct Silent;

impl Witness for Silent {
    fn ended(&self, _: &Ended) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract_in_memory() {
    store::suite(|| async {
        let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
        let store = SqliteStore::new(pool);
        store.migrate().await.unwrap();
        let witness: Arc<dyn Witness> = Arc::new(Silent);
        assert!(store.watch(&witness), "it says whom it ends by itself");
        store
    })
    .await;
}

#[tokio::test]
async fn a_session_survives_the_process() {
    let file = File::bare().await.unwrap();
    file.migrate().await.unwrap();
    let record = record("ada", HOUR);
    file.store().create(&key(1), &record, SubjectLimit::None).await.unwrap();
    file.pool.close().await;
    let loaded = file.node().await.load(&key(1)).await.unwrap().unwrap();
    assert_eq!((loaded.record, loaded.version), (record, Version::FIRST));
}

#[tokio::test]
async fn what_is_no_text_is_unreadable() {
    let file = File::bare().await.unwrap();
    file.migrate().await.unwrap();
    file.store().create(&key(1), &record("ada", HOUR), SubjectLimit::None).await.unwrap();
    file.run("UPDATE sessions SET record = CAST(x'7b22ff' AS TEXT)").await;
    assert!(file.store().load(&key(1)).await.unwrap_err().is_unreadable());
    assert_eq!(file.store().sessions_of("ada", 9).await.unwrap(), []);
    assert!(file.store().delete(&key(1)).await.unwrap());
}

#[tokio::test]
async fn a_list_has_no_key_that_nothing_is_found_by() {
    let file = File::bare().await.unwrap();
    file.migrate().await.unwrap();
    file.store().create(&key(1), &record("ada", HOUR), SubjectLimit::None).await.unwrap();
    for spelling in ["upper('ab' || substr(key, 3))", "'+' || substr(key, 2)", "key || 'ab'"] {
        let store = file.store();
        file.run(&format!("UPDATE sessions SET key = {spelling}")).await;
        assert_eq!(store.sessions_of("ada", 9).await.unwrap(), [], "{spelling}");
        file.run(&format!("UPDATE sessions SET key = '{}'", key(1).to_hex())).await;
        assert_eq!(store.sessions_of("ada", 9).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_locked_database_is_an_error_within_the_busy_timeout_and_works_again_afterwards() {
    let file = File::bare().await.unwrap();
    file.migrate().await.unwrap();
    let store = SqliteStore::new(open(&file.folder, Duration::from_millis(500)).await);
    let record = record("ada", HOUR);
    store.create(&key(1), &record, SubjectLimit::None).await.unwrap();
    let mut writer = file.pool.acquire().await.unwrap();
    raw_sql("BEGIN IMMEDIATE").execute(&mut *writer).await.unwrap();
    let started = Instant::now();
    for (outcome, message) in [
        (store.touch(&key(1)).await.map(drop), "touching a session failed"),
        (store.create(&key(2), &record, end_oldest(3)).await.map(drop), "creating a session failed"),
        (store.sweep(9).await.map(drop), "sweeping the sessions failed"),
    ] {
        assert_eq!(outcome.unwrap_err().to_string(), message);
    }
    assert!(started.elapsed() > Duration::from_millis(1_400) && started.elapsed() < Duration::from_secs(10));
    // Reading doesn't wait for writing, on a new connection neither.
    for store in [&store, &SqliteStore::new(open(&file.folder, Duration::from_millis(500)).await)] {
        assert!(store.load(&key(1)).await.unwrap().is_some());
    }
    raw_sql("COMMIT").execute(&mut *writer).await.unwrap();
    assert!(store.touch(&key(1)).await.is_ok());
    assert!(store.create(&key(2), &record, end_oldest(3)).await.is_ok());
}

#[tokio::test]
async fn a_sweep_gives_the_disk_back() {
    let file = File::bare().await.unwrap();
    file.migrate().await.unwrap();
    let fill = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 4000)
        INSERT INTO sessions (key, version, created_at, seen_at, expires_at, idle, lifetime, record)
        SELECT hex(n), 1, n, n, n, 1, 1, hex(zeroblob(1000)) FROM numbers";
    let size = async || {
        file.run("PRAGMA wal_checkpoint (TRUNCATE)").await;
        fs::metadata(file.folder.join("sessions.db")).unwrap().len()
    };
    file.run(fill).await;
    let full = size().await;
    assert_eq!(file.store().sweep(usize::MAX).await.unwrap(), 4_000);
    assert!(size().await < full / 4, "{} of {full} bytes", size().await);
    file.run("PRAGMA auto_vacuum = NONE; VACUUM").await;
    file.run(fill).await;
    let swept = timeout(Duration::from_secs(20), file.store().sweep(usize::MAX)).await;
    assert_eq!(swept.unwrap().unwrap(), 4_000, "a file that can't shrink is swept as well");
}
