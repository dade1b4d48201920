//! `sqlite:PATH`, and what is in the file when it is encrypted.

#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its own helpers too")]

use std::error::Error as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use session_core::{
    Encrypted, Expiry, KeyRing, Record, Secret, SessionStore, StoreError, StoreKey, SubjectLimit, Timestamp, Touch,
};
use session_stores::connect;
use session_testing::store;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use folder::Folder;

mod folder;

fn key(number: u8) -> StoreKey {
    StoreKey::from_bytes([number; 32])
}

fn record(subject: &str) -> Record {
    let mut record = Record::new(Expiry::default());
    record.subject = Some(subject.into());
    record.values_mut().insert("favourite dish", "sauerbraten");
    record
}

/// A connection beside the store's.
async fn another(file: &Path) -> SqliteConnection {
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(file)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_by_its_url_keeps_the_contract() {
    let folder = Folder::new();
    let number = AtomicUsize::new(0);
    store::suite(|| async {
        let file = folder.file(&format!("{}.db", number.fetch_add(1, Ordering::Relaxed)));
        // Patient, because on a busy machine a thousand writers at once wait for longer than half a second.
        connect(&format!("sqlite:{}?timeout_ms=30000", file.display())).await.unwrap()
    })
    .await;
}

#[tokio::test]
async fn the_file_is_made_where_the_url_says_and_found_again() {
    let folder = Folder::new();
    let file = folder.file("sessions.db");
    for (number, url) in (1..).zip(["sqlite:", "sqlite://"]) {
        let store = connect(&format!("{url}{}", file.display())).await.unwrap();
        store.create(&key(number), &record("ada"), SubjectLimit::None).await.unwrap();
        assert_eq!(store.sessions_of("ada", 9).await.unwrap().len(), usize::from(number));
    }
    assert!(file.exists());
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_said_to_be_the_matter() {
    let folder = Folder::new();
    let error = connect(&format!("sqlite:{}", folder.file("no/such/folder.db").display())).await.err().unwrap();
    assert_eq!(error.to_string(), "sqlite: connecting failed");
    assert!(error.source().unwrap().to_string().contains("unable to open database file"));
}

#[tokio::test]
async fn a_locked_file_is_an_error_within_the_time_limit_and_works_again_afterwards() {
    let folder = Folder::new();
    let file = folder.file("sessions.db");
    let store = connect(&format!("sqlite:{}?timeout_ms=2000", file.display())).await.unwrap();
    store.create(&key(1), &record("ada"), SubjectLimit::None).await.unwrap();
    let mut writer = another(&file).await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut writer).await.unwrap();
    let error = store.touch(&key(1)).await.unwrap_err();
    assert_eq!(error.to_string(), "touching a session failed");
    assert!(error.source().unwrap().to_string().contains("database is locked"));
    assert!(store.load(&key(1)).await.unwrap().is_some(), "who reads doesn't wait for who writes");
    // Also of those who wait for a connection first, because there are fewer connections than writers.
    let start = Instant::now();
    let touches: Vec<_> = (0..100).map(|_| tokio::spawn(touch(Arc::clone(&store)))).collect();
    for touch in touches {
        assert!(touch.await.unwrap().is_err());
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    sqlx::query("COMMIT").execute(&mut writer).await.unwrap();
    assert!(store.touch(&key(1)).await.is_ok());
}

async fn touch(store: Arc<dyn SessionStore>) -> Result<Touch, StoreError> {
    store.touch(&key(1)).await
}

/// Everything that SQLite has written, its log too.
fn dump(folder: &Folder) -> Vec<u8> {
    let files = fs::read_dir(&folder.0).unwrap().map(|file| file.unwrap().path());
    files.flat_map(|file| fs::read(file).unwrap()).collect()
}

fn has(dump: &[u8], text: &str) -> bool {
    dump.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn an_encrypted_file_tells_neither_values_nor_subjects() {
    let (plain, encrypted) = (Folder::new(), Folder::new());
    let keys = KeyRing::new(Secret::random().unwrap());
    for (folder, keys) in [(&plain, None), (&encrypted, Some(keys))] {
        let store = connect(&format!("sqlite:{}", folder.file("sessions.db").display())).await.unwrap();
        let write = async |store: &dyn SessionStore| {
            for number in 0..20 {
                store.create(&key(number), &record("ada@example.com"), SubjectLimit::None).await.unwrap();
            }
            store.revoke_all_of("ada@example.com", Timestamp::from_millis(1), Duration::from_secs(60)).await
        };
        match keys {
            None => write(&store).await.unwrap(),
            Some(keys) => write(&Encrypted::new(store, keys)).await.unwrap(),
        }
    }
    for secret in ["favourite dish", "sauerbraten", "ada@example.com"] {
        assert!(has(&dump(&plain), secret) && !has(&dump(&encrypted), secret), "{secret}");
    }
    // The one thing in it that names a session is the hash that the store is asked by.
    assert!(has(&dump(&encrypted), &key(7).to_hex()));
}

/// Writes what is in `column` of each row into the other one.
async fn swap(attacker: &mut SqliteConnection, column: &str, rows: [u8; 2]) {
    let mut found = Vec::new();
    for row in rows {
        let read = sqlx::AssertSqlSafe(format!("SELECT {column} FROM sessions WHERE key = ?1"));
        found.push(
            sqlx::query_scalar::<_, String>(read).bind(key(row).to_hex()).fetch_one(&mut *attacker).await.unwrap(),
        );
    }
    for (row, text) in rows.into_iter().zip(found.iter().rev()) {
        let write = sqlx::AssertSqlSafe(format!("UPDATE sessions SET {column} = ?2 WHERE key = ?1"));
        let written = sqlx::query(write).bind(key(row).to_hex()).bind(text).execute(&mut *attacker).await.unwrap();
        assert_eq!(written.rows_affected(), 1);
    }
}

async fn adas_and_graces_and_adas(file: &Path) -> impl SessionStore {
    let keys = KeyRing::new(Secret::random().unwrap());
    let store = Encrypted::new(connect(&format!("sqlite:{}", file.display())).await.unwrap(), keys);
    for (number, subject) in [(1, "ada"), (2, "grace"), (3, "ada")] {
        store.create(&key(number), &record(subject), SubjectLimit::None).await.unwrap();
    }
    store
}

#[tokio::test]
async fn rows_that_were_swapped_in_the_file_are_unreadable() {
    let folder = Folder::new();
    let file = folder.file("sessions.db");
    let store = adas_and_graces_and_adas(&file).await;
    swap(&mut another(&file).await, "record", [1, 2]).await;
    for number in [1, 2] {
        assert!(store.load(&key(number)).await.unwrap_err().is_unreadable());
    }
    assert!(store.load(&key(3)).await.unwrap().is_some());
}

#[tokio::test]
async fn who_puts_a_session_under_another_name_in_the_index_shows_it_to_nobody() {
    let folder = Folder::new();
    let file = folder.file("sessions.db");
    let store = adas_and_graces_and_adas(&file).await;
    swap(&mut another(&file).await, "subject_hash", [1, 2]).await;
    let of_ada = store.sessions_of("ada", 9).await.unwrap();
    assert_eq!(of_ada.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [key(3)]);
    assert!(store.sessions_of("grace", 9).await.unwrap().is_empty());
}
