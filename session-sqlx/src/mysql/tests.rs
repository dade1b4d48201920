//! Every statement finds its rows by an index.

use session_testing::servers;
use sqlx::{AssertSqlSafe, Row as _, query, raw_sql};

use super::*;

const STATEMENTS: [&str; 16] = [
    LOAD,
    WRITE,
    VERSION,
    TOUCH,
    REMEMBER,
    FREE,
    TAKE_TURNS,
    BEYOND,
    END,
    DELETE,
    DELETE_RENAMED,
    LIST,
    NUMBERS,
    DELETE_ALL,
    SWEEP,
    IS_REVOKED,
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
async fn no_statement_reads_a_whole_table() {
    let Some(server) = servers::MariaDb::start() else { return };
    let store = MySqlStore::new(MySqlPool::connect(&server.url()).await.unwrap());
    store.migrate().await.unwrap();
    raw_sql(MANY).execute(&store.0).await.unwrap();
    for statement in STATEMENTS.into_iter().chain(SWEEP_THE_REST) {
        // A key, a subject and a number that are there, so that nothing is decided before a table is read.
        let filled = statement.replace("LIMIT ?", "LIMIT 9").replace("OFFSET ?", "OFFSET 1");
        let filled = filled.replace("subject_hash = ?", "subject_hash = MD5(1)").replace("number = ?", "number = 1");
        let filled = filled.replace('?', "MD5(1)");
        let plan = query(AssertSqlSafe(format!("EXPLAIN {filled}"))).fetch_all(&store.0).await.unwrap();
        for step in plan {
            let (table, access): (Option<String>, Option<String>) = (step.get("table"), step.get("type"));
            let whole = ["ALL", "index"].contains(&access.as_deref().unwrap_or_default());
            assert!(!whole, "{statement} reads all of {table:?}");
        }
    }
}
