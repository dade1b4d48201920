//! Every statement finds its rows by an index.

use session_testing::servers;
use sqlx::{AssertSqlSafe, Row as _, query, raw_sql};

use super::*;

/// Statements, and the index that finds their rows.
const STATEMENTS: [(&str, &str); 17] = [
    (LOAD, "sessions_by_key"),
    (WRITE, "sessions_by_key"),
    (VERSION, "sessions_by_key"),
    (TOUCH, "sessions_by_key"),
    (REMEMBER, "sessions_by_key"),
    (DELETE, "sessions_by_key"),
    (RENAMED, "PRIMARY"),
    (DELETE_NUMBER, "PRIMARY"),
    (DELETE_READ, "PRIMARY"),
    (SWEEPING, "sessions_by_deadline"),
    (TAKE_TURNS, "PRIMARY"),
    (NUMBERS, "sessions_by_key"),
    (BEYOND, "sessions_by_subject"),
    (LIST, "sessions_by_subject"),
    (DELETE_ALL, "sessions_by_subject"),
    (SWEEP, "sessions_by_deadline"),
    (IS_REVOKED, "PRIMARY"),
];

/// Half of all that has a deadline is over.
const MANY: &str = "
    INSERT INTO sessions (`key`, version, subject_hash, created_at, seen_at, expires_at, idle, lifetime, record)
    SELECT MD5(seq), 1, MD5(seq DIV 3), seq, seq, seq * 180000000, 1, 1, '' FROM seq_1_to_20000;
    INSERT INTO session_renames SELECT MD5(seq), seq, seq * 180000000 FROM seq_1_to_20000;
    INSERT INTO session_revocations SELECT MD5(seq), seq * 180000000 FROM seq_1_to_20000;
    INSERT INTO session_subject_revocations SELECT MD5(seq), seq, seq * 180000000 FROM seq_1_to_20000;
    ANALYZE TABLE sessions, session_renames, session_revocations, session_subject_revocations";

#[tokio::test]
async fn every_statement_finds_its_rows_by_an_index() {
    let Some(server) = servers::MariaDb::start() else { return };
    let store = MySqlStore::new(MySqlPool::connect(&server.url()).await.unwrap());
    store.migrate().await.unwrap();
    // In an empty table all indexes cost the same, and what locks rows must not take one that others go along.
    for fill in ["DO 0", MANY] {
        raw_sql(fill).execute(&store.pool).await.unwrap();
        let the_rest = SWEEP_THE_REST.map(|statement| (statement, "_by_deadline"));
        for (statement, index) in STATEMENTS.into_iter().chain(the_rest) {
            // A session that is there and alive, so that nothing is decided before a table is read.
            let filled = statement.replace("LIMIT ?", "LIMIT 9").replace("OFFSET ?", "OFFSET 1");
            let filled = filled.replace("subject_hash = ?", "subject_hash = MD5(6666)");
            let filled = filled.replace("number = ?", "number = 20000").replace("version = ?", "version = 1");
            let filled = filled.replace('?', "MD5(20000)");
            let plan = query(AssertSqlSafe(format!("EXPLAIN {filled}"))).fetch_all(&store.pool).await.unwrap();
            let whole = |access: Option<&str>| ["ALL", "index"].contains(&access.unwrap_or_default());
            assert!(!plan.iter().any(|step| whole(step.get("type"))), "{statement} reads a whole table");
            let used: Vec<&str> = plan.iter().filter_map(|step| step.get("key")).collect();
            let nothing_to_read = fill != MANY && used.is_empty();
            assert!(nothing_to_read || used.iter().any(|used| used.ends_with(index)), "{statement} takes {used:?}");
        }
    }
}
