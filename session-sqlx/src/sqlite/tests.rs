//! Every statement finds its rows by an index.

use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{AssertSqlSafe, Row as _, query};

use super::*;

/// Statements, and the index that finds their sessions.
const STATEMENTS: [(&str, &str); 15] = [
    (LOAD, "autoindex_sessions"),
    (WRITE, "autoindex_sessions"),
    (VERSION, "autoindex_sessions"),
    (TOUCH, "autoindex_sessions"),
    (FREE, "autoindex_sessions"),
    (DELETE, "autoindex_sessions"),
    (END, "INTEGER PRIMARY KEY"),
    (SWEEP_AND_READ, "sessions_by_deadline"),
    (BEYOND, "sessions_by_subject"),
    (LIST, "sessions_by_subject"),
    (DELETE_ALL, "sessions_by_subject"),
    (SWEEP, "sessions_by_deadline"),
    (count::COUNT, "INTEGER PRIMARY KEY"),
    (IS_REVOKED, "SEARCH session_revocations USING PRIMARY KEY"),
    (IS_REVOKED, "SEARCH session_subject_revocations USING PRIMARY KEY"),
];

#[tokio::test]
async fn every_statement_finds_its_rows_by_an_index() {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    SqliteStore::new(pool.clone()).migrate().await.unwrap();
    let the_rest = SWEEP_THE_REST.map(|statement| (statement, "_by_deadline"));
    for (statement, index) in STATEMENTS.into_iter().chain(the_rest) {
        let explain = format!("EXPLAIN QUERY PLAN {statement}");
        let plan = query(AssertSqlSafe(explain)).fetch_all(&pool).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        let whole = plan.iter().any(|step| step.starts_with("SCAN session") || step.contains("TEMP B-TREE"));
        assert!(!whole && plan.iter().any(|step| step.contains(index)), "{statement}: {plan:#?}");
    }
}

/// A transaction that has read before somebody else wrote can't write any more: SQLite says so at once, and it begins anew.
#[tokio::test]
async fn what_was_read_too_early_to_be_written_is_done_again_six_times_in_all() {
    let file = std::env::temp_dir().join(format!("session-sqlx-snapshot-{}.db", std::process::id()));
    let pool = SqlitePoolOptions::new().max_connections(2).connect_with(SqliteStore::options(&file)).await.unwrap();
    raw_sql("CREATE TABLE notes (note INTEGER); INSERT INTO notes VALUES (0)").execute(&pool).await.unwrap();
    for (undone, expected) in [(0, 1), (5, 6), (1_000, 6)] {
        let attempts = std::cell::Cell::new(0);
        let outcome = again(|| async {
            attempts.set(attempts.get() + 1);
            let mut on = pool.begin().await?;
            query("SELECT note FROM notes").fetch_one(&mut *on).await?;
            if attempts.get() <= undone {
                query("UPDATE notes SET note = note + 1").execute(&pool).await?;
            }
            query("UPDATE notes SET note = note + 1").execute(&mut *on).await?;
            on.commit().await
        });
        assert_eq!((outcome.await.is_ok(), attempts.get()), (undone < 6, expected));
    }
    pool.close().await;
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", file.display()));
    }
}
